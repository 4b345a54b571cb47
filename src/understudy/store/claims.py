"""What the holder of a task may write.

A claim is a worker, an attempt and an unexpired lease. Every write here is fenced by it, so a worker that was
thought dead and comes back changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.sql import SQL
from psycopg.types.json import Jsonb

from understudy.store.tasks import DRIVEN, Connection, Ending, TaskDraft, TaskRow, insert_task, one_task


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write a task: of this worker, in this attempt."""

    task_id: UUID
    worker: str
    attempt: int

    @property
    def values(self) -> tuple[UUID, str, int]:
        """What the fence of every statement here is given."""
        return self.task_id, self.worker, self.attempt


_CLAIM = SQL(
    "UPDATE public.tasks SET status = 'processing', claimed_by = %s, attempts = attempts + 1,"
    " lease_expires_at = clock_timestamp() + make_interval(secs => %s)"
    " WHERE id = %s AND type = ANY(%s) AND delivery = 'queued' AND (status = 'pending'"
    " OR (status = 'processing' AND (lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())))"
    # Canaries' tasks run through a freeze: a restoration proves by them that the service works.
    " AND (NOT EXISTS (SELECT FROM understudy.write_freeze WHERE frozen)"
    " OR EXISTS (SELECT FROM understudy.synthetic_users s WHERE s.user_id = tasks.user_id))"
    " RETURNING {columns}"
)


async def claim_task(conn: Connection, task_id: UUID, worker: str, lease_s: float) -> TaskRow | None:
    """Take a task that nobody holds; ``None`` when it is terminal, held, gone, a stream, or writes freeze.

    The condition is evaluated again under the row's lock, so of two workers one gets the row.
    """
    return await one_task(conn, _CLAIM, (worker, lease_s, task_id, DRIVEN))


_START_CLONE = SQL(
    "UPDATE public.tasks SET status = 'processing', claimed_by = %s, attempts = 1,"
    " dispatched_at = clock_timestamp(), provider_status = 'submitting',"
    " lease_expires_at = clock_timestamp() + make_interval(secs => %s)"
    " WHERE id = %s AND status = 'pending' RETURNING {columns}"
)


async def start_clone(conn: Connection, draft: TaskDraft, worker: str, lease_s: float) -> Claim:
    """Create a clone task already dispatched and held: the intent that precedes a billed create."""
    await insert_task(conn, draft)
    await one_task(conn, _START_CLONE, (worker, lease_s, draft.id))
    return Claim(draft.id, worker, 1)


async def extend_leases(
    conn: Connection, worker: str, task_ids: Sequence[UUID], lease_s: float
) -> dict[UUID, bool]:
    """Extend the leases this worker still holds.

    Returns
    -------
    dict
        Task id to whether its cancellation is requested; an id that is missing is lost.
    """
    cursor = await conn.execute(
        "UPDATE public.tasks SET lease_expires_at = clock_timestamp() + make_interval(secs => %s)"
        " WHERE id = ANY(%s) AND claimed_by = %s AND status = 'processing'"
        " RETURNING id, cancellation_requested",
        (lease_s, list(task_ids), worker),
    )
    return {row["id"]: bool(row["cancellation_requested"]) for row in await cursor.fetchall()}


_DISPATCH = SQL(
    "WITH sent AS ("
    "UPDATE public.tasks SET dispatched_at = clock_timestamp(), provider_status = 'submitting'"
    " WHERE id = %s AND claimed_by = %s AND attempts = %s AND status = 'processing'"
    " AND NOT cancellation_requested RETURNING {columns}), moved AS ("
    "UPDATE public.generations g SET status = 'processing' FROM sent"
    " WHERE g.id = sent.generation_id AND g.user_id = sent.user_id AND g.status = 'pending')"
    " SELECT {columns} FROM sent"
)


async def mark_dispatched(conn: Connection, claim: Claim) -> TaskRow | None:
    """Persist the intent to call the provider, before anything is sent; ``None`` when it must not be.

    The task's generation is in progress from then on.
    """
    return await one_task(conn, _DISPATCH, claim.values)


_JOB = SQL(
    "UPDATE public.tasks SET provider_job_id = %s, provider_status = 'accepted',"
    " modal_job_id = CASE WHEN provider = 'modal' THEN %s ELSE modal_job_id END"
    " WHERE id = %s AND claimed_by = %s AND attempts = %s AND status = 'processing' RETURNING {columns}"
)


async def record_job(conn: Connection, claim: Claim, job_id: str) -> TaskRow | None:
    """Persist the job the provider accepted, so that another worker can resume it."""
    return await one_task(conn, _JOB, (job_id, job_id, *claim.values))


