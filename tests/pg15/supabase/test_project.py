"""Migrate and serve on a Supabase-shaped database; the platform's objects stay as they are."""

from __future__ import annotations

import time

import jwt
import psycopg
import pytest
from psycopg.rows import dict_row

from tests.integration.api.conftest import Api
from tests.integration.conftest import CreateUser, DatabaseUrls
from tests.pg15.server import SUPERUSER, Postgres15
from understudy.settings import Settings
from understudy.store import catalog
from understudy.store.catalog import Catalog
from understudy.store.database import Database
from understudy.store.drift import inspect
from understudy.store.migrations import check_serving, connect_owner, load_migrations, migrate

pytestmark = pytest.mark.pg15

PLATFORM = ["auth", "storage", "extensions"]
ROLES = """
select r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolbypassrls,
       r.rolconfig,
       array(select m.roleid::regrole::text from pg_auth_members m where m.member = r.oid order by 1)
from pg_roles r where r.rolname !~ '^pg_' order by 1
"""


async def platform(server: Postgres15, urls: DatabaseUrls) -> tuple[Catalog, list[dict[str, object]]]:
    """The platform's schemas in full, and the cluster's roles."""
    name = urls.owner.get_secret_value().rsplit("/")[-1]
    async with await psycopg.AsyncConnection.connect(
        server.url(SUPERUSER, name).get_secret_value(), autocommit=True, row_factory=dict_row
    ) as conn:
        found = await catalog.snapshot(conn, PLATFORM, as_it_is=True)
        roles = await (await conn.execute(ROLES.encode())).fetchall()
    return found, roles


async def test_the_migrating_role_is_not_a_superuser(supabase_urls: DatabaseUrls) -> None:
    async with await connect_owner(supabase_urls.owner) as conn:
        row = await (
            await conn.execute("select current_user as who, usesuper from pg_user where usename = user")
        ).fetchone()
    assert row == {"who": "postgres", "usesuper": False}


async def test_migrating_alters_nothing_of_the_platform(
    postgres15: Postgres15, supabase_urls: DatabaseUrls
) -> None:
    before, roles = await platform(postgres15, supabase_urls)
    assert len(before.entries) > 60

    applied = await migrate(supabase_urls.owner)

    after, roles_after = await platform(postgres15, supabase_urls)
    # The foreign keys to auth.users are ours: they hang on our tables, not on theirs.
    assert catalog.compare(before, after) == []
    assert after == before
    assert roles_after == roles
    assert [migration.version for migration in applied] == [m.version for m in load_migrations()]
    async with await connect_owner(supabase_urls.owner) as conn:
        assert (await check_serving(conn)).pending == ()


async def test_status_finds_no_drift_and_leaves_the_platforms_schemas_out(
    database_urls: DatabaseUrls,
) -> None:
    """The scratch database has the same default privileges, so Supabase's grants are no drift."""
    drift = await inspect(database_urls.owner)
    assert not drift.exists, "\n".join(finding.what for finding in drift.findings)
    assert drift.catalog.compared
    assert not {"auth", "storage", "extensions"} & set(drift.catalog.schemas)
    assert {"public", "understudy", "queue", "supabase_migrations"} <= set(drift.catalog.schemas)


async def test_damage_is_told_there_too(database_urls: DatabaseUrls) -> None:
    async with await connect_owner(database_urls.owner) as conn:
        await conn.execute("grant select on public.tasks to anon")
        await conn.execute("alter table public.voices disable row level security")
    told = [finding.what for finding in (await inspect(database_urls.owner)).findings]
    assert told[0] == "grant select on public.tasks to anon is not from the migrations"
    assert "table public.voices is" in told[1]
    assert len(told) == 2


async def test_files_that_the_supabase_cli_applied_are_served(supabase_urls: DatabaseUrls) -> None:
    """`supabase db push` runs the same files and keeps statements, no hashes."""
    await migrate(supabase_urls.owner)
    async with await connect_owner(supabase_urls.owner) as conn:
        await conn.execute("delete from understudy.migration_files")
    drift = await inspect(supabase_urls.owner)
    assert not drift.exists, "\n".join(finding.what for finding in drift.findings)
    assert drift.history.unrecorded == drift.history.applied


async def test_a_tenant_is_served(
    api: Api, settings: Settings, create_user: CreateUser, database: Database
) -> None:
    """With the project's own token, as GoTrue signs it with the project's secret."""
    mine, other = await create_user(), await create_user()
    async with database.service() as conn:
        for user in (mine, other):
            await conn.execute("insert into public.voices (user_id, name) values (%s, %s)", (user, str(user)))
    claims = {
        "iss": settings.jwt_issuer, "aud": "authenticated", "role": "authenticated", "sub": str(mine),
        "iat": int(time.time()), "exp": int(time.time()) + 60,
    }  # fmt: skip
    token = jwt.encode(claims, settings.jwt_secret.get_secret_value(), algorithm="HS256")
    bearer = {"Authorization": f"Bearer {token}"}
    async with api.client.get("/api/health") as answer:
        assert (answer.status, await answer.json()) == (200, {"ok": True})
    async with api.client.get("/api/me", headers=bearer) as answer:
        assert (await answer.json())["user"]["id"] == str(mine)
    async with api.client.get("/api/voices", headers=bearer) as answer:
        assert [voice["name"] for voice in (await answer.json())["voices"]] == [str(mine)]
    async with api.client.patch("/api/profile", headers=bearer, json={"handle": "on_supabase"}) as answer:
        assert answer.status == 200, await answer.text()
