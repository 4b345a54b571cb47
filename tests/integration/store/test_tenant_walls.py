"""The walls between tenants, asked of the database: whole as migrated, and each hole is told."""

from __future__ import annotations

import psycopg
import pytest

from tests.integration.conftest import DatabaseUrls
from understudy.store.database import Database
from understudy.store.tenant_walls import check_walls

pytestmark = pytest.mark.integration

OWN = "((select auth.uid()) = user_id)"
ROLE = "authenticated"


def _both(condition: str) -> str:
    names = ("delete_own", "select_own")
    return "; ".join(f"alter policy {name} on public.voices using {condition}" for name in names)


#: A hole, what closes it, and what must be said.
HOLES = (
    (
        "alter policy select_own on public.generations using (true)",
        "alter policy select_own on public.generations using " + OWN,
        "sees 1 rows of a tenant in public.generations instead of 0",
    ),
    (
        "create policy more on public.tasks for select to authenticated using (user_id is not null)",
        "drop policy more on public.tasks",
        "sees 1 rows of a tenant in public.tasks",
    ),
    (
        "drop policy select_own on public.voices",
        f"create policy select_own on public.voices for select to authenticated using {OWN}",
        "itself sees 0 rows",
    ),
    (
        _both("(true)"),
        _both(OWN),
        "another tenant deletes a tenant's rows in public.voices",
    ),
    (
        "alter table public.profiles disable row level security",
        "alter table public.profiles enable row level security",
        "row level security is off on public.profiles",
    ),
    (
        "create view public.all_voices as select * from public.voices",
        "drop view public.all_voices",
        "the view public.all_voices runs as its owner",
    ),
    (
        "create table public.copies (id uuid); grant select on public.copies to anon",
        "drop table public.copies",
        "public.copies by anon may be read",
    ),
    (
        f"grant usage on schema understudy to {ROLE}; grant select on understudy.api_keys to {ROLE}",
        f"revoke all on schema understudy from {ROLE}; revoke all on understudy.api_keys from {ROLE}",
        "understudy.api_keys by authenticated may be read",
    ),
)


async def test_each_hole_is_told_and_nothing_stays(database: Database, database_urls: DatabaseUrls) -> None:
    assert await check_walls(database) == ()
    url = database_urls.owner.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        for hole, closing, said in HOLES:
            await conn.execute(hole.encode())
            problems = await check_walls(database)
            assert any(said in problem for problem in problems), (hole, problems)
            await conn.execute(closing.encode())
        assert await check_walls(database) == ()
        row = await (await conn.execute("select count(*) from auth.users")).fetchone()
        assert row == (0,)
        row = await (await conn.execute("select count(*) from understudy.tombstones")).fetchone()
        assert row == (0,)
