"""Rung 0: the reads that a leak concerns answer 503, signed audio links too, until a person opens them.

It stops what leaks at once and mends nothing: the page asks a person to rotate, or to roll the code back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from understudy.errors import TargetError
from understudy.restoration.actions.step import Progress, Restoration, Sighting, Step, StepError
from understudy.rollout.reads import KINDS, concerned_by, set_reads
from understudy.store.closed_reads import (
    ACCOUNT,
    AUDIO,
    GENERATIONS,
    TASKS,
    VOICES,
    ClosedRead,
    Holder,
    holders,
    read_closed,
)

ACTION: Final = "close_reads"
ACTOR = "guard"
REOPEN = 'understudy reads open --reason "..."'
_TIMEOUT = aiohttp.ClientTimeout(total=5)
_NOBODY = "00000000-0000-0000-0000-000000000000"
#: One read of each kind that anybody may try: closed, it answers before it asks who calls.
_TRIED = {
    VOICES: "/api/voices",
    GENERATIONS: "/api/generations",
    TASKS: f"/api/tasks/{_NOBODY}",
    AUDIO: f"/objects/generations/{_NOBODY}/{_NOBODY}.wav",
    ACCOUNT: "/api/me",
}


class CloseReads:
    """Close the kinds of reads that the findings' routes are; one that is closed already stays as it is."""

    name = "close_reads"
    changes = True
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Say which reads are closed for which routes, and how they are opened again."""
        return {"close": kinds_of_run(run), "routes": routes_of(run), "reopen": f"a person: {REOPEN}"}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002  # the rows are their own key
        """Read the rows."""
        kinds = _kinds_or_error(run)
        rows = await _closed(run)
        open_kinds = [kind for kind in kinds if kind not in rows]
        if open_kinds:
            return Sighting(Progress.ABSENT, f"open: {', '.join(open_kinds)}")
        return Sighting(Progress.DONE, evidence=_evidence(run, rows))

    async def act(self, run: Restoration, key: str) -> None:  # noqa: ARG002
        """Close them; the rows say why, and at what incident."""
        reason = f"{run.reason} ({run.incident})"
        await set_reads(await run.connect(), _kinds_or_error(run), closed=True, actor=ACTOR, reason=reason)


class ReadBack:
    """Nothing counts until every live api says that it holds it, and a read from outside is refused."""

    name = "read_back"
    changes = False
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Say what must agree."""
        kinds = kinds_of_run(run)
        return {"expect": "503 with Retry-After", "of": [_TRIED[kind] for kind in kinds], "on": "every api"}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002
        """Ask all of them."""
        kinds = _kinds_or_error(run)
        rows = await _closed(run)
        async with (await run.connect()).service() as conn:
            apis = await holders(conn, run.stale_after_s)
        missing = [f"{kind} reads open" for kind in kinds if kind not in rows]
        epoch = max((row.epoch for row in rows.values()), default=0)
        missing += [
            f"api {api.pid} holds {'none' if api.reads_epoch is None else api.reads_epoch} of epoch {epoch}"
            for api in apis
            if (api.reads_epoch or 0) < epoch
        ]
        if not apis:
            missing.append("no live api reports")
        outside = await _try(await run.target.base_url(), kinds)
        missing += [
            f"GET {tried['path']} answers {tried['status']}"
            for tried in outside
            if tried["status"] != 503 or not tried["retry_after"]
        ]
        evidence = _evidence(run, rows) | {"processes": [_process(api) for api in apis], "outside": outside}
        if missing:
            return Sighting(Progress.PENDING, "; ".join(missing), evidence)
        detail = f"{', '.join(kinds)} closed on {len(apis)} api processes; a person opens them: {REOPEN}"
        return Sighting(Progress.DONE, evidence={"detail": detail} | evidence)

    async def act(self, run: Restoration, key: str) -> None:
        """Nothing: this only reads."""


STEPS: tuple[Step, ...] = (CloseReads(), ReadBack())


def routes_of(run: Restoration) -> list[str]:
    """Routes that the findings name."""
    found = run.findings_for(ACTION)
    return sorted({route for finding in found for route in finding.get("evidence", {}).get("routes", ())})


def kinds_of_run(run: Restoration) -> list[str]:
    """Kinds of reads that those routes are.

    All of them where a secret stood in an answer of a route that is not known, and where a person asks.
    """
    kinds = {kind for route in routes_of(run) for kind in concerned_by(route)}
    for finding in run.findings_for(ACTION):
        if finding.get("trigger") == "request" or finding.get("evidence", {}).get("unrouted_answers"):
            kinds.update(KINDS)
    return sorted(kinds)


def _kinds_or_error(run: Restoration) -> list[str]:
    if not run.target.capabilities.live_switch:
        raise StepError(
            f"The target {run.target.name} does not follow closed reads: a person takes the routes out of "
            f"service there.",
            hopeless=True,
        )
    kinds = kinds_of_run(run)
    if not kinds:
        named = ", ".join(routes_of(run)) or "no route"
        raise StepError(
            f"No read can be closed for this ({named}): a secret in a log line, or a write, is no read. "
            f"Rotate what leaked; a person must decide about the rest.",
            hopeless=True,
        )
    return kinds


async def _closed(run: Restoration) -> dict[str, ClosedRead]:
    async with (await run.connect()).service() as conn:
        return {name: row for name, row in (await read_closed(conn)).items() if row.closed}


async def _try(base_url: str, kinds: list[str]) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:

        async def ask(kind: str) -> dict[str, Any]:
            path = _TRIED[kind]
            async with session.get(f"{base_url}{path}", allow_redirects=False) as answer:
                retry_after = answer.headers.get("Retry-After")
                return {"kind": kind, "path": path, "status": answer.status, "retry_after": retry_after}

        try:
            return list(await asyncio.gather(*(ask(kind) for kind in kinds)))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TargetError(f"{base_url} does not answer ({type(error).__name__}).") from error


def _evidence(run: Restoration, rows: Mapping[str, ClosedRead]) -> dict[str, Any]:
    return {
        "closed": {name: row.epoch for name, row in rows.items()},
        "by": {name: f"{row.actor}: {row.reason}" for name, row in rows.items()},
        "routes": routes_of(run),
        "reopen": REOPEN,
    }


def _process(api: Holder) -> dict[str, Any]:
    return {
        "kind": api.kind,
        "pid": api.pid,
        "host": api.host,
        "instance": str(api.instance),
        "reads_epoch": api.reads_epoch,
    }
