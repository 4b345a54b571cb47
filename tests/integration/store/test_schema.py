"""What the migrations make: on what was there before, on a Supabase-shaped database, for the queue."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import psycopg
import pytest
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment
from pgqueuer.domain.settings import DBSettings
from psycopg.rows import dict_row
from pydantic import SecretStr

from tests.integration.conftest import DatabaseUrls, in_database
from understudy.resources import migrations_dir
from understudy.store.database import Database
from understudy.store.embedded.server import EmbeddedPostgres
from understudy.store.migrations import migrate

pytestmark = pytest.mark.integration

BEFORE_PROVIDERS = "20261102080000"
QUEUE_FILE = "20261124090100_queue.sql"


async def run(url: SecretStr, statement: str, *parameters: object) -> list[dict[str, object]]:
    async with await psycopg.AsyncConnection.connect(
        url.get_secret_value(), autocommit=True, row_factory=dict_row
    ) as conn:
        cursor = await conn.execute(statement.encode(), parameters or None)
        return await cursor.fetchall() if cursor.description else []


async def test_rows_of_before_the_second_provider_read_modal_and_old_code_still_writes(
    empty_database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    url = empty_database_urls.owner
    before = Path(shutil.copytree(migrations_dir(), tmp_path / "before"))
    for path in before.glob("*.sql"):
        if path.name >= BEFORE_PROVIDERS:
            path.unlink()
    await migrate(url, before)
    user, voice, generation, task = (uuid.uuid4() for _ in range(4))
    old_writes = (
        ("insert into auth.users (id) values (%s) on conflict do nothing", user),
        ("insert into voices (id, user_id, name) values (%s, %s, 'before')", voice, user),
        (
            "insert into generations (id, user_id, voice_id, text) values (%s, %s, %s, 'hi')",
            generation,
            user,
            voice,
        ),
        (
            "insert into tasks (id, user_id, type, generation_id) values (%s, %s, 'generate', %s)",
            task,
            user,
            generation,
        ),
    )
    for statement, *parameters in old_writes:
        await run(url, str(statement), *parameters)
    columns = "select table_name, column_name from information_schema.columns where table_schema = 'public'"
    columns_before = {tuple(row.values()) for row in await run(url, columns)}
    assert ("voices", "tts_provider") not in columns_before

    await migrate(url)

    assert await run(url, "select tts_provider, provider_voice_id, deleted_at from voices") == [
        {"tts_provider": "modal", "provider_voice_id": None, "deleted_at": None}
    ]
    assert await run(url, "select tts_provider, provider_model from generations") == [
        {"tts_provider": "modal", "provider_model": None}
    ]
    assert await run(url, "select provider, provider_poll_count, cancellation_requested from tasks") == [
        {"provider": "modal", "provider_poll_count": 0, "cancellation_requested": False}
    ]
    # Additive: nothing that old code knows is gone, and its statements work as they did.
    assert columns_before < {tuple(row.values()) for row in await run(url, columns)}
    for statement, *parameters in old_writes:
        fresh = [
            uuid.uuid4() if value in {voice, generation, task} and i == 0 else value
            for i, value in enumerate(parameters)
        ]
        await run(url, str(statement), *fresh)


async def test_on_a_supabase_shaped_database_auth_is_left_as_it_is(
    empty_database_urls: DatabaseUrls, postgres_server: EmbeddedPostgres
) -> None:
    """GoTrue's own schema: other columns, other owner, and no right for us to create anything in it."""
    admin = in_database(
        postgres_server.superuser_url, empty_database_urls.owner.get_secret_value().rsplit("/")[-1]
    )
    await run(
        admin,
        """
        create schema auth;
        create table auth.users (
            instance_id uuid, id uuid primary key, aud varchar(255), role varchar(255), email varchar(255),
            encrypted_password varchar(255), raw_app_meta_data jsonb, is_super_admin bool,
            phone text unique default null, created_at timestamptz
        );
        create table auth.refresh_tokens (id bigserial primary key, token varchar(255), revoked bool);
        create function auth.uid() returns uuid language sql stable as
            $$ select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
        create function auth.role() returns text language sql stable as $$ select 'supabase'::text $$;
        grant usage on schema auth to anon, authenticated, service_role, understudy_owner;
        grant references, select on auth.users to understudy_owner;
        """,
    )
    shape = (
        "select table_name, column_name, data_type from information_schema.columns "
        "where table_schema = 'auth' order by 1, 2"
    )
    before = await run(admin, shape)

    await migrate(empty_database_urls.owner)

    assert await run(admin, shape) == before
    assert await run(admin, "select auth.role()") == [{"role": "supabase"}]
    user = uuid.uuid4()
    await run(admin, "insert into auth.users (id) values (%s)", user)
    database = await Database.connect(empty_database_urls.app, application_name="test")
    async with database.service() as conn:
        await conn.execute("insert into public.voices (user_id, name) values (%s, 'there')", (user,))
    async with database.tenant(user) as conn:
        assert len(await (await conn.execute("select * from public.voices")).fetchall()) == 1
    await database.close()


