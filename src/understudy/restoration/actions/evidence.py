"""Step 0 of every incident: what was seen, kept before anything is changed.

What the guard has in memory is written as it is; what only the database or the target knows is asked at once,
each question with its own deadline, and whoever does not answer in time is recorded as unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from understudy.errors import UnderstudyError
from understudy.restoration.actions.step import Progress, Restoration, Sighting
from understudy.restoration.incidents import times_of
from understudy.restoration.signals.processes import mode_document, process_document
from understudy.restoration.signals.readings import Signals
from understudy.restoration.targets.base import MODE_VARIABLE
from understudy.store.calls import harm_between, recent_failures
from understudy.store.mode import list_processes, read_mode

#: Failing calls, and rows of every other kind, kept with an incident: ids and classes, never payloads.
FAILURES_KEPT = 50
ROWS_KEPT = 20
#: Each question may take this long; all are asked at once, and none may hold the restoration up.
_QUESTION_S = 5.0


class CaptureEvidence:
    """Ask everything at once; what does not answer in time is recorded as unknown."""

    name = "evidence"
    changes = False
    required = False

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Say what is captured."""
        return {
            "capture": ["findings", "signals", "failing_calls", "impact", "mode", "processes", MODE_VARIABLE],
            "of": run.target.name,
        }

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002
        """Never done by itself."""
        return Sighting(Progress.ABSENT)

    async def act(self, run: Restoration, key: str) -> Mapping[str, Any]:  # noqa: ARG002
        """Capture."""
        questions: dict[str, Awaitable[Any]] = {
            "failing_calls": _failing_calls(run),
            "impact": _impact(run),
            "mode": _mode(run),
            "processes": _processes(run),
            "env": run.target.read_env([MODE_VARIABLE]),
        }
        answers = await asyncio.gather(*(_answer(question) for question in questions.values()))
        seen = run.seen()
        return {
            "finding": dict(run.finding),
            "findings": [dict(finding) for finding in run.findings],
            "signals": signals_document(seen) if seen is not None else None,
            **{name: answer for name, (answer, _) in zip(questions, answers, strict=True)},
            "unknown": {name: why for name, (_, why) in zip(questions, answers, strict=True) if why},
            "captured_at": run.clock.now().isoformat(),
        }


def signals_document(seen: Signals) -> dict[str, Any]:
    """Return what the guard saw beyond the calls, as plain data: names, ids and counts, never contents."""
    bad = [s for s in seen.playback.sessions if s.decode_errors or s.stalls or s.ended_early]
    broken = [one for one in seen.integrity.invariants if one.count or one.blind]
    return {
        "at": seen.at.isoformat(),
        "parts": seen.document(),
        "clock_offset_s": seen.clock_offset_s,
        "playback_sessions": [_plain(session) for session in bad[:ROWS_KEPT]],
        "cost": {
            "creates_hour": seen.cost.creates_hour,
            "spend_hour_microusd": seen.cost.spend_hour_microusd,
            "repeats": [_plain(repeat) for repeat in seen.cost.repeats[:ROWS_KEPT]],
            "tenants": [
                {
                    "user": tenant.user,
                    "characters": tenant.characters,
                    "cost_microusd": tenant.cost_microusd,
                    "creates": tenant.creates,
                }
                for tenant in seen.cost.tenants[:ROWS_KEPT]
            ],
            "closed_valves": sorted(seen.cost.closed_valves),
        },
        "invariants": [_plain(invariant) for invariant in broken],
        "secret_mismatch": sorted(seen.security.mismatch_since),
        "secret_hits": [_plain(hit) for hit in seen.security.hits[:ROWS_KEPT]],
        "probes": {
            "active": [_plain(result) for result in seen.probes.active[:ROWS_KEPT]],
            "standby": [_plain(result) for result in seen.probes.standby[:ROWS_KEPT]],
            "paused": seen.probes.paused,
        },
    }


def _plain(row: Any) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(row).items()
    }


async def _answer(question: Awaitable[Any]) -> tuple[Any, str | None]:
    try:
        async with asyncio.timeout(_QUESTION_S):
            return await question, None
    except TimeoutError:
        return None, f"no answer within {_QUESTION_S:g} s"
    except UnderstudyError as error:
        return None, error.message


def _began(finding: Mapping[str, Any], now: datetime) -> datetime:
    """When the trouble of ``finding`` began, as far as the finding itself knows."""
    starts = [window["start"] for window in finding["windows"]]
    if finding.get("first_bad_at"):
        starts.append(finding["first_bad_at"])
    return min(map(datetime.fromisoformat, starts), default=now)


async def _failing_calls(run: Restoration) -> list[dict[str, Any]]:
    provider = run.finding["provider"]
    if provider is None:
        return []
    async with (await run.connect()).service() as conn:
        failures = await recent_failures(
            conn,
            provider=provider,
            since=_began(run.finding, run.clock.now()) - timedelta(seconds=1),
            limit=FAILURES_KEPT,
        )
    return [
        {
            "id": failure.id,
            "at": failure.at.isoformat(),
            "operation": failure.operation,
            "failure_class": failure.failure_class,
            "category": failure.category,
            "code": failure.code,
            "task_id": str(failure.task_id) if failure.task_id else None,
            "mode_epoch": failure.mode_epoch,
        }
        for failure in failures
    ]


async def _impact(run: Restoration) -> dict[str, Any] | None:
    """What users have felt so far; None where no provider is concerned."""
    provider, now = run.finding["provider"], run.clock.now()
    if provider is None:
        return None
    times = times_of(run.store.entries(run.incident))
    # As the summary counts it in the end: from the incident's onset, whichever finding acts.
    start = times.onset or times.detected or now
    async with (await run.connect()).service() as conn:
        harm = await harm_between(conn, operation="speak", provider=provider, start=start, end=now)
    return {**asdict(harm), "provider": provider, "from": start.isoformat(), "to": now.isoformat()}


async def _mode(run: Restoration) -> dict[str, Any] | None:
    async with (await run.connect()).service() as conn:
        row = await read_mode(conn)
    return mode_document(row) if row else None


async def _processes(run: Restoration) -> list[dict[str, Any]]:
    async with (await run.connect()).service() as conn:
        return [process_document(process) for process in await list_processes(conn, run.stale_after_s)]
