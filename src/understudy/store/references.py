"""What each live voice says of its own recording: all that a provider without enrolment needs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import class_row

from understudy.store.database import Database

PAGE = 500


@dataclass(frozen=True, slots=True)
class StoredReference:
    """Where a live voice's recording lies, its recorded digest, and whether it has a transcript."""

    voice_id: UUID
    user_id: UUID
    object_key: str | None
    sha256: str | None
    has_transcript: bool


async def live_references(database: Database, user_id: UUID | None = None) -> AsyncIterator[StoredReference]:
    """Every live voice, of all tenants or of one, page by page: a voice made meanwhile may be missed."""
    after = UUID(int=0)
    while True:
        async with database.service() as conn, conn.cursor(row_factory=class_row(StoredReference)) as cursor:
            await cursor.execute(
                "SELECT id AS voice_id, user_id, nullif(reference_object_key, '') AS object_key,"
                " reference_sha256 AS sha256, coalesce(reference_transcript, '') <> '' AS has_transcript"
                " FROM public.voices WHERE deleted_at IS NULL AND id > %(after)s"
                " AND (%(user)s::uuid IS NULL OR user_id = %(user)s::uuid) ORDER BY id LIMIT %(page)s",
                {"after": after, "user": user_id, "page": PAGE},
            )
            page = await cursor.fetchall()
        for found in page:
            yield found
        if len(page) < PAGE:
            return
        after = page[-1].voice_id
