"""Rows of ``public.generations``. Tenant reads run under row level security; writes name the tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL, Identifier

from understudy.store.paging import like_pattern

Connection = AsyncConnection[DictRow]

#: The invariant that a completed generation without its audio breaks.
LOST_AUDIO = "completed_without_audio"


@dataclass(frozen=True, slots=True)
class GenerationRow:
    """One generation, as stored (facts/api.md "Rows")."""

    id: UUID
    user_id: UUID
    voice_id: UUID | None
    text: str
    audio_object_key: str | None
    duration_seconds: float | None
    language: str
    status: str
    generation_time_seconds: float | None
    error_message: str | None
    created_at: datetime
    completed_at: datetime | None
    tts_provider: str
    provider_model: str | None
    output_format: str | None
    provider_metadata: dict[str, Any] | None
    mode_epoch: int | None
    audio_content_type: str | None
    audio_sha256: str | None
    #: Invariants for which it is kept from use: :mod:`understudy.store.quarantine`.
    quarantined_for: Sequence[str]

    @property
    def lost(self) -> bool:
        """Whether its audio was lost after it was completed: its tenant sees it as failed."""
        return self.status == "completed" and LOST_AUDIO in self.quarantined_for


@dataclass(frozen=True, slots=True)
class ListedGeneration:
    """A generation with the name of its voice; ``None`` once that is gone."""

    generation: GenerationRow
    voice_name: str | None


_NAMES = [field.name for field in fields(GenerationRow)]
_COLUMNS = SQL(", ").join(Identifier("g", name) for name in _NAMES)


async def insert_generation(
    conn: Connection,
    *,
    generation_id: UUID,
    user_id: UUID,
    voice_id: UUID,
    text: str,
    language: str,
    provider: str,
    mode_epoch: int,
) -> None:
    """Create a pending generation."""
    await conn.execute(
        "INSERT INTO public.generations"
        " (id, user_id, voice_id, text, language, status, tts_provider, mode_epoch)"
        " VALUES (%s, %s, %s, %s, %s, 'pending', %s, %s)",
        (generation_id, user_id, voice_id, text, language, provider, mode_epoch),
    )


_FIND = (
    SQL("SELECT {columns} FROM public.generations g WHERE g.id = %s AND g.user_id = %s")
    .format(columns=_COLUMNS)
    .as_bytes()
)


async def find_generation(conn: Connection, user_id: UUID, generation_id: UUID) -> GenerationRow | None:
    """Return the user's generation, or ``None`` (also for another tenant's)."""
    async with conn.cursor(row_factory=class_row(GenerationRow)) as cursor:
        await cursor.execute(
            _FIND,
            (generation_id, user_id),
        )
        return await cursor.fetchone()


async def list_generations(
    conn: Connection,
    user_id: UUID,
    *,
    page: int,
    per_page: int,
    search: str | None,
    status: str | None,
) -> tuple[list[ListedGeneration], int]:
    """Return one page, newest first, and how many there are in all; ``search`` is looked for in the text."""
    where = SQL(
        " WHERE g.user_id = %(user)s"
        " AND (%(search)s::text IS NULL OR g.text ILIKE %(search)s)"
        " AND (%(status)s::text IS NULL OR %(status)s = CASE"
        " WHEN g.status = 'completed' AND 'completed_without_audio' = ANY(g.quarantined_for) THEN 'failed'"
        " ELSE g.status END)"
    )
    values = {
        "user": user_id,
        "search": like_pattern(search),
        "status": status,
        "limit": per_page,
        "offset": (page - 1) * per_page,
    }
    counted = await conn.execute(SQL("SELECT count(*) AS total FROM public.generations g") + where, values)
    total = await counted.fetchone()
    cursor = await conn.execute(
        SQL(
            "SELECT {columns}, v.name AS voice_name FROM public.generations g"
            " LEFT JOIN public.voices v ON v.id = g.voice_id AND v.user_id = g.user_id"
        ).format(columns=_COLUMNS)
        + where
        + SQL(" ORDER BY g.created_at DESC, g.id LIMIT %(limit)s OFFSET %(offset)s"),
        values,
    )
    items = []
    for row in await cursor.fetchall():
        name = row.pop("voice_name")
        items.append(ListedGeneration(GenerationRow(**row), name))
    return items, int(total["total"]) if total else 0


@dataclass(frozen=True, slots=True)
class StoredSpeech:
    """What a completed generation records of its audio."""

    object_key: str
    content_type: str
    sha256: str
    duration_seconds: float
    generation_time_seconds: float
    model: str
    provider_metadata: Mapping[str, Any]
    output_format: str = "wav"


async def end_generation(
    conn: Connection, user_id: UUID, generation_id: UUID, *, status: str, error: str | None
) -> bool:
    """End a generation as ``failed`` or ``cancelled``; false when it is gone or terminal."""
    cursor = await conn.execute(
        "UPDATE public.generations SET status = %s, error_message = %s, completed_at = clock_timestamp()"
        " WHERE id = %s AND user_id = %s AND status IN ('pending', 'processing')",
        (status, error, generation_id, user_id),
    )
    return cursor.rowcount == 1


async def delete_generation(conn: Connection, user_id: UUID, generation_id: UUID) -> bool:
    """Delete the row; false when there is none of this user's."""
    cursor = await conn.execute(
        "DELETE FROM public.generations WHERE id = %s AND user_id = %s", (generation_id, user_id)
    )
    return cursor.rowcount == 1
