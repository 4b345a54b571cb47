"""Clocks that a test moves."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta


class HandClock:
    """Stands still until :meth:`advance`; whoever sleeps on it moves it."""

    def __init__(self, start: datetime = datetime(2026, 11, 24, 12, tzinfo=UTC)) -> None:
        self._start = start
        self._passed_s = 0.0

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed_s)

    def monotonic_s(self) -> float:
        return self._passed_s

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self._passed_s += seconds


class ManualClock(HandClock):
    """Moves by :meth:`advance` only: whoever sleeps on it waits until the hand has moved far enough."""

    async def sleep(self, seconds: float) -> None:
        until = self._passed_s + seconds
        while self._passed_s < until:
            await asyncio.sleep(0.005)
