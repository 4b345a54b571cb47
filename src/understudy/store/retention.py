"""What has outlived its time: generations, ended tasks, call records, deleted voices' recordings, keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL

Connection = AsyncConnection[DictRow]

_OLD_GENERATIONS = SQL(
    " FROM public.generations g WHERE g.status IN ('completed', 'failed', 'cancelled')"
    " AND coalesce(g.completed_at, g.created_at) < %s"
)
_OLD_TASKS = SQL(
    " FROM public.tasks t WHERE t.status IN ('completed', 'failed', 'cancelled')"
    " AND coalesce(t.completed_at, t.updated_at) < %s"
)
_OLD_CALLS = SQL(" FROM understudy.provider_calls c WHERE c.at < %s")
_OLD_LEDGER = SQL(" FROM understudy.ledger c WHERE c.at < %s AND c.state <> 'reserved'")
_OLD_COUNTERS = SQL(" FROM understudy.budget_counters c WHERE c.starts_at < %s")
_OLD_KEYS = SQL(" FROM understudy.idempotency_keys c WHERE c.created_at < %s")
_OLD_PLAYBACK = SQL(" FROM understudy.playback_events c WHERE c.received_at < %s")
_OLD_BUCKETS = SQL(
    " FROM understudy.call_buckets c WHERE c.bucket_at < date_trunc('day', %s::timestamptz, 'UTC')"
)
# Buckets go by the day, and an erasure finds an account's buckets by its minutes: those stay longer.
_OLD_MINUTES = SQL(" FROM understudy.tenant_minutes c WHERE c.minute_at < %s - interval '2 days'")
_OLD_HOURS = SQL(" FROM understudy.tenant_hours c WHERE c.hour_at < %s")
_OLD_REFUSALS = SQL(" FROM understudy.refusals c WHERE c.bucket_at < %s")
_OLD_HITS = SQL(" FROM understudy.secret_hits c WHERE c.at < %s")
_OLD_DROPS = SQL(" FROM understudy.signal_drops c WHERE c.at < %s")
# A recording stays while anything still speaks from it, and while a live voice names it: from that recording
# the voice is enrolled again at the other provider.
_DELETED_VOICES = SQL(
    " FROM public.voices v WHERE v.deleted_at < %s AND v.reference_object_key IS NOT NULL"
    " AND NOT EXISTS (SELECT FROM public.tasks t WHERE t.status IN ('pending', 'processing')"
    " AND t.user_id = v.user_id AND (t.voice_id = v.id OR t.metadata ->> 'voice_id' = v.id::text))"
    " AND NOT EXISTS (SELECT FROM public.generations g WHERE g.voice_id = v.id AND g.user_id = v.user_id"
    " AND g.status IN ('pending', 'processing'))"
    " AND NOT EXISTS (SELECT FROM public.voices o WHERE o.reference_object_key = v.reference_object_key"
    " AND o.deleted_at IS NULL)"
)
RULES = {
    "generations": _OLD_GENERATIONS,
    "tasks": _OLD_TASKS,
    "calls": _OLD_CALLS,
    "ledger": _OLD_LEDGER,
    "budget_counters": _OLD_COUNTERS,
    "idempotency_keys": _OLD_KEYS,
    "playback_events": _OLD_PLAYBACK,
    "call_buckets": _OLD_BUCKETS,
    "tenant_minutes": _OLD_MINUTES,
    "tenant_hours": _OLD_HOURS,
    "refusals": _OLD_REFUSALS,
    "secret_hits": _OLD_HITS,
    "signal_drops": _OLD_DROPS,
    "voice_recordings": _DELETED_VOICES,
}


@dataclass(frozen=True, slots=True)
class Expired:
    """A row whose time is over, and its audio."""

    id: UUID
    user_id: UUID
    object_key: str | None


_TAKE = {
    "generations": SQL(
        "SELECT g.id, g.user_id, g.audio_object_key AS object_key{rule} ORDER BY g.id LIMIT %s"
    ),
    "tasks": SQL(
        "SELECT t.id, t.user_id, t.metadata #>> '{{preview,object_key}}' AS object_key{rule}"
        " ORDER BY t.id LIMIT %s"
    ),
    "voice_recordings": SQL(
        "SELECT v.id, v.user_id, v.reference_object_key AS object_key{rule} ORDER BY v.id LIMIT %s"
    ),
}


async def count_expired(conn: Connection, rule: str, cutoff: datetime) -> int:
    """Count what a rule of :data:`RULES` would take."""
    cursor = await conn.execute(SQL("SELECT count(*)::int AS found") + RULES[rule], (cutoff,))
    row = await cursor.fetchone()
    return int(row["found"]) if row else 0


async def take_expired(conn: Connection, rule: str, cutoff: datetime, limit: int) -> list[Expired]:
    """Return some of the rows that a rule takes; they stay until they are dropped."""
    async with conn.cursor(row_factory=class_row(Expired)) as cursor:
        await cursor.execute(_TAKE[rule].format(rule=RULES[rule]), (cutoff, limit))
        return await cursor.fetchall()


async def drop_expired(conn: Connection, rule: str, ids: Sequence[UUID]) -> int:
    """Drop rows whose audio is gone; a deleted voice stays as a row and only forgets its recording."""
    statements = {
        "generations": "DELETE FROM public.generations WHERE id = ANY(%s)",
        "tasks": "DELETE FROM public.tasks WHERE id = ANY(%s)",
        "voice_recordings": "UPDATE public.voices SET reference_object_key = NULL"
        " WHERE id = ANY(%s) AND deleted_at IS NOT NULL",
    }
    return (await conn.execute(statements[rule].encode(), (list(ids),))).rowcount


#: Rules whose rows hold no audio and have nothing depending on them.
PLAIN = {
    "calls": SQL("understudy.provider_calls"),
    "ledger": SQL("understudy.ledger"),
    "budget_counters": SQL("understudy.budget_counters"),
    "idempotency_keys": SQL("understudy.idempotency_keys"),
    "playback_events": SQL("understudy.playback_events"),
    "tenant_minutes": SQL("understudy.tenant_minutes"),
    "tenant_hours": SQL("understudy.tenant_hours"),
    "refusals": SQL("understudy.refusals"),
    "secret_hits": SQL("understudy.secret_hits"),
    "signal_drops": SQL("understudy.signal_drops"),
}


async def drop_plain(conn: Connection, rule: str, cutoff: datetime, limit: int) -> int:
    """Drop rows of a :data:`PLAIN` rule from before an instant, some at a time."""
    statement = SQL("DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT c.ctid{rule} LIMIT %s))")
    cursor = await conn.execute(statement.format(table=PLAIN[rule], rule=RULES[rule]), (cutoff, limit))
    return cursor.rowcount


async def drop_buckets(conn: Connection, cutoff: datetime) -> int:
    """Drop the days of call buckets that were over before an instant; return how many buckets went.

    A day whose table somebody reads for longer than the function waits for its lock is left for the next run.
    """
    try:
        async with conn.transaction():
            cursor = await conn.execute("SELECT understudy.drop_bucket_partitions(%s) AS gone", (cutoff,))
            row = await cursor.fetchone()
    except psycopg.errors.LockNotAvailable:
        return 0
    return int(row["gone"]) if row else 0
