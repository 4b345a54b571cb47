"""Follow a drill's incident through the guard's API, and agree to what it proposes, as two persons would."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from understudy.demo.service import Service
from understudy.errors import UnderstudyError

LOOK_EVERY_S = 0.2
#: States that end a drill's waiting, whatever was hoped for.
OVER = frozenset({"CLOSED", "ABORTED", "FROZEN"})


class DrillError(UnderstudyError):
    """The drill could not go on."""

    code = "drill"


@dataclass
class Following:
    """One incident of a drill's service.

    Parameters
    ----------
    approvers
        Operator keys of persons who agree to every plan, each once.
    """

    service: Service
    http: aiohttp.ClientSession
    approvers: Sequence[str]
    incident: str = ""
    agreed: set[tuple[str, str]] = field(default_factory=set)

    async def opened(self, within_s: float) -> Mapping[str, Any] | None:
        """Wait for an incident; None when none opened in time."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            status = await self.service.guard_document(self.http, "/status")
            if status["incident"] is not None:
                self.incident = status["incident"]["id"]
                return await self.document()
            await asyncio.sleep(LOOK_EVERY_S)
        return None

    async def document(self) -> Mapping[str, Any]:
        """The incident with its journal."""
        return await self.service.guard_document(self.http, f"/incidents/{self.incident}")

    async def until(
        self, reached: Callable[[Mapping[str, Any]], bool], *, within_s: float
    ) -> Mapping[str, Any]:
        """Agree to what is proposed until ``reached`` or time is up; return the incident as it is then."""
        deadline = time.monotonic() + within_s
        while True:
            document = await self.document()
            if reached(document) or document["state"] in OVER or time.monotonic() > deadline:
                return document
            await self._agree(document)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _agree(self, document: Mapping[str, Any]) -> None:
        for plan in _open_plans(document):
            for approver in self.approvers[: plan["approvals"]]:
                if (approver, plan["plan_sha256"]) in self.agreed:
                    continue
                url = f"{self.service.guard}/incidents/{self.incident}/approve"
                headers = {"Authorization": f"Bearer {approver}"}
                body = {"plan": plan["plan_sha256"], "reason": "drill"}
                async with self.http.post(url, json=body, headers=headers) as answer:
                    if answer.status == 409:
                        continue  # renewed or taken up meanwhile
                    if answer.status >= 300:
                        raise DrillError(f"The approval was refused: HTTP {answer.status}.")
                self.agreed.add((approver, plan["plan_sha256"]))


def _open_plans(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the newest plan of each action that has not been begun since."""
    newest: dict[str, Mapping[str, Any]] = {}
    for entry in document["journal"]:
        if entry["kind"] == "plan":
            newest[entry["body"]["action"]] = entry["body"]
        elif entry["kind"] == "begun":
            newest.pop(entry["body"]["action"], None)
    return list(newest.values())
