"""Waiting for a task's news: one listening connection a process, told to everybody who waits or streams."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from understudy.cancelling import checkpoint
from understudy.errors import StoreUnavailableError
from understudy.logs import get_logger
from understudy.speech.context import Caller, SpeechContext
from understudy.speech.tasks import get_task
from understudy.store import tasks
from understudy.store.tasks import TaskRow

#: How often a task is read while nothing announces its changes.
DEAF_POLL_S = 1.0
#: And while it is announced: a connection that died silently is noticed by its keepalives only after 19 s.
HEARING_POLL_S = 10.0
RELISTEN_S = 1.0

log = get_logger(__name__)


class TaskWatch:
    """Wakes whoever waits for a task when its status changes.

    Make it, :meth:`start` it, :meth:`close` it; a waiter costs an event and no connection.
    """

    def __init__(self, ctx: SpeechContext) -> None:
        self._ctx = ctx
        self._waiters: dict[UUID, set[asyncio.Event]] = {}
        self._asleep = 0
        self._listening: asyncio.Task[None] | None = None
        self._hears = False

    @property
    def waiters(self) -> int:
        """How many wait now."""
        return sum(map(len, self._waiters.values()))

    @property
    def asleep(self) -> int:
        """How many of them have read their task and sleep until there is news."""
        return self._asleep

    @property
    def hears(self) -> bool:
        """Whether changes are announced to this process now."""
        return self._hears

    async def start(self) -> None:
        """Begin to listen."""
        self._listening = asyncio.create_task(self._listen(), name="task-watch")

    async def close(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
            self._listening = None

    async def wait(self, caller: Caller, task_id: UUID, seconds: float) -> TaskRow:
        """Return the caller's task when it is terminal, when its status changed, or after ``seconds``.

        Raises
        ------
        NotFoundError
            The caller has no such task, or has it no more.
        """
        clock = self._ctx.clock
        give_up_at_s = clock.monotonic_s() + seconds
        # Before the first look: a change between the two is then heard.
        with self._waiting(task_id) as changed:
            first = task = await get_task(self._ctx, caller, task_id)
            while not task.terminal and task.status == first.status:
                left_s = give_up_at_s - clock.monotonic_s()
                if left_s <= 0:
                    break
                await self._sleep(changed, min(left_s, HEARING_POLL_S if self._hears else DEAF_POLL_S))
                changed.clear()
                task = await get_task(self._ctx, caller, task_id)
        return task

    async def _sleep(self, changed: asyncio.Event, at_most_s: float) -> None:
        self._asleep += 1
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(at_most_s):
                    await changed.wait()
        finally:
            self._asleep -= 1

    @contextmanager
    def _waiting(self, task_id: UUID) -> Iterator[asyncio.Event]:
        changed = asyncio.Event()
        self._waiters.setdefault(task_id, set()).add(changed)
        try:
            yield changed
        finally:
            waiting = self._waiters[task_id]
            waiting.discard(changed)
            if not waiting:
                del self._waiters[task_id]

    def _hear(self, hears: bool) -> None:
        self._hears = hears
        # What changed while nothing was heard was not announced to us; and how often to look changes.
        for waiting in self._waiters.values():
            for changed in waiting:
                changed.set()

    async def _listen(self) -> None:
        while True:
            try:
                heard = self._ctx.database.listen(tasks.CHANNEL, ready=lambda: self._hear(True))
                async for _channel, payload in heard:
                    with contextlib.suppress(ValueError):  # anybody may notify anything
                        task_id = UUID(payload)
                        for changed in self._waiters.get(task_id, ()):
                            changed.set()
                        self._ctx.streams.hear(task_id)
                    checkpoint()
            except StoreUnavailableError:
                log.warning("task_watch_deaf")
            except Exception:
                log.exception("task_watch_broke")
            self._hear(False)
            await self._ctx.clock.sleep(RELISTEN_S)
