"""Routes of what a restoration can return to: the known-good record and the backups."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from understudy.errors import ConflictError, NotFoundError
from understudy.restoration.guard.console_asking import BY_DEFAULT, reason_in, started
from understudy.restoration.guard.console_parts import (
    OPERATOR,
    ConsoleContext,
    ConsolePart,
    body_object,
    number_in,
)
from understudy.restoration.guard.jobs import Job, Jobs
from understudy.restoration.targets.asked_backups import make_backup, prove_backup
from understudy.restoration.targets.base import RestorableDatabase

#: Records that are shown where nobody says how many, and at most.
SHOWN, MOST = 20, 200


class Backups(ConsolePart):
    """Shows both, and makes and proves backups as jobs."""

    def __init__(self, context: ConsoleContext, jobs: Jobs) -> None:
        self._context = context
        self._jobs = jobs

    def routes(self) -> list[web.RouteDef]:
        """Give what this part answers."""
        return [
            web.get("/known-good", self._known_good),
            web.get("/backups", self._all),
            web.post("/backups", self._make),
            web.post("/backups/{id}/verify", self._verify),
        ]

    async def _known_good(self, request: web.Request) -> web.Response:
        limit = number_in(request, "limit", SHOWN, lowest=1, highest=MOST)
        records = self._context.store.known_good_history(limit)
        return web.json_response({"known_good": [kept.summary() for kept in records]})

    async def _all(self, _: web.Request) -> web.Response:
        database = self._context.target.database
        found = await database.backups() if database is not None else ()
        return web.json_response(
            {
                "backups": [one.document() for one in found],
                "alarm": self._context.guard.view.paged.get("backup"),
                "supported": database is not None,
            }
        )

    async def _make(self, request: web.Request) -> web.Response:
        database, person = self._database(), request[OPERATOR]
        reason = reason_in(await body_object(request), self._context.redactor)
        now = self._context.clock.now()

        async def work(job: Job) -> dict[str, Any]:
            made = await make_backup(database, person=person, reason=reason, now=now, say=job.say)
            return made.document()

        return started(self._jobs.begin("backup", work, person=person, reason=reason))

    async def _verify(self, request: web.Request) -> web.Response:
        database, backup = self._database(), request.match_info["id"]
        body = await body_object(request) if request.can_read_body else {}
        reason = reason_in(body, self._context.redactor, default=BY_DEFAULT)
        if all(one.id != backup for one in await database.backups()):
            raise NotFoundError(f"There is no backup {backup}.")

        async def work(job: Job) -> dict[str, Any]:
            return (await prove_backup(database, backup, say=job.say)).document()

        return started(
            self._jobs.begin("verify", work, person=request[OPERATOR], reason=reason, subject=backup)
        )

    def _database(self) -> RestorableDatabase:
        database = self._context.target.database
        if database is None:
            raise ConflictError("This environment has no way to its database's backups.")
        return database
