"""A paced upstream: DashScope's realtime wire and an OpenAI-shaped twin of it, with nothing behind them.

It does as little as the two protocols allow, so that what a gateway adds can be seen; it is no stand-in and
no test uses it. ``python -m bench.paced FIRST_MS GAP_MS CHUNKS CHUNK_MS`` prints its port and serves until it
is ended. Both speak the same clip: the first piece FIRST_MS after the text, then one each GAP_MS.

``GET /_ended`` answers, once, which conversations were left before their end, and when (CLOCK_MONOTONIC),
and which were spoken to their end. ``GET /_pace?FIRST_MS,GAP_MS`` changes the pace.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import struct
import sys
import time
from dataclasses import dataclass
from typing import Any, cast

import lameenc
import numpy as np
import uvloop

from understudy.audio.wav import Clip, write_wav

RATE = 24_000
_HEAD_END = b"\r\n\r\n"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VOICES = itertools.count(1)
_CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n"
_TYPES = {"mp3": b"audio/mpeg", "pcm": b"audio/pcm", "wav": b"audio/wav"}

#: Conversations whose client left before the end.
left: list[tuple[str, float]] = []
spoken_out: list[str] = []


def spoken(chunks: int, chunk_ms: int) -> dict[str, list[bytes]]:
    """The clip as MP3, PCM and WAV, each cut into ``chunks`` pieces."""
    times = np.arange(RATE * chunks * chunk_ms // 1000) / RATE
    samples = (np.sin(2 * np.pi * 220.0 * times) * 9830).astype(np.int16)
    encoder = lameenc.Encoder()
    encoder.silence()
    encoder.set_in_sample_rate(RATE)
    encoder.set_channels(1)
    encoder.set_bit_rate(64)
    mp3 = bytes(encoder.encode(samples.tobytes())) + bytes(encoder.flush())
    whole = {"mp3": mp3, "pcm": samples.tobytes(), "wav": write_wav(Clip(samples, RATE))}
    return {name: _pieces(audio, chunks) for name, audio in whole.items()}


def _pieces(audio: bytes, count: int) -> list[bytes]:
    size = -(-len(audio) // count)
    size += size % 2
    return [audio[start : start + size] for start in range(0, len(audio), size)]


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """A whole WebSocket frame as a server sends it."""
    if len(payload) < 126:
        return bytes((0x80 | opcode, len(payload))) + payload
    if len(payload) < 65_536:
        return bytes((0x80 | opcode, 126)) + struct.pack(">H", len(payload)) + payload
    return bytes((0x80 | opcode, 127)) + struct.pack(">Q", len(payload)) + payload


def _event(kind: str, **fields: Any) -> bytes:
    return frame(json.dumps({"event_id": "event_bench", "type": kind, **fields}).encode())


_IDS: dict[str, Any] = {
    "response_id": "resp_bench",
    "item_id": "item_bench",
    "output_index": 0,
    "content_index": 0,
}


@dataclass(slots=True)
class Script:
    """What is said and when; built once."""

    first_s: float
    gap_s: float
    pieces: dict[str, list[bytes]]
    deltas: dict[str, list[bytes]]

    @classmethod
    def of(cls, first_ms: float, gap_ms: float, chunks: int, chunk_ms: int) -> Script:
        """Encode everything in advance."""
        pieces = spoken(chunks, chunk_ms)
        deltas = {
            name: [
                _event("response.audio.delta", **_IDS, delta=base64.b64encode(piece).decode())
                for piece in cut
            ]
            for name, cut in pieces.items()
        }
        return cls(first_ms / 1000, gap_ms / 1000, pieces, deltas)


CREATED = _event("session.created", session={"object": "realtime.session", "id": "sess_bench"})
UPDATED = _event("session.updated", session={"object": "realtime.session", "id": "sess_bench"})
BEGUN = b"".join(
    (
        _event("response.created", response={"id": "resp_bench", "status": "in_progress", "output": []}),
        _event(
            "response.output_item.added", response_id="resp_bench", output_index=0, item={"id": "item_bench"}
        ),
        _event("response.content_part.added", **_IDS, part={"type": "audio", "text": ""}),
    )
)
DONE = b"".join(
    (
        _event("response.audio.done", **_IDS),
        _event("response.content_part.done", **_IDS, part={"type": "audio", "text": ""}),
        _event(
            "response.output_item.done", response_id="resp_bench", output_index=0, item={"id": "item_bench"}
        ),
    )
)


def _ended(characters: int) -> bytes:
    response = {"id": "resp_bench", "status": "completed", "output": [], "usage": {"characters": characters}}
    return DONE + _event("response.done", response=response) + _event("session.finished")


def _answer(value: object, status: bytes = b"200 OK") -> bytes:
    body = json.dumps(value).encode()
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


class Upstream(asyncio.Protocol):
    """One connection: requests one after the other, or one realtime session."""

    script: Script

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = bytearray()
        self._upgraded = False
        self._format = "pcm"
        self._text = ""
        self._timer: asyncio.TimerHandle | None = None
        self._speaking = False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Note a conversation that was left."""
        if self._timer is not None:
            self._timer.cancel()
        if self._speaking:
            left.append((self._text, time.monotonic()))

    def data_received(self, data: bytes) -> None:
        """Take what is whole."""
        self._buffer += data
        while self._frame() if self._upgraded else self._request():
            pass

    def _request(self) -> bool:
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            return False
        head = bytes(self._buffer[:end])
        length = _content_length(head)
        if len(self._buffer) < end + 4 + length:
            return False
        body = bytes(self._buffer[end + 4 : end + 4 + length])
        del self._buffer[: end + 4 + length]
        path, _, query = head.split(b" ", 2)[1].partition(b"?")
        if path.endswith(b"/realtime"):
            self._upgrade(head)
        elif path.endswith(b"/audio/speech"):
            self._speak_http(json.loads(body))
        elif path.endswith(b"/customization"):
            self._transport.write(_customized(json.loads(body)))
        elif path == b"/_pace":
            first_ms, gap_ms = map(float, query.split(b","))
            self.script.first_s, self.script.gap_s = first_ms / 1000, gap_ms / 1000
            self._transport.write(_answer([first_ms, gap_ms]))
        elif path == b"/_ended":
            self._transport.write(_answer({"left": left, "spoken_out": spoken_out}))
            left.clear()
            spoken_out.clear()
        else:
            self._transport.write(_answer({"detail": "not here"}, b"404 Not Found"))
        return True

    def _upgrade(self, head: bytes) -> None:
        key = next(
            line.split(b":", 1)[1].strip()
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key")
        )
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())  # the protocol's own digest
        self._upgraded = True
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-accept: %b\r\n\r\n" % accept + CREATED
        )

    def _frame(self) -> bool:
        """Take one masked client frame; none of ours is longer than 64 kB or fragmented."""
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        opcode, length, start = buffer[0] & 0x0F, buffer[1] & 0x7F, 2
        if length == 126:
            if len(buffer) < 4:
                return False
            length, start = struct.unpack(">H", buffer[2:4])[0], 4
        if len(buffer) < start + 4 + length:
            return False
        mask = bytes(buffer[start : start + 4])
        payload = bytes(buffer[start + 4 : start + 4 + length])
        del buffer[: start + 4 + length]
        if any(mask):
            key = (mask * (length // 4 + 1))[:length]
            payload = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")
        if opcode == 8:
            self._transport.write(frame(payload, 8))
            self._transport.close()
            return False
        if opcode == 9:
            self._transport.write(frame(payload, 10))
        elif opcode == 1:
            self._told(json.loads(payload))
        return True

    def _told(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "session.update":
            self._format = event["session"].get("response_format", "pcm")
            self._transport.write(UPDATED)
        elif kind == "input_text_buffer.append":
            self._text += event["text"]
        elif kind == "session.finish":
            self._transport.write(BEGUN)
            self._speak(self.script.deltas[self._format], _ended(len(self._text)))

    def _speak_http(self, order: dict[str, Any]) -> None:
        self._text = order.get("input", "")
        name = order.get("response_format", "mp3")
        chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in self.script.pieces[name]]
        chunks[0] = _CHUNKED % _TYPES[name] + chunks[0]
        self._speak(chunks, b"0\r\n\r\n")

    def _speak(self, pieces: list[bytes], end: bytes) -> None:
        script, loop = self.script, asyncio.get_running_loop()
        begun = loop.time() + script.first_s
        self._speaking = True
        if not script.first_s and not script.gap_s:
            self._transport.write(b"".join(pieces) + end)
            self._speaking = False
            return

        def say(number: int) -> None:
            if number + 1 < len(pieces):
                self._transport.write(pieces[number])
                self._timer = loop.call_at(begun + (number + 1) * script.gap_s, say, number + 1)
            else:
                self._speaking = False
                spoken_out.append(self._text)
                self._transport.write(pieces[number] + end)

        self._timer = loop.call_at(begun, say, 0)


def _customized(order: dict[str, Any]) -> bytes:
    """A create that always works, and an account that lists nothing."""
    asked = order["input"]
    if asked["action"] == "create":
        voice = f"qwen-tts-vc-{asked['preferred_name']}-voice-{next(_VOICES):08d}"
        output = {"voice": voice, "target_model": asked["target_model"], "fallback_mode": False}
        return _answer({"output": output, "usage": {"count": 1}, "request_id": "bench"})
    return _answer({"output": {"voice_list": []}, "usage": {"count": 0}, "request_id": "bench"})


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def serve(script: Script) -> None:
    """Serve on a free loopback port for ever."""
    Upstream.script = script
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    first, gap, count, piece_ms = (float(value) for value in sys.argv[1:5])
    uvloop.run(serve(Script.of(first, gap, int(count), int(piece_ms))))
