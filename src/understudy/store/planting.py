"""What a drill breaks in a database of its own, and what its guard changed there; never users' data."""

from __future__ import annotations

from typing import LiteralString
from uuid import UUID, uuid4

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from understudy.errors import ConflictError

Connection = AsyncConnection[DictRow]

_BARE_VOICE: LiteralString = """
    insert into public.voices
    select (jsonb_populate_record(voice, jsonb_build_object(
        'id', %(id)s::text, 'created_at', now() - interval '1 hour',
        'provider_voice_id', null))).*
    from public.voices voice where tts_provider = 'qwen' and deleted_at is null
    order by created_at limit 1
    returning id
"""
# One restoration makes one database beside: another is the restore done twice.
_EFFECTS: LiteralString = """
    select 'valve ' || name as effect from understudy.valve_history where closed
    union all
    select 'reads ' || name from understudy.closed_reads_history where closed
    union all
    select concat_ws(' ', 'quarantine', invariant, kind, subject) from understudy.quarantine
    union all
    select 'restored database' from pg_database where datname ~ '^understudy_r[0-9]+$'
"""


async def plant_voice_without_metadata(conn: Connection) -> UUID:
    """Add a Qwen voice, an hour old, without its provider's id; raises ConflictError with none to copy."""
    identifier = uuid4()
    cursor = await conn.execute(_BARE_VOICE, {"id": identifier})
    if await cursor.fetchone() is None:
        raise ConflictError("There is no row yet to make another like it from.")
    return identifier


async def lose_column(conn: Connection) -> None:
    """Drop a column of a table that no request needs, as a careless migration would."""
    await conn.execute("alter table understudy.valve_history drop column reason cascade")


async def lose_table(conn: Connection, *, version: str) -> None:
    """Drop a table with tenants' rows and write that into the history, as a destructive migration would."""
    await conn.execute("drop table public.generations cascade")
    await conn.execute(
        "insert into supabase_migrations.schema_migrations (version, name, statements) values (%s, %s, %s)",
        (version, "drop_generations", ["drop table public.generations cascade"]),
    )


async def flips_of(conn: Connection, incident: str) -> list[str]:
    """Values that an incident's restoration set the mode to, in order."""
    cursor = await conn.execute(
        "select value from understudy.provider_mode_history where incident = %s order by epoch", (incident,)
    )
    return [row["value"] for row in await cursor.fetchall()]


async def effects_of(conn: Connection) -> list[str]:
    """Name what was closed, put in quarantine or restored beside, once for each time that it happened."""
    cursor = await conn.execute(_EFFECTS)
    return [row["effect"] for row in await cursor.fetchall()]
