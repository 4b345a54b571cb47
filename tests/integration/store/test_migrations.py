"""The migration runner: what it applies, what it refuses, what it survives."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr

from tests.integration.conftest import DatabaseUrls
from understudy.errors import MigrationError, StoreUnavailableError
from understudy.resources import migrations_dir
from understudy.store.database import Database
from understudy.store.migrations import (
    SchemaStatus,
    check_serving,
    connect_owner,
    load_migrations,
    migrate,
    status,
)

pytestmark = pytest.mark.integration

OLDER, NEWER = "20250101000000", "20990101000000"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the real migrations that a test may change."""
    return Path(shutil.copytree(migrations_dir(), tmp_path / "migrations"))


async def state(urls: DatabaseUrls, directory: Path | None = None) -> SchemaStatus:
    async with await connect_owner(urls.owner) as conn:
        return await status(conn, directory)


async def run(url: SecretStr, statement: str) -> list[dict[str, object]]:
    async with await psycopg.AsyncConnection.connect(
        url.get_secret_value(), autocommit=True, row_factory=dict_row
    ) as conn:
        cursor = await conn.execute(statement.encode())
        return await cursor.fetchall() if cursor.description else []


async def test_a_fresh_database_gets_every_file_once(empty_database_urls: DatabaseUrls) -> None:
    versions = [migration.version for migration in load_migrations()]
    before = await state(empty_database_urls)
    assert before.pending == tuple(versions)
    assert before.head is None
    with pytest.raises(MigrationError, match="understudy db migrate"):
        before.check_serving()

    applied = await migrate(empty_database_urls.owner)
    again = await migrate(empty_database_urls.owner)

    assert [migration.version for migration in applied] == versions
    assert again == []
    after = await state(empty_database_urls)
    assert after == SchemaStatus(tuple(versions), (), (), (), (), ())
    history = await run(
        empty_database_urls.owner,
        "select version, name, cardinality(statements) as statements from "
        "supabase_migrations.schema_migrations order by version",
    )
    assert [row["version"] for row in history] == versions
    assert [row["name"] for row in history][:2] == ["prerequisites", "voices_generations_tasks"]
    assert all(int(str(row["statements"])) >= 1 for row in history)


async def test_the_app_may_check_but_not_migrate(database_urls: DatabaseUrls, database: Database) -> None:
    async with database.service() as conn:
        found = await check_serving(conn)
    assert found.applied
    with pytest.raises(MigrationError, match=r"permission denied.*MIGRATION_DATABASE_URL"):
        await migrate(database_urls.app)


async def test_two_runners_at_once_apply_each_file_once(empty_database_urls: DatabaseUrls) -> None:
    first, second = await asyncio.gather(
        migrate(empty_database_urls.owner), migrate(empty_database_urls.owner)
    )
    assert sorted([len(first), len(second)]) == [0, len(load_migrations())]


async def test_an_edited_file_is_refused(database_urls: DatabaseUrls, folder: Path) -> None:
    edited = sorted(folder.glob("*.sql"))[1]
    edited.write_text(edited.read_text() + "\n-- a harmless remark\n")
    for attempt in (migrate(database_urls.owner, folder), serving(database_urls, folder)):
        with pytest.raises(MigrationError, match=rf"{edited.name[:14]} was edited after it was applied"):
            await attempt


async def test_a_missing_file_is_refused(database_urls: DatabaseUrls, folder: Path) -> None:
    gone = sorted(folder.glob("*.sql"))[1]
    gone.unlink()
    for attempt in (migrate(database_urls.owner, folder), serving(database_urls, folder)):
        with pytest.raises(MigrationError, match=rf"{gone.name[:14]} was applied.*its file is missing"):
            await attempt


