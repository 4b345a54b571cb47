"""What a process notices that is no provider call, written in batches off the speech path.

To note something costs microseconds and cannot fail: it goes into a bounded queue, and one task empties that
each second over a connection of its own. While the store is away the queue fills; what no longer fits is
dropped, and how much was is written as soon as the store is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from understudy.clock import Clock
from understudy.errors import StoreUnavailableError, UnservedError
from understudy.logs import get_logger
from understudy.store import process_signals as rows
from understudy.store.database import Database
from understudy.store.process_signals import AdmissionCount, HitCount

#: Signals held: ten seconds of a thousand admissions a second, 2 MB.
CAPACITY = 10_000
#: Small: to put a batch together holds up the loop, two milliseconds a thousand.
BATCH = 500
FLUSH_INTERVAL_S = 1.0
#: What is left when the process ends gets this long.
STOP_DEADLINE_S = 2.0
#: As the guard's windows are cut.
BUCKET_S = 5
#: Totals of buckets older than this are forgotten: nothing is added to them any more.
SETTLED_AFTER_S = 60

log = get_logger(__name__)


class _Admission(NamedTuple):
    at_s: int
    provider: str
    mode_epoch: int
    operation: str
    user_id: UUID
    refused: bool


class _Hit(NamedTuple):
    at: datetime
    where: str
    name: str
    route: str


class _Series(NamedTuple):
    bucket_s: int
    provider: str
    mode_epoch: int
    operation: str


@dataclass(frozen=True, slots=True)
class _Totals:
    """Admissions of this process in one bucket: totals, so that writing them twice counts once."""

    asked: int = 0
    refused: int = 0


class SignalRecorder:
    """Takes signals without waiting and writes them in the background.

    Parameters
    ----------
    connect
        Opens a pool of one connection; called when there is first something to write.
    process
        ``api`` or ``worker``.
    capacity
        Signals held; the newest that do not fit are dropped and counted.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Database]],
        *,
        process: str,
        instance: UUID,
        clock: Clock,
        capacity: int = CAPACITY,
    ) -> None:
        self._connect = connect
        self._process = process
        self._instance = instance
        self._clock = clock
        self._capacity = capacity
        self._queue: deque[_Admission | _Hit] = deque()
        # Log lines come from threads too, and may be written by a finalizer that runs while it is held.
        self._lock = threading.RLock()
        self._dropped = 0
        self._dropped_told = 0
        self._totals: dict[_Series, _Totals] = {}
        self._database: Database | None = None
        self._away = False
        self._flushing: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def dropped(self) -> int:
        """Signals dropped since the start."""
        return self._dropped

    @contextlib.contextmanager
    def admission(self, provider: str, mode_epoch: int, operation: str, user_id: UUID) -> Iterator[None]:
        """Count the admission inside the block: asked for, and refused when it raises ``UnservedError``.

        One that is refused for any other reason (not valid, too many, too expensive) says nothing of the mode
        and is not counted.
        """
        try:
            yield
        except UnservedError:
            self.admit(provider, mode_epoch, operation, user_id, refused=True)
            raise
        self.admit(provider, mode_epoch, operation, user_id)

    def admit(
        self, provider: str, mode_epoch: int, operation: str, user_id: UUID, *, refused: bool = False
    ) -> None:
        """Note an admission that was asked for, and whether the mode or a voice's coverage refused it."""
        at_s = int(self._clock.now().timestamp())
        self._offer(_Admission(at_s, provider, mode_epoch, operation, user_id, refused))

    def leak(self, where: str, name: str, route: str = "") -> None:
        """Note that the secret ``name`` stood in a ``log`` line or a ``response``; from any thread.

        Parameters
        ----------
        route
            Whose answer it was, without ids; empty where that is not known.
        """
        self._offer(_Hit(self._clock.now(), where, name, route))

    def start(self) -> None:
        """Begin to write."""
        self._flushing = asyncio.create_task(self._run(), name="signals")

    async def stop(self, deadline_s: float = STOP_DEADLINE_S) -> None:
        """Write what is left, within ``deadline_s`` seconds, and close the connection."""
        if self._flushing is not None:
            self._flushing.cancel()
        # Not awaited beyond the deadline: a statement that a hung server holds cannot be broken off.
        ending = asyncio.create_task(self._end(), name="signals-end")
        await asyncio.wait({ending}, timeout=deadline_s)
        if self._queue:
            log.warning("signals_lost", signals=len(self._queue))

    async def flush(self) -> bool:
        """Write everything held now; false when the store is away (it stays held)."""
        async with self._one_at_a_time:
            while self._queue or self._dropped > self._dropped_told:
                batch = list(islice(self._queue, BATCH))
                try:
                    await self._write(batch)
                except StoreUnavailableError:
                    if not self._away:
                        log.warning("signals_waiting", held=len(self._queue))
                    self._away = True
                    return False
                except Exception:
                    # A batch that the store refuses would be refused for ever.
                    log.exception("signals_refused", signals=len(batch))
                    self._forget(batch, dropped=True)
                    return False
                self._away = False
                self._forget(batch)
            return True

    def _offer(self, signal: _Admission | _Hit) -> None:
        with self._lock:
            if len(self._queue) < self._capacity:
                self._queue.append(signal)
            else:
                self._dropped += 1

    def _forget(self, batch: Sequence[_Admission | _Hit], *, dropped: bool = False) -> None:
        with self._lock:
            for _ in batch:
                self._queue.popleft()
            if dropped:
                self._dropped += len(batch)

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(FLUSH_INTERVAL_S)
            await self.flush()

    async def _end(self) -> None:
        if self._flushing is not None:
            await asyncio.gather(self._flushing, return_exceptions=True)
        await self.flush()
        if self._database is not None:
            await self._database.close()

    async def _write(self, batch: Sequence[_Admission | _Hit]) -> None:
        if self._database is None:
            self._database = await self._connect()
        dropped = self._dropped
        admissions = [signal for signal in batch if isinstance(signal, _Admission)]
        hits = [signal for signal in batch if isinstance(signal, _Hit)]
        async with self._database.service() as conn:
            canaries = await rows.synthetic_among(conn, {signal.user_id for signal in admissions})
            totals = self._added(signal for signal in admissions if signal.user_id not in canaries)
            if totals:
                await rows.write_admissions(
                    conn, self._instance, [_count(series, held) for series, held in totals.items()]
                )
            if hits:
                await rows.write_hits(conn, self._process, self._instance, _counted(hits))
            if dropped > self._dropped_told:
                await rows.write_drops(conn, self._process, self._instance, dropped - self._dropped_told)
        self._dropped_told = dropped
        self._keep(totals)

    def _added(self, admissions: Iterator[_Admission]) -> dict[_Series, _Totals]:
        """Totals of each bucket that ``admissions`` fall into, with them in."""
        totals: dict[_Series, _Totals] = {}
        for signal in admissions:
            bucket_s = signal.at_s - signal.at_s % BUCKET_S
            series = _Series(bucket_s, signal.provider, signal.mode_epoch, signal.operation)
            held = totals.get(series) or self._totals.get(series) or _Totals()
            totals[series] = _Totals(held.asked + 1, held.refused + signal.refused)
        return totals

    def _keep(self, totals: dict[_Series, _Totals]) -> None:
        self._totals |= totals
        settled_s = int(self._clock.now().timestamp()) - SETTLED_AFTER_S
        self._totals = {series: held for series, held in self._totals.items() if series.bucket_s >= settled_s}


def _count(series: _Series, held: _Totals) -> AdmissionCount:
    bucket_at = datetime.fromtimestamp(series.bucket_s, UTC)
    return AdmissionCount(
        bucket_at, series.provider, series.mode_epoch, series.operation, held.asked, held.refused
    )


def _counted(hits: Sequence[_Hit]) -> list[HitCount]:
    first: dict[tuple[str, str, str], datetime] = {}
    for hit in hits:
        first.setdefault((hit.where, hit.name, hit.route), hit.at)
    counts = Counter((hit.where, hit.name, hit.route) for hit in hits)
    return [
        HitCount(first[where, name, route], where, name, count, route)
        for (where, name, route), count in counts.items()
    ]
