"""Routes of the drills: what can be practised, what practice has shown, and a drill as a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiohttp import web

from understudy.errors import ConflictError, NotFoundError
from understudy.restoration.drills.catalogue import DRILLS, drill_named
from understudy.restoration.drills.history import read_rows
from understudy.restoration.guard.console_asking import BY_DEFAULT, reason_in, started
from understudy.restoration.guard.console_parts import (
    OPERATOR,
    ConsoleContext,
    ConsolePart,
    body_object,
    said,
)
from understudy.restoration.guard.job_process import arguments_of, run_command, variables_of
from understudy.restoration.guard.jobs import Job, Jobs

#: Runs that are shown, newest first.
SHOWN = 100
#: A drill that takes longer is ended; the slowest one prepares a release first.
WITHIN_S = 1200.0


class Drills(ConsolePart):
    """Shows the drills, and runs one on a service of its own that is thrown away."""

    def __init__(self, context: ConsoleContext, jobs: Jobs) -> None:
        self._context = context
        self._jobs = jobs

    def routes(self) -> list[web.RouteDef]:
        """Give what this part answers."""
        return [
            web.get("/drills", self._all),
            web.post("/drills", self._begin),
            web.get("/drills/reports/{name}", self._report),
        ]

    async def _all(self, _: web.Request) -> web.Response:
        rows = read_rows(self._context.home)[-SHOWN:]
        running = self._jobs.running("drill")
        why_not = self._why_not()
        return web.json_response(
            {
                "scenarios": [drill.document() for drill in DRILLS],
                "history": [row.document() for row in reversed(rows)],
                "may_run": why_not is None,
                "why_not": why_not,
                "running": running.document() if running else None,
            }
        )

    async def _report(self, request: web.Request) -> web.Response:
        name, home = request.match_info["name"], self._context.home
        # Only what a run wrote down is read, whatever the name says.
        written = (row.report for row in read_rows(home) if row.report is not None)
        found = next((report for report in written if Path(report).name == name), None)
        try:
            text = (home / found).read_text("utf-8") if found is not None else None
        except (OSError, UnicodeError):
            text = None
        if text is None:
            raise NotFoundError(f"There is no report {name} of a drill.")
        return web.json_response({"markdown": self._context.redactor(text)})

    async def _begin(self, request: web.Request) -> web.Response:
        body = await body_object(request)
        drill = drill_named(said(body, "scenario").strip())
        reason = reason_in(body, self._context.redactor, default=BY_DEFAULT)
        forbidden = self._why_never()
        if forbidden is not None:
            raise ConflictError(forbidden)
        environment, home = self._context.environment, self._context.home

        async def work(job: Job) -> Any:
            job.say(f"A service of its own is started to drill {drill.name}: {drill.title}.")
            return await run_command(
                ("drill", drill.name, *arguments_of(environment, home), "--json"),
                variables=variables_of(environment),
                say=job.say,
                within_s=WITHIN_S,
                ends_itself=True,
            )

        job = self._jobs.begin("drill", work, person=request[OPERATOR], reason=reason, subject=drill.name)
        return started(job)

    def _why_never(self) -> str | None:
        """Say why nothing is drilled in this environment, or None."""
        name = self._context.environment.name
        if self._context.environment.is_production:
            return f"Nothing is drilled as {name}: its cutover asks for a drill in staging."
        return None

    def _why_not(self) -> str | None:
        """Say why no drill may begin now, or None."""
        running = self._jobs.running("drill")
        return self._why_never() or (f"The drill {running.subject} runs." if running else None)
