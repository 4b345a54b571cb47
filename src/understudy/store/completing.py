"""The good end of spoken text: its task, its generation, its call and the money, in one statement."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any
from uuid import UUID

from psycopg.sql import SQL
from psycopg.types.json import Jsonb

from understudy.store.calls import NAMES, SETTLED, VALUES, CallRecord, settled_values
from understudy.store.claims import Claim
from understudy.store.generations import StoredSpeech
from understudy.store.tasks import Connection


class Completion(Enum):
    """What came of it."""

    DONE = "done"
    LOST = "lost"
    """The claim is lost, or a cancellation overtook it: nothing was written."""
    GONE = "gone"
    """The generation is gone or terminal: the transaction has to be rolled back."""


# Each part reads what the one before it returned: without the task no generation, without that no call.
_COMPLETE = (
    SQL(
        "WITH ended AS (UPDATE public.tasks SET status = 'completed', result = %(result)s, error = NULL,"
        " provider_status = 'completed', lease_expires_at = NULL,"
        " provider_poll_count = greatest(provider_poll_count, %(polls)s),"
        " modal_poll_count = CASE WHEN provider = 'modal' THEN greatest(modal_poll_count, %(polls)s)"
        " ELSE modal_poll_count END, completed_at = clock_timestamp()"
        " WHERE id = %(ended_task)s AND claimed_by = %(worker)s AND attempts = %(attempt)s"
        " AND status = 'processing' AND NOT cancellation_requested RETURNING id),"
        " spoken AS (UPDATE public.generations g SET status = 'completed', audio_object_key = %(object_key)s,"
        " audio_content_type = %(content_type)s, audio_sha256 = %(sha256)s,"
        " output_format = %(output_format)s, duration_seconds = %(duration)s,"
        " generation_time_seconds = %(generation_time)s, provider_model = %(spoken_model)s,"
        " provider_metadata = %(provider_metadata)s, error_message = NULL, completed_at = clock_timestamp()"
        " FROM ended WHERE g.id = %(generation)s AND g.user_id = %(owner)s"
        " AND g.status IN ('pending', 'processing') RETURNING g.id),"
        " kept AS (INSERT INTO understudy.provider_calls ({names}) SELECT {values} FROM spoken"
        " RETURNING task_id, cost_microusd)"
        " SELECT EXISTS (SELECT FROM ended) AS ended, EXISTS (SELECT FROM spoken) AS spoken,"
        " (SELECT {settled} FROM kept) AS settled"
    )
    .format(names=NAMES, values=VALUES, settled=SETTLED)
    .as_bytes()
)


async def complete_spoken(
    conn: Connection,
    claim: Claim,
    result: Mapping[str, Any],
    *,
    polls: int,
    user_id: UUID,
    generation_id: UUID,
    speech: StoredSpeech,
    record: CallRecord,
) -> Completion:
    """End a task under its claim, complete its generation whose audio is stored, keep and settle its call.

    Parameters
    ----------
    result
        What the task tells its owner.
    polls
        How often the provider was asked; fewer than the row already has change nothing.
    """
    cursor = await conn.execute(
        _COMPLETE,
        {
            **settled_values(record),
            "result": Jsonb(dict(result)),
            "polls": polls,
            "ended_task": claim.task_id,
            "worker": claim.worker,
            "attempt": claim.attempt,
            "generation": generation_id,
            "owner": user_id,
            "object_key": speech.object_key,
            "content_type": speech.content_type,
            "sha256": speech.sha256,
            "output_format": speech.output_format,
            "duration": speech.duration_seconds,
            "generation_time": speech.generation_time_seconds,
            "spoken_model": speech.model,
            "provider_metadata": Jsonb(dict(speech.provider_metadata)),
        },
    )
    row = await cursor.fetchone()
    if row is None or not row["ended"]:
        return Completion.LOST
    return Completion.DONE if row["spoken"] else Completion.GONE
