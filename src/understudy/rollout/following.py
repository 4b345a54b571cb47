"""Following what rows of the database say, in one process: by NOTIFY at once, and by a poll every second."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod

from understudy.clock import Clock
from understudy.errors import StoreUnavailableError
from understudy.store.database import Database

POLL_INTERVAL_S = 1.0


class Follower(ABC):
    """Keeps what a process knows of some rows fresh. :meth:`start` it, :meth:`stop` it.

    Without the store the last answer stays.

    Parameters
    ----------
    channel
        Where a change of the rows is notified.
    name
        Of what is followed; names the tasks.
    """

    def __init__(self, database: Database, clock: Clock, *, channel: str, name: str) -> None:
        self._database = database
        self._clock = clock
        self._channel = channel
        self._name = name
        self._listening = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Read the rows, then follow them.

        Raises
        ------
        StoreUnavailableError
            The store cannot be reached: a process that cannot ask must not begin.
        """
        await self._refresh()
        self._tasks = [
            asyncio.create_task(self._poll(), name=f"{self._name}-poll"),
            asyncio.create_task(self._listen(), name=f"{self._name}-listen"),
        ]
        # A change between the first reading and the LISTEN would wait for the poll: read again after it.
        with contextlib.suppress(TimeoutError, StoreUnavailableError):
            async with asyncio.timeout(POLL_INTERVAL_S):
                await self._listening.wait()
            await self._refresh()

    async def stop(self) -> None:
        """Stop following; safe to repeat."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    @abstractmethod
    async def _refresh(self) -> None:
        """Read the rows and hold what they say; raises :class:`StoreUnavailableError`."""

    async def _poll(self) -> None:
        while True:
            await self._clock.sleep(POLL_INTERVAL_S)
            with contextlib.suppress(StoreUnavailableError):
                await self._refresh()

    async def _listen(self) -> None:
        """NOTIFY makes a change immediate; the poll beside it makes a lost notification harmless."""
        while True:
            with contextlib.suppress(StoreUnavailableError):
                heard = self._database.listen(self._channel, ready=self._listening.set)
                async for _sent_on, _payload in heard:
                    await self._refresh()
            await self._clock.sleep(POLL_INTERVAL_S)
