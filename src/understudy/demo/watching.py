"""Follow an incident through the guard's own API and tell it as it happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp

from understudy.demo.service import DemoError, Service
from understudy.demo.stage import Stage
from understudy.demo.traffic import Tally
from understudy.restoration.report.steps import words_of

LOOK_EVERY_S = 0.2

STATES = {
    "OPEN": ("!", "bold red", "incident opened"),
    "RESTORING": (">", "yellow", "restoring: fast rollback via env switch"),
    "MITIGATED": ("✓", "bold green", "MITIGATED: speech is safe again; watching the monitoring recover"),
    "RECOVERED": ("✓", "bold green", "RECOVERED: monitoring is clean by the closing rule"),
    "CLOSED": ("✓", "bold green", "CLOSED"),
}
STOPPED = frozenset({"HOLD", "FROZEN", "ABORTED"})


class Watch:
    """One incident, told entry by entry."""

    def __init__(self, service: Service, http: aiohttp.ClientSession, stage: Stage, tally: Tally) -> None:
        self._service = service
        self._http = http
        self._stage = stage
        self._tally = tally
        self._told = 0
        self.incident = ""

    async def until(
        self, reached: Callable[[dict[str, Any]], bool], *, what: str, within_s: float
    ) -> dict[str, Any]:
        """Tell what happens until the guard's status satisfies ``reached``; return that status.

        Raises
        ------
        DemoError
            It did not happen in time, or automation stopped and asks for a person.
        """
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            status = await self._service.guard_document(self._http, "/status")
            await self._tell(status)
            if reached(status):
                return status
            await asyncio.sleep(LOOK_EVERY_S)
        raise DemoError(f"after {within_s:g} s still not: {what}")

    async def until_state(self, state: str, *, within_s: float) -> dict[str, Any]:
        """Tell the incident until it has reached ``state``; return the incident with its journal."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if self.incident:
                await self._tell(await self._service.guard_document(self._http, "/status"))
                incident = await self._service.guard_document(self._http, f"/incidents/{self.incident}")
                passed = {entry["body"].get("to") for entry in incident["journal"]}
                if state in passed:
                    return incident
                if incident["state"] in STOPPED:
                    raise DemoError(f"the incident is {incident['state']}: a person must decide.")
            await asyncio.sleep(LOOK_EVERY_S)
        raise DemoError(f"the incident is not {state} after {within_s:g} s")

    async def _tell(self, status: dict[str, Any]) -> None:
        mode = (status["mode"] or {}).get("value", "?")
        spoken, failed = self._tally.recent()
        current = status["incident"]
        note = current["state"] if current else f"verdict {status['verdict'] or 'none yet'}"
        self._stage.move_bar(mode=mode, spoken=spoken, failed=failed, note=note)
        if current and not self.incident:
            self.incident = current["id"]
        if self.incident:
            document = await self._service.guard_document(self._http, f"/incidents/{self.incident}")
            for entry in document["journal"][self._told :]:
                self._tell_entry(entry)
            self._told = len(document["journal"])

    def _tell_entry(self, entry: dict[str, Any]) -> None:
        body = entry["body"]
        if entry["kind"] == "opened":
            self._tell_state("OPEN", f": {body['finding']['detail']}")
        elif entry["kind"] == "state" and body.get("to") in STATES:
            self._tell_state(body["to"])
        elif entry["kind"] == "outcome":
            mark, style = ("✓", "green") if body["ok"] else ("✗", "bold red")
            problem = "" if body["ok"] else f" ({body['problem']})"
            words = words_of(entry["step"], body.get("action"))
            self._stage.say(
                f"  {words.done} [dim]{body['duration_ms']} ms[/]{problem}", mark=mark, style=style
            )
        elif entry["kind"] == "joined":
            self._stage.say(f"fails as well: {body['finding']['detail']}", mark="!", style="red")
        elif entry["kind"] == "page":
            self._stage.say(f"page: {body['message']}", mark="!", style="bold red")

    def _tell_state(self, state: str, detail: str = "") -> None:
        mark, style, words = STATES[state]
        self._stage.say(words + detail, mark=mark, style=style)
