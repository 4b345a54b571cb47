"""What repair reads of broken rows, and what it writes: only where a row still is as it was found.

A terminal status is never rewritten, nothing is deleted, and the ledger is read only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL, Identifier, Placeholder

Connection = AsyncConnection[DictRow]

#: Columns that repair may write over, by table, and that releasing with ``--undo`` puts back.
REPAIRABLE: Mapping[str, frozenset[str]] = {
    "voices": frozenset(
        {
            "tts_provider",
            "provider_voice_id",
            "provider_target_model",
            "provider_voice_kind",
            "provider_region",
            "provider_request_id",
        }
    ),
    "generations": frozenset({"tts_provider", "provider_model", "audio_sha256", "audio_content_type"}),
}


@dataclass(frozen=True, slots=True)
class BrokenVoice:
    """A live voice and everything our own rows still know of how a provider knows it.

    Parameters
    ----------
    bindings
        As their creates recorded them, the newest first; each names its provider.
    labels
        What it was, or may have been, made under.
    """

    id: UUID
    user_id: UUID
    tts_provider: str
    provider_voice_id: str | None
    reference_object_key: str | None
    reference_sha256: str | None
    has_transcript: bool
    bindings: list[dict[str, Any]]
    labels: list[str]


_VOICE = SQL("""
    select v.id, v.user_id, v.tts_provider, v.provider_voice_id, v.reference_object_key, v.reference_sha256,
           coalesce(v.reference_transcript, '') <> '' as has_transcript,
           coalesce((select jsonb_agg(b.binding order by b.at desc) from (
               select t.metadata -> 'binding' as binding, t.created_at as at from public.tasks t
               where t.user_id = v.user_id and t.metadata ? 'binding' and (t.id = v.designed_task_id
                   or (t.type = 'clone' and t.metadata ->> 'voice_id' = v.id::text))
               union all
               select jsonb_build_object('provider', c.provider, 'voice_id', c.provider_voice_id,
                                         'target_model', c.target_model, 'kind', 'vc', 'region', c.region),
                      c.intended_at
               from understudy.carry_overs c
               where c.voice_id = v.id and c.state = 'done' and c.provider_voice_id is not null) b
           ), '[]') as bindings,
           array(select t.metadata ->> 'label' from public.tasks t
                 where t.user_id = v.user_id and t.type = 'clone' and t.metadata ->> 'voice_id' = v.id::text
                   and t.metadata ? 'label' and t.dispatched_at is not null
                 union select c.label from understudy.carry_overs c where c.voice_id = v.id) as labels
    from public.voices v where v.id = %s and v.deleted_at is null
""")


async def broken_voice(conn: Connection, voice_id: UUID) -> BrokenVoice | None:
    """Return a live voice; None when it is gone."""
    async with conn.cursor(row_factory=class_row(BrokenVoice)) as cursor:
        await cursor.execute(_VOICE, (voice_id,))
        return await cursor.fetchone()


@dataclass(frozen=True, slots=True)
class BrokenGeneration:
    """A generation, and what its tasks and calls say of it.

    Parameters
    ----------
    called_provider, called_model
        Of its newest call that went well.
    voice_model
        What its voice is bound to at the generation's own provider, as far as that is known.
    task_completed
        A task of it ended as completed.
    settled_microusd
        What its tenant's ledger says it came to.
    """

    id: UUID
    user_id: UUID
    status: str
    tts_provider: str
    provider_model: str | None
    audio_object_key: str | None
    audio_sha256: str | None
    mode_epoch: int | None
    created_at: datetime
    called_provider: str | None
    called_model: str | None
    voice_model: str | None
    task_completed: bool
    settled_microusd: int


_GENERATION = SQL("""
    select g.id, g.user_id, g.status, g.tts_provider, g.provider_model, g.audio_object_key, g.audio_sha256,
           g.mode_epoch, g.created_at, c.provider as called_provider, c.model as called_model,
           (select v.provider_target_model from public.voices v
            where v.id = g.voice_id and v.user_id = g.user_id and v.tts_provider = g.tts_provider)
               as voice_model,
           exists (select from public.tasks t where t.generation_id = g.id and t.user_id = g.user_id
                   and t.status = 'completed') as task_completed,
           coalesce((select sum(l.settled_microusd) from public.tasks t
                     join understudy.ledger l on l.task_id = t.id and not l.synthetic
                     where t.generation_id = g.id and t.user_id = g.user_id), 0)::bigint as settled_microusd
    from public.generations g
    left join lateral (
        select c.provider, c.model from public.tasks t join understudy.provider_calls c on c.task_id = t.id
        where t.generation_id = g.id and t.user_id = g.user_id and c.operation = 'speak' and c.outcome = 'ok'
        order by c.at desc limit 1) c on true
    where g.id = %s
