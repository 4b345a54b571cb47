"""An upstream without a speech engine: modal.md's five URLs, each answered at once with one fixed clip.

It measures what the service costs, so it does as little as HTTP allows; it is no stand-in and no
test uses it. Run as ``python -m bench.upstream``: it prints its port and serves until it is ended.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from typing import cast

import numpy as np
import uvloop

from understudy.audio.wav import Clip, write_wav

RATE = 24_000
AUDIO_S = 1.0
_HEAD_END = b"\r\n\r\n"
_JOBS = itertools.count(1)


def clip() -> bytes:
    """One second of a tone: 48 kB, about what three spoken words take."""
    times = np.arange(int(RATE * AUDIO_S)) / RATE
    return write_wav(Clip((np.sin(2 * np.pi * 220.0 * times) * 9830).astype(np.int16), RATE))


def _answer(content_type: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (content_type, len(body))
    return head + body


def _json(value: object) -> bytes:
    return _answer(b"application/json", json.dumps(value).encode())


class Upstream(asyncio.Protocol):
    """One connection; requests with a Content-Length, one after the other."""

    audio = _answer(b"audio/wav", clip())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._head: bytes | None = None
        self._buffer = bytearray()
        self._missing = 0

    def data_received(self, data: bytes) -> None:
        """Answer each whole request; bodies are counted and dropped."""
        if self._head is not None:
            taken = min(self._missing, len(data))
            self._missing -= taken
            data = data[taken:]
            if self._missing:
                return
            self._respond(self._head)
            self._head = None
        self._buffer += data
        while (end := self._buffer.find(_HEAD_END)) >= 0:
            head, rest = bytes(self._buffer[:end]), bytes(self._buffer[end + len(_HEAD_END) :])
            self._buffer.clear()
            length = _content_length(head)
            if len(rest) < length:
                self._head, self._missing = head, length - len(rest)
                return
            self._respond(head)
            self._buffer += rest[length:]

    def _respond(self, head: bytes) -> None:
        target = head.split(b" ", 2)[1]
        path, _, query = target.partition(b"?")
        if path == b"/submit":
            self._transport.write(_json({"job_id": f"fc-{next(_JOBS):012d}"}))
        elif path == b"/status":
            job = query.removeprefix(b"job_id=").decode()
            state = {"job_id": job, "status": "completed", "result_ready": True, "elapsed_seconds": 0.0}
            self._transport.write(_json(state))
        elif path == b"/cancel":
            self._transport.write(_json({"ok": True}))
        else:
            self._transport.write(self.audio)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def serve() -> None:
    """Serve on a free loopback port for ever."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
