"""A WebSocket server on bare TCP that does exactly what a test says, to the byte."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.fault_proxy import reset

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
Event = dict[str, Any]


def frame(opcode: int, payload: bytes, *, head: int = 0x80) -> bytes:
    """One frame from a server; ``head`` are the bits beside the opcode."""
    length = len(payload)
    if length < 126:
        return struct.pack("!BB", head | opcode, length) + payload
    if length < 65_536:
        return struct.pack("!BBH", head | opcode, 126, length) + payload
    return struct.pack("!BBQ", head | opcode, 127, length) + payload


@dataclass
class Wire:
    """The server's end of one connection.

    Parameters
    ----------
    answers_pings
        Whether a ping is answered, as every living peer does.
    gone
        Set when the client closed: by a close frame or by the end of the stream, whichever is first.
    """

    request: str
    writer: asyncio.StreamWriter
    answers_pings: bool
    events: list[Event] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    gone_at: float = 0.0
    pings: int = 0

    async def send(self, *events: Event) -> None:
        """Send events as text frames."""
        for event in events:
            await self.raw(frame(TEXT, json.dumps(event).encode()))

    async def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def close(self, code: int) -> None:
        """Send a close frame."""
        await self.raw(frame(CLOSE, struct.pack("!H", code)))

    def reset(self) -> None:
        """Reset the connection."""
        reset(self.writer)

    def drop(self) -> None:
        """End the stream without a close frame."""
        self.writer.close()

    async def expect(self, kind: str) -> Event:
        """Wait for an event of the client's."""
        while True:
            for event in self.events:
                if event["type"] == kind:
                    return event
            self.arrived.clear()
            await self.arrived.wait()

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Take the client's frames until it goes."""
        try:
            while True:
                first, second = await reader.readexactly(2)
                length = second & 0x7F
                if length == 126:
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                elif length == 127:
                    (length,) = struct.unpack("!Q", await reader.readexactly(8))
                mask = await reader.readexactly(4)
                masked = await reader.readexactly(length)
                payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(masked))
                await self._take(first & 0x0F, payload)
        except (asyncio.IncompleteReadError, OSError):
            self._leave()

    async def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            self.events.append(json.loads(payload))
            self.arrived.set()
        elif opcode == PING:
            self.pings += 1
            self.arrived.set()
            if self.answers_pings:
                await self.raw(frame(PONG, payload))
        elif opcode == CLOSE:
            self._leave()

    def _leave(self) -> None:
        if not self.gone.is_set():
            self.gone_at = asyncio.get_running_loop().time()
            self.gone.set()


Script = Callable[[Wire], Awaitable[None]]


@dataclass
class RealtimeServer:
    """Plays ``script`` on each connection; a ``status`` other than 101 refuses the handshake."""

    script: Script
    status: str = "101 Switching Protocols"
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    answers_pings: bool = True
    wires: list[Wire] = field(default_factory=list)
    accepted: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    left_at: float = 0.0
    port: int = 0

    @property
    def address(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from handshake to end."""
        tasks: list[asyncio.Task[Any]] = []
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.accepted.set()
            if self.hangs:
                await reader.read()
                self.left_at = asyncio.get_running_loop().time()
                self.left.set()
                return
            writer.write(self._handshake(request))
            await writer.drain()
            if not self.status.startswith("101"):
                return
            wire = Wire(request, writer, self.answers_pings)
            self.wires.append(wire)
            tasks = [asyncio.create_task(wire.read(reader)), asyncio.ensure_future(self.script(wire))]
            await asyncio.gather(*tasks)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _handshake(self, request: str) -> bytes:
        if not self.status.startswith("101"):
            lines = [f"HTTP/1.1 {self.status}", "Content-Length: 0", "Connection: close"]
        else:
            (key,) = [line[19:] for line in request.split("\r\n") if line.startswith("Sec-WebSocket-Key: ")]
            accept = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
            lines = [f"HTTP/1.1 {self.status}", "Upgrade: websocket", "Connection: Upgrade"]
            lines.append(f"Sec-WebSocket-Accept: {accept}")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


@asynccontextmanager
async def realtime_server(script: Script, **changes: Any) -> AsyncIterator[RealtimeServer]:
    """A listening server; its connections are dropped at the end."""
    played = RealtimeServer(script, **changes)
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await played.serve(reader, writer)
        except asyncio.CancelledError:
            writer.close()
        finally:
            connections.discard(task)

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    played.port = listening.sockets[0].getsockname()[1]
    try:
        yield played
    finally:
        listening.close()
        for task in set(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await listening.wait_closed()
