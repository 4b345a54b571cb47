"""Speech in the format that was asked for: the provider's own where it has it, encoded here where not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from understudy.audio import encode
from understudy.audio.encode import Encoders, encoded
from understudy.audio.wav import read_wav, to_pcm
from understudy.errors import EncodingError, ValidationError
from understudy.providers.base import AudioFormat, Provider
from understudy.speech.streaming import OpenStream

#: Formats that providers may offer themselves. A WAV is written here all the same: its header is ours, then.
_NATIVE = {"mp3": AudioFormat.MP3, "opus": AudioFormat.OPUS}
#: What everything else is made of: as it comes, or whole.
_RAW = (AudioFormat.PCM, AudioFormat.WAV)


def acceptable(name: str) -> tuple[AudioFormat, ...]:
    """Return the providers' formats that ``name`` can be made of here, the best first."""
    native = (_NATIVE[name],) if name in _NATIVE else ()
    return native + (_RAW if name in encode.available() else ())


def needs_encoder(name: str, provider: Provider) -> bool:
    """Whether what ``provider`` offers has to be encoded to become ``name``."""
    return name not in encode.PLAIN and _NATIVE.get(name) not in provider.capabilities.formats


async def spoken_as(name: str, stream: OpenStream, encoders: Encoders) -> AsyncGenerator[bytes, None]:
    """Yield the speech of ``stream`` as ``name``, each piece as soon as it is complete.

    Raises
    ------
    EncodingError, ConfigurationError
        It could not be encoded.
    UnderstudyError
        As ``stream.chunks()``, when the speech broke off.
    """
    async with aclosing(stream.chunks()) as chunks:
        if stream.audio_format is _NATIVE.get(name) or (
            stream.audio_format is AudioFormat.WAV and name == "wav"
        ):
            async for chunk in chunks:
                yield chunk
            return
        if stream.audio_format is AudioFormat.PCM:
            rate, pcm = stream.sample_rate, chunks
        else:
            whole = b"".join([chunk async for chunk in chunks])
            # Minutes of speech take their time.
            rate, pcm = await asyncio.to_thread(_samples_of, whole)
        async with aclosing(encoded(await encoders.open(name, rate), pcm)) as pieces:
            async for piece in pieces:
                yield piece


def _samples_of(wav: bytes) -> tuple[int, AsyncGenerator[bytes, None]]:
    try:
        clip = read_wav(wav)
    except ValidationError as error:
        raise EncodingError from error
    return clip.rate, _once(to_pcm(clip))


async def _once(pcm: bytes) -> AsyncGenerator[bytes, None]:
    yield pcm
