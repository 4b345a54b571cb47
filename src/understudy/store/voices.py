"""Rows of ``public.voices``. A voice is deleted softly: its generations and its provider's voice stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from understudy.errors import UnderstudyError
from understudy.store.paging import like_pattern

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class VoiceRow:
    """One voice, as stored (facts/api.md "Rows")."""

    id: UUID
    user_id: UUID
    name: str
    reference_object_key: str | None
    reference_transcript: str | None
    language: str
    source: str
    description: str | None
    created_at: datetime
    tts_provider: str
    provider_voice_id: str | None
    provider_target_model: str | None
    provider_voice_kind: str | None
    provider_region: str | None
    provider_request_id: str | None
    provider_metadata: dict[str, Any] | None
    deleted_at: datetime | None
    reference_sha256: str | None
    reference_content_type: str | None
    designed_task_id: UUID | None
    consent_statement: str | None
    consent_name: str | None
    consent_at: datetime | None
    consent_reference_sha256: str | None
    #: Invariants for which it is kept from use: :mod:`understudy.store.quarantine`.
    quarantined_for: Sequence[str]

    @property
    def degraded(self) -> bool:
        """Whether its provider said that it made a worse voice of the recording than it could have."""
        return bool((self.provider_metadata or {}).get("degraded"))


@dataclass(frozen=True, slots=True)
class NewVoice:
    """A voice to create; ``id`` is chosen by the caller, so that creating it twice is one voice."""

    id: UUID
    user_id: UUID
    name: str
    language: str
    source: str
    description: str | None
    reference_object_key: str
    reference_transcript: str
    reference_sha256: str
    reference_content_type: str
    tts_provider: str
    provider_voice_id: str | None = None
    provider_target_model: str | None = None
    provider_voice_kind: str | None = None
    provider_region: str | None = None
    provider_request_id: str | None = None
    provider_metadata: Mapping[str, Any] | None = None
    designed_task_id: UUID | None = None
    consent_statement: str | None = None
    consent_name: str | None = None
    consent_at: datetime | None = None
    consent_reference_sha256: str | None = None


_COLUMNS = SQL(", ").join(Identifier(field.name) for field in fields(VoiceRow))
_FIND = (
    SQL("SELECT {columns} FROM public.voices WHERE id = %s AND user_id = %s AND (deleted_at IS NULL OR %s)")
    .format(columns=_COLUMNS)
    .as_bytes()
)
_NEW_NAMES = [field.name for field in fields(NewVoice)]
_INSERT = SQL(
    "INSERT INTO public.voices ({names}) VALUES ({values}) ON CONFLICT DO NOTHING RETURNING {columns}"
).format(
    names=SQL(", ").join(Identifier(name) for name in _NEW_NAMES),
    values=SQL(", ").join(SQL("%s") for _ in _NEW_NAMES),
    columns=_COLUMNS,
)


class VoiceNotCreatedError(UnderstudyError):
    """Failed to create voice."""

    code = "voice_not_created"


class VoiceOfNobodyError(VoiceNotCreatedError):
    """Invalid or expired token"""  # noqa: D400  (the account was erased: the contract's text for its token)

    code = "unauthenticated"
    status = 401


async def insert_voice(conn: Connection, voice: NewVoice) -> VoiceRow | None:
    """Create a voice; ``None`` when its id, or its designed task, already has one.

    Raises
    ------
    VoiceNotCreatedError
        The database refused the row.
    """
    values: list[object] = []
    for name in _NEW_NAMES:
        value = getattr(voice, name)
        values.append(Jsonb(dict(value or {})) if name == "provider_metadata" else value)
    try:
        async with conn.cursor(row_factory=class_row(VoiceRow)) as cursor:
            await cursor.execute(_INSERT, values)
            return await cursor.fetchone()
    except psycopg.Error as error:
        if conn.broken:
            raise
        if error.diag.constraint_name == "voices_user_id_fkey":
            raise VoiceOfNobodyError from error
        raise VoiceNotCreatedError from error


async def find_voice(
    conn: Connection, user_id: UUID, voice_id: UUID, *, deleted: bool = False
) -> VoiceRow | None:
    """Return the user's voice, or ``None`` (also for another tenant's); ``deleted`` includes deleted ones."""
    async with conn.cursor(row_factory=class_row(VoiceRow)) as cursor:
        await cursor.execute(
            _FIND,
            (voice_id, user_id, deleted),
        )
        return await cursor.fetchone()


async def voices_of_previews(conn: Connection, user_id: UUID, tasks: Sequence[UUID]) -> dict[UUID, UUID]:
    """Return, by preview task, the user's voice that was made of it and is still there."""
    cursor = await conn.execute(
        "SELECT designed_task_id, id FROM public.voices"
        " WHERE designed_task_id = ANY(%s) AND user_id = %s AND deleted_at IS NULL",
        (list(tasks), user_id),
    )
    return {row["designed_task_id"]: row["id"] for row in await cursor.fetchall()}


