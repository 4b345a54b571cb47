"""The encoder process: PCM in, a compressed format out, one forked child a stream.

Run as ``python -m understudy.audio.encode_process`` with a Unix socket as standard input. It loads the
codecs once (70 ms, 45 MB); each message on that socket carries the descriptor of one stream's own socket,
and the child that is forked for it (4 ms) may open no file and no address. Both leave when their socket ends.

On a stream's socket both sides send frames: four bytes of length, then so many bytes. The first frame is
:class:`Order` as JSON; each further one holds s16le mono samples, an empty one ends the speech. Every frame
is answered by exactly one, which holds what the encoder gave out for it, maybe nothing.
"""

from __future__ import annotations

import json
import os
import resource
import secrets
import signal
import socket
import struct
import sys
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

#: Exit code when PyAV is not installed; as the decoder's.
CODECS_MISSING = 3
#: Of address space; with every codec loaded it is 165 MB.
MEMORY_LIMIT_BYTES = 1024**3
#: An hour of AAC, the slowest, costs 35 s.
CPU_LIMIT_S = 60

LENGTH = struct.Struct(">I")
MAX_FRAME_BYTES = 1024 * 1024
#: What Opus, the pickiest, can be fed with.
RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
DEFAULT_RATE = 24_000


@dataclass(frozen=True, slots=True)
class Order:
    """One stream: ``name`` of a format, samples a second of what comes, kilobits a second of what goes."""

    name: str
    rate: int
    bit_rate_kbps: int | None = None

    def to_json(self) -> bytes:
        """Return it as the first frame holds it."""
        return json.dumps(asdict(self)).encode()


@dataclass(frozen=True, slots=True)
class _Recipe:
    container: str
    codec: str
    bit_rate_kbps: int | None = None
    #: Effort, chosen for streams: the codecs' own defaults cost 3 to 6 times the processor time.
    effort: tuple[tuple[str, str], ...] = ()
    muxing: tuple[tuple[str, str], ...] = ()


_RECIPES = {
    # No Xing header and no tag: both would need a second look at the beginning.
    "mp3": _Recipe(
        "mp3",
        "libmp3lame",
        128,
        (("compression_level", "7"),),
        (("write_xing", "0"), ("id3v2_version", "0")),
    ),
    # A page for each 20 ms, in microseconds: the default holds a second back. Bit-exact, because for a serial
    # number of its own choice the muxer opens /dev/urandom, and failing that takes 250 ms.
    "opus": _Recipe(
        "ogg",
        "libopus",
        64,
        (("compression_level", "5"),),
        (("page_duration", "20000"), ("fflags", "bitexact")),
    ),
    "aac": _Recipe("adts", "aac", 96, (("aac_coder", "fast"),)),
    "flac": _Recipe("flac", "flac"),
}
FORMATS = tuple(_RECIPES)


class _Output:
    """What the muxer writes into; it cannot seek, so nothing written is taken back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


class Encoding:
    """One stream's encoder, in the process that calls it."""

    def __init__(self, av: Any, order: Order) -> None:
        recipe = _RECIPES[order.name]
        out_rate = order.rate if order.rate in RATES else DEFAULT_RATE
        options = dict(recipe.effort)
        bit_rate_kbps = order.bit_rate_kbps or recipe.bit_rate_kbps
        if bit_rate_kbps:
            options["b"] = f"{bit_rate_kbps}k"
        self._av = av
        self._rate = order.rate
        self._output = _Output()
        self._container = av.open(
            self._output,
            mode="w",
            format=recipe.container,
            options={**dict(recipe.muxing), "flush_packets": "1", **_serial(recipe.container)},
        )
        self._stream = self._container.add_stream(recipe.codec, rate=out_rate, layout="mono", options=options)
        # Threads would look ahead, and the limits count them all.
        self._stream.codec_context.thread_count = 1
        self._resampler = av.AudioResampler(format=self._stream.format.name, layout="mono", rate=out_rate)
        self._samples = 0

    def encode(self, pcm: bytes) -> bytes:
        """Take s16le samples and return what is complete."""
        count = len(pcm) // 2
        frame = self._av.AudioFrame(format="s16", layout="mono", samples=count, align=1)
        frame.planes[0].update(pcm)
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        frame.pts = self._samples
        self._samples += count
        self._mux(self._resampler.resample(frame))
        return self._output.take()

    def finish(self) -> bytes:
        """Return the rest, trailer included."""
        if self._samples:
            self._mux(self._resampler.resample(None))
            for packet in self._stream.encode(None):
                self._container.mux(packet)
        self._container.close()
        return self._output.take()

    def _mux(self, frames: list[Any]) -> None:
        for frame in frames:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)


def _serial(container: str) -> dict[str, str]:
    """A logical Ogg stream is known by a number: two that are joined must not share it."""
    return {"serial_offset": str(secrets.randbits(31))} if container == "ogg" else {}


def main() -> int:
    """Fork one child a stream until the socket at standard input ends."""
    try:
        import av  # noqa: PLC0415  (an extra; its absence is an answer, not a crash)
    except ImportError:
        return CODECS_MISSING
    # Modules and codecs that load at their first use: a child could not open them any more.
    for name in FORMATS:
        once = Encoding(av, Order(name, DEFAULT_RATE))
        once.encode(bytes(DEFAULT_RATE // 5))
        once.finish()
    # A group is signalled as a whole; streams that are being drained need this process to the end.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    control = socket.socket(fileno=sys.stdin.fileno())
    while True:
        _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not descriptors:
            return 0
        if os.fork() == 0:
            control.close()
            os._exit(_serve(av, socket.socket(fileno=descriptors[0])))
        os.close(descriptors[0])


def _serve(av: Any, stream: socket.socket) -> int:
    """Encode one stream; returns when its other end is gone."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
    # No descriptor beyond those that are open: no file, no address, whatever a codec comes to.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    try:
        order = Order(**json.loads(_receive(stream)))
        encoding = Encoding(av, order)
        _send(stream, b"")
        while pcm := _receive(stream):
            _send(stream, encoding.encode(pcm))
        _send(stream, encoding.finish())
    except (OSError, EOFError):
        return 0
    except Exception:  # noqa: BLE001  # whatever it was: the other end sees that no answer came
        return 1
    return 0


def _receive(stream: socket.socket) -> bytes:
    (length,) = LENGTH.unpack(_exactly(stream, LENGTH.size))
    if length > MAX_FRAME_BYTES:
        raise EOFError
    return _exactly(stream, length)


def _exactly(stream: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        piece = stream.recv(count - len(received))
        if not piece:
            raise EOFError
        received += piece
    return bytes(received)


def _send(stream: socket.socket, data: bytes) -> None:
    stream.sendall(LENGTH.pack(len(data)) + data)


if __name__ == "__main__":
    sys.exit(main())
