"""How work that was meant for another provider reaches the known-good one: a few first, then more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from understudy.rollout.ramp import FIRST


class Ramp:
    """Turns of re-routed tasks in one process: each that ends well makes room for one more.

    Work that was admitted for the provider from the start does not wait here.
    """

    def __init__(self) -> None:
        self._epoch = 0
        self._room = FIRST
        self._inside = 0
        self._changed = asyncio.Event()

    @property
    def inside(self) -> int:
        """How many have their turn now."""
        return self._inside

    @asynccontextmanager
    async def turn(self, epoch: int) -> AsyncIterator[None]:
        """Wait for a turn, and have it for the block; a newer mode epoch starts from the bottom again."""
        if epoch > self._epoch:
            self._epoch, self._room = epoch, FIRST
        while self._inside >= self._room:
            await self._changed.wait()
        self._inside += 1
        try:
            yield
            self._room += 1
        finally:
            self._inside -= 1
            self._changed.set()
            self._changed = asyncio.Event()
