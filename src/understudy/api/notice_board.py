"""What tenants are told while something is not as usual: one sentence, from what this process follows.

What this process enforces itself (frozen writes, closed reads, closed valves) wins over what the guard has
put up: it is what a tenant meets next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from understudy.errors import StoreUnavailableError
from understudy.rollout.reads import ReadsReader
from understudy.speech.context import SpeechContext
from understudy.store.tenant_notice import NoticeCode, TenantNotice, read_notice
from understudy.store.valves import DESIGN_CREATES, GENERATION, ValveRow, read_valves

#: Everybody asks, and asks again: each process reads the rows this often at most.
READ_EVERY_S = 2.0
ASKED_FOR_S = 2.0

NoticeName = NoticeCode | Literal["writes_paused", "reads_closed", "generation_closed", "creates_closed"]

SENTENCES: Final[Mapping[NoticeName, str]] = {
    "degraded": "Speech may fail or take longer than usual at the moment. It is being worked on.",
    "stepping_back": "We are moving speech back to a service that works. It may take longer for a moment.",
    "verifying": "Speech works again, and we are checking that it stays so.",
    "recovered": "Speech is back to normal.",
    "writes_paused": "Changes are paused while we work on the service. You can read and listen; "
    "nothing that you made is lost.",
    "reads_closed": "Some pages cannot be shown while we work on the service. Nothing that you made is lost.",
    "generation_closed": "Generating speech is paused at the moment. Your voices and your history are here.",
    "creates_closed": "Designing voices is paused at the moment. The voices that you have work as usual.",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice; ``since`` in UTC."""

    code: NoticeName
    since: datetime

    @property
    def sentence(self) -> str:
        """What people read."""
        return SENTENCES[self.code]


@dataclass(frozen=True, slots=True)
class _Rows:
    """What was read, and when."""

    told: TenantNotice | None
    valves: Mapping[str, ValveRow]
    read_at_s: float


class NoticeBoard:
    """What is told now; one per process."""

    def __init__(self, ctx: SpeechContext, reads: ReadsReader) -> None:
        self._ctx = ctx
        self._reads = reads
        self._rows: _Rows | None = None
        self._one_at_a_time = asyncio.Lock()

    async def now(self) -> Notice | None:
        """Return what is told now; without the store only what this process knows by itself."""
        rows = await self._read()
        if (since := self._ctx.freeze.since) is not None:
            return Notice("writes_paused", since)
        if (since := self._reads.since) is not None:
            return Notice("reads_closed", since)
        for name, code in _CLOSED.items():
            if (valve := rows.valves.get(name)) is not None and valve.closed:
                return Notice(code, valve.changed_at)
        return Notice(rows.told.code, rows.told.since) if rows.told else None

    async def _read(self) -> _Rows:
        async with self._one_at_a_time:
            clock = self._ctx.clock
            if self._rows is None or clock.monotonic_s() - self._rows.read_at_s >= READ_EVERY_S:
                told, valves = await self._fresh()
                # As of its end: who waited for a store that is away does not wait for it once more.
                self._rows = _Rows(told, valves, clock.monotonic_s())
            return self._rows

    async def _fresh(self) -> tuple[TenantNotice | None, Mapping[str, ValveRow]]:
        try:
            async with asyncio.timeout(ASKED_FOR_S), self._ctx.database.service() as conn:
                return await read_notice(conn), await read_valves(conn)
        except (StoreUnavailableError, TimeoutError):
            return None, {}


_CLOSED: Final[Mapping[str, NoticeName]] = {
    GENERATION: "generation_closed",
    DESIGN_CREATES: "creates_closed",
}
