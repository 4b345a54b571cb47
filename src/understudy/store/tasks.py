"""Rows of ``public.tasks``: the one truth about every task.

Every write is conditional on a status that is not terminal, so a terminal status never changes. What the
holder of a task may write is in :mod:`understudy.store.claims`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

TERMINAL = frozenset({"completed", "failed", "cancelled"})
CHANNEL = "understudy_task"

GENERATE = "generate"
DESIGN_PREVIEW = "design_preview"
CLONE = "clone"

#: Invariants that a completed task breaks whose result is not there.
LOST_RESULTS = frozenset({"completed_without_audio", "orphaned_tasks"})

#: Types that a worker drives; a clone is driven by the request that makes it.
DRIVEN = [GENERATE, DESIGN_PREVIEW]

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One task, as stored; the fields are the columns of facts/api.md "Rows" and the claim's."""

    id: UUID
    user_id: UUID
    type: str
    status: str
    generation_id: UUID | None
    voice_id: UUID | None
    modal_job_id: str | None
    modal_poll_count: int
    metadata: dict[str, Any]
    result: dict[str, Any] | None
    error: str | None
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    provider: str
    provider_job_id: str | None
    provider_status: str | None
    provider_poll_count: int
    cancellation_requested: bool
    mode_epoch: int | None
    attempts: int
    claimed_by: str | None
    lease_expires_at: datetime | None
    deadline_at: datetime | None
    dispatched_at: datetime | None
    #: ``queued`` for the workers, or ``stream``: spoken inside the request that asked for it.
    delivery: str
    #: Invariants for which it is kept from use: :mod:`understudy.store.quarantine`.
    quarantined_for: Sequence[str]

    @property
    def terminal(self) -> bool:
        """Whether the status can no longer change."""
        return self.status in TERMINAL

    @property
    def lost(self) -> bool:
        """Whether what it made was lost after it was completed: its tenant sees it as failed."""
        return self.status == "completed" and not LOST_RESULTS.isdisjoint(self.quarantined_for)

    @property
    def modal_status(self) -> str | None:
        """The provider's status under its older name, for tasks of the provider that had it."""
        return self.provider_status if self.provider == "modal" else None

    @property
    def modal_elapsed_seconds(self) -> float | None:
        """Seconds from dispatch to the last news, under its older name."""
        if self.provider != "modal" or self.dispatched_at is None:
            return None
        return round(((self.completed_at or self.updated_at) - self.dispatched_at).total_seconds(), 3)


COLUMNS = SQL(", ").join(Identifier(field.name) for field in fields(TaskRow))


@dataclass(frozen=True, slots=True)
class TaskDraft:
    """A task to create."""

    id: UUID
    user_id: UUID
    type: str
    provider: str
    mode_epoch: int
    deadline_at: datetime
    generation_id: UUID | None = None
    voice_id: UUID | None = None
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a task ends.

    Parameters
    ----------
    status
        ``completed``, ``failed`` or ``cancelled``.
    error
        One sentence for the tenant.
    metadata
        Merged into the row's.
    polls
        How often the provider was asked; fewer than the row already has change nothing.
    """

    status: str
    result: Mapping[str, Any] | None = None
    error: str | None = None
    metadata: Mapping[str, Any] | None = None
    polls: int = 0


@lru_cache(maxsize=256)
def _rendered(template: str) -> bytes:
    """A statement with its columns; composed once, for composing costs more than sending."""
    return template.format(columns=COLUMNS.as_string()).encode()


async def one_task(
    conn: Connection,
    statement: SQL,
    values: Sequence[object] | Mapping[str, object],
    *,
    announce: bool = False,
) -> TaskRow | None:
    """Run a statement that answers at most one task; ``{columns}`` in it are the columns of a row."""
    async with conn.cursor(row_factory=class_row(TaskRow)) as cursor:
        await cursor.execute(_rendered(statement.as_string()), values)
        row = await cursor.fetchone()
    if row is not None and announce:
        await announce_task(conn, row.id)
    return row


async def announce_task(conn: Connection, task_id: UUID) -> None:
    """Tell every listener of a change that is not one of status (a trigger tells those), on commit."""
    await conn.execute("SELECT pg_notify(%s, %s)", (CHANNEL, str(task_id)))


async def lock_user(conn: Connection, user_id: UUID, purpose: str) -> None:
    """Serialise this user's transactions of one purpose until commit: a count then cannot be raced."""
    await conn.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"understudy:{purpose}:{user_id}",)
    )