""")


async def broken_generation(conn: Connection, generation_id: UUID) -> BrokenGeneration | None:
    """Return a generation; None when it is gone."""
    async with conn.cursor(row_factory=class_row(BrokenGeneration)) as cursor:
        await cursor.execute(_GENERATION, (generation_id,))
        return await cursor.fetchone()


async def write_over(
    conn: Connection, table: str, row_id: UUID, changes: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Write some of :data:`REPAIRABLE`; return what stood there before, or None when the row is gone."""
    names = sorted(changes)
    unknown = set(names) - REPAIRABLE[table]
    if unknown:
        raise ValueError(f"not repairable: {table} {sorted(unknown)}")
    columns = SQL(", ").join(map(Identifier, names))
    target = Identifier("public", table)
    cursor = await conn.execute(
        SQL("select {} from {} where id = %s for update").format(columns, target), (row_id,)
    )
    before = await cursor.fetchone()
    if before is None:
        return None
    assignments = SQL(", ").join(
        SQL("{} = {}").format(Identifier(name), Placeholder(f"to_{name}")) for name in names
    )
    await conn.execute(
        SQL("update {} set {} where id = %(id)s").format(target, assignments),
        {"id": row_id, **{f"to_{name}": changes[name] for name in names}},
    )
    return {name: before[name] for name in names if before[name] != changes[name]}


async def complete_from_object(
    conn: Connection,
    generation: BrokenGeneration,
    *,
    object_key: str,
    content_type: str,
    sha256: str,
    output_format: str,
    model: str,
    duration_s: float | None,
) -> bool:
    """Complete a generation whose task completed and whose audio is stored; false when it ended meanwhile."""
    cursor = await conn.execute(
        "update public.generations set status = 'completed', audio_object_key = %s, audio_content_type = %s,"
        " audio_sha256 = %s, output_format = %s, provider_model = %s, duration_seconds = %s,"
        " error_message = null, completed_at = clock_timestamp()"
        " where id = %s and user_id = %s and status in ('pending', 'processing')",
        (
            object_key,
            content_type,
            sha256,
            output_format,
            model,
            duration_s,
            generation.id,
            generation.user_id,
        ),
    )
    return cursor.rowcount == 1


@dataclass(frozen=True, slots=True)
class LedgerFigures:
    """A ledger entry beside its task and its calls; micro-dollars."""

    state: str
    task_status: str | None
    reserved_microusd: int
    settled_microusd: int
    calls_microusd: int

    @property
    def sentence(self) -> str:
        """What it says, in one sentence."""
        return (
            f"{self.state}: reserved {self.reserved_microusd}, settled {self.settled_microusd}, its calls "
            f"came to {self.calls_microusd} micro-dollars; its task is {self.task_status or 'gone'}"
        )


async def ledger_figures(conn: Connection, task_id: UUID) -> LedgerFigures | None:
    """Return what the ledger has of a task; None when it has nothing any more."""
    async with conn.cursor(row_factory=class_row(LedgerFigures)) as cursor:
        await cursor.execute(
            "select l.state, t.status as task_status, l.reserved_microusd, l.settled_microusd,"
            " (select coalesce(sum(c.cost_microusd), 0)::bigint from understudy.provider_calls c"
            " where c.task_id = l.task_id) as calls_microusd"
            " from understudy.ledger l left join public.tasks t on t.id = l.task_id where l.task_id = %s",
            (task_id,),
        )
        return await cursor.fetchone()


@dataclass(frozen=True, slots=True)
class ReferenceCoverage:
    """Whether live voices can be spoken from what is stored of them, as far as rows tell.

    Parameters
    ----------
    live, speakable
        Live voices, and those that have a recording, a transcript, and nothing known against either.
    without_digest
        Of the speakable ones, those whose recording has no digest to compare it with.
    degrading
        Ids of some that are not speakable.
    """

    live: int
    speakable: int
    without_digest: int
    degrading: list[str]


_COVERAGE = SQL("""
    with judged as (
        select v.id, v.reference_sha256,
               coalesce(v.reference_object_key, '') <> '' and coalesce(v.reference_transcript, '') <> ''
               and not 'unreadable_references' = any(v.quarantined_for)
               and not exists (select from understudy.object_sightings s
                               where s.kind = 'missing' and s.bucket = 'references'
                                 and s.key = v.reference_object_key) as speaks
        from public.voices v where v.deleted_at is null)
    select count(*)::int as live, (count(*) filter (where speaks))::int as speakable,
           (count(*) filter (where speaks and reference_sha256 is null))::int as without_digest,
           array(select j.id::text from judged j where not j.speaks order by j.id limit %s) as degrading
    from judged
""")


async def reference_coverage(conn: Connection, *, listed: int) -> ReferenceCoverage:
    """Count live voices by whether their stored recordings carry them to a provider that enrols nothing."""
    async with conn.cursor(row_factory=class_row(ReferenceCoverage)) as cursor:
        await cursor.execute(_COVERAGE, (listed,))
        row = await cursor.fetchone()
    assert row is not None  # noqa: S101  (an aggregate gives one row)
    return row


async def waiting_tasks(conn: Connection, provider: str) -> tuple[int, int]:
    """How many tasks wait for ``provider`` unsent, and how many it was sent and has not ended."""
    cursor = await conn.execute(
        "select (count(*) filter (where dispatched_at is null))::int as waiting,"
        " (count(*) filter (where dispatched_at is not null))::int as sent from public.tasks"
        " where status in ('pending', 'processing') and provider = %s",
        (provider,),
    )
    row = await cursor.fetchone()
    return (row["waiting"], row["sent"]) if row else (0, 0)
