"""Turn raw speech into the format a session asked for, piece by piece."""

from __future__ import annotations

import io
from typing import Any, Protocol

import numpy as np

from understudy.audio.wav import from_pcm, streaming_wav_header, write_wav
from understudy.errors import ConfigurationError, ValidationError

#: The vendor's formats, all of them (facts/dashscope.md section 2).
STREAM_FORMATS = ("pcm", "wav", "mp3", "opus")
DEFAULT_BIT_RATE_KBPS = 128
#: Audio in one Ogg page: at libsndfile's own 1000 ms a paced stream would come in bursts of a second.
_OGG_PAGE_MS = 100.0
#: ``SFC_SET_OGG_PAGE_LATENCY_MS`` of libsndfile's sndfile.h.
_SET_OGG_PAGE_LATENCY_MS = 0x1302
#: libsndfile maps its compression level 0 to 1 linearly to 256 down to 6 kbit/s a channel.
_OPUS_KBPS = (6, 256)


class StreamEncoder(Protocol):
    """Encodes one utterance: the pieces it returns, joined, decode as one."""

    def encode(self, pcm: bytes) -> bytes:
        """Take s16le mono samples; may return nothing yet."""
        ...

    def finish(self) -> bytes:
        """Return what is still inside."""
        ...


class PcmEncoder:
    """Passes samples through."""

    def encode(self, pcm: bytes) -> bytes:
        """Return ``pcm``."""
        return pcm

    def finish(self) -> bytes:
        """Nothing is ever kept."""
        return b""


class WavEncoder:
    """PCM behind a header that leaves the length open; without a header where one was sent before.

    Parameters
    ----------
    continues
        The same file goes on: only its first part has a header.
    """

    def __init__(self, rate: int, *, continues: bool) -> None:
        self._header = b"" if continues else streaming_wav_header(rate)

    def encode(self, pcm: bytes) -> bytes:
        """Return ``pcm``, the first time behind the header."""
        header, self._header = self._header, b""
        return header + pcm

    def finish(self) -> bytes:
        """Return the header of a file without audio, or nothing."""
        return self.encode(b"")


class OpusEncoder:
    """Ogg Opus by libsndfile, a page each :data:`_OGG_PAGE_MS`. Streams in a row are one chained Ogg file.

    Raises
    ------
    ConfigurationError
        The extra ``local`` is not installed.
    """

    def __init__(self, rate: int, bit_rate_kbps: int) -> None:
        try:
            import soundfile  # noqa: PLC0415  # optional: the extra `local`
        except ImportError:
            raise ConfigurationError(
                "Opus needs the extra `local` (pip install 'understudy[local]')."
            ) from None
        least, most = _OPUS_KBPS
        self._pages = _PageSink()
        self._file = soundfile.SoundFile(
            self._pages,
            "w",
            samplerate=rate,
            channels=1,
            format="OGG",
            subtype="OPUS",
            compression_level=(most - min(max(bit_rate_kbps, least), most)) / (most - least),
        )
        # The wrapper has no method for this command of the library.
        latency = soundfile._ffi.new("double*", _OGG_PAGE_MS)  # noqa: SLF001
        soundfile._snd.sf_command(self._file._file, _SET_OGG_PAGE_LATENCY_MS, latency, 8)  # noqa: SLF001

    def encode(self, pcm: bytes) -> bytes:
        """Return the pages that are complete."""
        self._file.write(np.frombuffer(pcm, "<i2").astype(np.int16, copy=False))
        return self._pages.taken()

    def finish(self) -> bytes:
        """Return the last pages, the end of the stream marked."""
        self._file.close()
        return self._pages.taken()


class _PageSink(io.RawIOBase):
    """Takes what libsndfile writes; it asks for the position, and never goes back in an Ogg stream."""

    def __init__(self) -> None:
        super().__init__()
        self._fresh = bytearray()
        self._position = 0

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        fresh, self._fresh = bytes(self._fresh), bytearray()
        return fresh

    def write(self, data: Any) -> int:
        """Keep ``data``."""
        self._fresh += data
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Answer the position; the library looks for the end of the file before it begins."""
        del offset, whence
        return self._position

    def tell(self) -> int:
        """Bytes written so far."""
        return self._position


class Mp3Encoder:
    """Constant bit rate MP3 by lameenc.

    Raises
    ------
    ConfigurationError
        The extra ``local`` is not installed.
    """

    def __init__(self, rate: int, bit_rate_kbps: int) -> None:
        try:
            import lameenc  # noqa: PLC0415  # optional: the extra `local`
        except ImportError:
            raise ConfigurationError(
                "MP3 needs the extra `local` (pip install 'understudy[local]')."
            ) from None
        encoder = lameenc.Encoder()
        encoder.silence()
        encoder.set_in_sample_rate(rate)
        encoder.set_out_sample_rate(rate)
        encoder.set_channels(1)
        # LAME has no frame of less than 8 or more than 320 kbit/s; it moves other values to the nearest.
        encoder.set_bit_rate(min(max(bit_rate_kbps, 8), 320))
        encoder.set_quality(7)
        self._encoder = encoder

    def encode(self, pcm: bytes) -> bytes:
        """Return the frames that are complete."""
        return bytes(self._encoder.encode(pcm))

    def finish(self) -> bytes:
        """Return the last frames."""
        return bytes(self._encoder.flush())


def make_encoder(
    name: str, rate: int, bit_rate_kbps: int = DEFAULT_BIT_RATE_KBPS, *, continues: bool = False
) -> StreamEncoder:
    """Return an encoder of one of :data:`STREAM_FORMATS`.

    Parameters
    ----------
    continues
        What it makes follows, in the same file, what an encoder of the same format made before.

    Raises
    ------
    ValidationError
        Another format.
    ConfigurationError
        The format needs the extra ``local``, which is not installed.
    """
    if name == "pcm":
        return PcmEncoder()
    if name == "wav":
        return WavEncoder(rate, continues=continues)
    if name == "mp3":
        return Mp3Encoder(rate, bit_rate_kbps)
    if name == "opus":
        return OpusEncoder(rate, bit_rate_kbps)
    raise ValidationError(f"There is no format {name!r}: use one of {', '.join(STREAM_FORMATS)}.")


def encode_whole(name: str, pcm: bytes, rate: int) -> bytes:
    """Encode a whole utterance (a WAV with its true length); raises as :func:`make_encoder`."""
    if name == "wav":
        return write_wav(from_pcm(pcm, rate))
    encoder = make_encoder(name, rate)
    return encoder.encode(pcm) + encoder.finish()
