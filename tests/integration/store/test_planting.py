"""What a drill breaks, and how it counts what its guard did."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.integration.conftest import DatabaseUrls
from understudy.errors import ConflictError
from understudy.rollout.reads import set_reads
from understudy.store.database import Database
from understudy.store.migrations import connect_owner
from understudy.store.mode import write_mode
from understudy.store.planting import (
    effects_of,
    flips_of,
    lose_column,
    lose_table,
    plant_voice_without_metadata,
)
from understudy.store.valves import set_valve

pytestmark = pytest.mark.integration


async def test_each_effect_is_named_as_often_as_it_happened(
    database: Database, database_urls: DatabaseUrls
) -> None:
    for closed in (True, False, True):
        async with database.service() as conn:
            await set_valve(conn, "generation", closed=closed, actor="guard", reason="drill")
    await set_reads(database, ["voices"], closed=True, actor="guard", reason="drill")
    await set_reads(database, ["voices"], closed=False, actor="guard", reason="drill")
    async with await connect_owner(database_urls.owner) as conn:
        for _ in range(2):
            await conn.execute(
                "insert into understudy.quarantine (kind, subject, invariant, actor, reason, released_at)"
                " values ('voice', 'v', 'i', 'guard', 'drill', now())"
            )
        effects = Counter(await effects_of(conn))
    # The tests' server may hold databases of other tests' restores.
    effects.pop("restored database", None)
    assert effects == {"valve generation": 2, "reads voices": 1, "quarantine i voice v": 2}


async def test_only_the_incidents_own_flips_are_told_in_order(
    database: Database, database_urls: DatabaseUrls
) -> None:
    for value, incident in (("qwen", None), ("modal", "inc-1"), ("qwen", "inc-2"), ("qwen", "inc-1")):
        async with database.service() as conn:
            await write_mode(conn, value=value, actor="t", reason="r", incident=incident, env_value=value)
    async with await connect_owner(database_urls.owner) as conn:
        assert await flips_of(conn, "inc-1") == ["modal", "qwen"]


async def test_what_is_lost_is_lost_and_a_voice_needs_another_to_be_like(database_urls: DatabaseUrls) -> None:
    async with await connect_owner(database_urls.owner) as conn:
        with pytest.raises(ConflictError, match="no row yet"):
            await plant_voice_without_metadata(conn)
        await lose_column(conn)
        await lose_table(conn, version="20991231235959")
        cursor = await conn.execute(
            "select to_regclass('public.generations') is null as gone,"
            " (select max(version) from supabase_migrations.schema_migrations) as head,"
            " not exists (select from information_schema.columns"
            "  where table_name = 'valve_history' and column_name = 'reason') as lost"
        )
        assert await cursor.fetchone() == {"gone": True, "head": "20991231235959", "lost": True}
