"""Encode speech as it comes: 16-bit mono PCM to MP3, Opus (Ogg), AAC (ADTS), FLAC, WAV or PCM.

PCM and WAV are written here. Anything compressed is encoded by PyAV in a process of its own
(:mod:`understudy.audio.encode_process`), for the reasons of :mod:`understudy.audio.decode`: its wheel bundles
GPL codecs. That process is started once and forks a child a stream, so that a stream neither waits for the
codecs to load (70 ms) nor can harm another.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Protocol

import numpy as np
import soxr

from understudy.audio.encode_process import CODECS_MISSING, DEFAULT_RATE, FORMATS, LENGTH, Order
from understudy.audio.wav import streaming_wav_header
from understudy.errors import ConfigurationError, EncodingError
from understudy.logs import get_logger

#: In the order in which they are listed to callers.
NAMES = ("mp3", "opus", "aac", "flac", "wav", "pcm")
PLAIN = ("wav", "pcm")
CONTENT_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}

#: One answer of the process; a second of AAC costs 8 ms.
ANSWER_DEADLINE_S = 10.0
#: A second at 24 kHz: what one answer may have to be waited for, and how soon a hang-up is noticed.
PIECE_BYTES = 48_000

#: What the process needs of this one's environment; it is not given the secrets.
_INHERITED = ("PATH", "PYTHON", "LD_", "LANG", "LC_")

log = get_logger(__name__)


class Encoder(Protocol):
    """Encodes one utterance: the pieces it returns, joined, are one file."""

    async def encode(self, pcm: bytes) -> bytes:
        """Take s16le mono bytes, cut anywhere; may return nothing yet."""
        ...

    async def finish(self) -> bytes:
        """Return what is still inside."""
        ...

    async def aclose(self) -> None:
        """Give up, or give back; safe to repeat."""
        ...


def available() -> tuple[str, ...]:
    """Formats that this installation can write: without the extra ``codecs``, only :data:`PLAIN`."""
    return NAMES if importlib.util.find_spec("av") is not None else PLAIN


class Encoders:
    """Makes encoders; one of these a process, :meth:`close` at its end.

    Nothing is started until the first compressed stream, or :meth:`prepare`.
    """

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._control: socket.socket | None = None
        self._starting = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Process id of the running encoder process."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    async def prepare(self, name: str) -> None:
        """Start what ``name`` needs, ahead of the first sample; returns before it is ready."""
        if name not in PLAIN:
            await self._running()

    async def open(self, name: str, rate: int, *, bit_rate_kbps: int | None = None) -> Encoder:
        """Return an encoder of one utterance.

        Parameters
        ----------
        name
            One of :data:`NAMES`.
        rate
            Samples a second of what will be encoded. ``pcm`` comes out at 24 kHz whatever it was.
        bit_rate_kbps
            Of a compressed format; each has a default for speech.

        Raises
        ------
        ConfigurationError
            The extra ``codecs`` is not installed.
        EncodingError
            The process could not be reached.
        """
        if name == "pcm":
            return _PcmEncoder(rate)
        if name == "wav":
            return _WavEncoder(rate)
        order = Order(name, rate, bit_rate_kbps)
        for attempt in (1, 2):
            stream = _Stream(await self._connect())
            try:
                await stream.begin(order)
            except EncodingError:
                await stream.aclose()
                # It died since it was last used, or while it started.
                await self._raise_if_codecs_missing()
                if attempt == 2 or name not in FORMATS:
                    raise
            except BaseException:
                await stream.aclose()
                raise
            else:
                return _ProcessEncoder(stream)
        raise EncodingError

    async def close(self) -> None:
        """End the process; streams that still run end by themselves with their callers."""
        async with self._starting:
            await self._stop()

    async def _connect(self) -> socket.socket:
        """Hand one end of a new connection to the process, return the other."""
        control = await self._running()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs, contextlib.suppress(OSError):
                # Refused (it just died, or does not read): the end of `ours` says so.
                socket.send_fds(control, [b"\0"], [theirs.fileno()])
        except BaseException:
            ours.close()
            raise
        return ours

    async def _running(self) -> socket.socket:
        async with self._starting:
            if self._process is not None and self._process.returncode is None and self._control is not None:
                return self._control
            await self._stop()
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            try:
                with theirs:
                    self._process = await asyncio.create_subprocess_exec(
                        sys.executable,
                        "-m",
                        "understudy.audio.encode_process",
                        stdin=theirs.fileno(),
                        stdout=asyncio.subprocess.DEVNULL,
                        stderr=asyncio.subprocess.DEVNULL,
                        env={
                            name: value for name, value in os.environ.items() if name.startswith(_INHERITED)
                        },
                    )
            except BaseException:
                ours.close()
                raise
            self._control = ours
            log.info("encoder_started", pid=self._process.pid)
            return ours

    async def _raise_if_codecs_missing(self) -> None:
        process = self._process
        if process is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await process.wait()
        if process.returncode == CODECS_MISSING:
            raise ConfigurationError(
                "Compressed audio needs the extra `codecs` (pip install 'understudy[codecs]')."
            )

    async def _stop(self) -> None:
        control, self._control = self._control, None
        process, self._process = self._process, None
        if control is not None:
            control.close()
        if process is None or process.returncode is not None:
            return
        try:
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def encoded(
    encoder: Encoder, pcm: AsyncIterable[bytes], *, piece_bytes: int = PIECE_BYTES
) -> AsyncGenerator[bytes, None]:
    """Yield ``pcm`` encoded, each piece as soon as it is complete, and give ``encoder`` back.

    What ``pcm`` raises is raised here, with nothing after it: what came so far has no proper end.
    """
    try:
        async for chunk in pcm:
            for start in range(0, len(chunk), piece_bytes):
                data = await encoder.encode(chunk[start : start + piece_bytes])
                if data:
                    yield data
        data = await encoder.finish()
        if data:
            yield data
    finally:
        await encoder.aclose()


class _Samples:
    """Cuts bytes where samples begin: providers cut them anywhere."""

    def __init__(self) -> None:
        self._rest = b""

    def whole(self, data: bytes) -> bytes:
        if self._rest:
            data = self._rest + data
        self._rest = data[len(data) & ~1 :]
        return data[: len(data) & ~1]

    def end(self) -> None:
        if self._rest:
            raise EncodingError("The audio did not end with a whole sample.")


class _PcmEncoder:
    """Raw s16le at 24 kHz."""

    def __init__(self, rate: int) -> None:
        self._samples = _Samples()
        same = rate == DEFAULT_RATE
        self._resampler = None if same else soxr.ResampleStream(rate, DEFAULT_RATE, 1, dtype="int16")

    async def encode(self, pcm: bytes) -> bytes:
        return self._convert(self._samples.whole(pcm), last=False)

    async def finish(self) -> bytes:
        self._samples.end()
        return self._convert(b"", last=True)

    async def aclose(self) -> None:
        return

    def _convert(self, pcm: bytes, *, last: bool) -> bytes:
        if self._resampler is None:
            return pcm
        converted = self._resampler.resample_chunk(np.frombuffer(pcm, dtype="<i2"), last=last)
        return bytes(converted.astype("<i2", copy=False).tobytes())


class _WavEncoder:
    """A WAV whose header leaves its length open."""

    def __init__(self, rate: int) -> None:
        self._samples = _Samples()
        self._header = streaming_wav_header(rate)

    async def encode(self, pcm: bytes) -> bytes:
        header, self._header = self._header, b""
        return header + self._samples.whole(pcm)

    async def finish(self) -> bytes:
        self._samples.end()
        header, self._header = self._header, b""
        return header

    async def aclose(self) -> None:
        return


class _ProcessEncoder:
    """A compressed format, by the encoder process."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._samples = _Samples()

    async def encode(self, pcm: bytes) -> bytes:
        whole = self._samples.whole(pcm)
        # An empty frame would end the speech.
        return await self._stream.ask(whole) if whole else b""

    async def finish(self) -> bytes:
        self._samples.end()
        return await self._stream.ask(b"")

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Stream:
    """One connection to a child of the encoder process: a frame there, a frame back."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection: socket.socket | None = connection

    async def begin(self, order: Order) -> None:
        await self.ask(order.to_json())

    async def ask(self, frame: bytes) -> bytes:
        if self._connection is None:
            raise EncodingError
        loop, connection = asyncio.get_running_loop(), self._connection
        try:
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                await loop.sock_sendall(connection, LENGTH.pack(len(frame)) + frame)
                (length,) = LENGTH.unpack(await self._exactly(connection, LENGTH.size))
                return await self._exactly(connection, length)
        except (OSError, TimeoutError) as error:
            # Half an exchange cannot be followed by another.
            await self.aclose()
            raise EncodingError from error

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    async def _exactly(self, connection: socket.socket, count: int) -> bytes:
        loop, received = asyncio.get_running_loop(), bytearray()
        while len(received) < count:
            piece = await loop.sock_recv(connection, count - len(received))
            if not piece:
                raise ConnectionResetError
            received += piece
        return bytes(received)
