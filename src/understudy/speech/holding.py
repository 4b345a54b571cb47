"""A task in a worker's hand."""

from __future__ import annotations

import asyncio
from enum import StrEnum

from understudy.store.claims import Claim
from understudy.store.generations import GenerationRow
from understudy.store.tasks import TaskRow
from understudy.store.voices import VoiceRow


class Stop(StrEnum):
    """Why a worker lets go of a task before it is spoken."""

    CANCELLED = "cancelled"
    """Its tenant cancelled it."""
    LOST = "lost"
    """Somebody else ended or claimed it: nothing more may be written."""
    DEADLINE = "deadline"
    """It took longer than a task may."""
    RELEASED = "released"
    """This worker stops and cannot finish it in time."""


class Held:
    """One claimed task; anyone in the process may ask its driver to stop, the first reason counts.

    Parameters
    ----------
    generation, voice
        What it is to speak, read with the claim; ``None`` when they are gone, or for a design.
    """

    def __init__(
        self,
        task: TaskRow,
        claim: Claim,
        generation: GenerationRow | None = None,
        voice: VoiceRow | None = None,
    ) -> None:
        self.task = task
        self.claim = claim
        self.generation = generation
        self.voice = voice
        self._stopping = asyncio.Event()
        self._reason: Stop | None = None

    @property
    def reason(self) -> Stop | None:
        """Why the driver is asked to stop, once it is."""
        return self._reason

    def stop(self, reason: Stop) -> None:
        """Ask the driver to close the provider and settle."""
        if self._reason is None:
            self._reason = reason
            self._stopping.set()

    async def stopped(self) -> None:
        """Return when the driver is asked to stop."""
        await self._stopping.wait()
