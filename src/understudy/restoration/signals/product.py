"""Calls as our own database has them.

One reading rolls up what is new and reads buckets, tails, mode and processes, within a deadline. It is BLIND
when the database does not answer in time, when no process that writes calls has reported lately (silence from
nobody is not health), and when the clocks cannot be believed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from understudy.clock import Clock
from understudy.logs import get_logger
from understudy.restoration.signals.calls import (
    Connect,
    Release,
    refusals_by_series,
    tails_by_series,
    windows_by_series,
)
from understudy.restoration.signals.clockwatch import ClockWatch
from understudy.restoration.signals.readings import CallReading, Series
from understudy.restoration.signals.source import Observed, unread_calls
from understudy.restoration.signals.windows import last_edge
from understudy.store import calls, rollups, signals
from understudy.store.calls import Harm
from understudy.store.cutover import CutoverRow, read_cutover
from understudy.store.database import Database
from understudy.store.mode import ModeRow, ProcessRow, list_processes, read_mode
from understudy.store.signals import Bucket, NewestCall, Refusals, SourceState

#: Kinds of process whose work leaves call records.
WRITERS = frozenset({"api", "worker"})
#: A roll-up that ran out of time takes half as many calls next time, down to this many.
LEAST_A_STEP = 500

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Found:
    mode: ModeRow | None
    cutover: CutoverRow | None
    processes: tuple[ProcessRow, ...]
    state: SourceState | None
    buckets: Sequence[Bucket]
    tails: Sequence[NewestCall]
    refusals: Sequence[Refusals]


class ProductSource:
    """Reads the product's database.

    Parameters
    ----------
    query_s
        Deadline of one reading, in seconds; a roll-up gets half of it at most.
    stale_after_s
        A process silent for longer is not live.
    release
        Closes the connections, where they are this source's alone.
    """

    def __init__(
        self,
        connect: Connect,
        clock: Clock,
        *,
        query_s: float,
        stale_after_s: float,
        release: Release | None = None,
    ) -> None:
        self._connect = connect
        self._release = release
        self._clock = clock
        self._query_s = query_s
        self._stale_after_s = stale_after_s
        self._clocks = ClockWatch(clock)
        self._rows_a_step = rollups.ROWS_A_STEP

    async def read(self, *, span_s: float, operations: Collection[str]) -> Observed:
        """Read the calls of the last ``span_s`` seconds; never raises."""
        jumped = self._clocks.jumped()
        at = self._clock.now()
        since = last_edge(at) - timedelta(seconds=span_s)
        try:
            async with asyncio.timeout(self._query_s):
                database = await self._connect()
                await self._roll_up(database)
                asked = self._clock.now()
                found = await self._find(database, since, operations)
                answered = self._clock.now()
        except Exception as error:  # noqa: BLE001  # the guard goes on, and is told why this was no reading
            return unread_calls(at, error, self._query_s)
        blind = jumped or self._disbelief(found, asked, answered)
        reading = CallReading(
            at=at,
            since=since,
            buckets=windows_by_series(found.buckets),
            tails=tails_by_series(call for call in found.tails if not call.synthetic),
            probes=tails_by_series(call for call in found.tails if call.synthetic),
            refused=refusals_by_series(found.refusals),
            lag_s=found.state.lag_s if found.state else 0.0,
            dropped=found.state.dropped if found.state else 0,
            blind=blind,
        )
        return Observed(
            at,
            found.mode,
            found.processes,
            reading,
            blind,
            found.state.at if found.state else None,
            found.state.newest_call_at if found.state else None,
            found.cutover,
        )

    async def successes(self, series: Series, since: datetime) -> int:
        """Users' successful calls since then; raises :class:`StoreUnavailableError`."""
        async with (await self._connect()).service() as conn:
            counts = await calls.window_counts(
                conn,
                operation=series.operation,
                provider=series.provider,
                mode_epoch=series.mode_epoch,
                start=since,
                end=self._clock.now(),
            )
        return counts.total - counts.failed

    async def first_failure(self, series: Series, since: datetime) -> datetime | None:
        """When the first users' call failed since then; raises :class:`StoreUnavailableError`."""
        async with (await self._connect()).service() as conn:
            first = await calls.first_failure_since(
                conn,
                provider=series.provider,
                since=since,
                mode_epoch=series.mode_epoch,
                operation=series.operation,
            )
        return first.at if first else None

    async def harm(self, operation: str, provider: str, start: datetime, end: datetime) -> Harm:
        """What users felt of ``provider`` in that time; raises :class:`StoreUnavailableError`."""
        async with (await self._connect()).service() as conn:
            return await calls.harm_between(
                conn, operation=operation, provider=provider, start=start, end=end
            )

    async def close(self) -> None:
        """Close what was opened for this source alone."""
        if self._release is not None:
            await self._release()

    async def _roll_up(self, database: Database) -> None:
        """Roll up what is new while there is time; the rest is counted live, so a failure blinds nobody."""
        until_s = self._clock.monotonic_s() + self._query_s / 4
        try:
            async with asyncio.timeout(self._query_s / 2):
                while True:
                    async with database.service() as conn:
                        step = await rollups.roll_up(conn, limit=self._rows_a_step)
                    if not step.remaining or self._clock.monotonic_s() > until_s:
                        break
            self._rows_a_step = min(self._rows_a_step * 2, rollups.ROWS_A_STEP)
        except TimeoutError:
            self._rows_a_step = max(self._rows_a_step // 2, LEAST_A_STEP)
            log.warning("roll_up_slow", next_limit=self._rows_a_step)
        except psycopg.Error as error:
            log.warning("roll_up_failed", kind=type(error).__name__)

    async def _find(self, database: Database, since: datetime, operations: Collection[str]) -> _Found:
        async with database.service() as conn:
            state = await signals.read_state(conn, since)
            mode = await read_mode(conn)
            cutover = await read_cutover(conn)
            processes = tuple(await list_processes(conn, self._stale_after_s))
            buckets = await signals.read_buckets(conn, since)
            refusals = await signals.read_refusals(conn, since)
            tails: Sequence[NewestCall] = ()
            if mode is not None:
                sides = [(mode.value, mode.epoch)]
                if cutover is not None and cutover.in_force(mode.epoch):
                    sides.append((cutover.candidate, cutover.stage_epoch))
                wanted = {(*side, operation) for side in sides for operation in operations}
                wanted |= {
                    (bucket.provider, bucket.mode_epoch, bucket.operation)
                    for bucket in buckets
                    if bucket.mode_epoch == mode.epoch and bucket.operation in operations
                }
                tails = await signals.read_tails(conn, sorted(wanted), since)
        return _Found(mode, cutover, processes, state, buckets, tails, refusals)

    def _disbelief(self, found: _Found, asked: datetime, answered: datetime) -> str | None:
        if found.state is None:
            return "the database has lost the state of the roll-up"
        seen_at = max((process.seen_at for process in found.processes), default=None)
        reasons = [
            self._clocks.disagrees(found.state.at, asked, answered),
            self._clocks.from_the_future("the newest call", found.state.newest_call_at, found.state.at),
            self._clocks.from_the_future("a process's last report", seen_at, found.state.at),
        ]
        if found.mode is None:
            reasons.append("no process has ever set a provider mode")
        if not any(process.kind in WRITERS for process in found.processes):
            reasons.append(f"no api or worker has reported for {self._stale_after_s:g} s")
        return next((reason for reason in reasons if reason), None)
