"""Drift: each kind of damage to a live catalog is told with its fix, and the fix cures it."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from tests.integration.conftest import DatabaseUrls
from understudy.resources import migrations_dir
from understudy.store.catalog import Catalog
from understudy.store.drift import Drift, ScratchRefusedError, expected_catalog, inspect
from understudy.store.embedded.server import EmbeddedPostgres
from understudy.store.migrations import load_migrations, migrate

pytestmark = pytest.mark.integration

#: What somebody did by hand, and what must be said about it.
DAMAGES = (
    ("drop table public.tasks cascade", "table public.tasks is missing", "restore the database"),
    (
        "alter table public.voices drop column provider_region",
        "column public.voices.provider_region is missing",
        "add column provider_region text;",
    ),
    ("alter table public.voices add column hand_made int", "voices.hand_made is not", "drop column"),
    (
        "alter table public.voices alter column language drop not null",
        "column public.voices.language is `text default 'Auto'::text` and should be `text not null default",
        "make it again as",
    ),
    (
        "alter table public.voices alter language set default 'German'",
        "should be `text not null default",
        "20",
    ),
    (
        "alter table public.voices alter column provider_region type varchar(9)",
        "provider_region is `character varying(9)` and should be `text`",
        "migration",
    ),
    (
        "alter table public.profiles drop constraint profiles_credits_remaining_check",
        "constraint public.profiles profiles_credits_remaining_check is missing",
        "add constraint profiles_credits_remaining_check",
    ),
    ("drop index public.tasks_unfinished_idx", "tasks_unfinished_idx is missing", "CREATE INDEX"),
    ("drop policy select_own on public.voices", "public.voices select_own is missing", "create policy"),
    (
        "alter policy select_own on public.voices using (true)",
        "policy public.voices select_own is",
        "drop policy select_own on public.voices; create policy select_own",
    ),
    (
        "create policy leak on public.tasks for select to anon using (true)",
        "policy public.tasks leak is not",
        "drop policy leak",
    ),
    (
        "grant truncate on public.voices to authenticated",
        "grant truncate on public.voices to authenticated is not",
        "revoke truncate on public.voices from authenticated;",
    ),
    (
        "grant update (provider_voice_id) on public.voices to authenticated",
        "grant update on public.voices (provider_voice_id) to authenticated is not",
        "revoke update (provider_voice_id) on",
    ),
    (
        "revoke select on public.voices from authenticated",
        "grant select on public.voices to authenticated is missing",
        "grant select on public.voices to authenticated;",
    ),
    (
        "alter table public.generations disable row level security",
        "row security off",
        "alter table public.generations enable row level security;",
    ),
    (
        "drop trigger keep_terminal_status on public.tasks",
        "trigger public.tasks keep_terminal_status is missing",
        "CREATE TRIGGER",
    ),
    (
        "alter table public.tasks disable trigger keep_terminal_status",
        "(disabled)`",
        "drop trigger keep_terminal_status on public.tasks; CREATE TRIGGER",
    ),
    (
        "create or replace function touch_updated_at() returns trigger language plpgsql as 'begin end'",
        "function public.touch_updated_at() is `",
        "voices_generations_tasks.sql has it",
    ),
    (
        "alter type queue.pgqueuer_status add value 'parked'",
        "'failed', 'parked'` and should be `",
        "queue.sql has it",
    ),
    ("drop schema queue cascade", "schema queue is missing", "create schema queue;"),
)


async def run(url: SecretStr, statement: str) -> None:
    async with await psycopg.AsyncConnection.connect(url.get_secret_value(), autocommit=True) as conn:
        await conn.execute(statement.encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the real migrations that a test may change."""
    return Path(shutil.copytree(migrations_dir(), tmp_path / "migrations"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def given(postgres_server: EmbeddedPostgres) -> Catalog:
    """What the migrations give, made once."""
    return await expected_catalog(postgres_server.migration_database_url, load_migrations())


def told(drift: Drift) -> str:
    return "\n".join(f"{finding.what} -> {finding.fix}" for finding in drift.findings)


async def test_a_migrated_database_has_no_drift_and_the_scratch_database_is_gone(
    database_urls: DatabaseUrls, postgres_server: EmbeddedPostgres
) -> None:
    drift = await inspect(database_urls.owner)
    assert not drift.exists, told(drift)
    assert drift.catalog.against == "scratch database"
    assert drift.catalog.fingerprint == drift.catalog.expected_fingerprint
    assert {"public", "auth", "understudy", "queue", "supabase_migrations"} <= set(drift.catalog.schemas)
    async with await psycopg.AsyncConnection.connect(
        postgres_server.superuser_url.get_secret_value()
    ) as conn:
        cursor = await conn.execute(
            "select datname from pg_database where datname like 'understudy_scratch%'"
        )
        assert await cursor.fetchall() == []


@pytest.mark.parametrize(("damage", "what", "fix"), DAMAGES, ids=[damage[:50] for damage, _, _ in DAMAGES])
async def test_damage_is_told_with_its_fix(
    database_urls: DatabaseUrls, given: Catalog, damage: str, what: str, fix: str
) -> None:
    await run(database_urls.owner, damage)
    drift = await inspect(database_urls.owner, recorded=given)
    assert drift.exists
    assert what in told(drift)
    (finding, *more) = [finding for finding in drift.findings if what in finding.what]
    assert not more
    assert fix in finding.fix
    assert len(drift.findings) == 1, told(drift)


async def test_the_statements_given_as_fixes_cure(database_urls: DatabaseUrls, given: Catalog) -> None:
    curable = (
        "drop constraint", "drop index", "drop policy", "create policy", "grant", "revoke",
        "disable row", "disable trigger", "add column",
    )  # fmt: skip
    for damage, _, _ in DAMAGES:
        if any(kind in damage for kind in curable):
            await run(database_urls.owner, damage)
    drift = await inspect(database_urls.owner, recorded=given)
    assert len(drift.findings) == 10, told(drift)
    for finding in drift.findings:
        await run(
            database_urls.owner, finding.fix.removeprefix("write a migration that makes it, or remove it: ")
        )
    assert not (after := await inspect(database_urls.owner, recorded=given)).exists, told(after)


async def test_disabled_foreign_keys_are_told(
    database_urls: DatabaseUrls, given: Catalog, postgres_server: EmbeddedPostgres
) -> None:
    """Only a superuser can: the constraint is still listed and checks nothing."""
    name = database_urls.owner.get_secret_value().rsplit("/")[-1]
    admin = SecretStr(make_conninfo(postgres_server.superuser_url.get_secret_value(), dbname=name))
    await run(admin, "alter table public.voices disable trigger all")
    drift = await inspect(database_urls.owner, recorded=given)
    assert "(its triggers are disabled)" in told(drift)


async def test_history_is_told_too(database_urls: DatabaseUrls, folder: Path) -> None:
    first, *_, last = sorted(folder.glob("*.sql"))
    first.write_text(first.read_text() + "\n-- a remark\n")
    (folder / "20990101000000_later.sql").write_text("create table public.later (n int);")
    text = told(await inspect(database_urls.owner, folder))
    assert f"migration {first.name} was edited after it was applied" in text
    assert "migration 20990101000000_later.sql was not applied -> run `understudy db migrate`" in text
    last.unlink()
    (folder / "20990101000000_later.sql").unlink()
    rolled_back = await inspect(database_urls.owner, folder)
    assert f"migration {last.name[:14]} was applied by newer code" in told(rolled_back)
    assert [finding for finding in rolled_back.findings if finding.drift] == [
        finding for finding in rolled_back.findings if first.name in finding.what
    ], told(rolled_back)


async def test_a_missing_file_is_drift(database_urls: DatabaseUrls, folder: Path) -> None:
    gone = sorted(folder.glob("*.sql"))[-2]
    gone.unlink()
    drift = await inspect(database_urls.owner, folder)
    assert drift.exists
    assert f"migration {gone.name[:14]} was applied, but its file is missing" in told(drift)


async def test_what_another_tool_ran_is_compared_by_its_statements(
    database_urls: DatabaseUrls, given: Catalog
) -> None:
    await run(database_urls.owner, "delete from understudy.migration_files")
    assert not (drift := await inspect(database_urls.owner, recorded=given)).exists, told(drift)
    await run(
        database_urls.owner,
        "update supabase_migrations.schema_migrations set statements = '{select 1}' where name = 'providers'",
    )
    drift = await inspect(database_urls.owner, recorded=given)
    assert "providers.sql is not what another tool applied under its version" in told(drift)


@pytest_asyncio.fixture
async def small_role(
    database_urls: DatabaseUrls, postgres_server: EmbeddedPostgres
) -> AsyncIterator[SecretStr]:
    """A role that owns nothing and may create no database, but read the history."""
    name = f"reader_{uuid.uuid4().hex[:8]}"
    admin = postgres_server.superuser_url
    database = database_urls.owner.get_secret_value().rsplit("/")[-1]
    await run(admin, f"create role {name} login password 'x' in role service_role")
    await run(admin, f"grant connect on database {database} to {name}")
    host = f"127.0.0.1:{postgres_server.port}"
    yield SecretStr(f"postgresql://{name}:x@{host}/{database}")
    await run(admin, f"revoke all on database {database} from {name}")
    await run(admin, f"drop role {name}")


async def test_without_the_right_to_a_scratch_database_a_recorded_catalog_serves(
    small_role: SecretStr, given: Catalog, database_urls: DatabaseUrls
) -> None:
    blind = await inspect(small_role)
    assert not blind.catalog.compared
    assert "CREATEDB" in blind.catalog.reason
    assert "--against" in blind.catalog.reason
    with pytest.raises(ScratchRefusedError):
        await expected_catalog(small_role, load_migrations())

    recorded = Catalog.from_json(given.as_json())
    assert recorded == given
    seeing = await inspect(small_role, recorded=recorded)
    assert not seeing.exists, told(seeing)
    await run(database_urls.owner, "drop policy select_own on public.voices")
    assert "policy public.voices select_own is missing" in told(await inspect(small_role, recorded=recorded))


def test_a_tampered_record_is_refused(given: Catalog) -> None:
    document = given.as_json()
    document["entries"] = document["entries"][1:]
    with pytest.raises(ValueError, match="changed after it was recorded"):
        Catalog.from_json(document)
    with pytest.raises(ValueError, match="not a recorded catalog"):
        Catalog.from_json({})


async def test_pending_files_are_not_told_twice(empty_database_urls: DatabaseUrls, folder: Path) -> None:
    """The catalog is compared with what was applied, so a pending file is one line."""
    last = max(folder.glob("*.sql"))
    text = last.read_text()
    last.unlink()
    await migrate(empty_database_urls.owner, folder)
    last.write_text(text)
    drift = await inspect(empty_database_urls.owner, folder)
    assert [finding.what for finding in drift.findings] == [f"migration {last.name} was not applied"]
