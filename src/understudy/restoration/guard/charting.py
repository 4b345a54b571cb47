"""What the console's charts draw: calls over time by the product's own records, verdicts, and what happened.

Counts, failure classes and money come from the roll-ups; percentiles are those of the newest successful calls
themselves (``percentile_disc``), at most :data:`understudy.store.charts.CALLS_RANKED` of them: buckets keep
sums and maxima only. A bucket older than these has no percentiles.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg

from understudy.clock import Clock
from understudy.errors import StoreUnavailableError
from understudy.logs import get_logger
from understudy.restoration.guard.chart_memory import ProcessStart
from understudy.restoration.guard.judged_windows import JudgedWindow
from understudy.restoration.signals.calls import Connect
from understudy.store import charts
from understudy.store.charts import Counted, Ranked
from understudy.store.guard import GuardStore
from understudy.store.journal import JournalEntry
from understudy.store.mode import ModeChange, mode_history

if TYPE_CHECKING:
    from understudy.restoration.guard.loop import Guard

#: (at most so many minutes, seconds of a bucket): a few hundred points whatever is asked for.
BUCKETS = ((15, 5), (60, 15), (180, 30), (720, 120), (1440, 300))
#: One reading serves everybody who asks within so many seconds, and one that failed lets the database alone.
KEPT_S = 2.0
#: A chart is no reason to wait longer, in seconds.
QUERY_S = 2.0
#: Lengths of which the last reading is kept.
LENGTHS = 8
_MODES = 50
_INCIDENTS = 50
#: Steps that start every process anew.
_DEPLOYS = frozenset({"redeploy", "deploy_revision", "swap"})
#: Processes of one kind that start within so many seconds are one deployment.
_TOGETHER_S = 30.0

log = get_logger(__name__)

Document = dict[str, Any]


def bucket_for(minutes: int) -> int:
    """Return how many seconds a bucket of a chart of ``minutes`` has."""
    return next((bucket_s for most, bucket_s in BUCKETS if minutes <= most), BUCKETS[-1][1])


@dataclass(frozen=True, slots=True)
class _Read:
    """One reading of the product's records."""

    at: datetime
    counted: Sequence[Counted]
    ranked: Sequence[Ranked]
    modes: Sequence[ModeChange]


@dataclass(slots=True)
class _Kept:
    """What is known for charts of one length."""

    read: _Read | None = None
    fresh: bool = False
    asked_at_s: float | None = None


class Charting:
    """Reads for charts beside the guard's loop, once for everybody who looks."""

    def __init__(self, guard: Guard, store: GuardStore, connect: Connect, clock: Clock) -> None:
        self._guard = guard
        self._store = store
        self._connect = connect
        self._clock = clock
        self._kept: dict[int, _Kept] = {}
        self._one_at_a_time = asyncio.Lock()

    async def document(self, minutes: int) -> Document:
        """Return the charts of the last ``minutes``; what is last known while the database is away."""
        now, bucket_s = self._clock.now(), bucket_for(minutes)
        first = _edge(now - timedelta(minutes=minutes), bucket_s)
        known = await self._known(minutes, first, bucket_s)
        read, view = known.read, self._guard.view
        cost = view.signals.cost if view.signals else None
        return {
            "now": now.isoformat(),
            "source": "FRESH" if known.fresh else "STALE",
            "as_of": read.at.isoformat() if read else None,
            "operation": self._guard.playbook.triggers.success_rate.rate.operation,
            "bucket_s": bucket_s,
            "slo": self._slo(),
            "lanes": _lanes(read, first) if read else [],
            "windows": [_window(window) for window in view.judged.between(first, bucket_s)],
            "marks": self._marks(read.modes if read else (), first),
            "detectable": view.detectable,
            "cost_microusd_per_hour": cost.spend_hour_microusd if cost and cost.blind is None else None,
        }

    # --- the product's records ------------------------------------------------------------------------------

    async def _known(self, minutes: int, first: datetime, bucket_s: int) -> _Kept:
        async with self._one_at_a_time:
            known = self._kept[minutes] = self._kept.pop(minutes, _Kept())
            if len(self._kept) > LENGTHS:
                del self._kept[next(iter(self._kept))]
            now_s = self._clock.monotonic_s()
            if known.asked_at_s is None or now_s - known.asked_at_s >= KEPT_S:
                try:
                    known.read, known.fresh = await self._read(first, bucket_s), True
                except (StoreUnavailableError, TimeoutError, psycopg.Error) as error:
                    log.info("charts_not_read", kind=type(error).__name__)
                    known.fresh = False
                known.asked_at_s = self._clock.monotonic_s()
            return known

    async def _read(self, first: datetime, bucket_s: int) -> _Read:
        operation = self._guard.playbook.triggers.success_rate.rate.operation
        at = self._clock.now()
        async with asyncio.timeout(QUERY_S), (await self._connect()).service() as conn:
            asked: dict[str, Any] = {"operation": operation, "since": first, "bucket_s": bucket_s}
            return _Read(
                at=at,
                counted=await charts.read_counted(conn, **asked),
                ranked=await charts.read_ranked(conn, **asked),
                modes=await mode_history(conn, _MODES),
            )

    def _slo(self) -> Document:
        rate = self._guard.playbook.triggers.success_rate.rate
        return {
            "success_rate": round(rate.slo_percent / 100, 6),
            "window_s": rate.window_s,
            "windows": rate.consecutive,
            "minimum_calls": rate.evidence.min_calls if rate.rule == "guarded" else 1,
        }

    # --- what happened --------------------------------------------------------------------------------------

    def _marks(self, modes: Iterable[ModeChange], first: datetime) -> list[Document]:
        marks = [_mode_mark(change) for change in modes]
        for row in self._store.incidents(self._guard.book.environment, limit=_INCIDENTS):
            if row.updated_at >= first:
                marks += [mark for entry in self._store.entries(row.id) if (mark := _mark(entry))]
        marks += _starts(self._guard.view.starts)
        return [
            {**mark, "at": mark["at"].isoformat()}
            for mark in sorted(marks, key=lambda mark: mark["at"])
            if mark["at"] >= first
        ]


