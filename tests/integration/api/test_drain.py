"""Two api processes on one listening socket: the old one leaves, and nobody notices."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from tests.integration.api.processes import ApiProcess, start, start_on
from understudy.clock import SystemClock
from understudy.settings import Settings
from understudy.store.objects import GENERATIONS, LocalObjects

pytestmark = pytest.mark.integration

Eventually = Callable[..., Awaitable[None]]
Start = Callable[[UUID], Awaitable[ApiProcess]]

#: More than the kernel buffers between two sockets (tcp_wmem and tcp_rmem end at 4 and 6 MB), times two.
BYTES = 16 * 2**20
KEY = "user/long.wav"


@pytest.fixture
def listener() -> Any:
    """The supervisor's socket."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as opened:
        yield opened


@pytest_asyncio.fixture
async def start_api(settings: Settings, tmp_path: Path, listener: socket.socket) -> AsyncIterator[Start]:
    """Start api processes on the shared socket; kill at the end what is left."""
    started: list[ApiProcess] = []

    async def begin(instance: UUID) -> ApiProcess:
        started.append(await start_on(settings, tmp_path / f"{instance}.log", listener, instance))
        return started[-1]

    yield begin
    for connection in list(OPEN):
        await connection.close()
    for api in started:
        if api.process.returncode is None:
            api.process.kill()
            await api.process.wait()


#: Closed at the end of the test, however it ends.
OPEN: set[Connection] = set()


class Connection:
    """A client connection that reads when it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        OPEN.add(self)

    @classmethod
    async def open(cls, listener: socket.socket) -> Connection:
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        small.setblocking(False)
        await asyncio.get_running_loop().sock_connect(small, listener.getsockname())
        return cls(*await asyncio.open_connection(sock=small, limit=65536))

    async def get(self, path: str) -> tuple[int, dict[str, str]]:
        """Ask, and read the head of the answer only."""
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split()[1]), headers

    async def json(self, path: str) -> tuple[int, dict[str, str], dict[str, Any]]:
        status, headers = await self.get(path)
        return status, headers, json.loads(await self.read(int(headers["content-length"])))

    async def read(self, size: int) -> bytes:
        return await self._reader.readexactly(size)

    async def close(self) -> None:
        OPEN.discard(self)
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


async def instance_of(listener: socket.socket) -> str | None:
    """Which process answers a new connection, once it is ready."""
    connection = await Connection.open(listener)
    try:
        status, _, body = await asyncio.wait_for(connection.json("/api/ready"), 10)
        return str(body["instance"]) if status == 200 else None
    finally:
        await connection.close()


async def wait_ready(eventually: Eventually, listener: socket.socket, instance: UUID) -> None:
    async def ready() -> bool:
        return await instance_of(listener) == str(instance)

    await eventually(ready, what=f"{instance} is ready", within_s=30)


async def stored(settings: Settings) -> tuple[str, str]:
    """Store a large object; return the path that reads it and its digest."""
    objects = LocalObjects(settings.objects_path, settings.object_url_secret, 600, SystemClock())
    data = bytes(range(256)) * (BYTES // 256)
    await objects.put(GENERATIONS, KEY, data, "audio/wav")
    return await objects.sign_get(GENERATIONS, KEY), hashlib.sha256(data).hexdigest()


class Visitor:
    """Opens a new connection after another until it is told to leave, and notes what failed."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.visits = 0
        self.failures: list[str] = []
        self._leaving = False

    async def run(self) -> None:
        while not self._leaving and len(self.failures) < 100:
            try:
                connection = await Connection.open(self._listener)
                try:
                    status, _, body = await connection.json("/api/health")
                finally:
                    await connection.close()
                if (status, body) != (200, {"ok": True}):
                    self.failures.append(f"{status} {body}")
            except (OSError, EOFError) as error:
                self.failures.append(repr(error))
            self.visits += 1

    @contextlib.asynccontextmanager
    async def visiting(self) -> AsyncIterator[None]:
        """Visit, twice at a time, meanwhile."""
        visits = [asyncio.create_task(self.run()) for _ in range(2)]
        try:
            yield
        finally:
            self._leaving = True
            # Let them finish their visit: one cancelled while it connects leaves its socket open.
            await asyncio.wait(visits, timeout=10)
            for visit in visits:
                visit.cancel()
            await asyncio.gather(*visits, return_exceptions=True)


