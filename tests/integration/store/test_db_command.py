"""``understudy db`` as a user types it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from tests.integration.conftest import FAST, DatabaseUrls
from understudy.store.embedded.placement import POINTER_FILE
from understudy.store.embedded.server import EmbeddedPostgres

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


async def understudy(*words: str, **environment: str) -> Answer:
    """Run the command in an environment of only these variables."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "understudy.cli.app", *words,
        env={"PATH": os.environ["PATH"], "COLUMNS": "200", **environment},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return Answer(process.returncode or 0, out.decode(), err.decode())


@pytest_asyncio.fixture
async def embedded_home(tmp_path: Path) -> AsyncIterator[Path]:
    """A home whose embedded database exists and does not run."""
    server = EmbeddedPostgres(tmp_path / "home", options=FAST)
    await server.start()
    await server.stop()
    yield server.home
    await server.destroy()


async def test_migrate_then_status_on_a_database_given_by_url(empty_database_urls: DatabaseUrls) -> None:
    url = {"MIGRATION_DATABASE_URL": empty_database_urls.owner.get_secret_value()}
    before = await understudy("db", "status", "--json", **url)
    assert before.code == 1
    assert json.loads(before.out)["serves"] is False
    assert "understudy db migrate" in json.loads(before.out)["problem"]
    migrated = await understudy("db", "migrate", **url)
    assert migrated.code == 0, migrated.err
    assert "prerequisites" in migrated.out
    again = await understudy("db", "migrate", "--json", **url)
    assert json.loads(again.out) == {"applied": []}
    after = await understudy("db", "status", **url)
    assert after.code == 0
    assert "can serve" in after.out


async def test_the_embedded_database_is_started_for_the_while(embedded_home: Path) -> None:
    environment = {"UNDERSTUDY_HOME": str(embedded_home)}
    assert (await understudy("db", "migrate", **environment)).code == 0
    status = await understudy("db", "status", "--json", **environment)
    assert json.loads(status.out)["serves"] is True
    assert not list(embedded_home.glob("**/postmaster.pid"))


async def test_reset_empties_the_embedded_database_and_migrates_it(embedded_home: Path) -> None:
    environment = {"UNDERSTUDY_HOME": str(embedded_home)}
    await understudy("db", "migrate", **environment)
    server = EmbeddedPostgres(embedded_home, options=FAST)
    await server.start()
    async with await psycopg.AsyncConnection.connect(
        server.migration_database_url.get_secret_value()
    ) as conn:
        await conn.execute("insert into auth.users (email) values ('someone@example.org')")
        await conn.execute("create table public.of_a_user (n int)")

    in_use = await understudy("db", "reset", "--yes", **environment)
    await server.stop()
    unanswered = await understudy("db", "reset", **environment)
    done = await understudy("db", "reset", "--yes", "--json", **environment)

    assert in_use.code == 1
    assert f"process {os.getpid()}" in in_use.err
    assert unanswered.code == 1
    assert done.code == 0, done.err
    assert len(json.loads(done.out)["applied"]) > 1
    await server.start()
    async with await psycopg.AsyncConnection.connect(server.database_url.get_secret_value()) as conn:
        await conn.execute("set role service_role")
        cursor = await conn.execute("select count(*), to_regclass('public.of_a_user') from auth.users")
        assert await cursor.fetchone() == (0, None)
    await server.stop()


