"""Billed creates as the rows know them: clone and design tasks, and what came of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.sql import SQL
from psycopg.types.json import Jsonb

from understudy.store.tasks import CLONE, DESIGN_PREVIEW, Connection, TaskRow, one_task

_LAST_CLONE = SQL(
    "SELECT {columns} FROM public.tasks WHERE user_id = %s AND type = 'clone'"
    " AND metadata ->> 'voice_id' = %s AND metadata ->> 'label' = %s"
    " ORDER BY metadata ? 'binding' DESC, created_at DESC LIMIT 1"
)


async def last_clone(conn: Connection, user_id: UUID, voice_id: UUID, label: str) -> TaskRow | None:
    """Return the attempt at this voice under ``label`` that tells most: one with a binding, or the last."""
    return await one_task(conn, _LAST_CLONE, (user_id, str(voice_id), label))


async def note_binding(conn: Connection, task_id: UUID, binding: Mapping[str, Any]) -> None:
    """Keep the voice that a create made and no row holds, whatever became of its task."""
    await conn.execute(
        "UPDATE public.tasks SET metadata = metadata || %s WHERE id = %s",
        (Jsonb({"binding": dict(binding)}), task_id),
    )


@dataclass(frozen=True, slots=True)
class CreateRow:
    """One clone or design task that was sent to a provider.

    Parameters
    ----------
    voice_id
        What the provider calls the voice, where it is known.
    label
        What a clone was made under; ``None`` for a design, whose label follows from its id.
    """

    task_id: UUID
    user_id: UUID
    type: str
    status: str
    provider: str
    voice_id: str | None
    label: str | None
    created_at: datetime


async def sent_creates(conn: Connection, provider: str) -> list[CreateRow]:
    """Every create that was sent to ``provider`` and has a task still, newest first."""
    async with conn.cursor(row_factory=class_row(CreateRow)) as cursor:
        await cursor.execute(
            "SELECT id AS task_id, user_id, type, status, provider, created_at,"
            " metadata #>> '{binding,voice_id}' AS voice_id, metadata ->> 'label' AS label"
            " FROM public.tasks WHERE provider = %s AND type = ANY(%s) AND dispatched_at IS NOT NULL"
            " ORDER BY created_at DESC",
            (provider, [CLONE, DESIGN_PREVIEW]),
        )
        return await cursor.fetchall()


async def held_voices(conn: Connection, provider: str, voice_ids: Sequence[str]) -> set[str]:
    """Those of the provider's voices that a row of ours speaks with, deleted voices and carry-overs too."""
    cursor = await conn.execute(
        "SELECT provider_voice_id FROM public.voices"
        " WHERE tts_provider = %s AND provider_voice_id = ANY(%s)"
        " UNION SELECT provider_voice_id FROM understudy.carry_overs"
        " WHERE provider = %s AND provider_voice_id = ANY(%s)",
        (provider, list(voice_ids), provider, list(voice_ids)),
    )
    return {row["provider_voice_id"] for row in await cursor.fetchall()}


async def intended_labels(conn: Connection, provider: str) -> set[str]:
    """Labels of carry-overs that were intended and are not done: the next run looks them up."""
    cursor = await conn.execute(
        "SELECT label FROM understudy.carry_overs WHERE provider = %s AND state IN ('intended', 'failed')",
        (provider,),
    )
    return {row["label"] for row in await cursor.fetchall()}