def test_the_queue_is_what_the_installed_pgqueuer_would_install() -> None:
    """Fails when an upgraded pgqueuer wants another schema: write an additive migration from its upgrade."""
    generated = QueryBuilderEnvironment(DBSettings(db_schema="queue")).build_install_query()
    wanted = [part for part in generated.split("\n\n") if not part.startswith("-- pgqueuer")]
    shipped = (migrations_dir() / QUEUE_FILE).read_text()
    missing = [part for part in wanted if part.strip() not in shipped]
    assert missing == []


async def test_deleting_a_voice_keeps_its_generations_and_tasks(database_urls: DatabaseUrls) -> None:
    url = database_urls.owner
    user, voice, generation = (uuid.uuid4() for _ in range(3))
    await run(url, "insert into auth.users (id) values (%s)", user)
    await run(url, "insert into voices (id, user_id, name) values (%s, %s, 'v')", voice, user)
    await run(
        url,
        "insert into generations (id, user_id, voice_id, text) values (%s, %s, %s, 'x')",
        generation,
        user,
        voice,
    )
    await run(
        url,
        "insert into tasks (user_id, type, generation_id, voice_id) values (%s, 'generate', %s, %s)",
        user,
        generation,
        voice,
    )
    await run(url, "delete from voices where id = %s", voice)
    assert await run(url, "select user_id, voice_id from generations") == [
        {"user_id": user, "voice_id": None}
    ]
    await run(url, "delete from generations where id = %s", generation)
    assert await run(url, "select user_id, voice_id, generation_id from tasks") == [
        {"user_id": user, "voice_id": None, "generation_id": None}
    ]
    await run(url, "delete from auth.users where id = %s", user)
    assert await run(url, "select 1 from tasks") == []


async def test_a_generation_cannot_refer_to_another_tenants_voice(database_urls: DatabaseUrls) -> None:
    url = database_urls.owner
    owner, other, voice = (uuid.uuid4() for _ in range(3))
    for user in (owner, other):
        await run(url, "insert into auth.users (id) values (%s)", user)
    await run(url, "insert into voices (id, user_id, name) values (%s, %s, 'v')", voice, owner)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        await run(url, "insert into generations (user_id, voice_id, text) values (%s, %s, 'x')", other, voice)


STATUSES = ("pending", "processing", "completed", "failed", "cancelled")
TERMINAL = STATUSES[2:]


@pytest.mark.parametrize("table", ["generations", "tasks"])
@pytest.mark.parametrize("first", STATUSES)
async def test_a_terminal_status_never_changes_again(
    database_urls: DatabaseUrls, table: str, first: str
) -> None:
    url, user = database_urls.owner, uuid.uuid4()
    await run(url, "insert into auth.users (id) values (%s)", user)
    extra = ("text, audio_object_key", "'x', 'u/g.wav'") if table == "generations" else ("type", "'generate'")
    for second in STATUSES:
        inserted = await run(
            url,
            f"insert into {table} (user_id, status, {extra[0]}) values (%s, %s, {extra[1]}) returning id",
            user,
            first,
        )
        change = f"update {table} set status = %s where id = %s returning status"
        if first in TERMINAL and second != first:
            with pytest.raises(psycopg.errors.CheckViolation, match="final"):
                await run(url, change, second, inserted[0]["id"])
        else:
            assert await run(url, change, second, inserted[0]["id"]) == [{"status": second}]


async def test_an_unknown_status_and_a_completion_without_audio_are_refused(
    database_urls: DatabaseUrls,
) -> None:
    url, user = database_urls.owner, uuid.uuid4()
    await run(url, "insert into auth.users (id) values (%s)", user)
    with pytest.raises(psycopg.errors.CheckViolation):
        await run(url, "insert into tasks (user_id, type, status) values (%s, 'generate', 'done')", user)
    with pytest.raises(psycopg.errors.CheckViolation):
        await run(url, "insert into generations (user_id, text, status) values (%s, 'x', 'completed')", user)


async def test_task_status_changes_are_announced(database: Database, database_urls: DatabaseUrls) -> None:
    user = uuid.uuid4()
    await run(database_urls.owner, "insert into auth.users (id) values (%s)", user)
    async with await psycopg.AsyncConnection.connect(
        database_urls.app.get_secret_value(), autocommit=True
    ) as conn:
        await conn.execute("listen understudy_task")
        async with database.service() as service:
            cursor = await service.execute(
                "insert into public.tasks (user_id, type) values (%s, 'generate') returning id", (user,)
            )
            row = await cursor.fetchone()
        assert row is not None
        for change in ("status = 'processing'", "attempts = attempts + 1", "status = 'failed'"):
            async with database.service() as service:
                await service.execute(f"update public.tasks set {change} where id = %s", (row["id"],))
        payloads = [notice.payload async for notice in conn.notifies(timeout=5, stop_after=3)]
    assert payloads == [str(row["id"])] * 3
