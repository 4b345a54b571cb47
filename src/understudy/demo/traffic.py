"""Steady traffic of several tenants, and what became of each request."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from understudy.demo.tenant import RefusedError, Tenant

DIGITS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PAUSE_S = 0.4
RECENT_S = 5.0


@dataclass
class Tally:
    """Requests that ended, newest last: (monotonic second, provider or empty, whether it spoke)."""

    ended: deque[tuple[float, str, bool]] = field(default_factory=lambda: deque(maxlen=5_000))
    spoken: int = 0
    failed: int = 0
    last_error: str = ""

    def add(self, provider: str, error: str | None) -> None:
        """Record one end."""
        spoke = error is None
        self.ended.append((time.monotonic(), provider, spoke))
        self.spoken += spoke
        self.failed += not spoke
        self.last_error = error or self.last_error

    def recent(self) -> tuple[int, int]:
        """(spoken, failed) in the last :data:`RECENT_S` seconds."""
        since = time.monotonic() - RECENT_S
        outcomes = [spoke for at, _, spoke in self.ended if at >= since]
        return sum(outcomes), len(outcomes) - sum(outcomes)


async def _keep_speaking(tenant: Tenant, voice_id: str, tally: Tally, rng: random.Random) -> None:
    while True:
        text = " ".join(rng.choices(DIGITS, k=4))
        try:
            spoken = await tenant.speak(voice_id, text)
            tally.add(spoken.provider, None)
        except RefusedError as error:
            tally.add("", error.message)
        except (aiohttp.ClientError, TimeoutError) as error:
            tally.add("", type(error).__name__)
        await asyncio.sleep(PAUSE_S * rng.uniform(0.5, 1.5))


@asynccontextmanager
async def traffic(voices: list[tuple[Tenant, str]], *, seed: int = 7) -> AsyncIterator[Tally]:
    """Every tenant speaks short texts with its voice, one after the other, until the block ends."""
    tally = Tally()
    tasks = [
        asyncio.create_task(_keep_speaking(tenant, voice, tally, random.Random(seed + index)))  # noqa: S311
        for index, (tenant, voice) in enumerate(voices)
    ]
    try:
        yield tally
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
