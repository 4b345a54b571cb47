"""Decode what a tenant uploaded, without believing it.

WAV is read here. Anything compressed is decoded by PyAV in a process of its own
(:mod:`understudy.audio.decode_process`) under limits of time, memory and duration: its wheel bundles
GPL codecs, and a decoder is where hostile bytes do harm.
"""

from __future__ import annotations

import asyncio
import sys

from understudy.audio.wav import Clip, duration_ms, from_pcm, read_wav
from understudy.errors import ConfigurationError, ValidationError

#: The longest recording a voice may be made from (facts/dashscope.md section 5: 60 s) with room to trim.
MAX_DURATION_MS = 300_000
DECODED_RATE = 24_000
DECODE_DEADLINE_S = 20.0

#: Exit code of the decoder process when PyAV is not installed.
CODECS_MISSING = 3


async def decode_upload(data: bytes) -> Clip:
    """Decode an uploaded recording.

    Parameters
    ----------
    data
        The bytes as uploaded. What the uploader calls them is not asked: the bytes decide.

    Raises
    ------
    ValidationError
        Empty, not audio, too long, or not decodable within its limits.
    ConfigurationError
        A compressed upload, and the extra ``codecs`` is not installed.
    """
    if not data:
        raise ValidationError("The audio file is empty.")
    looks_like_wav = data[:4] == b"RIFF" and data[8:12] == b"WAVE"
    if looks_like_wav:
        try:
            return _within_limits(read_wav(data))
        except ValidationError:
            is_pcm16 = data[20:22] == b"\x01\x00" and data[34:36] == b"\x10\x00"
            if is_pcm16:
                raise
    return _within_limits(await _decode_compressed(data))


def _within_limits(clip: Clip) -> Clip:
    if not clip.samples.size:
        raise ValidationError("The audio file holds no audio.")
    if duration_ms(clip) > MAX_DURATION_MS:
        raise ValidationError(f"The audio is longer than {MAX_DURATION_MS // 1000} seconds.")
    return clip


async def _decode_compressed(data: bytes) -> Clip:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "understudy.audio.decode_process",
        str(DECODED_RATE),
        str(MAX_DURATION_MS),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(DECODE_DEADLINE_S):
            pcm, _ = await process.communicate(data)
    except TimeoutError:
        raise ValidationError("The audio could not be decoded in time.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == CODECS_MISSING:
        raise ConfigurationError(
            "Compressed audio needs the extra `codecs` (pip install 'understudy[codecs]')."
        )
    if process.returncode != 0 or not pcm:
        raise ValidationError("The file is not audio that can be decoded (WAV, MP3 or M4A).")
    return from_pcm(pcm, DECODED_RATE)
