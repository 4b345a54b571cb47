"""What stands closed, as the guard last read it: for who looks, and no part of what the guard judges by.

A reading of its own, so that damage to these tables blinds nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from understudy.clock import Clock
from understudy.errors import StoreUnavailableError
from understudy.logs import get_logger
from understudy.restoration.guard.repeating import repeat
from understudy.restoration.signals.calls import Connect
from understudy.store.closures import Closure, ClosureKind, read_closures

LOOK_EVERY_S = 2.0
_DEADLINE_S = 2.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Closures:
    """What stood closed at ``at``."""

    at: datetime
    closed: Sequence[Closure]

    def of(self, kind: ClosureKind) -> list[dict[str, Any]]:
        """Return those of one kind as plain data."""
        return [
            {
                "name": closure.name,
                "since": closure.since.isoformat(),
                "actor": closure.actor,
                "reason": closure.reason,
            }
            for closure in self.closed
            if closure.kind == kind
        ]


class ClosureWatch:
    """Reads what is closed, again and again.

    Parameters
    ----------
    keep
        Given each reading; while the database is away, none.
    """

    def __init__(self, keep: Callable[[Closures], None], connect: Connect, clock: Clock) -> None:
        self._keep = keep
        self._connect = connect
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Look again and again until ``stop``; never raises."""
        await repeat(self.look, stop, every_s=LOOK_EVERY_S, broke="closures_broke")

    async def look(self) -> None:
        """Read once."""
        at = self._clock.now()
        try:
            async with asyncio.timeout(_DEADLINE_S), (await self._connect()).service() as conn:
                self._keep(Closures(at, await read_closures(conn)))
        except (StoreUnavailableError, psycopg.Error, TimeoutError) as error:
            log.debug("closures_not_read", kind=type(error).__name__)
