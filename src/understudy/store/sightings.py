"""Objects and rows that do not match, as the collection saw them, and the state of the collection itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL
from psycopg.types.json import Jsonb

from understudy.store.buckets import GENERATIONS, REFERENCES, ListedObject
from understudy.store.database import Database

Connection = AsyncConnection[DictRow]

ORPHAN = "orphan"
MISSING = "missing"
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('understudy:collection', 0)) AS held"


@dataclass(frozen=True, slots=True)
class Sighting:
    """An object without a row, or a row without its object."""

    kind: str
    bucket: str
    key: str
    size: int
    first_seen_at: datetime
    last_seen_at: datetime


_OWNED = {
    REFERENCES: SQL(
        "SELECT k.key FROM unnest(%s::text[], %s::uuid[], %s::uuid[]) AS k(key, user_id, id)"
        " WHERE EXISTS (SELECT FROM public.voices v WHERE v.id = k.id AND v.user_id = k.user_id"
        " AND v.reference_object_key IS NOT NULL)"
        " OR EXISTS (SELECT FROM public.tasks t WHERE t.id = k.id AND t.user_id = k.user_id)"
        " OR EXISTS (SELECT FROM public.voices v WHERE v.reference_object_key = k.key)"
    ),
    GENERATIONS: SQL(
        "SELECT k.key FROM unnest(%s::text[], %s::uuid[], %s::uuid[]) AS k(key, user_id, id)"
        " WHERE EXISTS (SELECT FROM public.generations g WHERE g.id = k.id AND g.user_id = k.user_id)"
        " OR EXISTS (SELECT FROM public.generations g WHERE g.audio_object_key = k.key)"
    ),
}


async def owned_keys(conn: Connection, bucket: str, keys: Sequence[str]) -> set[str]:
    """Which of these objects a row stands for: by the ids in the key, or by naming it."""
    parsed = [_ids(key) for key in keys]
    cursor = await conn.execute(
        _OWNED[bucket], (list(keys), [user for user, _ in parsed], [row for _, row in parsed])
    )
    return {row["key"] for row in await cursor.fetchall()}


def owner_of(key: str) -> UUID | None:
    """Return the account whose folder an object lies in."""
    return _ids(key)[0]


def _ids(key: str) -> tuple[UUID | None, UUID | None]:
    """Account and row that a key names: ``<user>/<id>...`` or ``<user>/previews/<id>.wav``."""
    first, _, rest = key.partition("/")
    rest = rest.removeprefix("previews/")
    return _uuid(first), _uuid(rest.partition("/")[0].removesuffix(".wav"))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


async def see(
    conn: Connection, kind: str, bucket: str, found: Sequence[ListedObject], at: datetime
) -> list[Sighting]:
    """Note what was seen, and return it with the time of its first sighting."""
    seen = []
    for item in found:
        async with conn.cursor(row_factory=class_row(Sighting)) as cursor:
            await cursor.execute(
                "INSERT INTO understudy.object_sightings"
                " (kind, bucket, key, size, first_seen_at, last_seen_at) VALUES (%s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (kind, bucket, key) DO UPDATE SET last_seen_at = excluded.last_seen_at,"
                " size = excluded.size"
                " RETURNING kind, bucket, key, size, first_seen_at, last_seen_at",
                (kind, bucket, item.key, item.size, at, at),
            )
            row = await cursor.fetchone()
        if row is not None:
            seen.append(row)
    return seen


async def forget(
    conn: Connection, kind: str, bucket: str, *, after: str, upto: str | None, but: Sequence[str]
) -> None:
    """Drop the sightings of a span of keys (``upto`` ``None``: to the end) that were not seen again."""
    await conn.execute(
        "DELETE FROM understudy.object_sightings WHERE kind = %s AND bucket = %s AND key > %s"
        " AND (%s::text IS NULL OR key <= %s) AND NOT key = ANY(%s)",
        (kind, bucket, after, upto, upto, list(but)),
    )


async def forget_keys(conn: Connection, kind: str, bucket: str, keys: Sequence[str]) -> None:
    """Drop the sightings of these keys."""
    await conn.execute(
        "DELETE FROM understudy.object_sightings WHERE kind = %s AND bucket = %s AND key = ANY(%s)",
        (kind, bucket, list(keys)),
    )


async def forget_rowless(conn: Connection) -> None:
    """Drop what was missing for rows that are gone by now."""
    await conn.execute(
        "DELETE FROM understudy.object_sightings s WHERE kind = 'missing' AND NOT EXISTS"
        " (SELECT FROM public.voices v WHERE s.bucket = 'references' AND v.reference_object_key = s.key)"
        " AND NOT EXISTS (SELECT FROM public.generations g"
        " WHERE s.bucket = 'generations' AND g.audio_object_key = s.key)"
    )


async def list_sightings(conn: Connection, limit: int) -> list[Sighting]:
    """Return sightings, the longest known first."""
    async with conn.cursor(row_factory=class_row(Sighting)) as cursor:
        await cursor.execute(
            "SELECT kind, bucket, key, size, first_seen_at, last_seen_at FROM understudy.object_sightings"
            " ORDER BY first_seen_at, bucket, key LIMIT %s",
            (limit,),
        )
        return await cursor.fetchall()


_ROWS = {
    REFERENCES: SQL(
        "SELECT reference_object_key AS key FROM public.voices"
        " WHERE reference_object_key > %s ORDER BY reference_object_key LIMIT %s"
    ),
    GENERATIONS: SQL(
        "SELECT audio_object_key AS key FROM public.generations"
        " WHERE audio_object_key > %s AND status = 'completed' ORDER BY audio_object_key LIMIT %s"
    ),
}


async def keys_of_rows(conn: Connection, bucket: str, *, after: str, limit: int) -> list[str]:
    """Return keys that rows name, in the database's own order, after one of them."""
    cursor = await conn.execute(_ROWS[bucket], (after, limit))
    return [row["key"] for row in await cursor.fetchall()]


@asynccontextmanager
async def collection_lock(database: Database) -> AsyncIterator[bool]:
    """Whether this process alone collects; held until the end of the block, or of its connection."""
    async with database.service() as conn:
        cursor = await conn.execute(_LOCK)
        row = await cursor.fetchone()
        yield bool(row and row["held"])


async def due(conn: Connection, at: datetime, interval: timedelta) -> bool:
    """Whether the last run began at least ``interval`` ago."""
    cursor = await conn.execute("SELECT started_at FROM understudy.collection_state")
    row = await cursor.fetchone()
    return row is None or row["started_at"] <= at - interval


async def begin_run(conn: Connection, at: datetime) -> dict[str, str]:
    """Note that a run begins; return where the last one stopped."""
    cursor = await conn.execute(
        "INSERT INTO understudy.collection_state (started_at) VALUES (%s)"
        " ON CONFLICT (only_row) DO UPDATE SET started_at = excluded.started_at, finished_at = NULL"
        " RETURNING cursors",
        (at,),
    )
    row = await cursor.fetchone()
    return dict(row["cursors"]) if row else {}


async def end_run(
    conn: Connection, at: datetime, cursors: Mapping[str, str], report: Mapping[str, Any]
) -> None:
    """Note how a run ended, and where the next one goes on."""
    await conn.execute(
        "UPDATE understudy.collection_state SET finished_at = %s, cursors = %s, report = %s",
        (at, Jsonb(dict(cursors)), Jsonb(dict(report))),
    )
