"""What must hold of the stored rows, one query an invariant: what breaks it, and nothing else, is read.

The predicates are those of the partial indexes of migrations/..._invariant_indexes.sql, word for word, so a
look at a healthy database costs next to nothing however large it is. Ids are told, never contents.

What is in quarantine for an invariant is dealt with, or waits for a person, and does not break it again
(``understudy quarantine list`` has it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL

Connection = AsyncConnection[DictRow]

SAMPLE = 20
#: More are not counted: by then the number says nothing more.
COUNTED_MOST = 10_000
#: Newest calls, or ledger entries, that are compared with what they belong to, at each look.
COMPARED_MOST = 5_000
#: The collection runs each hour: what it has seen is believed for this long.
COLLECTION_BELIEVED_FOR = timedelta(hours=3)

_FOUND = SQL(
    "WITH broken AS (SELECT id FROM ({}) b LIMIT {})"
    " SELECT (SELECT count(*)::int FROM broken) AS count,"
    " ARRAY(SELECT id FROM broken ORDER BY id LIMIT {}) AS sample"
)

_MISSING_PROVIDER_METADATA = """
SELECT 'voice ' || id AS id FROM public.voices
WHERE deleted_at IS NULL AND (
    tts_provider NOT IN ('modal', 'qwen')
    OR (tts_provider = 'qwen' AND (
        provider_voice_id IS NULL OR provider_target_model IS NULL OR provider_voice_kind IS NULL)))
  AND created_at < %(before)s AND NOT 'missing_provider_metadata' = ANY(quarantined_for)
UNION ALL
SELECT 'generation ' || id FROM public.generations
WHERE status = 'completed' AND (
    tts_provider NOT IN ('modal', 'qwen')
    OR (provider_model IS NULL AND (tts_provider = 'qwen' OR mode_epoch IS NOT NULL)))
  AND completed_at < %(before)s AND NOT 'missing_provider_metadata' = ANY(quarantined_for)
"""

# A task ends with its generation in one transaction, so no snapshot shows one without the other. Frozen
# writes end no task; after the thaw the sweep gets as long as any task.
_ORPHANED_GENERATIONS = """
SELECT g.id::text AS id FROM public.generations g
WHERE g.status IN ('pending', 'processing') AND g.created_at < %(before)s
  AND NOT 'orphaned_generations' = ANY(g.quarantined_for)
  AND NOT EXISTS (SELECT FROM public.tasks t WHERE t.generation_id = g.id AND t.user_id = g.user_id
                  AND (t.status IN ('pending', 'processing') OR t.updated_at >= %(before)s))
  AND NOT EXISTS (SELECT FROM understudy.write_freeze f WHERE f.frozen OR f.changed_at >= %(before)s)
"""

# A deadline that is not recorded is that of before the queue: a day is long enough.
_ORPHANED_TASKS = """
SELECT t.id::text AS id FROM public.tasks t
WHERE t.status IN ('pending', 'processing') AND NOT 'orphaned_tasks' = ANY(t.quarantined_for)
  AND coalesce(t.deadline_at, t.created_at + interval '1 day') < %(before)s
  AND (t.lease_expires_at IS NULL OR t.lease_expires_at < %(before)s)
  AND NOT EXISTS (SELECT FROM understudy.write_freeze f WHERE f.frozen OR f.changed_at >= %(before)s)
UNION ALL
SELECT t.id::text FROM (
    SELECT c.task_id FROM understudy.provider_calls c
    WHERE c.at < %(before)s AND c.at >= %(since)s AND c.operation = 'speak' AND c.outcome = 'ok'
    ORDER BY c.at DESC LIMIT %(compared)s) recent
JOIN public.tasks t ON t.id = recent.task_id AND t.status = 'completed' AND t.type = 'generate'
JOIN public.generations g ON g.id = t.generation_id AND g.user_id = t.user_id AND g.status <> 'completed'
WHERE NOT 'orphaned_tasks' = ANY(t.quarantined_for)
"""

_COMPLETED_WITHOUT_AUDIO = """
SELECT g.id::text AS id FROM public.generations g
WHERE g.status = 'completed'
  AND (g.audio_object_key = '' OR (g.audio_sha256 IS NULL AND g.mode_epoch IS NOT NULL))
  AND g.completed_at < %(before)s AND NOT 'completed_without_audio' = ANY(g.quarantined_for)
