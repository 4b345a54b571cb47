"""Looks at the stored objects themselves: some at each look, every one within a stated time."""

from __future__ import annotations

import asyncio
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from understudy.errors import UnderstudyError
from understudy.restoration.signals.calls import Connect
from understudy.store import invariants
from understudy.store.buckets import GENERATIONS, REFERENCES
from understudy.store.database import Connection
from understudy.store.invariants import Broken, LiveReference, StoredAudio
from understudy.store.objects import ObjectStore

#: Objects asked for at once, and at most in one look: a look has a deadline.
AT_ONCE = 8
LOOKED_AT_MOST = 500
#: Broken ones that are remembered and asked for again at each look.
REMEMBERED = 1000

T = TypeVar("T")


class Sampler(ABC, Generic[T]):
    """Walks through all rows that name an object, and asks again for those that were broken.

    Parameters
    ----------
    objects
        Where they are stored.
    due_s, full_pass_s
        Seconds between two looks, and in which every row's turn comes. With more rows than
        :data:`LOOKED_AT_MOST` looks allow, it takes longer: :attr:`pass_s` says how long.
    """

    _table: str

    def __init__(self, objects: ObjectStore, *, due_s: float, full_pass_s: float) -> None:
        self._objects = objects
        self._due_s = due_s
        self._full_pass_s = full_pass_s
        self._broken: dict[str, T] = {}
        self.pass_s = full_pass_s

    async def look(self, connect: Connect, before: datetime) -> Broken:
        """Look at some more of the rows of before an instant, and at those that were broken.

        Raises
        ------
        StoreUnavailableError
            Database or storage is away: nothing is known.
        """
        async with (await connect()).service() as conn:
            rows = await invariants.estimated_rows(conn, self._table)
            again = await self._again(conn, list(self._broken.values()))
            share = self._share(rows)
            # The last page may have been a full one: then the first is next.
            some = await self._next(conn, before, share) or await self._next(conn, before, share)
        slots = asyncio.Semaphore(AT_ONCE)

        async def judged(row: T) -> tuple[T, bool]:
            async with slots:
                return row, await self._holds(row)

        answers = await asyncio.gather(*(judged(row) for row in [*again, *some]))
        broken = {self._name(row): row for row, holds in answers if not holds}
        self._broken = dict(sorted(broken.items())[:REMEMBERED])
        return Broken(len(broken), tuple(sorted(broken)[: invariants.SAMPLE]))

    def _share(self, rows: int) -> int:
        """How many rows this look takes so that all are seen in time."""
        wanted = math.ceil(rows * self._due_s / self._full_pass_s)
        taken = min(LOOKED_AT_MOST, max(1, wanted))
        self.pass_s = max(self._full_pass_s, rows * self._due_s / taken)
        return taken

    @abstractmethod
    async def _next(self, conn: Connection, before: datetime, limit: int) -> Sequence[T]:
        """The next rows; from the first again after the last."""

    @abstractmethod
    async def _again(self, conn: Connection, broken: Sequence[T]) -> Sequence[T]:
        """Those of these rows that still stand."""

    @abstractmethod
    async def _holds(self, row: T) -> bool:
        """Whether the row's object is what it should be."""

    @abstractmethod
    def _name(self, row: T) -> str:
        """Id of the row."""


class ReferenceSampler(Sampler[LiveReference]):
    """Live voices: the recording is there and has its recorded digest."""

    _table = "voices"
    _after = UUID(int=0)

    async def _next(self, conn: Connection, before: datetime, limit: int) -> Sequence[LiveReference]:
        page = await invariants.reference_page(conn, after=self._after, before=before, limit=limit)
        self._after = page[-1].voice_id if len(page) == limit else UUID(int=0)
        return page

    async def _again(self, conn: Connection, broken: Sequence[LiveReference]) -> Sequence[LiveReference]:
        return await invariants.references_of(conn, [row.voice_id for row in broken])

    async def _holds(self, row: LiveReference) -> bool:
        audio = await _found(lambda: self._objects.get(REFERENCES, row.object_key))
        if audio is None or row.sha256 is None:
            return audio is not None
        return row.sha256 == await asyncio.to_thread(lambda: hashlib.sha256(audio).hexdigest())

    def _name(self, row: LiveReference) -> str:
        return str(row.voice_id)


class AudioSampler(Sampler[StoredAudio]):
    """Completed generations: their audio is there."""

    _table = "generations"
    _after = ""

    async def _next(self, conn: Connection, before: datetime, limit: int) -> Sequence[StoredAudio]:
        page = await invariants.audio_page(conn, after=self._after, before=before, limit=limit)
        self._after = page[-1].object_key if len(page) == limit else ""
        return page

    async def _again(self, conn: Connection, broken: Sequence[StoredAudio]) -> Sequence[StoredAudio]:
        return await invariants.still_named(conn, [row.object_key for row in broken])

    async def _holds(self, row: StoredAudio) -> bool:
        return await _found(lambda: self._objects.stat(GENERATIONS, row.object_key)) is not None

    def _name(self, row: StoredAudio) -> str:
        return str(row.generation_id)


async def _found(ask: Callable[[], Awaitable[T | None]]) -> T | None:
    """What storage says; None where it has no such object, or says itself that it is damaged."""
    try:
        return await ask()
    except UnderstudyError as error:
        if error.retryable:
            raise
        return None