def _edge(at: datetime, bucket_s: int) -> datetime:
    seconds = int(at.timestamp())
    return datetime.fromtimestamp(seconds - seconds % bucket_s, UTC)


def _lanes(read: _Read, first: datetime) -> list[Document]:
    ranked = {(row.provider, row.at): row for row in read.ranked}
    lanes: dict[str, list[Document]] = {}
    for row in read.counted:
        if row.at >= first:
            points = lanes.setdefault(row.provider, [])
            points.append(_point(row, ranked.get((row.provider, row.at))))
    return [{"provider": provider, "points": points} for provider, points in sorted(lanes.items())]


def _point(row: Counted, ranked: Ranked | None) -> Document:
    return {
        "at": row.at.isoformat(),
        "calls": row.calls,
        "failed": row.failed,
        "success_rate": round(1 - row.failed / row.calls, 6) if row.calls else None,
        "transport": row.failed_transport,
        "protocol": row.failed_protocol,
        "provider": row.failed_provider,
        "other": row.failed_unknown,
        "latency_p50_ms": ranked.latency_p50_ms if ranked else None,
        "latency_p95_ms": ranked.latency_p95_ms if ranked else None,
        "first_audio_p50_ms": ranked.first_audio_p50_ms if ranked else None,
        "first_audio_p95_ms": ranked.first_audio_p95_ms if ranked else None,
        "cost_microusd": row.cost_microusd,
    }


def _window(window: JudgedWindow) -> Document:
    rate = window.success_rate
    return {
        "from": window.start.isoformat(),
        "until": window.end.isoformat(),
        "provider": window.provider,
        "verdict": window.verdict.value,
        "calls": window.calls,
        "failed": window.failed,
        "success_rate": round(rate, 6) if rate is not None else None,
    }


def _mode_mark(change: ModeChange) -> Document:
    before = f"{change.previous_value} to {change.value}" if change.previous_value else change.value
    said = f"Mode {before}, epoch {change.epoch}, by {change.actor.removeprefix('person:')}: {change.reason}"
    return {"at": change.changed_at, "kind": "mode", "text": said}


def _mark(entry: JournalEntry) -> Document | None:
    body = entry.body
    match entry.kind:
        case "opened":
            title = body.get("title") or (body.get("finding") or {}).get("detail") or entry.incident
            return {"at": entry.at, "kind": "incident", "text": f"Incident opened: {title}"}
        case "state":
            return {"at": entry.at, "kind": "state", "text": f"{body['to']} ({entry.incident})"}
        case "outcome" if entry.step in _DEPLOYS and body.get("ok"):
            return {"at": entry.at, "kind": "deploy", "text": "Every process started anew by the guard"}
        case _:
            return None


def _starts(starts: Iterable[ProcessStart]) -> list[Document]:
    """Return one mark for the processes that started together; they come oldest first."""
    marks: list[Document] = []
    together: list[ProcessStart] = []
    for start in starts:
        if together and (start.at - together[-1].at).total_seconds() > _TOGETHER_S:
            marks.append(_start(together))
            together = []
        together.append(start)
    return [*marks, _start(together)] if together else marks


def _start(together: Sequence[ProcessStart]) -> Document:
    kinds = " and ".join(sorted({start.kind for start in together}))
    revisions = sorted({start.revision[:12] for start in together if start.revision})
    said = f"{kinds} started" + (f", revision {', '.join(revisions)}" if revisions else "")
    return {"at": together[-1].at, "kind": "deploy", "text": said}
