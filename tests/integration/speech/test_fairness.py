"""One tenant's queue does not hold up another's task."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests.integration.speech.conftest import Studio
from understudy.store import queue, tasks

pytestmark = pytest.mark.integration

CONCURRENCY = 16
#: What a worker may have in hand, and one batch that it took before it saw the newcomer.
BOUND = CONCURRENCY + CONCURRENCY // 2
#: And, for one admitted to a busy worker, what starts while the admission commits.
BUSY_BOUND = 3 * CONCURRENCY


async def started_before(studio: Studio, task_id: UUID) -> int:
    """How many tasks were started after this one was admitted, and before it was."""
    (row,) = await studio.sql(
        "SELECT count(*) AS others FROM public.tasks t, public.tasks mine"
        " WHERE mine.id = %s AND t.id <> mine.id"
        " AND t.dispatched_at > mine.created_at AND t.dispatched_at < mine.dispatched_at",
        task_id,
    )
    return int(row["others"])


async def test_three_hundred_tasks_of_one_tenant_let_anothers_one_pass(wide_studio: Studio) -> None:
    studio = wide_studio
    busy, quiet, late = [await studio.caller() for _ in range(3)]
    voices = {caller: await studio.voice(caller) for caller in (busy, quiet, late)}
    queued = [await studio.speak(busy, voices[busy]) for _ in range(300)]
    waiting = await studio.speak(quiet, voices[quiet])
    async with studio.working(worker_concurrency=CONCURRENCY):

        async def under_way() -> bool:
            rows = await studio.sql(
                "SELECT count(*) AS done FROM public.tasks WHERE dispatched_at IS NOT NULL"
            )
            return int(rows[0]["done"]) >= 50

        await studio.until(under_way, "the first fifty started")
        newcomer = await studio.speak(late, voices[late])
        assert (await studio.ended(newcomer.id)).status == "completed"
        assert (await studio.task(waiting.id)).status == "completed"
        left = await studio.sql("SELECT id FROM public.tasks WHERE status IN ('pending', 'processing')")
        # Otherwise the queue had run dry and nothing is shown.
        assert len(left) > BUSY_BOUND
        ends = [(await studio.ended(task.id)).status for task in queued]
    assert ends == ["completed"] * 300
    assert await started_before(studio, waiting.id) <= BOUND
    assert await started_before(studio, newcomer.id) <= BUSY_BOUND


async def test_the_sweep_lets_tenants_take_turns_too(wide_studio: Studio) -> None:
    studio = wide_studio
    busy, quiet = await studio.caller(), await studio.caller()
    for _ in range(20):
        await studio.speak(busy, await studio.voice(busy))
    only = await studio.speak(quiet, await studio.voice(quiet))
    async with studio.ctx.database.service() as conn:
        due = await tasks.due_tasks(conn, undelivered_s=0.0, limit=4)
    assert only.id in due[:2]


def test_turns_pass_and_nobody_is_overtaken_for_ever() -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    assert queue.turn(now, 0) > queue.turn(now, 1)
    tenth = queue.turn(now, 10)
    assert queue.turn(now + timedelta(seconds=9 * queue.TURN_S), 0) > tenth
    assert queue.turn(now + timedelta(seconds=11 * queue.TURN_S), 0) < tenth
    assert queue.turn(datetime(2090, 1, 1, tzinfo=UTC), 1_000_000) >= -(2**31)
