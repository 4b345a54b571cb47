"""The api process: uvicorn on a socket it may share with its successor, and a drain that cuts nobody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import uvicorn
import uvloop
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from understudy.allocator import bound_allocator, return_memory
from understudy.api.app import create_app
from understudy.api.boundary import DrainState
from understudy.api.context import open_context
from understudy.api.streaming_response import StreamCutError
from understudy.clock import SystemClock
from understudy.errors import ConfigurationError
from understudy.logs import Leaks, configure_logging, get_logger
from understudy.releases.identity import ready_text, running_revision
from understudy.settings import LOOPBACK_HOSTS, Settings

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8000
BACKLOG: Final = 2048

#: A kept-alive connection may carry a request at the very moment we want to close it. For this long we wait
#: for that request instead, and answer it with `Connection: close`. Longer than clients poll.
IDLE_GRACE_S: Final = 2.0

#: nginx takes 32 KiB of request head by default (large_client_header_buffers 4 8k); the parser has no limit.
MAXIMUM_HEAD_BYTES: Final = 64 * 1024

log = get_logger(__name__)


def serve(
    settings: Settings,
    *,
    fd: int | None = None,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    instance: UUID | None = None,
    ready_file: Path | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight and return.

    Parameters
    ----------
    fd
        A listening socket to inherit; ``host`` and ``port`` are ignored then. Other processes may accept from
        it too: it is never shut down, only this process's copy is closed.
    instance
        Identity of this process in ``understudy.processes`` and in ``/api/ready``.
    ready_file
        Written once this process accepts. ``/api/ready`` cannot say that of one process on a shared socket.

    Raises
    ------
    ConfigurationError
        A setting is missing, the port is taken or not ours to open, or ``fd`` is no listening socket.
    StoreUnavailableError, MigrationError
        The database does not answer, or its schema is not what this version needs.
    """
    bound_allocator()
    leaks = Leaks()
    configure_logging(
        "api",
        level=settings.log_level,
        secrets=settings.secrets(),
        named=settings.watched(),
        leaks=leaks,
    )
    logging.getLogger("uvicorn.error").addFilter(is_not_a_cut)
    with contextlib.closing(open_listener(fd, host, port)) as listener:
        uvloop.run(_serve(settings, listener, instance or uuid4(), ready_file, leaks))


def is_not_a_cut(record: logging.LogRecord) -> bool:
    """Whether uvicorn may write ``record``: that a stream was cut, the boundary says in one line."""
    return record.exc_info is None or not isinstance(record.exc_info[1], StreamCutError)


def open_listener(fd: int | None, host: str, port: int) -> socket.socket:
    """Return the listening socket: the inherited one, or a new one.

    Raises
    ------
    ConfigurationError
        Names what is wrong with the descriptor, or with the address and how to free or choose another.
    """
    if fd is not None:
        return _inherited(fd)
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Connections inherit it. uvloop sets it anyway; on asyncio a body would wait 40 ms.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except BaseException:
            listener.close()
            raise
    except socket.gaierror:
        raise ConfigurationError(f"--host {host} is not an address of this machine.") from None
    except OverflowError:
        raise ConfigurationError(f"--port {port} is not a port: choose 0 (any free one) to 65535.") from None
    except PermissionError:
        raise ConfigurationError(
            f"Port {port} on {host} needs privileges this user lacks. Choose a port above 1023 with --port."
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"Port {port} on {host} cannot be opened: {(error.strerror or str(error)).lower()}. "
            f"Stop the program that uses it (`ss -ltnp 'sport = :{port}'` names it) or choose another "
            "with --port."
        ) from None
    return listener


def _inherited(fd: int) -> socket.socket:
    try:
        listening = stat.S_ISSOCK(Path(f"/dev/fd/{fd}").stat().st_mode)
        listener = socket.socket(fileno=fd) if listening else None
    except OSError:
        listener = None
    if listener is None or not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        if listener is not None:
            listener.detach()
        raise ConfigurationError(
            f"--fd {fd} is not a listening socket. Pass the number of one that the parent process left open, "
            "or use --host and --port."
        )
    # Our own children (the decoder) must not keep the port open after us.
    listener.set_inheritable(False)
    return listener


