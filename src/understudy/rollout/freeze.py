"""The write freeze as every process lives with it: users' writes wait, canaries' and all reads go on.

One row in Postgres, followed by NOTIFY and by a poll every second, as the provider mode is. Without the
store the last answer stays: nothing can be written then anyway.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from understudy.clock import Clock
from understudy.errors import WritesFrozenError
from understudy.logs import get_logger
from understudy.rollout.following import Follower
from understudy.store import freeze as rows
from understudy.store.database import Database
from understudy.store.freeze import FreezeRow
from understudy.store.synthetic import is_synthetic

#: A freeze lasts as long as a restoration step; a client that asks this often overloads nobody.
RETRY_AFTER_S = 30

log = get_logger(__name__)


async def set_freeze(
    database: Database, *, frozen: bool, actor: str, reason: str
) -> tuple[FreezeRow | None, bool]:
    """Freeze or thaw every process within a second; return the row in force and whether it changed."""
    async with database.service() as conn:
        return await rows.write_freeze(conn, frozen=frozen, actor=actor, reason=reason)


class FreezeReader(Follower):
    """Follows the freeze in one process. :meth:`start` it, :meth:`stop` it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock, channel=rows.CHANNEL, name="freeze")
        self._row: FreezeRow | None = None

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
