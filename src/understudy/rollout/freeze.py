"""The write freeze as every process lives with it: users' writes wait, canaries' and all reads go on.

One row in Postgres, followed by NOTIFY and by a poll every second, as the provider mode is. Without the
store the last answer stays: nothing can be written then anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from uuid import UUID

from understudy.clock import Clock
from understudy.errors import StoreUnavailableError, WritesFrozenError
from understudy.logs import get_logger
from understudy.store import freeze as rows
from understudy.store.database import Database
from understudy.store.freeze import FreezeRow
from understudy.store.synthetic import is_synthetic

POLL_INTERVAL_S = 1.0
#: A freeze lasts as long as a restoration step; a client that asks this often overloads nobody.
RETRY_AFTER_S = 30

log = get_logger(__name__)


async def set_freeze(
    database: Database, *, frozen: bool, actor: str, reason: str
) -> tuple[FreezeRow | None, bool]:
    """Freeze or thaw every process within a second; return the row in force and whether it changed."""
    async with database.service() as conn:
        return await rows.write_freeze(conn, frozen=frozen, actor=actor, reason=reason)


class FreezeReader:
    """Follows the freeze in one process. :meth:`start` it, :meth:`stop` it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._row: FreezeRow | None = None
        self._listening = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Read the row, then follow it.

        Raises
        ------
        StoreUnavailableError
            The store cannot be reached: a process that cannot ask must not start to write.
        """
        await self._refresh()
        self._tasks = [
            asyncio.create_task(self._poll(), name="freeze-poll"),
            asyncio.create_task(self._listen(), name="freeze-listen"),
        ]
        # A freeze between the first reading and the LISTEN would wait for the poll: read again after it.
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

    @property
    def frozen(self) -> bool:
        """Whether writes are frozen, as far as this process knows."""
        return self._row is not None and self._row.frozen

    @property
    def since(self) -> datetime | None:
        """When the freeze began (UTC); ``None`` while there is none."""
        return self._row.changed_at if self._row is not None and self._row.frozen else None

    async def admit_write(self, user_id: UUID | None) -> None:
        """Raise :class:`WritesFrozenError` while writes are frozen.

        Canaries pass: a restoration proves by them that the service works before it lets users write.
        """
        if not self.frozen:
            return
        if user_id is not None:
            async with self._database.service() as conn:
                if await is_synthetic(conn, user_id):
                    return
        raise WritesFrozenError(retry_after_s=RETRY_AFTER_S)

    async def _refresh(self) -> None:
        async with self._database.service() as conn:
            row = await rows.read_freeze(conn)
        if (row is not None and row.frozen) != self.frozen:
            log.warning("writes_frozen" if row is not None and row.frozen else "writes_thawed")
        self._row = row

    async def _poll(self) -> None:
        while True:
            await self._clock.sleep(POLL_INTERVAL_S)
            with contextlib.suppress(StoreUnavailableError):
                await self._refresh()

    async def _listen(self) -> None:
        """NOTIFY makes a freeze immediate; the poll beside it makes a lost notification harmless."""
        while True:
            with contextlib.suppress(StoreUnavailableError):
                heard = self._database.listen(rows.CHANNEL, ready=self._listening.set)
                async for _channel, _payload in heard:
                    await self._refresh()
            await self._clock.sleep(POLL_INTERVAL_S)
