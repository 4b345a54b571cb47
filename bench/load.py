"""The load of the gateway benchmark, in a process of its own: one plan a line in, one result a line out.

Raw sockets and prebuilt requests, so that the client takes as little as possible of the cores it shares with
what it measures. A plan asks ``samples`` clips of one target, ``concurrency`` at once, each worker again as
soon as its clip has ended. Times are ``CLOCK_MONOTONIC``, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import httptools
import uvloop

CLIP_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask.

    Parameters
    ----------
    kind
        ``http``, or ``ws`` for DashScope's realtime conversation.
    requests
        Whole requests, or texts for ``ws``; worker *n* sends the *n*-th again and again. ``{n}`` in a text
        becomes the number of the clip.
    spread_s
        The workers begin evenly over this time, as strangers would; 0: all at one instant.
    leave_after_s
        Leave each conversation this many seconds after the request; ``None`` hears it out.
    pause_after_error_s
        Errors are expected, and a worker waits this long after one. 0: too many of them end the plan.
    """

    port: int
    kind: str
    requests: list[str]
    concurrency: int
    samples: int
    warm_up: int = 0
    spread_s: float = 0.0
    leave_after_s: float | None = None
    pause_after_error_s: float = 0.0


@dataclass(slots=True)
class Result:
    """What was heard, in seconds; ``left`` pairs the number of a clip with the instant its client left."""

    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    left: list[tuple[int, float]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0
    heard_bytes: int = 0


class Ear(asyncio.Protocol):
    """One connection; ``first`` and ``end`` are when the first and the last byte of a clip came."""

    def __init__(self) -> None:
        self.first = self.end = 0.0
        self.status = 0
        self.heard = 0
        self.open = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        self.open = True

    def connection_lost(self, exc: Exception | None) -> None:
        """A clip that had no end is broken."""
        self.open = False
        self._over(f"cut: {exc!r}")

    def begin(self) -> None:
        """Before the next request on this connection."""
        self.first = self.end = 0.0
        self.heard = 0
        self.ended = asyncio.get_running_loop().create_future()

    def _sound(self, size: int) -> None:
        if not self.first:
            self.first = time.monotonic()
        self.heard += size

    def _over(self, problem: str = "") -> None:
        self.end = time.monotonic()
        if not self.ended.done():
            if problem:
                self.ended.set_exception(ConnectionError(problem))
            else:
                self.ended.set_result(None)


class HttpEar(Ear):
    """Hears the body of an HTTP response."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        """The parser's word."""
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """The parser's word."""
        self._sound(len(body))

    def on_message_complete(self) -> None:
        """The parser's word."""
        self.open = self.open and self._parser.should_keep_alive()
        self._over("" if self.status == 200 else f"HTTP {self.status}")

    def ask(self, request: str, number: int) -> None:
        """Send the request."""
        head, _, body = request.partition("\r\n\r\n")
        content = body.replace("{n}", str(number)).encode()
        self.transport.write(f"{head}\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content)


class RealtimeEar(Ear):
    """Holds one realtime conversation as the adapter does, each step after the answer to the last."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)
        self._buffer = bytearray()
        self._upgraded = False
        self._text = ""

    def ask(self, request: str, number: int) -> None:
        """Open the conversation."""
        self._text = request.replace("{n}", str(number))
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            "GET /api-ws/v1/realtime?model=bench HTTP/1.1\r\nhost: bench\r\nupgrade: websocket\r\n"
            f"connection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n"
            "authorization: Bearer sk-bench\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take whole frames."""
        self._buffer += data
        if not self._upgraded:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self._buffer.startswith(b"HTTP/1.1 101"):
                self._over("the handshake was refused")
                return
            del self._buffer[: end + 4]
            self._upgraded = True
            self.status = 200
        for payload in self._frames():
            self._told(payload)

    def _frames(self) -> Iterator[bytes]:
        buffer = self._buffer
        while len(buffer) >= 2:
            length, start = buffer[1], 2
            if length == 126:
                if len(buffer) < 4:
                    return
                length, start = struct.unpack(">H", buffer[2:4])[0], 4
            if len(buffer) < start + length:
                return
            payload = bytes(buffer[start : start + length])
            del buffer[: start + length]
            yield payload

    def _told(self, payload: bytes) -> None:
        kind = payload[:90]
        if b"response.audio.delta" in kind:
            self._sound(len(base64.b64decode(json.loads(payload)["delta"])))
        elif b"session.created" in kind:
            session = {"voice": "bench", "mode": "server_commit", "response_format": "mp3"}
            self._tell({"type": "session.update", "session": session})
        elif b"session.updated" in kind:
            self._tell({"type": "input_text_buffer.append", "text": self._text})
            self._tell({"type": "session.finish"})
        elif b"session.finished" in kind:
            self.open = False
            self._over()

    def _tell(self, event: dict[str, Any]) -> None:
        payload = json.dumps({"event_id": "event_bench", **event}).encode()
        length = (
            bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
        )
        # A mask of zeros is a mask, and leaves the payload as it is.
        self.transport.write(b"\x81" + length + b"\0\0\0\0" + payload)


async def _clip(ear: Ear, plan: Plan, request: str, number: int, asked: float, result: Result) -> bool:
    """One clip; whether it went as planned."""
    ear.begin()
    cast("HttpEar | RealtimeEar", ear).ask(request, number)
    try:
        async with asyncio.timeout(CLIP_DEADLINE_S):
            if plan.leave_after_s is not None:
                await asyncio.sleep(plan.leave_after_s)
            else:
                await ear.ended
                result.first.append(ear.first - asked)
                result.whole.append(ear.end - asked)
                result.heard_bytes += ear.heard
                return True
    except (ConnectionError, TimeoutError) as error:
        result.errors.append(str(error) or type(error).__name__)
        return False
    result.left.append((number, time.monotonic()))
    ear.ended.cancel()
    ear.transport.abort()
    ear.open = False
    return True


async def _worker(plan: Plan, index: int, request: str, numbers: Iterator[int], result: Result) -> None:
    await asyncio.sleep(plan.spread_s * index / plan.concurrency)
    ear: Ear | None = None
    kind = HttpEar if plan.kind == "http" else RealtimeEar
    for number in numbers:
        asked = (
            time.monotonic()
        )  # a conversation of its own connection includes the connect, as the adapter's does
        if ear is None or not ear.open:
            if ear is not None:
                ear.transport.close()
            _, ear = await asyncio.get_running_loop().create_connection(kind, "127.0.0.1", plan.port)
        if await _clip(ear, plan, request, number, asked, result):
            continue
        if plan.pause_after_error_s:
            await asyncio.sleep(plan.pause_after_error_s)
        elif len(result.errors) > plan.samples // 10 + 5:
            break
    if ear is not None:
        ear.transport.close()


async def carry_out(plan: Plan) -> Result:
    """Ask everything of a plan."""
    result = Result()
    for samples, into in ((plan.warm_up, Result()), (plan.samples, result)):
        # One counter for all workers: no worker waits for another.
        numbers = iter(range(samples))
        workers = min(plan.concurrency, samples)
        requests = itertools.islice(itertools.cycle(plan.requests), workers)
        began = time.monotonic()
        await asyncio.gather(
            *(_worker(plan, index, request, numbers, into) for index, request in enumerate(requests))
        )
        into.seconds = time.monotonic() - began
    return result


async def serve() -> None:
    """One plan after the other until the input ends."""
    reader = asyncio.StreamReader(limit=2**24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        result = await carry_out(Plan(**json.loads(line)))
        sys.stdout.write(json.dumps(asdict(result)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(serve())
