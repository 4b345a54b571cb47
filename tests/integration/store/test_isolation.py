"""Row level security: two tenants, every table, every verb."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql

from tests.integration.conftest import CreateUser, DatabaseUrls
from understudy.store.database import Database

pytestmark = pytest.mark.integration

TENANT_TABLES = ("profiles", "voices", "generations", "tasks")
SERVICE_TABLES = (
    "understudy.provider_mode",
    "understudy.provider_mode_history",
    "understudy.processes",
    "understudy.provider_calls",
    "understudy.synthetic_users",
    "understudy.playback_events",
    "understudy.refusals",
    "understudy.secret_hits",
    "understudy.signal_drops",
    "understudy.refresh_tokens",
    "understudy.migration_files",
    "queue.pgqueuer",
    "queue.pgqueuer_log",
    "queue.pgqueuer_schedules",
    "queue.pgqueuer_statistics",
    "supabase_migrations.schema_migrations",
    "auth.users",
)

#: What facts/api.md gives a user on own rows; everything else is the service's.
OWN_ROWS = {
    ("profiles", "select"),
    ("voices", "select"),
    ("voices", "insert"),
    ("voices", "delete"),
    ("generations", "select"),
    ("generations", "delete"),
    ("tasks", "select"),
}
VERBS = ("select", "insert", "update", "delete")


@dataclass(frozen=True)
class Tenant:
    user: UUID
    rows: dict[str, UUID]


@pytest_asyncio.fixture
async def tenants(database: Database, create_user: CreateUser) -> tuple[Tenant, Tenant]:
    """Two tenants with one row in each table."""
    found = []
    for _ in range(2):
        user = await create_user()
        rows = {"profiles": user, **{table: uuid.uuid4() for table in TENANT_TABLES[1:]}}
        async with database.service() as conn:
            await conn.execute("insert into public.profiles (id) values (%s)", (user,))
            await conn.execute(
                "insert into public.voices (id, user_id, name) values (%s, %s, 'v')", (rows["voices"], user)
            )
            await conn.execute(
                "insert into public.generations (id, user_id, text) values (%s, %s, 'g')",
                (rows["generations"], user),
            )
            await conn.execute(
                "insert into public.tasks (id, user_id, type) values (%s, %s, 'generate')",
                (rows["tasks"], user),
            )
        found.append(Tenant(user, rows))
    return found[0], found[1]


async def attempt(database: Database, who: UUID, verb: str, table: str, row: UUID, owner: UUID) -> bool:
    """Whether ``who`` can do ``verb`` to ``row`` (of ``owner``); an insert is of a new row for ``owner``."""
    name = sql.Identifier("public", table)
    column = sql.Identifier("id" if table == "profiles" else "user_id")
    statements = {
        "select": (sql.SQL("select 1 from {} where id = %s").format(name), (row,)),
        "update": (
            sql.SQL("update {} set created_at = now() where id = %s returning 1").format(name),
            (row,),
        ),
        "delete": (sql.SQL("delete from {} where id = %s returning 1").format(name), (row,)),
    }
    required = {"voices": ("name", "x"), "generations": ("text", "x"), "tasks": ("type", "clone")}
    if table in required:
        field, value = required[table]
        insert = sql.SQL("insert into {} ({}, {}) values (%s, %s) returning 1")
        statements["insert"] = (insert.format(name, column, sql.Identifier(field)), (owner, value))
    else:
        insert = sql.SQL("insert into {} ({}) values (%s) returning 1")
        statements["insert"] = (insert.format(name, column), (owner,))
    statement, parameters = statements[verb]
    try:
        async with database.tenant(who) as conn:
            return await (await conn.execute(statement, parameters)).fetchone() is not None
    except psycopg.errors.InsufficientPrivilege:
        return False


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_a_user_does_to_own_rows_what_is_allowed_and_nothing_to_others(
    database: Database, tenants: tuple[Tenant, Tenant], table: str, verb: str
) -> None:
    one, other = tenants
    if (table, verb) == ("profiles", "insert"):
        async with database.service() as conn:
            await conn.execute("delete from public.profiles where id = %s", (one.user,))
    own = await attempt(database, one.user, verb, table, one.rows[table], one.user)
    foreign = await attempt(database, one.user, verb, table, other.rows[table], other.user)
    assert own is ((table, verb) in OWN_ROWS)
    assert foreign is False
    async with database.service() as conn:
        statement = sql.SQL("select 1 from {} where id = %s").format(sql.Identifier("public", table))
        assert await (await conn.execute(statement, (other.rows[table],))).fetchone() is not None


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_an_unfiltered_read_sees_own_rows_only(
    database: Database, tenants: tuple[Tenant, Tenant], table: str
) -> None:
    column = "id" if table == "profiles" else "user_id"
    statement = sql.SQL("select {} as owner from {}").format(
        sql.Identifier(column), sql.Identifier("public", table)
    )
    for tenant in tenants:
        async with database.tenant(tenant.user) as conn:
            rows = await (await conn.execute(statement)).fetchall()
        assert [row["owner"] for row in rows] == [tenant.user]
    async with database.service() as conn:
        assert len(await (await conn.execute(statement)).fetchall()) == 2


async def test_a_stranger_without_claims_and_a_bare_login_see_nothing(
    database_urls: DatabaseUrls, tenants: tuple[Tenant, Tenant]
) -> None:
    async with await psycopg.AsyncConnection.connect(
        database_urls.app.get_secret_value(), autocommit=True
    ) as conn:
        for table in TENANT_TABLES:
            statement = sql.SQL("select * from {}").format(sql.Identifier("public", table))
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await conn.execute(statement)
            async with conn.transaction():
                await conn.execute("set local role authenticated")
                assert await (await conn.execute(statement)).fetchall() == []
            await conn.execute("set role anon")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await conn.execute(statement)
            await conn.execute("reset role")


@pytest.mark.parametrize("table", SERVICE_TABLES)
async def test_service_tables_are_closed_to_tenants(
    database: Database, tenants: tuple[Tenant, Tenant], table: str
) -> None:
    name = sql.Identifier(*table.split("."))
    for statement in ("select 1 from {}", "delete from {}", "truncate {}"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.tenant(tenants[0].user) as conn:
                await conn.execute(sql.SQL(statement).format(name))


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
@pytest.mark.parametrize("privilege", ["TRUNCATE", "REFERENCES", "TRIGGER"])
async def test_what_no_policy_stops_is_granted_to_nobody(
    database_urls: DatabaseUrls, role: str, privilege: str
) -> None:
    tables = [f"public.{table}" for table in TENANT_TABLES] + list(SERVICE_TABLES)
    async with await psycopg.AsyncConnection.connect(database_urls.owner.get_secret_value()) as conn:
        cursor = await conn.execute(
            "select name from unnest(%s::text[]) as name where has_table_privilege(%s, name, %s)",
            (tables, role, privilege),
        )
        assert await cursor.fetchall() == []


Insert = Callable[[dict[str, object]], Awaitable[None]]


@pytest.fixture
def insert_voice(database: Database, tenants: tuple[Tenant, Tenant]) -> Insert:
    """Insert a voice as the first tenant, with these columns."""

    async def insert(columns: dict[str, object]) -> None:
        values = {"user_id": tenants[0].user, "name": "mine", **columns}
        statement = sql.SQL("insert into public.voices ({}) values ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join([sql.SQL("%s")] * len(values))
        )
        async with database.tenant(tenants[0].user) as conn:
            await conn.execute(statement, tuple(values.values()))

    return insert


async def test_a_user_cannot_name_another_tenants_recording(
    insert_voice: Insert, tenants: tuple[Tenant, Tenant]
) -> None:
    mine, other = tenants
    await insert_voice({"reference_object_key": f"{mine.user}/v/reference.wav"})
    for key in (
        f"{other.user}/v/reference.wav",
        "reference.wav",
        f"{mine.user}x/r.wav",
        f" {mine.user}/r.wav",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await insert_voice({"reference_object_key": key})


@pytest.mark.parametrize(
    "column", ["provider_voice_id", "provider_target_model", "tts_provider", "deleted_at"]
)
async def test_a_user_cannot_bind_a_voice_to_a_provider(insert_voice: Insert, column: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await insert_voice({column: "2026-01-01"})


async def test_every_table_of_ours_has_row_level_security_on(database_urls: DatabaseUrls) -> None:
    async with await psycopg.AsyncConnection.connect(database_urls.owner.get_secret_value()) as conn:
        cursor = await conn.execute(
            """
            select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where c.relkind in ('r', 'p') and not c.relrowsecurity
              and n.nspname in ('public', 'understudy', 'queue', 'auth')
            """
        )
        assert await cursor.fetchall() == []
