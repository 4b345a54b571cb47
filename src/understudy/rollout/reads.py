"""Closed reads as every api process lives with them: a kind of reads answers 503 until a person opens it.

A row a kind in Postgres, followed by NOTIFY and by a poll every second, as the write freeze is. Without the
store the last answer stays: nothing of a tenant's can be read then anyway, but for signed audio.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from understudy.clock import Clock
from understudy.errors import ReadsClosedError
from understudy.logs import get_logger
from understudy.rollout.following import Follower
from understudy.store import closed_reads as rows
from understudy.store.closed_reads import ACCOUNT, AUDIO, GENERATIONS, KINDS, TASKS, VOICES, ClosedRead
from understudy.store.database import Database

__all__ = ["KINDS", "ReadsReader", "concerned_by", "kinds_of", "set_reads"]

#: A person opens them again: a client that asks this often overloads nobody.
RETRY_AFTER_S = 60

READING: Final = frozenset({"GET", "HEAD"})
#: First match wins. Open at the end: a router may take what follows otherwise than we would. A path that
#: hands out a link to audio is closed with the audio too.
_READS: Final = tuple(
    (re.compile(pattern, re.DOTALL), frozenset(kinds))
    for pattern, kinds in (
        (r"/objects/", {AUDIO}),
        (r"/api/voices/.+/preview", {VOICES, AUDIO}),
        (r"/(api|v1/audio)/voices", {VOICES}),
        (r"/api/generations/.+/audio", {GENERATIONS, AUDIO}),
        (r"/api/generations", {GENERATIONS}),
        (r"/api/tasks", {TASKS}),
        (r"/(api/me|api/usage|auth/v1/user)\b", {ACCOUNT}),
    )
)
#: A POST that only reads.
_READING_POST: Final = re.compile(r"/api/generations/.+/regenerate", re.DOTALL)

log = get_logger(__name__)


def kinds_of(method: str, path: str) -> frozenset[str]:
    """Return the kinds of reads that a request is; empty for one that reads nothing of a tenant's."""
    if method == "POST" and _READING_POST.match(path):
        return frozenset({GENERATIONS})
    if method not in READING:
        return frozenset()
    return next((kinds for pattern, kinds in _READS if pattern.match(path)), frozenset())


def concerned_by(route: str) -> frozenset[str]:
    """Return what is closed for a route that leaks, such as ``GET /api/voices/:voice/preview``.

    A task tells where its audio is, so its links go with it. Empty where nothing there can be closed.
    """
    method, _, path = route.partition(" ")
    kinds = kinds_of(method, path)
    return kinds | {AUDIO} if TASKS in kinds else kinds


async def set_reads(
    database: Database, names: Collection[str], *, closed: bool, actor: str, reason: str
) -> tuple[dict[str, ClosedRead], list[str]]:
    """Close or open kinds of reads in every process within a second; return the rows and what changed."""
    async with database.service() as conn:
        return await rows.set_closed(conn, names, closed=closed, actor=actor, reason=reason)


class ReadsReader(Follower):
    """Follows closed reads in one process, and says which epoch it holds.

    :meth:`start` it, :meth:`stop` it.

    Parameters
    ----------
    instance
        The process's own in ``understudy.processes``.
    """

    def __init__(self, database: Database, clock: Clock, *, instance: UUID) -> None:
        super().__init__(database, clock, channel=rows.CHANNEL, name="reads")
        self._instance = instance
        self._closed: frozenset[str] = frozenset()
        self._since: datetime | None = None
        self._epoch = 0

    @property
    def since(self) -> datetime | None:
        """When the first of what is closed was closed (UTC); ``None`` while everything is open."""
        return self._since

    @property
    def closed(self) -> frozenset[str]:
        """Kinds that are closed, as far as this process knows."""
        return self._closed

    def admit(self, kinds: Iterable[str]) -> None:
        """Raise :class:`ReadsClosedError` when one of ``kinds`` is closed."""
        if not self._closed.isdisjoint(kinds):
            raise ReadsClosedError(retry_after_s=RETRY_AFTER_S)

    async def _refresh(self) -> None:
        async with self._database.service() as conn:
            found = await rows.read_closed(conn)
            epoch = max((row.epoch for row in found.values()), default=0)
            # Two refreshes may end in the other order than they began: the older answer opens nothing.
            if epoch >= self._epoch:
                closed = frozenset(name for name, row in found.items() if row.closed)
                if closed != self._closed:
                    log.warning("closed_reads_changed", closed=sorted(closed), epoch=epoch)
                # In force here before this process says so.
                self._epoch, self._closed = epoch, closed
                self._since = min((row.changed_at for row in found.values() if row.closed), default=None)
            await rows.report_epoch(conn, self._instance, self._epoch)
