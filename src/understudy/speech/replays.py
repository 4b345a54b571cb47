"""What an earlier request with the same Idempotency-Key left: its task, or its finished stream.

:func:`understudy.speech.spending.reserve` binds a key to its task in the transaction that creates the task,
so a request that died between that commit and its answer is never done twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4, uuid5

from understudy.audio.wav import read_wav, to_pcm
from understudy.errors import KeyInFlightError
from understudy.providers.base import AudioFormat
from understudy.speech.context import Caller, SpeechContext
from understudy.store import generations, tasks
from understudy.store.buckets import GENERATIONS
from understudy.store.idempotency import RETRY_AFTER_S
from understudy.store.tasks import TaskRow

#: Of audio whose container says more exactly.
RATE = 24_000
PIECE_BYTES = 64 * 1024
#: Namespace of ids that a key decides.
IDS = UUID("0d6e4a43-2c0f-4b39-8f6e-0a3d5a1f4c77")


async def earlier_task(ctx: SpeechContext, caller: Caller) -> TaskRow | None:
    """Return the task that an earlier request with this key made before it died; ``None`` to make one."""
    if caller.claim is None or caller.claim.task_id is None:
        return None
    async with ctx.database.tenant(caller.user_id) as conn:
        return await tasks.find_task(conn, caller.user_id, caller.claim.task_id)


def fresh_id(caller: Caller, what: str) -> UUID:
    """Return the id of something new; the same one for each request with the same Idempotency-Key."""
    claim = caller.claim
    if claim is None or claim.since is None:
        return uuid4()
    return uuid5(IDS, f"{claim.user_id}\n{claim.route}\n{claim.key}\n{claim.since.isoformat()}\n{what}")


@dataclass(frozen=True, slots=True)
class FinishedStream:
    """A stream that an earlier request with this key finished: its task, its audio as asked for."""

    task: TaskRow
    audio_format: AudioFormat
    sample_rate: int
    audio: bytes

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The stored audio, whole, in pieces."""
        for start in range(0, len(self.audio), PIECE_BYTES):
            yield self.audio[start : start + PIECE_BYTES]


async def finished_stream(
    ctx: SpeechContext, caller: Caller, formats: Sequence[AudioFormat]
) -> FinishedStream | None:
    """Return the stream that this key stands for, when it was finished; ``None`` to open one.

    An earlier stream that failed or was hung up on gave its caller no whole audio: it is opened anew.

    Parameters
    ----------
    formats
        As the stream was ordered; PCM is taken out of the WAV that it is stored as.

    Raises
    ------
    KeyInFlightError
        It is still being spoken.
    """
    task = await earlier_task(ctx, caller)
    if task is None or task.generation_id is None:
        return None
    if not task.terminal:
        raise KeyInFlightError(retry_after_s=RETRY_AFTER_S)
    async with ctx.database.tenant(caller.user_id) as conn:
        generation = await generations.find_generation(conn, caller.user_id, task.generation_id)
    if generation is None or generation.status != "completed" or not generation.audio_object_key:
        return None
    audio = await ctx.objects.get(GENERATIONS, generation.audio_object_key)
    for audio_format in formats:
        if audio_format.content_type == generation.audio_content_type:
            return FinishedStream(task, audio_format, RATE, audio)
        if audio_format is AudioFormat.PCM and generation.audio_content_type == AudioFormat.WAV.content_type:
            clip = read_wav(audio)
            return FinishedStream(task, audio_format, clip.rate, to_pcm(clip))
    return None
