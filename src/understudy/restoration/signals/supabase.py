"""Calls as a Supabase project's own tables tell them: the product's schema, without ours beside it.

The mode is what the environment says, its epoch is always 0, and no process reports. So silence is told from
death by the tasks that wait: where some have waited long and none ended since, nobody works.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from understudy.clock import Clock
from understudy.restoration.signals.calls import Connect, Release, tails_by_series, windows_by_series
from understudy.restoration.signals.clockwatch import ClockWatch
from understudy.restoration.signals.readings import CallReading, Series
from understudy.restoration.signals.source import Observed, mode_of_environment, unread_calls
from understudy.restoration.signals.windows import last_edge
from understudy.store import signals_supabase
from understudy.store.calls import Harm
from understudy.store.signals_supabase import TasksState

#: A task may take this long before it counts as waiting in vain, unless the limits say longer.
WAITING_S = 300.0


class SupabaseSource:
    """Reads ``public.tasks`` and ``public.generations`` of a Supabase project.

    Parameters
    ----------
    mode
        Gives the provider that the project's environment names.
    query_s
        Deadline of one reading, in seconds.
    stale_after_s
        Tasks that wait longer than this, and than :data:`WAITING_S`, with none ending, blind the source.
    release
        Closes the connections, where they are this source's alone.
    """

    def __init__(
        self,
        connect: Connect,
        clock: Clock,
        *,
        mode: Callable[[], str | None],
        query_s: float,
        stale_after_s: float,
        release: Release | None = None,
    ) -> None:
        self._connect = connect
        self._release = release
        self._clock = clock
        self._mode = mode
        self._query_s = query_s
        self._waiting_s = max(stale_after_s, WAITING_S)
        self._clocks = ClockWatch(clock)

    async def read(self, *, span_s: float, operations: Collection[str]) -> Observed:
        """Read what ended in the last ``span_s`` seconds; never raises."""
        jumped = self._clocks.jumped()
        at = self._clock.now()
        since = last_edge(at) - timedelta(seconds=span_s)
        try:
            async with asyncio.timeout(self._query_s), (await self._connect()).service() as conn:
                asked = self._clock.now()
                state = await signals_supabase.read_state(conn, since)
                answered = self._clock.now()
                buckets = await signals_supabase.read_buckets(conn, since)
                tails = await signals_supabase.read_tails(conn, sorted(operations), since)
        except Exception as error:  # noqa: BLE001  # the guard goes on, and is told why this was no reading
            return unread_calls(at, error, self._query_s)
        mode = mode_of_environment(self._mode(), at)
        blind = jumped or self._disbelief(state, asked, answered)
        if mode is None:
            blind = blind or "the environment names no provider"
        reading = CallReading(
            at=at,
            since=since,
            buckets=windows_by_series(buckets),
            tails=tails_by_series(tails),
            blind=blind,
        )
        newest = state.newest_call_at if state else None
        return Observed(at, mode, (), reading, blind, state.at if state else None, newest)

    async def successes(self, series: Series, since: datetime) -> int:
        """Users' successful tasks since then; raises :class:`StoreUnavailableError`."""
        async with (await self._connect()).service() as conn:
            return await signals_supabase.successes(conn, series.provider, series.operation, since)

    async def first_failure(self, series: Series, since: datetime) -> datetime | None:
        """When the first task failed since then; raises :class:`StoreUnavailableError`."""
        async with (await self._connect()).service() as conn:
            return await signals_supabase.first_failure_at(conn, series.provider, series.operation, since)

    async def harm(self, operation: str, provider: str, start: datetime, end: datetime) -> Harm:
        """What users felt of ``provider`` in that time; raises :class:`StoreUnavailableError`."""
        async with (await self._connect()).service() as conn:
            return await signals_supabase.harm_between(
                conn, operation=operation, provider=provider, start=start, end=end
            )

    async def close(self) -> None:
        """Close what was opened for this source alone."""
        if self._release is not None:
            await self._release()

    def _disbelief(self, state: TasksState | None, asked: datetime, answered: datetime) -> str | None:
        if state is None:
            return "the database did not tell its time"
        waits_since, newest = state.waiting_since, state.newest_call_at
        in_vain = waits_since is not None and (newest is None or newest < waits_since)
        if in_vain and waits_since is not None:
            waited_s = (state.at - waits_since).total_seconds()
            if waited_s > self._waiting_s:
                return f"tasks have waited for {waited_s:.0f} s and none has ended since"
        return self._clocks.disagrees(state.at, asked, answered) or self._clocks.from_the_future(
            "the newest task's end", newest, state.at
        )