async def _serve(
    settings: Settings, listener: socket.socket, instance: UUID, ready_file: Path | None, leaks: Leaks
) -> None:
    drain = DrainState()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        # The flag first: from this instant no answer promises another one on the same connection.
        drain.begin()
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    async with open_context(settings, kind="api", clock=SystemClock(), instance=instance, leaks=leaks) as ctx:
        ready = ready_text(instance, running_revision())
        address = listener.getsockname()
        app = create_app(ctx, drain=drain, on_loopback=address[0] in LOOPBACK_HOSTS)
        server = build_server(app, stopping, drain_deadline_s=settings.drain_deadline_s)
        return_memory()
        log.info("api_started", instance=str(instance), address=str(address))
        if ready_file is not None:
            server.announce = lambda: ready_file.write_text(ready, encoding="utf-8")
        await server.serve(sockets=[listener])
    log.info("api_stopped", instance=str(instance))


def build_server(app: FastAPI, stopping: asyncio.Event, *, drain_deadline_s: float) -> DrainingServer:
    """Return a server of ``app`` that ends as :class:`DrainingServer` says once ``stopping`` is set."""
    config = uvicorn.Config(
        app,
        loop="none",
        http=JsonErrorProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
    )
    return DrainingServer(config, stopping, drain_deadline_s=drain_deadline_s)


class DrainingServer(uvicorn.Server):
    """Uvicorn, with an end that no client notices.

    Parameters
    ----------
    stopping
        Set when the process shall end.
    drain_deadline_s
        How long, in seconds, responses in flight may take from then on.
    """

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event, *, drain_deadline_s: float) -> None:
        super().__init__(config)
        self.announce: Callable[[], object] | None = None
        self._stopping = stopping
        self._drain_deadline_s = drain_deadline_s

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: uvicorn raises them again at the end, and the exit code would not be 0."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, then say so."""
        await super().startup(sockets)
        if self.started and self.announce is not None:
            await asyncio.to_thread(self.announce)

    async def on_tick(self, counter: int) -> bool:
        """Say whether to stop, as uvicorn asks ten times a second."""
        return await super().on_tick(counter) or self._stopping.is_set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, let open connections speak once more, finish what is in flight."""
        started_s = time.monotonic()
        for server in self.servers:
            server.close()
        # close(), not shutdown(): the successor accepts from the same socket.
        for listener in sockets or []:
            listener.close()
        log.info("api_draining", connections=len(self.server_state.connections))
        grace_s = min(IDLE_GRACE_S, self._drain_deadline_s)
        # Polled, as uvicorn does itself: it keeps a plain set of connections.
        while self.server_state.connections and time.monotonic() - started_s < grace_s:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        spent_s = time.monotonic() - started_s
        left_s = max(0.1, self._drain_deadline_s - spent_s)
        self.config.timeout_graceful_shutdown = left_s  # type: ignore[assignment]  # asyncio takes fractions
        await super().shutdown(None)
        await self._cut_what_is_left()

    async def _cut_what_is_left(self) -> None:
        """Abort connections past the deadline: one whose client reads nothing would never close by itself."""
        left = list(self.server_state.connections)
        if left:
            log.warning("api_connections_cut", connections=len(left))
        for connection in left:
            connection.transport.abort()
        # Until the loop has told each of them that it is lost.
        while self.server_state.connections:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class JsonErrorProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol, with our error shape for what is not HTTP, and a bound on request heads."""

    _head_open = True
    _head_bytes = 0

    def on_message_begin(self) -> None:
        """Begin to count a request's head."""
        self._head_open = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop counting: from here on the application limits the body."""
        self._head_open = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Parse, and cut off a head that never ends."""
        super().data_received(data)
        if self._head_open and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MAXIMUM_HEAD_BYTES:
                self._refuse(431, f"The request head is larger than {MAXIMUM_HEAD_BYTES} bytes.")

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self._refuse(400, msg)

    def _refuse(self, status: int, detail: str) -> None:
        body = json.dumps({"detail": detail}).encode()
        head = [STATUS_LINE[status]]
        for name, value in self.server_state.default_headers:
            head += [name, b": ", value, b"\r\n"]
        head += [b"content-type: application/json\r\ncontent-length: ", str(len(body)).encode(), b"\r\n"]
        head += [b"x-content-type-options: nosniff\r\nconnection: close\r\n\r\n", body]
        self.transport.write(b"".join(head))
        self.transport.close()