async def test_sixteen_downloads_survive_a_handover_and_no_connection_is_refused(
    settings: Settings, listener: socket.socket, start_api: Start, eventually: Eventually
) -> None:
    path, digest = await stored(settings)
    old_id, new_id = uuid4(), uuid4()
    old = await start_api(old_id)
    await wait_ready(eventually, listener, old_id)

    downloads = [await Connection.open(listener) for _ in range(16)]
    for download in downloads:
        status, headers = await download.get(path)
        assert (status, headers["content-length"]) == (200, str(BYTES))
    begun = [await download.read(1000) for download in downloads]
    # The old process has accepted these, but hears from them only once it is on its way out.
    kept, *unspoken = [await Connection.open(listener) for _ in range(5)]

    visitor = Visitor(listener)
    async with visitor.visiting():
        new = await start_api(new_id)
        await wait_ready(eventually, listener, new_id)
        before = visitor.visits
        old.terminate()

        async def told_to_leave() -> bool:
            # Until the signal is handled the answer is the ordinary one, on the same connection.
            status, headers, body = await kept.json("/api/ready")
            if status == 200:
                return False
            assert (status, body["draining"], headers["connection"]) == (503, True, "close")
            assert body["instance"] == str(old_id)
            return True

        await eventually(told_to_leave, what="the old process says that it drains")
        await eventually(lambda: not old.holds(listener), what="the old process gave its socket back")
        answers = await asyncio.gather(*(connection.json("/api/health") for connection in unspoken))
        assert [body for _, _, body in answers] == [{"ok": True}] * 4
        assert await instance_of(listener) == str(new_id)
        # Past the grace for idle connections: what is open now is only what is in flight.
        await eventually(
            lambda: "Waiting for connections to close" in old.text(), what="only downloads are left"
        )
        assert old.process.returncode is None

        async def finish(download: Connection, first: bytes) -> str:
            found = hashlib.sha256(first)
            left = BYTES - len(first)
            while left:
                part = await download.read(min(left, 2**18))
                found.update(part)
                left -= len(part)
            return found.hexdigest()

        finished = await asyncio.gather(*map(finish, downloads, begun))
        assert finished == [digest] * 16
        assert await old.exit_code() == 0
    assert visitor.failures == []
    assert visitor.visits > before
    assert await instance_of(listener) == str(new_id)
    for connection in [*downloads, *unspoken, kept]:
        await connection.close()
    new.terminate()
    assert await new.exit_code() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_process_leaves_at_once_and_quietly(
    settings: Settings, listener: socket.socket, start_api: Start, eventually: Eventually, number: int
) -> None:
    instance = uuid4()
    api = await start_api(instance)
    await wait_ready(eventually, listener, instance)
    api.terminate(number)
    assert await api.exit_code(within_s=8) == 0
    lines = [json.loads(line) for line in api.text().splitlines()]
    # No provider of these settings is anywhere, which is worth one warning.
    told = [line for line in lines if line["event"] != "known_good_check_failed"]
    assert all(line["level"] == "info" for line in told), api.text()
    assert lines[-1]["event"] == "api_stopped"
    for secret in (settings.jwt_secret, settings.object_url_secret, settings.database_url):
        assert secret.get_secret_value() not in api.text()


async def test_a_download_nobody_reads_ends_with_the_deadline(
    settings: Settings, tmp_path: Path, listener: socket.socket, eventually: Eventually
) -> None:
    hurried = settings.model_copy(update={"drain_deadline_s": 2})
    path, _ = await stored(hurried)
    instance = uuid4()
    api = await start_on(hurried, tmp_path / "api.log", listener, instance)
    try:
        await wait_ready(eventually, listener, instance)
        stuck = await Connection.open(listener)
        assert (await stuck.get(path))[0] == 200
        api.terminate()
        assert await api.exit_code(within_s=10) == 0
        with pytest.raises((EOFError, ConnectionError)):
            await stuck.read(BYTES)
        await stuck.close()
    finally:
        if api.process.returncode is None:
            api.process.kill()
            await api.process.wait()


async def test_a_port_in_use_names_the_port_and_the_fix(
    settings: Settings, tmp_path: Path, listener: socket.socket
) -> None:
    port = listener.getsockname()[1]
    api = await start(settings, tmp_path / "api.log", ["--port", str(port)])
    assert await api.exit_code() == 1
    assert f"Port {port} on 127.0.0.1 cannot be opened: address already in use." in api.text()
    assert "--port" in api.text()
    assert "Traceback" not in api.text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"jwt_secret": ""}, "JWT_SECRET not set"),
        ({"jwt_secret": "short"}, "JWT_SECRET is shorter than 32 bytes"),
        ({"object_url_secret": "short"}, "OBJECT_URL_SECRET is shorter than 32 bytes"),
        ({"modal_job_submit": ""}, "MODAL_JOB_SUBMIT not set"),
        ({"tts_provider_mode": "gpt"}, "TTS_PROVIDER_MODE"),
        ({"database_url": "postgresql://nobody:hidden@127.0.0.1:9/none"}, "The database cannot be reached"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_bad_setting_is_named_with_its_fix(
    settings: Settings, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    api = await start(settings.model_copy(update=change), tmp_path / "api.log", ["--port", "0"])
    assert await api.exit_code() == 1
    assert words in " ".join(api.text().split())
    assert "Traceback" not in api.text()
    assert "hidden" not in api.text()


@pytest.mark.parametrize("fd", [0, 99])
async def test_a_descriptor_that_is_no_listening_socket_is_refused(
    settings: Settings, tmp_path: Path, fd: int
) -> None:
    api = await start(settings, tmp_path / "api.log", ["--fd", str(fd)])
    assert await api.exit_code() == 1
    assert f"--fd {fd} is not a listening socket." in " ".join(api.text().split())