UNION
SELECT g.id::text FROM understudy.object_sightings s
JOIN public.generations g ON g.audio_object_key = s.key AND g.status = 'completed'
  AND NOT 'completed_without_audio' = ANY(g.quarantined_for)
WHERE s.kind = 'missing' AND s.bucket = 'generations' AND s.first_seen_at < %(before)s
"""

_AUDIO_WITHOUT_ROW = """
SELECT s.bucket || '/' || s.key AS id FROM understudy.object_sightings s
WHERE s.kind = 'orphan' AND s.first_seen_at < %(before)s
  AND NOT EXISTS (SELECT FROM understudy.quarantine q
                  WHERE q.invariant = 'audio_without_row' AND q.kind = 'object'
                    AND q.subject = s.bucket || '/' || s.key AND q.released_at IS NULL)
"""

_UNREADABLE_REFERENCES = """
SELECT v.id::text AS id FROM public.voices v
WHERE v.deleted_at IS NULL
  AND (coalesce(v.reference_object_key, '') = '' OR coalesce(v.reference_transcript, '') = '')
  AND v.created_at < %(before)s AND NOT 'unreadable_references' = ANY(v.quarantined_for)
UNION
SELECT v.id::text FROM understudy.object_sightings s
JOIN public.voices v ON v.reference_object_key = s.key AND v.deleted_at IS NULL
  AND NOT 'unreadable_references' = ANY(v.quarantined_for)
WHERE s.kind = 'missing' AND s.bucket = 'references' AND s.first_seen_at < %(before)s
"""

# As store.usage.unbalanced, which reads the whole ledger; a reservation ends with its task's commit.
_LEDGER_UNBALANCED = """
SELECT u.task_id::text AS id FROM (
    SELECT l.task_id FROM understudy.ledger l LEFT JOIN public.tasks t ON t.id = l.task_id
    WHERE l.state = 'reserved' AND l.at < %(before)s
      AND coalesce(t.status NOT IN ('pending', 'processing'), true)
    UNION
    SELECT l.task_id FROM public.tasks t JOIN understudy.ledger l ON l.task_id = t.id
    WHERE t.status IN ('pending', 'processing') AND t.created_at < %(before)s AND l.state <> 'reserved'
    UNION
    SELECT l.task_id FROM (
        SELECT task_id, settled_microusd FROM understudy.ledger
        WHERE at < %(before)s AND at >= %(since)s ORDER BY at DESC LIMIT %(compared)s) l
    WHERE l.settled_microusd <> (SELECT coalesce(sum(c.cost_microusd), 0) FROM understudy.provider_calls c
                                 WHERE c.task_id = l.task_id)
) u WHERE NOT EXISTS (SELECT FROM understudy.quarantine q
                      WHERE q.invariant = 'ledger_unbalanced' AND q.kind = 'ledger'
                        AND q.subject = u.task_id::text AND q.released_at IS NULL)
"""

_PROVIDER_COUNTERS = """
SELECT coalesce('task ' || c.task_id, 'call ' || c.id) AS id FROM understudy.provider_calls c
WHERE c.counted_characters <> c.characters AND c.at < %(before)s AND c.at >= %(since)s
  AND abs(c.counted_characters - c.characters) * 100.0
      > %(tolerance)s::float8 * greatest(c.characters, 1)
