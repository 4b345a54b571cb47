"""Tasks of speech that is sent while it is spoken: admitted already held, never taken over by a worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

from psycopg.rows import tuple_row
from psycopg.sql import SQL, Identifier

from understudy.store.ledger import RESERVED, Refusal, Terms, refusal_of
from understudy.store.tasks import Connection, TaskRow, one_task
from understudy.store.voices import VoiceRow

DELIVERY = "stream"


@dataclass(frozen=True, slots=True)
class StreamDraft:
    """A stream to admit: its generation and its task, under way from the start."""

    task_id: UUID
    generation_id: UUID
    user_id: UUID
    voice_id: UUID
    text: str
    language: str
    provider: str
    mode_epoch: int
    deadline_at: datetime


def lock_name(user_id: UUID) -> str:
    """Name of the lock under which a user's streams are counted and admitted."""
    return f"understudy:streams:{user_id}"


@dataclass(frozen=True, slots=True)
class Admission:
    """What came of a draft.

    Parameters
    ----------
    voice
        The user's, or ``None``: there is no such voice, and nothing else was looked at.
    task
        ``None`` when the user has too many streams.
    refusal
        Why nothing was reserved; the transaction then has to be rolled back.
    """

    voice: VoiceRow | None
    task: TaskRow | None
    refusal: Refusal | None


_VOICE = [field.name for field in fields(VoiceRow)]
_TASK = [field.name for field in fields(TaskRow)]
# One statement, so one round trip. The reference of the task to its generation is checked at its end.
_ADMIT = (
    SQL(
        "WITH voice AS (SELECT {voice} FROM public.voices"
        " WHERE id = %(voice)s AND user_id = %(user_id)s AND deleted_at IS NULL),"
        " taken AS (SELECT count(*) AS streams FROM public.tasks"
        " WHERE user_id = %(user_id)s AND type = 'generate' AND delivery = 'stream'"
        " AND status IN ('pending', 'processing')),"
        " spoken AS (INSERT INTO public.generations"
        " (id, user_id, voice_id, text, language, status, tts_provider, mode_epoch)"
        " SELECT %(generation)s, %(user_id)s, voice.id, %(text)s, %(language)s, 'processing', %(provider)s,"
        " %(epoch)s FROM voice, taken WHERE taken.streams < %(most)s RETURNING id, voice_id),"
        " admitted AS (INSERT INTO public.tasks (id, user_id, type, status, provider, mode_epoch,"
        " deadline_at, generation_id, voice_id, delivery, claimed_by, attempts, dispatched_at,"
        " provider_status, lease_expires_at)"
        " SELECT %(task)s, %(user_id)s, 'generate', 'processing', %(provider)s, %(epoch)s, %(deadline)s,"
        " spoken.id, spoken.voice_id, 'stream', %(worker)s, 1, clock_timestamp(), 'submitting',"
        " clock_timestamp() + make_interval(secs => %(lease)s) FROM spoken RETURNING {task})"
        " SELECT {both}, CASE WHEN admitted.id IS NOT NULL THEN {reserved} END AS refusal"
        " FROM voice LEFT JOIN admitted ON true"
    )
    .format(
        voice=SQL(", ").join(map(Identifier, _VOICE)),
        task=SQL(", ").join(map(Identifier, _TASK)),
        both=SQL(", ").join(
            [Identifier("voice", name) for name in _VOICE] + [Identifier("admitted", name) for name in _TASK]
        ),
        reserved=SQL(RESERVED.format(task="admitted.id", kind="voice.provider_voice_kind")),
    )
    .as_bytes()
)


async def admit_stream(
    conn: Connection, draft: StreamDraft, terms: Terms, *, worker: str, lease_s: float, most: int
) -> Admission:
    """Find the voice, create generation and task, held by ``worker``, and reserve what it may cost.

    The transaction holds :func:`lock_name`, or two requests could both be the last of ``most`` streams.
    """
    values = {
        **terms.values,
        "user_id": draft.user_id,
        "generation": draft.generation_id,
        "voice": draft.voice_id,
        "text": draft.text,
        "language": draft.language,
        "provider": draft.provider,
        "epoch": draft.mode_epoch,
        "most": most,
        "task": draft.task_id,
        "deadline": draft.deadline_at,
        "worker": worker,
        "lease": lease_s,
    }
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_ADMIT, values)
        row = await cursor.fetchone()
    if row is None:
        return Admission(None, None, None)
    voice = VoiceRow(*row[: len(_VOICE)])
    if row[len(_VOICE)] is None:
        return Admission(voice, None, None)
    return Admission(voice, TaskRow(*row[len(_VOICE) : -1]), refusal_of(row[-1]))


async def stop_requests(conn: Connection, worker: str, task_ids: Sequence[UUID]) -> dict[UUID, bool]:
    """Whether the cancellation of each of these is requested; one that is missing is no longer ours."""
    cursor = await conn.execute(
        "SELECT id, cancellation_requested FROM public.tasks"
        " WHERE id = ANY(%s) AND claimed_by = %s AND status = 'processing'",
        (list(task_ids), worker),
    )
    return {row["id"]: bool(row["cancellation_requested"]) for row in await cursor.fetchall()}


_ABANDONED = SQL(
    "SELECT {columns} FROM public.tasks WHERE delivery = 'stream' AND status IN ('pending', 'processing')"
    " AND lease_expires_at < clock_timestamp() ORDER BY lease_expires_at LIMIT 1 FOR UPDATE SKIP LOCKED"
)


async def next_abandoned(conn: Connection) -> TaskRow | None:
    """Lock one stream whose process died: its lease is over; another reaper's is skipped."""
    return await one_task(conn, _ABANDONED, ())
