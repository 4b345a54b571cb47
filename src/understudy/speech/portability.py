"""What a switch back rests on: every live voice has its recording, whole, and its transcript."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from understudy.errors import UnderstudyError
from understudy.speech.references import digest
from understudy.store.buckets import REFERENCES
from understudy.store.database import Database
from understudy.store.objects import ObjectStore
from understudy.store.references import StoredReference, live_references

READERS = 4


class Problem(StrEnum):
    """What keeps a voice from being spoken from its recording."""

    NO_RECORDING = "no_recording"
    NO_TRANSCRIPT = "no_transcript"
    RECORDING_MISSING = "recording_missing"
    RECORDING_DIFFERS = "recording_differs"


@dataclass(frozen=True, slots=True)
class Violation:
    """One voice that would be lost in a switch back."""

    voice_id: UUID
    user_id: UUID
    problem: Problem


@dataclass(slots=True)
class Portability:
    """What was found.

    Parameters
    ----------
    undigested
        Recordings that are there, of voices made before digests were recorded.
    """

    checked: int = 0
    undigested: int = 0
    violations: list[Violation] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether no live voice would be lost."""
        return not self.violations


async def check_portability(
    database: Database, objects: ObjectStore, *, user_id: UUID | None = None
) -> Portability:
    """Read every live voice's recording and compare it with its digest, a few at once.

    Raises
    ------
    StoreUnavailableError
        Database or storage is away: then nothing is known of the rest.
    """
    found = Portability()
    batch: list[StoredReference] = []
    async for reference in live_references(database, user_id):
        batch.append(reference)
        if len(batch) == READERS:
            await asyncio.gather(*(_look_at(objects, one, found) for one in batch))
            batch.clear()
    await asyncio.gather(*(_look_at(objects, one, found) for one in batch))
    found.violations.sort(key=lambda violation: (str(violation.user_id), str(violation.voice_id)))
    return found


async def _look_at(objects: ObjectStore, reference: StoredReference, found: Portability) -> None:
    problem = await problem_of(objects, reference)
    found.checked += 1
    if problem is not None:
        found.violations.append(Violation(reference.voice_id, reference.user_id, problem))
    elif reference.sha256 is None:
        found.undigested += 1


async def problem_of(objects: ObjectStore, reference: StoredReference) -> Problem | None:
    """Return what is wrong with one voice's recording; ``None`` when it can be spoken from."""
    if reference.object_key is None:
        return Problem.NO_RECORDING
    if not reference.has_transcript:
        return Problem.NO_TRANSCRIPT
    try:
        audio = await objects.get(REFERENCES, reference.object_key)
    except UnderstudyError as error:
        if error.retryable:
            raise
        # Storage that checks what it reads says "damaged" itself.
        return Problem.RECORDING_MISSING if error.status == 404 else Problem.RECORDING_DIFFERS
    if reference.sha256 is not None and digest(audio) != reference.sha256:
        return Problem.RECORDING_DIFFERS
    return None