async def find_designed(conn: Connection, user_id: UUID, task_id: UUID) -> VoiceRow | None:
    """Return the voice saved from a design preview, deleted or not."""
    async with conn.cursor(row_factory=class_row(VoiceRow)) as cursor:
        await cursor.execute(
            SQL("SELECT {columns} FROM public.voices WHERE designed_task_id = %s AND user_id = %s").format(
                columns=_COLUMNS
            ),
            (task_id, user_id),
        )
        return await cursor.fetchone()


async def find_named(conn: Connection, user_id: UUID, name: str, *, limit: int) -> list[VoiceRow]:
    """Return the user's live voices of this name, whatever its case, newest first."""
    async with conn.cursor(row_factory=class_row(VoiceRow)) as cursor:
        await cursor.execute(
            SQL(
                "SELECT {columns} FROM public.voices WHERE user_id = %s AND deleted_at IS NULL"
                " AND lower(name) = lower(%s) ORDER BY created_at DESC, id LIMIT %s"
            ).format(columns=_COLUMNS),
            (user_id, name, limit),
        )
        return await cursor.fetchall()


async def voices_after(
    conn: Connection, user_id: UUID, voice_id: UUID | None, *, limit: int
) -> list[VoiceRow]:
    """Return the user's live voices, newest first, that follow one of theirs (or from the newest)."""
    async with conn.cursor(row_factory=class_row(VoiceRow)) as cursor:
        await cursor.execute(
            SQL(
                "SELECT {columns} FROM public.voices WHERE user_id = %(user)s AND deleted_at IS NULL"
                " AND (%(after)s::uuid IS NULL OR (created_at, id) < (SELECT created_at, id"
                " FROM public.voices WHERE id = %(after)s::uuid AND user_id = %(user)s))"
                " ORDER BY created_at DESC, id DESC LIMIT %(limit)s"
            ).format(columns=_COLUMNS),
            {"user": user_id, "after": voice_id, "limit": limit},
        )
        return await cursor.fetchall()


async def list_voices(
    conn: Connection,
    user_id: UUID,
    *,
    page: int,
    per_page: int,
    search: str | None,
    source: str | None,
) -> tuple[list[VoiceRow], int]:
    """Return one page of live voices, newest first, and how many there are in all."""
    where = SQL(
        " WHERE user_id = %(user)s AND deleted_at IS NULL"
        " AND (%(search)s::text IS NULL OR name ILIKE %(search)s)"
        " AND (%(source)s::text IS NULL OR source = %(source)s)"
    )
    values = {
        "user": user_id,
        "search": like_pattern(search),
        "source": source,
        "limit": per_page,
        "offset": (page - 1) * per_page,
    }
    counted = await conn.execute(SQL("SELECT count(*) AS total FROM public.voices") + where, values)
    total = await counted.fetchone()
    async with conn.cursor(row_factory=class_row(VoiceRow)) as cursor:
        await cursor.execute(
            SQL("SELECT {columns} FROM public.voices").format(columns=_COLUMNS)
            + where
            + SQL(" ORDER BY created_at DESC, id LIMIT %(limit)s OFFSET %(offset)s"),
            values,
        )
        return await cursor.fetchall(), int(total["total"]) if total else 0


async def soft_delete_voice(conn: Connection, user_id: UUID, voice_id: UUID) -> bool:
    """Mark a voice as deleted; false when there is no live one of this user's."""
    cursor = await conn.execute(
        "UPDATE public.voices SET deleted_at = clock_timestamp()"
        " WHERE id = %s AND user_id = %s AND deleted_at IS NULL",
        (voice_id, user_id),
    )
    return cursor.rowcount == 1
