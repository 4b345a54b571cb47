"""Routes of the policy in force as a page, and of what it does in a simulation."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from aiohttp import web

from understudy.errors import ConflictError
from understudy.restoration.guard.console_asking import BY_DEFAULT, reason_in, started
from understudy.restoration.guard.console_parts import OPERATOR, ConsoleContext, ConsolePart, body_object
from understudy.restoration.guard.documents import DIGEST_CHARS
from understudy.restoration.guard.job_process import run_command, variables_of
from understudy.restoration.guard.jobs import Job, Jobs
from understudy.restoration.playbook.page import markdown

#: Half a minute of one processor that nobody else wants: a quarter of what `simulate` does by itself.
OPTIONS = ("--days", "10", "--runs", "50", "--processes", "1")
NICER_BY = 10
WITHIN_S = 900.0
#: Where the guard's store keeps the newest simulation.
_KEPT = "playbook_simulation"


class PlaybookPages(ConsolePart):
    """Shows the policy, and simulates the file that it was read from as a job."""

    def __init__(self, context: ConsoleContext, jobs: Jobs) -> None:
        self._context = context
        self._jobs = jobs

    def routes(self) -> list[web.RouteDef]:
        """Give what this part answers."""
        return [
            web.get("/playbook/page", self._page),
            web.get("/playbook/simulation", self._simulation),
            web.post("/playbook/simulation", self._simulate),
        ]

    async def _page(self, _: web.Request) -> web.Response:
        return web.json_response({"markdown": markdown(self._context.guard.playbook)})

    async def _simulation(self, _: web.Request) -> web.Response:
        kept = json.loads(self._context.store.meta(_KEPT) or "{}")
        running, digest = self._jobs.running("simulation"), self._digest()
        fits = kept.get("policy_digest") == digest
        newest = self._jobs.newest("simulation")
        failed = newest is not None and newest.state in {"failed", "stopped"} and not fits
        state = "running" if running else "ready" if fits else "failed" if failed else "none"
        return web.json_response(
            {
                "state": state,
                "rows": kept["rows"] if fits else [],
                "policy_digest": digest,
                "at": kept["at"] if fits else None,
                "job": running.document() if running else None,
                "error": newest.error if failed and newest else None,
            }
        )

    async def _simulate(self, request: web.Request) -> web.Response:
        body = await body_object(request) if request.can_read_body else {}
        reason = reason_in(body, self._context.redactor, default=BY_DEFAULT)
        policy = self._context.guard.policy_file
        if policy is None:
            raise ConflictError("This guard's policy was read from no file; there is nothing to simulate.")
        changed = policy.changed()
        if changed is not None:
            raise ConflictError(f"{changed}. Only the policy in force is simulated here.")
        digest, environment = self._digest(), self._context.environment

        async def work(job: Job) -> dict[str, Any]:
            job.say("Synthetic traffic of 1 to 600 calls a minute is judged by the rules in force.")
            rows = await run_command(
                ("playbook", "simulate", *OPTIONS, "--json", str(policy.path)),
                variables=variables_of(environment),
                say=job.say,
                within_s=WITHIN_S,
                nicer_by=NICER_BY,
            )
            result = {"policy_digest": digest, "rows": rows}
            kept = {**result, "at": self._context.clock.now().isoformat()}
            self._context.store.remember(_KEPT, json.dumps(kept, sort_keys=True))
            return result

        job = self._jobs.begin("simulation", work, person=request[OPERATOR], reason=reason, subject=digest)
        return started(job)

    def _digest(self) -> str:
        policy = self._context.guard.policy_file
        if policy is not None:
            return policy.sha256[:DIGEST_CHARS]
        text = self._context.guard.playbook.model_dump_json()
        return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARS]
