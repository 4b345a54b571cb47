"""The streams that one process speaks: one heartbeat, one ear and one eye on the mode for all of them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol
from uuid import UUID, uuid4

from understudy.clock import Clock
from understudy.errors import StoreUnavailableError
from understudy.logs import get_logger
from understudy.rollout.mode import ModeReader
from understudy.speech.holding import Stop
from understudy.store import claims, streams
from understudy.store.database import Database

#: Announcements of this long are looked at together: each stream's own start is announced as well.
GATHER_S = 0.02
#: What is left when the process ends gets this long to close its provider and settle.
CLOSE_S = 10.0

log = get_logger(__name__)


class LiveStream(Protocol):
    """One stream under way."""

    def stop(self, reason: Stop) -> None:
        """Close the provider and settle."""
        ...

    def mode_changed(self) -> None:
        """Another epoch came into force."""
        ...

    async def settled(self) -> None:
        """Return when nothing of it is left to do."""
        ...


class LiveStreams:
    """Keeps the leases of a process's streams, and tells each that it is to stop or that the mode changed.

    Its background work lives exactly as long as there are streams, so it needs no start.

    Parameters
    ----------
    lease_s
        Seconds a stream outlives its process; then a worker's sweep ends it as interrupted.
    """

    def __init__(self, database: Database, mode: ModeReader, clock: Clock, lease_s: float) -> None:
        self._database = database
        self._mode = mode
        self._clock = clock
        self.lease_s = lease_s
        #: A restarted process must not pass for the one that died.
        self.worker = f"stream/{uuid4().hex[:12]}"
        self._streams: dict[UUID, LiveStream] = {}
        self._background: list[asyncio.Task[None]] = []
        self._look: asyncio.Task[None] | None = None
        self._asked: set[UUID] = set()
        self._expected: set[UUID] = set()

    def __len__(self) -> int:
        return len(self._streams)

    def expect(self, task_id: UUID) -> None:
        """Let the next announcement of a task pass unheard: it is this process's own write.

        One that never comes costs what any lost one does: the next heartbeat sees what it would have told.
        """
        self._expected.add(task_id)

    def hold(self, task_id: UUID, stream: LiveStream) -> None:
        """Keep a stream's lease from now on."""
        self._streams[task_id] = stream
        if not self._background:
            self._background = [
                asyncio.create_task(self._beat(), name="stream-leases"),
                asyncio.create_task(self._follow_mode(), name="stream-mode"),
            ]

    def drop(self, task_id: UUID) -> None:
        """Forget a stream that is settled, or was never admitted."""
        self._expected.discard(task_id)
        self._streams.pop(task_id, None)
        if not self._streams:
            for task in self._background:
                task.cancel()
            self._background = []

    def hear(self, task_id: UUID) -> None:
        """Look at a stream whose task was announced as changed; any other process's is ignored."""
        if task_id in self._expected:
            self._expected.discard(task_id)
        elif task_id in self._streams:
            self._asked.add(task_id)
            if self._look is None or self._look.done():
                self._look = asyncio.create_task(self._look_soon(), name="stream-look")

    async def close(self) -> None:
        """Interrupt what is left and wait until it is settled."""
        left = list(self._streams.values())
        if not left:
            return
        log.warning("streams_interrupted", streams=len(left))
        for stream in left:
            stream.stop(Stop.RELEASED)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await asyncio.gather(*(stream.settled() for stream in left))

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(self.lease_s / 3)
            held = dict(self._streams)
            try:
                async with self._database.service() as conn:
                    alive = await claims.extend_leases(conn, self.worker, list(held), self.lease_s)
            except StoreUnavailableError:
                log.warning("stream_leases_unextended", streams=len(held))
                continue
            self._tell(held, alive)

    async def _look_soon(self) -> None:
        while self._asked:
            await asyncio.sleep(GATHER_S)
            asked, self._asked = self._asked, set()
            held = {task_id: self._streams[task_id] for task_id in asked if task_id in self._streams}
            if not held:
                continue
            # A look that fails is made good by the next heartbeat.
            with contextlib.suppress(StoreUnavailableError):
                async with self._database.service() as conn:
                    alive = await streams.stop_requests(conn, self.worker, list(held))
                self._tell(held, alive)

    def _tell(self, held: dict[UUID, LiveStream], alive: dict[UUID, bool]) -> None:
        for task_id, stream in held.items():
            if task_id not in alive:
                stream.stop(Stop.LOST)
            elif alive[task_id]:
                stream.stop(Stop.CANCELLED)

    async def _follow_mode(self) -> None:
        while True:
            await self._mode.changed()
            for stream in list(self._streams.values()):
                stream.mode_changed()
