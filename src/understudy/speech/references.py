"""A voice's own recording: one normalised WAV that every provider gets, and the upload it came from."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from uuid import UUID

from understudy.audio.decode import decode_upload
from understudy.audio.wav import Clip, duration_ms, is_silent, resample, write_wav
from understudy.errors import NotFoundError, UnderstudyError, ValidationError
from understudy.providers.base import Reference
from understudy.speech.context import SpeechContext
from understudy.store.buckets import REFERENCES, check_content_type
from understudy.store.voices import VoiceRow

RATE = 24_000
MAX_UPLOAD_BYTES = 10 * 1024 * 1024
MAX_DURATION_MS = 180_000
"""Keeps the normalised WAV (48 kB a second) within the 10 MB that the bucket and Qwen take."""
CONTENT_TYPE = "audio/wav"


@dataclass(frozen=True, slots=True)
class StoredReference:
    """A recording as every provider gets it: WAV, mono, 16 bit, 24 kHz."""

    object_key: str
    audio: bytes
    sha256: str


def reference_key(user_id: UUID, voice_id: UUID) -> str:
    """Where a voice's recording is uploaded to, and kept once normalised."""
    return f"{user_id}/{voice_id}/reference.wav"


def original_key(user_id: UUID, voice_id: UUID) -> str:
    """Where the upload is kept as it came."""
    return f"{user_id}/{voice_id}/reference.original"


async def normalise(data: bytes) -> bytes:
    """Decode ``data`` and return it as WAV, mono, 16 bit, 24 kHz.

    Raises
    ------
    ValidationError
        Not audio, silent, or too long.
    """
    clip = await decode_upload(data)
    if duration_ms(clip) > MAX_DURATION_MS:
        raise ValidationError(f"The recording is longer than {MAX_DURATION_MS // 1000} seconds.")
    if is_silent(clip):
        raise ValidationError("The recording is silent.")
    return await asyncio.to_thread(standard_wav, clip)


def standard_wav(clip: Clip) -> bytes:
    """The clip as every recording is kept: WAV, mono, 16 bit, 24 kHz."""
    return write_wav(resample(clip, RATE))


async def settle_upload(ctx: SpeechContext, user_id: UUID, voice_id: UUID) -> StoredReference:
    """Normalise what was uploaded for a voice and keep the original beside it; twice changes nothing.

    Raises
    ------
    ValidationError
        Nothing was uploaded, it is over 10 MB, or it is not a usable recording.
    """
    key = reference_key(user_id, voice_id)
    uploaded = await ctx.objects.stat(REFERENCES, key)
    if uploaded is None:
        raise ValidationError("Audio file not uploaded.")
    # The upload link enforces both; whoever reaches the bucket itself may have put anything there.
    if uploaded.size > MAX_UPLOAD_BYTES:
        await ctx.objects.delete(REFERENCES, key)
        raise ValidationError("Audio file exceeds 10 MB.")
    check_content_type(REFERENCES, uploaded.content_type)
    data = await ctx.objects.get(REFERENCES, key)
    audio = await normalise(data)
    if audio != data:
        await ctx.objects.put(REFERENCES, original_key(user_id, voice_id), data, uploaded.content_type)
        await ctx.objects.put(REFERENCES, key, audio, CONTENT_TYPE)
    return StoredReference(key, audio, digest(audio))


async def discard_upload(ctx: SpeechContext, user_id: UUID, voice_id: UUID) -> None:
    """Remove a voice's recording and its original."""
    await ctx.objects.delete(REFERENCES, reference_key(user_id, voice_id))
    await ctx.objects.delete(REFERENCES, original_key(user_id, voice_id))


async def load_reference(ctx: SpeechContext, voice: VoiceRow) -> Reference:
    """Return a voice's recording, checked against the digest recorded with it.

    Raises
    ------
    NotFoundError
        There is none, or it is not the one that was recorded.
    """
    missing = NotFoundError("The stored recording of this voice is missing or damaged. Clone it again.")
    if not voice.reference_object_key or not voice.reference_transcript:
        raise missing
    known = ctx.recent.get(voice.reference_sha256) if voice.reference_sha256 else None
    if known is not None:
        return Reference(known, voice.reference_transcript, voice.language)
    try:
        audio = await ctx.objects.get(REFERENCES, voice.reference_object_key)
    except UnderstudyError as error:
        if error.retryable:
            raise
        raise missing from error
    if voice.reference_sha256:
        if digest(audio) != voice.reference_sha256:
            raise missing
        ctx.recent.keep(voice.reference_sha256, audio)
    return Reference(audio, voice.reference_transcript, voice.language)


def digest(data: bytes) -> str:
    """SHA-256 in lower-case hex, as objects and rows record it."""
    return hashlib.sha256(data).hexdigest()
