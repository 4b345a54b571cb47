"""A TCP proxy that breaks connections on demand: what lies between an adapter and its provider.

The toxics are toxiproxy's, those that matter to speech: down, black hole, reset, cut after so many bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class FaultProxy:
    """Forwards to ``upstream_port`` until told otherwise.

    Parameters
    ----------
    reset_after_bytes
        Cut the connection with a TCP reset once so many bytes came down from the provider.
    resets_left
        How many connections are still to be cut so; ``None`` for all.
    freeze_after_bytes
        Once so many bytes came down, pass on nothing more and keep the connection open.
    black_hole
        Accept, swallow what is sent, answer nothing.
    """

    upstream_port: int
    reset_after_bytes: int | None = None
    black_hole: bool = False
    resets_left: int | None = None
    freeze_after_bytes: int | None = None
    port: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        """Listen on a free loopback port, or on the one used before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections from now on and drop those that are open."""
        if self._server is not None:
            self._server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    def heal(self) -> None:
        """Forward faithfully again."""
        self.reset_after_bytes = None
        self.resets_left = None
        self.freeze_after_bytes = None
        self.black_hole = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._forward(reader, writer)
        finally:
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.black_hole:
            while await reader.read(65536):
                pass
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        try:
            pumps = [
                asyncio.create_task(self._pump(reader, up_writer)),
                asyncio.create_task(self._pump(up_reader, writer, down=True)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            up_writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, down: bool = False
    ) -> None:
        passed = 0
        limit = self.reset_after_bytes if down else None
        freeze = self.freeze_after_bytes if down else None
        while data := await reader.read(65536 if limit is freeze is None else 1024):
            passed += len(data)
            if limit is not None and passed > limit and self.resets_left != 0:
                if self.resets_left is not None:
                    self.resets_left -= 1
                reset(writer)
                return
            if freeze is not None and passed > freeze:
                # Nothing more comes through, not even the end: the client has to find out by itself.
                await asyncio.Event().wait()
            writer.write(data)
            await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def fault_proxy(upstream_port: int) -> AsyncIterator[FaultProxy]:
    """A started proxy, stopped at the end."""
    proxy = FaultProxy(upstream_port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
