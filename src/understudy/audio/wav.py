"""16-bit mono waveforms: read, write, resample, measure."""

from __future__ import annotations

import io
import struct
import wave
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

from understudy.errors import ValidationError

Samples = npt.NDArray[np.int16]

#: Below this RMS (0..1) a whole clip is silence: -60 dBFS, under any speech and over dithered zero.
SILENCE_RMS = 0.001
#: A header with this size or more leaves the length open: ffmpeg writes 2^32 - 1 into a pipe, SoX 2^31 - 1.
_OPEN_LENGTH_BYTES = 0x7FFFFFFE


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A waveform.

    Parameters
    ----------
    samples
        Shape ``(n,)``, 16 bit, mono.
    rate
        Samples a second.
    """

    samples: Samples
    rate: int


def from_pcm(data: bytes, rate: int) -> Clip:
    """Wrap raw s16le mono bytes; an odd last byte is an error.

    Raises
    ------
    ValidationError
        The bytes do not hold whole samples.
    """
    if len(data) % 2:
        raise ValidationError("The audio does not hold whole 16-bit samples.")
    return Clip(np.frombuffer(data, dtype="<i2").astype(np.int16, copy=False), rate)


def to_pcm(clip: Clip) -> bytes:
    """Raw s16le bytes of ``clip``."""
    return clip.samples.astype("<i2", copy=False).tobytes()


def read_wav(data: bytes) -> Clip:
    """Read a 16-bit PCM WAV; several channels are averaged into one.

    A streamed file, whose header leaves the length open, is what it holds.

    Raises
    ------
    ValidationError
        Not a WAV, not 16-bit PCM, or shorter than its own header says (truncated).
    """
    try:
        with wave.open(io.BytesIO(data)) as reader:
            if reader.getsampwidth() != 2:
                raise ValidationError("The WAV file is not 16-bit PCM.")
            channels, rate, promised = reader.getnchannels(), reader.getframerate(), reader.getnframes()
            frames = reader.readframes(promised)
    except (wave.Error, EOFError, struct.error, ZeroDivisionError, RuntimeError) as error:
        # A bare RuntimeError is how the library says that a chunk leads outside the file.
        raise ValidationError("The audio is not a readable WAV file.") from error
    if rate <= 0 or channels <= 0:
        raise ValidationError("The audio is not a readable WAV file.")
    frame_bytes = channels * 2
    if promised * frame_bytes >= _OPEN_LENGTH_BYTES - frame_bytes:
        frames = frames[: len(frames) // frame_bytes * frame_bytes]
    elif len(frames) != promised * frame_bytes:
        raise ValidationError("The WAV file is shorter than its header says.")
    samples = np.frombuffer(frames, dtype="<i2")
    if channels > 1:
        samples = samples.reshape(-1, channels).mean(axis=1).astype(np.int16)
    return Clip(samples.astype(np.int16, copy=False), rate)


def write_wav(clip: Clip) -> bytes:
    """A complete WAV file, 16-bit mono."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(clip.rate)
        writer.writeframes(to_pcm(clip))
    return buffer.getvalue()


def streaming_wav_header(rate: int) -> bytes:
    """The header of a 16-bit mono WAV whose length is not known yet; raw s16le samples follow it."""
    riff = struct.pack("<4sI4s", b"RIFF", 0xFFFFFFFF, b"WAVE")
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    return riff + form + struct.pack("<4sI", b"data", 0xFFFFFFFF)


def resample(clip: Clip, rate: int) -> Clip:
    """``clip`` at ``rate``. Going up adds no band that the source does not have."""
    if clip.rate == rate:
        return clip
    floats = clip.samples.astype(np.float32) / 32768.0
    converted = soxr.resample(floats, clip.rate, rate)
    return Clip(np.clip(np.rint(converted * 32768.0), -32768, 32767).astype(np.int16), rate)


def join(clips: list[Clip]) -> Clip:
    """``clips`` one after the other, at the first one's rate."""
    rate = clips[0].rate
    return Clip(np.concatenate([resample(clip, rate).samples for clip in clips]), rate)


def loudness(clip: Clip) -> float:
    """Root mean square, 0 to 1; an empty clip has 0."""
    if not clip.samples.size:
        return 0.0
    return float(np.sqrt(np.mean(np.square(clip.samples.astype(np.float64) / 32768.0))))


def is_silent(clip: Clip) -> bool:
    """Whether nothing can be heard in the whole clip."""
    return loudness(clip) < SILENCE_RMS


def duration_ms(clip: Clip) -> int:
    """Length in milliseconds, rounded down."""
    return len(clip.samples) * 1000 // clip.rate
