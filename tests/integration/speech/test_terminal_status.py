"""A terminal status never changes, whatever is tried on the row, in whatever order."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.speech.conftest import Studio
from understudy.store import claims, tasks
from understudy.store.claims import Claim
from understudy.store.tasks import TERMINAL, Connection, Ending, TaskDraft

pytestmark = pytest.mark.integration

WORKERS = ("one", "two")
ENDS = ("completed", "failed", "cancelled")
STEPS = st.one_of(
    st.tuples(st.just("claim"), st.sampled_from(WORKERS)),
    st.tuples(st.just("dispatch"), st.sampled_from(WORKERS)),
    st.tuples(st.just("job"), st.sampled_from(WORKERS)),
    st.tuples(st.just("release"), st.sampled_from(WORKERS)),
    st.tuples(st.sampled_from(ENDS), st.sampled_from(WORKERS)),
    st.tuples(st.sampled_from(("expire", "cancel", "reap", "delete"))),
)


async def take(conn: Connection, step: tuple[str, ...], row: tasks.TaskRow, held: dict[str, Claim]) -> None:
    """Try one step, as the worker that last had a claim would."""
    kind, task_id = step[0], row.id
    claim = held.get(step[1]) if len(step) > 1 else None
    if kind == "claim":
        claimed = await claims.claim_task(conn, task_id, step[1], 60.0)
        if claimed is not None:
            assert row.status == "pending" or (row.lease_expires_at is not None)
            held[step[1]] = Claim(task_id, step[1], claimed.attempts)
    elif kind == "expire":
        await conn.execute(
            "UPDATE public.tasks SET lease_expires_at = now() - interval '1 s' WHERE id = %s", (task_id,)
        )
    elif kind == "cancel":
        await tasks.request_cancel(conn, row.user_id, task_id)
    elif kind == "reap":
        await tasks.end_unheld(conn, task_id, Ending("failed", error="overdue"))
    elif kind == "delete":
        await tasks.request_delete(conn, row.user_id, task_id)
    elif claim is not None:
        if kind == "dispatch":
            await claims.mark_dispatched(conn, claim)
        elif kind == "job":
            await claims.record_job(conn, claim, f"fc-{uuid4().hex}")
        elif kind == "release":
            await claims.release_task(conn, claim, next_submission=1)
        else:
            await claims.end_claimed(conn, claim, Ending(kind, error=f"ended {kind}"))


async def new_task(studio: Studio, user_id: UUID) -> UUID:
    """A pending task."""
    draft = TaskDraft(
        id=uuid4(),
        user_id=user_id,
        type=tasks.DESIGN_PREVIEW,
        provider="modal",
        mode_epoch=1,
        deadline_at=studio.ctx.clock.now() + timedelta(minutes=5),
    )
    async with studio.ctx.database.service() as conn:
        await tasks.insert_task(conn, draft)
    return draft.id


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, max_size=14))
async def test_no_sequence_of_steps_changes_a_terminal_status(
    studio: Studio, steps: list[tuple[str, ...]]
) -> None:
    user_id = (await studio.caller()).user_id
    task_id = await new_task(studio, user_id)
    held: dict[str, Claim] = {}
    end: tuple[object, ...] | None = None
    for step in steps:
        before = await studio.task(task_id)
        async with studio.ctx.database.service() as conn:
            await take(conn, step, before, held)
        row = await studio.task(task_id)
        if before.status == "pending":
            assert row.status in {"pending", "processing", "cancelled", "failed"}
        elif before.status == "processing":
            assert row.status != "pending"
        if end is not None:
            assert (row.status, row.error, row.result, row.completed_at, row.attempts) == end
        elif row.status in TERMINAL:
            assert row.completed_at is not None
            end = (row.status, row.error, row.result, row.completed_at, row.attempts)


async def test_of_two_claims_at_once_one_holds(studio: Studio) -> None:
    user_id = (await studio.caller()).user_id
    task_id = await new_task(studio, user_id)
    async with studio.ctx.database.service() as first, studio.ctx.database.service() as second:
        one = await claims.claim_task(first, task_id, "one", 60.0)
        # The second waits for the first's row lock, then looks again.
        await second.execute("SET LOCAL lock_timeout = '100ms'")
        with pytest.raises(Exception, match="lock timeout"):
            await claims.claim_task(second, task_id, "two", 60.0)
    async with studio.ctx.database.service() as conn:
        assert await claims.claim_task(conn, task_id, "two", 60.0) is None
    assert one is not None
    assert (await studio.task(task_id)).claimed_by == "one"


async def test_a_success_does_not_overtake_a_cancellation(studio: Studio) -> None:
    user_id = (await studio.caller()).user_id
    task_id = await new_task(studio, user_id)
    async with studio.ctx.database.service() as conn:
        row = await claims.claim_task(conn, task_id, "one", 60.0)
    assert row is not None
    claim = Claim(task_id, "one", row.attempts)
    async with studio.ctx.database.service() as conn:
        requested = await tasks.request_cancel(conn, user_id, task_id)
    assert requested is not None
    assert requested.status == "processing"
    async with studio.ctx.database.service() as conn:
        assert await claims.end_claimed(conn, claim, Ending("completed")) is None
        ended = await claims.end_claimed(conn, claim, Ending("cancelled"))
    assert ended is not None
    assert ended.status == "cancelled"