async def test_status_tells_drift_with_its_fix_and_exit_code(
    database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    owner = database_urls.owner.get_secret_value()
    url, record = {"MIGRATION_DATABASE_URL": owner}, str(tmp_path / "known-good.json")
    clean = await understudy("db", "status", "--json", **url)
    assert clean.code == 0, clean.err
    assert json.loads(clean.out)["drift"] is False
    recorded = await understudy("db", "status", "--record", record, "--json", **url)
    catalog = json.loads(clean.out)["catalog"]
    assert (
        json.loads(recorded.out)["fingerprint"] == catalog["fingerprint"] == catalog["expected_fingerprint"]
    )
    async with await psycopg.AsyncConnection.connect(owner, autocommit=True) as conn:
        await conn.execute("drop policy select_own on public.tasks")
        await conn.execute("grant select on public.tasks to anon")
    for options in ((), ("--against", record)):
        drifted = await understudy("db", "status", *options, **url)
        assert drifted.code == 1
        assert "drift policy public.tasks select_own is missing" in drifted.out
        assert "fix: create policy select_own on public.tasks" in drifted.out
        assert (
            "fix: write a migration that makes it, or remove it: revoke select on public.tasks from anon;"
            in (drifted.out)
        )
        document = json.loads((await understudy("db", "status", *options, "--json", **url)).out)
        assert document["serves"] is True
        assert document["drift"] is True
        assert len([finding for finding in document["findings"] if finding["drift"]]) == 2


async def test_a_role_that_can_make_no_scratch_database_is_told_and_exits_3(
    database_urls: DatabaseUrls, tmp_path: Path, postgres_server: EmbeddedPostgres
) -> None:
    record = tmp_path / "known-good.json"
    owner = {"MIGRATION_DATABASE_URL": database_urls.owner.get_secret_value()}
    app = {"DATABASE_URL": database_urls.app.get_secret_value()}
    assert (await understudy("db", "status", "--record", str(record), **owner)).code == 0
    async with await psycopg.AsyncConnection.connect(
        postgres_server.superuser_url.get_secret_value(), autocommit=True
    ) as conn:
        await conn.execute("create role reader login password 'x' in role service_role")
        await conn.execute("grant connect on database template1 to reader")
        name = app["DATABASE_URL"].rsplit("/")[-1]
        await conn.execute(f"grant connect on database {name} to reader".encode())
        reader = {"DATABASE_URL": f"postgresql://reader:x@127.0.0.1:{postgres_server.port}/{name}"}
        blind = await understudy("db", "status", **reader)
        seeing = await understudy("db", "status", "--against", str(record), **reader)
        refused = await understudy("db", "status", "--record", str(record), **reader)
        await conn.execute(f"revoke all on database {name}, template1 from reader".encode())
        await conn.execute("drop role reader")
    assert blind.code == 3, blind.err
    assert "Catalog not compared" in blind.out
    assert "--against FILE" in blind.out
    assert seeing.code == 0, seeing.out
    assert refused.code == 1
    assert "CREATEDB" in refused.err
    unread = await understudy("db", "status", **app)
    assert unread.code == 1
    assert "MIGRATION_DATABASE_URL" in unread.err


async def test_a_record_that_is_damaged_or_gone_is_refused(
    database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    url, record = {"MIGRATION_DATABASE_URL": database_urls.owner.get_secret_value()}, tmp_path / "good.json"
    assert (await understudy("db", "status", "--record", str(record), **url)).code == 0
    record.write_text(record.read_text().replace("generations", "generation"))
    damaged = await understudy("db", "status", "--against", str(record), **url)
    assert damaged.code == 1
    assert "changed after it was recorded" in damaged.err
    missing = await understudy("db", "status", "--against", str(tmp_path / "none"), **url)
    assert "No such file" in missing.err


async def test_reset_with_remove_leaves_nothing_outside_the_home(embedded_home: Path) -> None:
    """As root the data lies below /var/lib: deleting a home by hand would leave it there."""
    base = EmbeddedPostgres(embedded_home).placement.base
    assert (base / "data").exists()
    done = await understudy("db", "reset", "--yes", "--remove", UNDERSTUDY_HOME=str(embedded_home))
    assert done.code == 0, done.err
    assert "Removed." in done.out
    assert not base.exists()
    assert not (embedded_home / POINTER_FILE).exists()


async def test_a_database_of_the_users_own_is_never_reset(
    database_urls: DatabaseUrls, embedded_home: Path
) -> None:
    url = database_urls.owner.get_secret_value()
    answer = await understudy(
        "db", "reset", "--yes", UNDERSTUDY_HOME=str(embedded_home), MIGRATION_DATABASE_URL=url
    )
    assert answer.code == 1
    assert "only that one is ever emptied" in answer.err
    async with await psycopg.AsyncConnection.connect(url) as conn:
        assert await (await conn.execute("select count(*) from public.voices")).fetchone() == (0,)


async def test_without_any_database_the_setting_is_named(tmp_path: Path) -> None:
    answer = await understudy("db", "status", UNDERSTUDY_HOME=str(tmp_path))
    assert answer.code == 1
    assert "MIGRATION_DATABASE_URL not set" in answer.err


@pytest.mark.parametrize("command", ["migrate", "reset", "status"])
async def test_help_has_an_example(command: str) -> None:
    answer = await understudy("db", command, "--help")
    assert answer.code == 0
    assert f"Example: understudy db {command}" in answer.out