_PROGRESS = SQL(
    "UPDATE public.tasks SET provider_status = %s, provider_poll_count = %s,"
    " modal_poll_count = CASE WHEN provider = 'modal' THEN %s ELSE modal_poll_count END"
    " WHERE id = %s AND claimed_by = %s AND attempts = %s AND status = 'processing'"
)


async def record_progress(conn: Connection, claim: Claim, status: str, polls: int) -> None:
    """Persist what the provider last said of the job, and after how many polls."""
    await conn.execute(_PROGRESS, (status, polls, polls, *claim.values))


async def add_facts(conn: Connection, claim: Claim, facts: Mapping[str, Any]) -> None:
    """Merge facts into the metadata of a task that stays in flight."""
    await conn.execute(
        "UPDATE public.tasks SET metadata = metadata || %s"
        " WHERE id = %s AND claimed_by = %s AND attempts = %s AND status = 'processing'",
        (Jsonb(dict(facts)), *claim.values),
    )


_END = SQL(
    "UPDATE public.tasks SET status = %s, result = %s, error = %s, provider_status = %s,"
    " metadata = metadata || %s, lease_expires_at = NULL,"
    " provider_poll_count = greatest(provider_poll_count, %s),"
    " modal_poll_count = CASE WHEN provider = 'modal' THEN greatest(modal_poll_count, %s)"
    " ELSE modal_poll_count END,"
    " completed_at = clock_timestamp()"
    " WHERE id = %s AND claimed_by = %s AND attempts = %s AND status = 'processing'"
    " AND (%s <> 'completed' OR NOT cancellation_requested) RETURNING {columns}"
)


async def end_claimed(conn: Connection, claim: Claim, ending: Ending) -> TaskRow | None:
    """End a task under its claim.

    Returns
    -------
    TaskRow or None
        ``None`` when the claim is lost, or when a cancellation overtook a success.
    """
    values = (
        ending.status,
        Jsonb(dict(ending.result)) if ending.result is not None else None,
        ending.error,
        ending.status,
        Jsonb(dict(ending.metadata or {})),
        ending.polls,
        ending.polls,
        *claim.values,
        ending.status,
    )
    return await one_task(conn, _END, values)


_RELEASE = SQL(
    "UPDATE public.tasks SET claimed_by = NULL, lease_expires_at = clock_timestamp(),"
    " dispatched_at = CASE WHEN %s THEN NULL ELSE dispatched_at END,"
    " provider_job_id = CASE WHEN %s THEN NULL ELSE provider_job_id END,"
    " metadata = metadata || %s"
    " WHERE id = %s AND claimed_by = %s AND attempts = %s AND status = 'processing' RETURNING {columns}"
)


async def release_task(conn: Connection, claim: Claim, *, next_submission: int | None) -> TaskRow | None:
    """Give a task back at once, for another worker to go on.

    Parameters
    ----------
    next_submission
        Number of the next submission when what was sent is void; ``None`` keeps job and dispatch as they are.
    """
    void = next_submission is not None
    facts = Jsonb({"submission": next_submission} if void else {})
    return await one_task(conn, _RELEASE, (void, void, facts, *claim.values), announce=True)


_REROUTE = SQL(
    "WITH moved AS ("
    "UPDATE public.tasks SET provider = %s, mode_epoch = %s, dispatched_at = NULL, provider_job_id = NULL,"
    " provider_status = NULL, provider_poll_count = 0, metadata = metadata || %s"
    # A voice that the other provider made for it, if any, stays findable: it may be paid for.
    " || CASE WHEN metadata ? 'binding' THEN jsonb_build_object('left_binding', metadata -> 'binding')"
    " ELSE '{{}}' END"
    " WHERE id = %s AND claimed_by = %s AND attempts = %s AND status = 'processing'"
    " AND NOT cancellation_requested AND provider <> %s RETURNING {columns}), told AS ("
    "UPDATE public.generations g SET tts_provider = moved.provider, mode_epoch = moved.mode_epoch FROM moved"
    " WHERE g.id = moved.generation_id AND g.user_id = moved.user_id"
    " AND g.status IN ('pending', 'processing'))"
    " SELECT {columns} FROM moved"
)


async def reroute_task(
    conn: Connection, claim: Claim, *, provider: str, mode_epoch: int, facts: Mapping[str, Any]
) -> TaskRow | None:
    """Give a task, and its generation, another provider, as if it had never been sent.

    Returns
    -------
    TaskRow or None
        ``None`` when the claim is lost, its cancellation is requested, or that is its provider already.
    """
    values = (provider, mode_epoch, Jsonb(dict(facts)), *claim.values, provider)
    return await one_task(conn, _REROUTE, values, announce=True)