async def test_unknown_newer_migrations_warn_and_serve(
    database_urls: DatabaseUrls, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A code rollback: the schema stays ahead, the older code starts."""
    last = max(folder.glob("*.sql"))
    last.unlink()
    await serving(database_urls, folder)
    assert await migrate(database_urls.owner, folder) == []
    found = await state(database_urls, folder)
    assert found.newer == (last.name[:14],)
    assert found.head == last.name[:14]
    assert "database_newer_than_code" in "".join(capsys.readouterr())


async def test_a_file_older_than_what_was_applied_is_refused(
    database_urls: DatabaseUrls, folder: Path
) -> None:
    (folder / f"{OLDER}_late.sql").write_text("create table late (n int);")
    with pytest.raises(MigrationError, match=rf"{OLDER} is older than the newest applied one"):
        await migrate(database_urls.owner, folder)
    assert await run(database_urls.owner, "select to_regclass('late') as t") == [{"t": None}]


async def test_a_failing_file_is_rolled_back_alone_and_named(
    database_urls: DatabaseUrls, folder: Path
) -> None:
    (folder / f"{NEWER}_good.sql").write_text("create table good (n int);")
    (folder / "20990102000000_bad.sql").write_text(
        "create table half_done (n int);\n\n-- ends here\ninsert into half_done\nvalues ('not a number');\n"
    )
    (folder / "20990103000000_never.sql").write_text("create table never (n int);")
    with pytest.raises(MigrationError) as caught:
        await migrate(database_urls.owner, folder)
    assert "20990102000000_bad.sql line 5 failed" in caught.value.message
    assert "SQLSTATE 22P02" in caught.value.message
    tables = "select to_regclass('good') is not null as good, to_regclass('half_done') is not null as half, "
    found = await run(database_urls.owner, tables + "to_regclass('never') is not null as never")
    assert found == [{"good": True, "half": False, "never": False}]
    assert (await state(database_urls, folder)).pending == ("20990102000000", "20990103000000")


async def test_a_failure_at_run_time_names_its_statement(database_urls: DatabaseUrls, folder: Path) -> None:
    (folder / f"{NEWER}_bad.sql").write_text("-- one\n-- two\ndo $$ begin\n  perform 1 / 0;\nend $$;\n")
    with pytest.raises(MigrationError, match=rf"{NEWER}_bad.sql line 3 failed: division by zero .*22012"):
        await migrate(database_urls.owner, folder)


@pytest.mark.parametrize("word", ["commit", "BEGIN", "rollback", "savepoint a"])
async def test_a_file_cannot_end_its_own_transaction(
    database_urls: DatabaseUrls, folder: Path, word: str
) -> None:
    (folder / f"{NEWER}_sly.sql").write_text(f"create table sly (n int);\n{word};\nselect 1 / 0;\n")
    with pytest.raises(MigrationError, match=r"sly.sql line 2: \w+ is not allowed"):
        await migrate(database_urls.owner, folder)
    assert await run(database_urls.owner, "select to_regclass('sly') as t") == [{"t": None}]


@pytest.mark.parametrize("name", ["1_short.sql", "20990101000000-dash.sql", "20990101000000_Upper.sql"])
async def test_a_badly_named_file_is_refused(database_urls: DatabaseUrls, folder: Path, name: str) -> None:
    (folder / name).write_text("select 1;")
    with pytest.raises(MigrationError, match="YYYYMMDDHHMMSS"):
        await migrate(database_urls.owner, folder)


async def test_files_applied_by_another_tool_are_taken_on_trust(database_urls: DatabaseUrls) -> None:
    """The Supabase CLI keeps the same history, without hashes."""
    await run(database_urls.owner, "delete from understudy.migration_files")
    found = await state(database_urls)
    assert found.unrecorded == found.applied
    found.check_serving()
    assert await migrate(database_urls.owner) == []


async def test_an_unreachable_database_says_why_without_the_password() -> None:
    with pytest.raises(StoreUnavailableError) as caught:
        await migrate(SecretStr("postgresql://me:hunter2secret@127.0.0.1:1/db"))
    assert "Connection refused" in caught.value.message
    assert "hunter2secret" not in caught.value.message


async def serving(urls: DatabaseUrls, directory: Path) -> None:
    async with await connect_owner(urls.owner) as conn:
        await check_serving(conn, directory)
