"""What goes wrong around the embedded server: a full disk, a zombie, orphans in the middle of a query."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from pydantic import SecretStr

from understudy.errors import ConfigurationError
from understudy.store.embedded.placement import POINTER_FILE, SYSTEM_DIR
from understudy.store.embedded.process import clean_environment
from understudy.store.embedded.roles import PASSWORDS_FILE
from understudy.store.embedded.server import EmbeddedPostgres

pytestmark = pytest.mark.integration

Eventually = Callable[..., Awaitable[None]]
#: Hours of work for one backend: it looks at nothing else meanwhile.
LONG = b"select count(*) from generate_series(1, 1000000) as a, generate_series(1, 1000000) as b"


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="understudy-home-"))
    yield folder / "home"
    shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture
async def server(home: Path) -> AsyncIterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(home, options={"fsync": "off"})
    await postgres.start()
    yield postgres
    await postgres.destroy()


class SmallDisk:
    """A disk of a few megabytes that can be made larger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", self.folder], check=True)


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    folder = Path(tempfile.mkdtemp(prefix="understudy-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "understudy-test", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        folder.rmdir()
        pytest.skip(f"a small disk cannot be mounted here (root is needed): {done.stderr.strip()}")
    yield SmallDisk(folder)
    subprocess.run(["umount", "-l", folder], check=True)
    folder.rmdir()


async def query(url: SecretStr, statement: str) -> object:
    async with await psycopg.AsyncConnection.connect(url.get_secret_value(), autocommit=True) as conn:
        cursor = await conn.execute(statement.encode())
        row = await cursor.fetchone() if cursor.description else None
        return row[0] if row else None


async def fill(url: SecretStr) -> None:
    """Write until the disk is full."""
    rows = "select repeat(md5(n::text), 250) from generate_series(1, 20000) n"
    for _ in range(200):
        await query(url, f"insert into filler {rows}")


async def start_or_refusal(server: EmbeddedPostgres) -> str | None:
    try:
        await server.start()
    except ConfigurationError as error:
        return error.message
    return None


async def test_a_disk_too_small_is_named_and_half_made_data_is_gone(disk: SmallDisk) -> None:
    home = disk.folder / "home"
    home.mkdir(mode=0o755)
    server = EmbeddedPostgres(home)
    with pytest.raises(ConfigurationError, match=r"The disk that holds .* is full. Free some space"):
        await server.start()
    assert not server.data_dir.exists()
    assert not list(server.placement.base.glob("data.partial*"))
    assert not list(server.placement.base.glob("*.password"))

    disk.resize("300m")
    await server.start()
    assert await query(server.database_url, "select 1") == 1
    await server.destroy()


@pytest.mark.long
async def test_a_disk_that_fills_up_loses_nothing_committed(disk: SmallDisk) -> None:
    disk.resize("120m")
    home = disk.folder / "home"
    home.mkdir(mode=0o755)
    server = EmbeddedPostgres(home)
    await server.start()
    url = server.migration_database_url
    await query(url, "create table kept as select 42 as n")
    await query(url, "create table filler (bytes text)")
    with pytest.raises(psycopg.Error) as caught:
        await fill(url)
    full = caught.value.sqlstate == "53100"
    assert full or isinstance(caught.value, psycopg.OperationalError), caught.value
    # The write-ahead log may have met the end first, and then the server stops rather than lose it.
    with contextlib.suppress(psycopg.OperationalError):
        assert await query(url, "select n from kept") == 42
    await server.stop()
    refusal = await start_or_refusal(server)
    assert refusal is None or "is full. Free some space" in refusal
    await server.stop()

    disk.resize("600m")
    await server.start()
    assert await query(server.migration_database_url, "select n from kept") == 42
    await query(server.migration_database_url, "drop table filler")
    await server.destroy()


async def test_a_postmaster_that_nobody_reaped_does_not_block_the_next_start(
    server: EmbeddedPostgres,
) -> None:
    """In a container whose first process never reaps, a killed postmaster stays as a zombie for ever."""
    await query(server.migration_database_url, "create table kept as select 7 as n")
    placement, port = server.placement, server.port
    await server.stop()
    uid = placement.account.uid
    unreaped = subprocess.Popen(
        [placement.bin_dir / "postgres", "-D", placement.data_dir, "-c", f"port={port}", "-k", ""],
        env=clean_environment(), cwd="/", user=uid, group=uid, extra_groups=None if uid is None else [],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    lock = placement.data_dir / "postmaster.pid"
    async with asyncio.timeout(20):
        while not (lock.exists() and "ready" in lock.read_text()):
            await asyncio.sleep(0.02)
    unreaped.kill()
    stat = Path(f"/proc/{unreaped.pid}/stat")
    async with asyncio.timeout(10):
        while stat.read_text().rpartition(")")[2].split()[0] != "Z":
            await asyncio.sleep(0.02)
    assert lock.read_text().splitlines()[0] == str(unreaped.pid)

    await server.start()

    assert await query(server.migration_database_url, "select n from kept") == 7
    assert stat.exists()
    assert unreaped.wait() == -signal.SIGKILL


async def orphan(server: EmbeddedPostgres) -> tuple[int, asyncio.Task[object]]:
    """Kill the postmaster under a backend in the middle of a query; return the backend's process."""
    conn = await psycopg.AsyncConnection.connect(server.migration_database_url.get_secret_value())
    backend = conn.info.backend_pid
    running = asyncio.create_task(conn.execute(LONG))
    active = f"select state from pg_stat_activity where pid = {backend}"
    async with asyncio.timeout(10):
        while await query(server.superuser_url, active) != "active":
            await asyncio.sleep(0.01)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    assert Path(f"/proc/{backend}").exists(), "a busy backend does not notice at once"
    return backend, running


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_the_next_start_ends_a_backend_that_outlived_its_server(
    server: EmbeddedPostgres, eventually: Eventually
) -> None:
    backend, running = await orphan(server)
    await server.start()
    await eventually(lambda: not runs(backend), what=f"backend {backend} has ended")
    with pytest.raises(psycopg.OperationalError):
        await running
    assert await query(server.database_url, "select 1") == 1


async def test_destroy_ends_a_backend_that_outlived_its_server(home: Path, eventually: Eventually) -> None:
    server = EmbeddedPostgres(home, options={"fsync": "off"})
    await server.start()
    base = server.placement.base
    backend, running = await orphan(server)
    await server.destroy()
    await eventually(lambda: not runs(backend), what=f"backend {backend} has ended")
    with pytest.raises(psycopg.OperationalError):
        await running
    assert not base.exists()
    assert not (home / POINTER_FILE).exists()
    assert not (home / PASSWORDS_FILE).exists()


async def test_destroy_refuses_while_another_launcher_runs_the_server(server: EmbeddedPostgres) -> None:
    with pytest.raises(ConfigurationError, match=f"process {server.pid}"):
        await EmbeddedPostgres(server.home).destroy()
    assert await query(server.database_url, "select 1") == 1


async def test_erase_keeps_the_passwords_and_the_next_start_makes_new_data(server: EmbeddedPostgres) -> None:
    await query(server.migration_database_url, "create table gone (n int)")
    base, secret = server.placement.base, (server.home / PASSWORDS_FILE).read_bytes()
    if os.geteuid() == 0:
        assert base.is_relative_to(SYSTEM_DIR)
    await server.erase()
    assert not base.exists()
    assert not (server.home / POINTER_FILE).exists()
    await server.erase()
    await server.start()
    assert (server.home / PASSWORDS_FILE).read_bytes() == secret
    assert await query(server.migration_database_url, "select to_regclass('gone')") is None