_INSERT = SQL(
    "INSERT INTO public.tasks"
    " (id, user_id, type, status, provider, mode_epoch, deadline_at, generation_id, voice_id, metadata)"
    " VALUES (%s, %s, %s, 'pending', %s, %s, %s, %s, %s, %s) RETURNING {columns}"
)


async def insert_task(conn: Connection, draft: TaskDraft) -> TaskRow:
    """Create a pending task."""
    values = (
        draft.id,
        draft.user_id,
        draft.type,
        draft.provider,
        draft.mode_epoch,
        draft.deadline_at,
        draft.generation_id,
        draft.voice_id,
        Jsonb(dict(draft.metadata or {})),
    )
    row = await one_task(conn, _INSERT, values)
    assert row is not None  # noqa: S101  (INSERT ... RETURNING gives its row or raises)
    return row


_FIND = SQL(
    "SELECT {columns} FROM public.tasks WHERE id = %s AND user_id = %s"
    " AND metadata -> 'delete_requested' IS NULL"
)
_LOAD = SQL("SELECT {columns} FROM public.tasks WHERE id = %s")


async def find_task(conn: Connection, user_id: UUID, task_id: UUID) -> TaskRow | None:
    """Return the user's task, or ``None`` (also for another tenant's)."""
    return await one_task(conn, _FIND, (task_id, user_id))


_RECENT = SQL(
    "SELECT {columns} FROM public.tasks WHERE user_id = %s AND created_at > %s"
    " AND (status IN ('pending', 'processing') OR completed_at > %s)"
    " AND metadata -> 'delete_requested' IS NULL ORDER BY created_at DESC, id LIMIT %s"
)


async def recent_tasks(
    conn: Connection, user_id: UUID, *, created_after: datetime, ended_after: datetime, limit: int
) -> list[TaskRow]:
    """Return the user's tasks that are not over, and those that ended lately, newest first."""
    async with conn.cursor(row_factory=class_row(TaskRow)) as cursor:
        await cursor.execute(_rendered(_RECENT.as_string()), (user_id, created_after, ended_after, limit))
        return await cursor.fetchall()


async def load_task(conn: Connection, task_id: UUID) -> TaskRow | None:
    """Return any tenant's task: for the worker, which was given the id by the queue."""
    return await one_task(conn, _LOAD, (task_id,))


async def count_active(conn: Connection, user_id: UUID, task_type: str) -> int:
    """Count the user's tasks of one type that are not terminal; streams have a limit of their own."""
    cursor = await conn.execute(
        "SELECT count(*) AS active FROM public.tasks"
        " WHERE user_id = %s AND type = %s AND delivery = 'queued' AND status IN ('pending', 'processing')",
        (user_id, task_type),
    )
    row = await cursor.fetchone()
    return int(row["active"]) if row else 0


_ACTIVE_CLONE = SQL(
    "SELECT {columns} FROM public.tasks WHERE user_id = %s AND type = 'clone'"
    " AND status IN ('pending', 'processing') AND metadata ->> 'voice_id' = %s LIMIT 1"
)


async def active_clone(conn: Connection, user_id: UUID, voice_id: UUID) -> TaskRow | None:
    """Return the clone task that is making this voice now, if one is."""
    return await one_task(conn, _ACTIVE_CLONE, (user_id, str(voice_id)))


_REQUEST_CANCEL = SQL(
    "UPDATE public.tasks SET cancellation_requested = true,"
    " status = CASE WHEN status = 'pending' THEN 'cancelled' ELSE status END,"
    " completed_at = CASE WHEN status = 'pending' THEN clock_timestamp() ELSE completed_at END"
    " WHERE id = %s AND user_id = %s AND status IN ('pending', 'processing') RETURNING {columns}"
)