"""

#: Invariants that one query answers.
QUERIES: Mapping[str, str] = {
    "missing_provider_metadata": _MISSING_PROVIDER_METADATA,
    "orphaned_generations": _ORPHANED_GENERATIONS,
    "orphaned_tasks": _ORPHANED_TASKS,
    "completed_without_audio": _COMPLETED_WITHOUT_AUDIO,
    "audio_without_row": _AUDIO_WITHOUT_ROW,
    "unreadable_references": _UNREADABLE_REFERENCES,
    "ledger_unbalanced": _LEDGER_UNBALANCED,
    "provider_counters": _PROVIDER_COUNTERS,
}


@dataclass(frozen=True, slots=True)
class Broken:
    """What breaks an invariant.

    Parameters
    ----------
    count
        At most :data:`COUNTED_MOST`.
    sample
        Ids of some.
    """

    count: int
    sample: tuple[str, ...] = ()


async def broken(
    conn: Connection,
    name: str,
    *,
    now: datetime,
    older_than_s: float,
    span_s: float,
    timeout_s: float,
    tolerance_percent: float = 0.0,
    sample: int = SAMPLE,
) -> Broken:
    """Find what breaks an invariant of :data:`QUERIES`, within a timeout of its own.

    Parameters
    ----------
    older_than_s
        Younger rows may be in flight.
    span_s
        How far back calls and ledger entries are compared; only those that have no index of the broken ones.
    sample
        How many ids are told.

    Raises
    ------
    psycopg.errors.QueryCanceled
        It took longer than ``timeout_s``.
    """
    await conn.execute("SELECT set_config('statement_timeout', %s, true)", (f"{round(timeout_s * 1000)}ms",))
    before = now - timedelta(seconds=older_than_s)
    query = _FOUND.format(SQL(QUERIES[name]), SQL(str(COUNTED_MOST)), SQL(str(sample)))
    cursor = await conn.execute(
        query,
        {
            "before": before,
            "since": before - timedelta(seconds=span_s),
            "compared": COMPARED_MOST,
            "tolerance": tolerance_percent,
        },
    )
    row = await cursor.fetchone()
    return Broken(row["count"], tuple(row["sample"])) if row else Broken(0)


async def collected_at(conn: Connection) -> datetime | None:
    """When the collection last began; None where it never did."""
    cursor = await conn.execute("SELECT started_at FROM understudy.collection_state")
    row = await cursor.fetchone()
    return row["started_at"] if row else None


@dataclass(frozen=True, slots=True)
class StoredAudio:
    """Audio that a completed generation names."""

    generation_id: UUID
    object_key: str


async def audio_page(conn: Connection, *, after: str, before: datetime, limit: int) -> list[StoredAudio]:
    """Completed generations by the keys of their audio, from one key on."""
    cursor = await conn.execute(
        "SELECT id AS generation_id, audio_object_key AS object_key FROM public.generations"
        " WHERE audio_object_key > %s AND status = 'completed' AND completed_at < %s"
        " AND NOT 'completed_without_audio' = ANY(quarantined_for)"
        " ORDER BY audio_object_key LIMIT %s",
        (after, before, limit),
    )
    return [StoredAudio(**row) for row in await cursor.fetchall()]


async def still_named(conn: Connection, keys: Sequence[str]) -> list[StoredAudio]:
    """Those of the keys that a completed generation still names."""
    cursor = await conn.execute(
        "SELECT id AS generation_id, audio_object_key AS object_key FROM public.generations"
        " WHERE audio_object_key = ANY(%s) AND status = 'completed'"
        " AND NOT 'completed_without_audio' = ANY(quarantined_for)",
        (list(keys),),
    )
    return [StoredAudio(**row) for row in await cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class LiveReference:
    """A live voice's recording: where it lies, and its recorded digest."""

    voice_id: UUID
    object_key: str
    sha256: str | None


_REFERENCE = (
    "SELECT id AS voice_id, reference_object_key AS object_key, reference_sha256 AS sha256 FROM public.voices"
    " WHERE deleted_at IS NULL AND reference_object_key <> ''"
    " AND NOT 'unreadable_references' = ANY(quarantined_for)"
)


async def reference_page(
    conn: Connection, *, after: UUID, before: datetime, limit: int
) -> list[LiveReference]:
    """Live voices with a recording, in the order of their ids, after one of them."""
    cursor = await conn.execute(
        f"{_REFERENCE} AND id > %s AND created_at < %s ORDER BY id LIMIT %s".encode(), (after, before, limit)
    )
    return [LiveReference(**row) for row in await cursor.fetchall()]


async def references_of(conn: Connection, voices: Sequence[UUID]) -> list[LiveReference]:
    """The recordings of those voices that are live still."""
    cursor = await conn.execute(f"{_REFERENCE} AND id = ANY(%s)".encode(), (list(voices),))
    return [LiveReference(**row) for row in await cursor.fetchall()]


_ROWS = {
    "generations": b"SELECT count(*) AS rows FROM public.generations",
    "voices": b"SELECT count(*) AS rows FROM public.voices",
}


async def estimated_rows(conn: Connection, table: str) -> int:
    """About how many rows ``generations`` or ``voices`` has: as the planner knows it, else counted."""
    cursor = await conn.execute(
        "SELECT reltuples::bigint AS rows FROM pg_catalog.pg_class WHERE oid = to_regclass(%s)",
        (f"public.{table}",),
    )
    row = await cursor.fetchone()
    if row is None or row["rows"] < 0:
        # Never analysed: a table so young is small.
        cursor = await conn.execute(_ROWS[table])
        row = await cursor.fetchone()
    return int(row["rows"]) if row else 0
