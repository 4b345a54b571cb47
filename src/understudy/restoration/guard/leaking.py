"""Secrets that stood in the guard's own log lines, written beside those that the product's processes saw."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime
from uuid import UUID

import psycopg

from understudy.clock import Clock
from understudy.errors import StoreUnavailableError
from understudy.logs import Leaks, get_logger
from understudy.restoration.signals.calls import Connect
from understudy.store.process_signals import HitCount, write_hits

PROCESS = "guard"
_DEADLINE_S = 5.0

log = get_logger(__name__)


class LeakReport:
    """Writes what grew since it last wrote; what cannot be written waits for the next time.

    Parameters
    ----------
    every_s
        Seconds between two looks.
    """

    def __init__(
        self, leaks: Leaks, connect: Connect, clock: Clock, *, instance: UUID, every_s: float
    ) -> None:
        self._leaks = leaks
        self._connect = connect
        self._clock = clock
        self._instance = instance
        self._every_s = every_s
        self._written: Counter[str] = Counter()
        self._away = False

    async def run(self, stop: asyncio.Event) -> None:
        """Write until ``stop``, and once more then; never raises for a database that is away."""
        while not stop.is_set():
            await self.write()
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({stopped}, timeout=self._every_s)
            stopped.cancel()
        await self.write()

    async def write(self) -> None:
        """Write what grew; asks the database for nothing where nothing did."""
        # Lines are counted in threads too: a copy stands still.
        counts = self._leaks.counts.copy()
        grown = counts - self._written
        if not grown:
            return
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await self._insert(grown, self._clock.now())
        except (StoreUnavailableError, psycopg.Error, TimeoutError) as error:
            if not self._away:
                log.warning("leaks_not_written", kind=type(error).__name__)
            self._away = True
            return
        self._written, self._away = counts, False

    async def _insert(self, grown: Counter[str], at: datetime) -> None:
        hits = [HitCount(at, "log", name, count) for name, count in sorted(grown.items())]
        async with (await self._connect()).service() as conn:
            await write_hits(conn, PROCESS, self._instance, hits)