async def request_cancel(conn: Connection, user_id: UUID, task_id: UUID) -> TaskRow | None:
    """Cancel a pending task, or ask a running one's holder to; ``None`` when it is terminal or not there."""
    return await one_task(conn, _REQUEST_CANCEL, (task_id, user_id), announce=True)


_REQUEST_DELETE = SQL(
    "UPDATE public.tasks SET metadata = metadata || jsonb_build_object('delete_requested', true)"
    " WHERE id = %s AND user_id = %s RETURNING {columns}"
)


async def request_delete(conn: Connection, user_id: UUID, task_id: UUID) -> TaskRow | None:
    """Hide a task; whoever ends it deletes it. ``None`` when there is none of this user's."""
    return await one_task(conn, _REQUEST_DELETE, (task_id, user_id))


async def request_cancel_of_generation(conn: Connection, user_id: UUID, generation_id: UUID) -> None:
    """Cancel what is still under way for a generation."""
    cursor = await conn.execute(
        "SELECT id FROM public.tasks WHERE user_id = %s AND generation_id = %s"
        " AND status IN ('pending', 'processing')",
        (user_id, generation_id),
    )
    for row in await cursor.fetchall():
        await request_cancel(conn, user_id, row["id"])


async def due_tasks(conn: Connection, *, undelivered_s: float, limit: int) -> list[UUID]:
    """Find tasks nobody was given: pending for ``undelivered_s`` seconds, or held under a dead lease.

    Tenants take turns, as in the queue.
    """
    cursor = await conn.execute(
        "SELECT id FROM public.tasks WHERE type = ANY(%s) AND delivery = 'queued'"
        " AND (deadline_at IS NULL OR deadline_at > clock_timestamp())"
        " AND ((status = 'pending' AND created_at < clock_timestamp() - make_interval(secs => %s))"
        " OR (status = 'processing' AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())))"
        " ORDER BY row_number() OVER (PARTITION BY user_id ORDER BY created_at), created_at LIMIT %s",
        (DRIVEN, undelivered_s, limit),
    )
    return [row["id"] for row in await cursor.fetchall()]


_OVERDUE = SQL(
    "SELECT {columns} FROM public.tasks WHERE status IN ('pending', 'processing') AND delivery = 'queued'"
    " AND deadline_at < clock_timestamp() ORDER BY deadline_at LIMIT 1 FOR UPDATE SKIP LOCKED"
)


async def next_overdue(conn: Connection) -> TaskRow | None:
    """Lock one task past its deadline, of any type; another reaper's is skipped.

    Not a stream: whoever speaks it keeps its deadline, and ``store.streams`` finds one that nobody holds.
    """
    return await one_task(conn, _OVERDUE, ())


_END_UNHELD = SQL(
    "UPDATE public.tasks SET status = %s, error = %s, provider_status = %s,"
    " metadata = metadata || %s, lease_expires_at = NULL, claimed_by = NULL,"
    " completed_at = clock_timestamp()"
    " WHERE id = %s AND status IN ('pending', 'processing') RETURNING {columns}"
)


async def end_unheld(conn: Connection, task_id: UUID, ending: Ending) -> TaskRow | None:
    """End a task whoever holds it (the reaper's right); ``None`` when it is terminal already."""
    values = (ending.status, ending.error, ending.status, Jsonb(dict(ending.metadata or {})), task_id)
    return await one_task(conn, _END_UNHELD, values)


_DELETE_ENDED = SQL(
    "DELETE FROM public.tasks WHERE id = %s AND user_id = %s"
    " AND status IN ('completed', 'failed', 'cancelled') RETURNING {columns}"
)


async def delete_ended(conn: Connection, user_id: UUID, task_id: UUID) -> TaskRow | None:
    """Delete a terminal task; ``None`` when it is under way or not there."""
    return await one_task(conn, _DELETE_ENDED, (task_id, user_id))
