"""Routes of the jobs that operators asked for."""

from __future__ import annotations

from aiohttp import web

from understudy.restoration.guard.console_asking import BY_DEFAULT, reason_in
from understudy.restoration.guard.console_parts import OPERATOR, ConsoleContext, ConsolePart, body_object
from understudy.restoration.guard.jobs import Jobs


class JobRoutes(ConsolePart):
    """Shows and stops jobs; those that run end with the console."""

    def __init__(self, context: ConsoleContext, jobs: Jobs) -> None:
        self._context = context
        self._jobs = jobs

    def routes(self) -> list[web.RouteDef]:
        """Give what this part answers."""
        return [
            web.get("/jobs", self._all),
            web.get("/jobs/{id}", self._one),
            web.post("/jobs/{id}/stop", self._stop),
        ]

    async def close(self) -> None:
        """End what runs."""
        await self._jobs.close()

    async def _all(self, _: web.Request) -> web.Response:
        return web.json_response({"jobs": [job.document() for job in self._jobs.all()]})

    async def _one(self, request: web.Request) -> web.Response:
        return web.json_response(self._jobs.get(request.match_info["id"]).document())

    async def _stop(self, request: web.Request) -> web.Response:
        body = await body_object(request) if request.can_read_body else {}
        reason = reason_in(body, self._context.redactor, default=BY_DEFAULT)
        job = self._jobs.stop(request.match_info["id"], person=request[OPERATOR], reason=reason)
        return web.json_response(job.document())
