"""Each task is driven to one end, once, whatever dies in between."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from tests.integration.scripted_provider import Cue
from tests.integration.speech.conftest import TIMES, MakeStudio, Studio
from tests.integration.speech.failures import wire_cut
from understudy.errors import ConflictError, NotFoundError, ValidationError
from understudy.speech import tasks
from understudy.speech.worker import WorkerTimes
from understudy.store import claims
from understudy.store.buckets import GENERATIONS
from understudy.store.embedded.server import EmbeddedPostgres

pytestmark = pytest.mark.integration

#: The sweep finds dead leases only: what is pending must come by the queue.
QUEUE_ONLY = WorkerTimes(lease_s=5.0, sweep_interval_s=0.05, undelivered_s=3600.0)
REPOSITORY = Path(__file__).parents[3]


async def test_two_workers_speak_two_hundred_tasks_each_once(wide_studio: Studio) -> None:
    studio = wide_studio
    callers = [await studio.caller() for _ in range(4)]
    voices = [await studio.voice(caller) for caller in callers]
    admitted = [
        await studio.speak(callers[number % 4], voices[number % 4], f"Number {number}.")
        for number in range(200)
    ]
    # Both sweeps and both queue consumers race for every task.
    eager = WorkerTimes(lease_s=10.0, sweep_interval_s=0.01, undelivered_s=0.0)
    async with studio.working("one", eager), studio.working("two", eager):

        async def all_ended() -> bool:
            rows = await studio.sql(
                "SELECT count(*) AS left FROM public.tasks WHERE status IN ('pending', 'processing')"
            )
            return rows[0]["left"] == 0

        await studio.until(all_ended, "all tasks ended", within_s=60)
    spoken = Counter(request.request_id for request in studio.modal.spoken)
    assert set(spoken) == {str(task.id) for task in admitted}
    assert set(spoken.values()) == {1}
    rows = await studio.sql(
        "SELECT status, attempts, split_part(claimed_by, '/', 1) AS worker FROM public.tasks"
    )
    assert {(row["status"], row["attempts"]) for row in rows} == {("completed", 1)}
    assert {row["worker"] for row in rows} == {"one", "two"}
    assert len(await studio.calls()) == 200


async def test_the_queue_brings_a_task_without_any_sweep(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    async with studio.working(times=QUEUE_ONLY):
        for _ in range(3):
            assert (await studio.ended((await studio.speak(caller, voice)).id)).status == "completed"


async def test_a_task_whose_delivery_is_lost_is_swept_up(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    task = await studio.speak(caller, voice)
    await studio.sql("TRUNCATE queue.pgqueuer")
    async with studio.working():
        assert (await studio.ended(task.id)).status == "completed"


async def test_admission_and_delivery_commit_together(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    task = await studio.speak(caller, voice)
    with pytest.raises(ConflictError):
        await studio.speak(caller, voice)
    rows = await studio.sql("SELECT convert_from(payload, 'UTF8') AS payload FROM queue.pgqueuer")
    assert [row["payload"] for row in rows] == [str(task.id)]


@asynccontextmanager
async def worker_process(studio: Studio) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker in a process of its own; killed at the end if it still runs."""
    settings = studio.ctx.settings
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "UNDERSTUDY_HOME": str(settings.understudy_home),
        "TTS_PROVIDER_MODE": settings.tts_provider_mode,
        "MODAL_JOBS": str(studio.modal.jobs),
        "QWEN_JOBS": str(studio.qwen.jobs),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.speech.worker_process", cwd=REPOSITORY, env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_killed_workers_job_is_resumed_not_submitted_again(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    hold = studio.modal.jobs / "hold"
    hold.touch()
    async with worker_process(studio) as process:
        admitted = await studio.speak(caller, voice)

        async def job_known() -> bool:
            return (await studio.task(admitted.id)).provider_job_id is not None

        await studio.until(job_known, "job id persisted")
        process.send_signal(signal.SIGKILL)
        await process.wait()
    hold.unlink()
    async with studio.working("heir"):
        task = await studio.ended(admitted.id)
    assert (task.status, task.attempts) == ("completed", 2)
    assert len(studio.modal.submitted) == 1
    assert studio.modal.cancelled_jobs == set()
    assert [request.resume_job_id for request in studio.modal.spoken] == [task.provider_job_id]
    assert len(await studio.calls()) == 1


async def test_a_killed_workers_stream_is_not_sent_again(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    voice = await studio.voice(caller)
    async with worker_process(studio) as process:
        admitted = await studio.speak(caller, voice)

        async def sent() -> bool:
            return (await studio.task(admitted.id)).dispatched_at is not None

        await studio.until(sent, "text sent")
        process.send_signal(signal.SIGKILL)
        await process.wait()
    async with studio.working("heir"):
        task = await studio.ended(admitted.id)
    assert task.status == "failed"
    assert "interrupted" in (task.error or "")
    assert task.metadata["failure"]["category"] == "provider_unavailable"
    assert studio.qwen.spoken == []
    (call,) = [row for row in await studio.calls() if row["operation"] == "speak"]
    assert (call["outcome"], call["code"]) == ("failed", "interrupted")


async def dead_claim(studio: Studio, *, dispatched: bool) -> claims.Claim:
    """A task claimed by a worker that died, before or after it meant to call the provider."""
    caller = await studio.caller()
    task = await studio.speak(caller, await studio.voice(caller))
    async with studio.ctx.database.service() as conn:
        row = await claims.claim_task(conn, task.id, "dead/1", 3600.0)
        assert row is not None
        claim = claims.Claim(row.id, "dead/1", row.attempts)
        if dispatched:
            assert await claims.mark_dispatched(conn, claim) is not None
    await studio.sql(
        "UPDATE public.tasks SET lease_expires_at = now() - interval '1 s' WHERE id = %s", task.id
    )
    return claim


async def test_a_stream_of_which_nothing_was_sent_is_spoken_by_the_next_worker(studio: Studio) -> None:
    await studio.flip("qwen")
    claim = await dead_claim(studio, dispatched=False)
    async with studio.working():
        assert (await studio.ended(claim.task_id)).status == "completed"


async def test_an_unknown_submission_is_run_again_at_our_cost_and_said_so(studio: Studio) -> None:
    claim = await dead_claim(studio, dispatched=True)
    async with studio.working():
        task = await studio.ended(claim.task_id)
    assert task.status == "completed"
    assert task.metadata["submit_unknown"] is True
    # The same id as the first time: our own Modal app then answers the job it already has.
    assert [request.request_id for request in studio.modal.spoken] == [str(task.id)]


async def test_a_worker_thought_dead_writes_nothing_when_it_comes_back(studio: Studio) -> None:
    claim = await dead_claim(studio, dispatched=True)
    async with studio.working():
        task = await studio.ended(claim.task_id)
    async with studio.ctx.database.service() as conn:
        assert await claims.record_job(conn, claim, "fc-late") is None
        assert await claims.release_task(conn, claim, next_submission=1) is None
        assert await claims.extend_leases(conn, claim.worker, [claim.task_id], 60.0) == {}
    assert await studio.task(claim.task_id) == task


async def test_a_worker_that_lost_its_lease_leaves_the_job_to_its_heir(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    studio.modal.gate.clear()
    async with studio.working("stalled"):
        admitted = await studio.speak(caller, voice)

        async def job_known() -> bool:
            return (await studio.task(admitted.id)).provider_job_id is not None

        await studio.until(job_known, "job id persisted")
        await studio.sql(
            "UPDATE public.tasks SET claimed_by = 'heir/1', attempts = attempts + 1,"
            " lease_expires_at = now() + interval '1 hour'"
        )
        noticed_at = asyncio.get_running_loop().time() + TIMES.lease_s
        await studio.until(lambda: asyncio.get_running_loop().time() > noticed_at, "two heartbeats passed")
        # Closing the iterator would have cancelled the job that the heir now waits for.
        assert studio.modal.cancelled_jobs == set()
        studio.modal.gate.set()
    task = await studio.task(admitted.id)
    assert (task.status, task.claimed_by) == ("processing", "heir/1")
    assert studio.modal.cancelled_jobs == set()
    assert await studio.calls() == []


async def test_a_slow_task_keeps_its_lease(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    studio.modal.gate.clear()
    async with studio.working("one"), studio.working("two"):
        admitted = await studio.speak(caller, voice)
        await studio.until(lambda: studio.modal.submitted, "job submitted")
        held = await studio.task(admitted.id)
        assert held.lease_expires_at is not None

        async def lease_renewed_past_its_first_end() -> bool:
            rows = await studio.sql("SELECT now() AS now")
            return rows[0]["now"] > held.lease_expires_at

        await studio.until(lease_renewed_past_its_first_end, "first lease over")
        studio.modal.gate.set()
        task = await studio.ended(admitted.id)
    assert (task.status, task.attempts) == ("completed", 1)


async def test_a_pending_task_is_cancelled_at_once(studio: Studio) -> None:
    caller = await studio.caller()
    task = await studio.speak(caller, await studio.voice(caller))
    await tasks.cancel_task(studio.ctx, caller, task.id)
    assert (await studio.task(task.id)).status == "cancelled"
    assert (await studio.generation(task)).status == "cancelled"
    with pytest.raises(ValidationError, match=r"^Cannot cancel task with status: cancelled$"):
        await tasks.cancel_task(studio.ctx, caller, task.id)
    async with studio.working():
        # The delivery still comes; a task admitted after it proves that it was refused.
        later = await studio.ended((await studio.speak(caller, await studio.voice(caller))).id)
    assert later.status == "completed"
    assert [request.request_id for request in studio.modal.spoken] == [str(later.id)]


@pytest.mark.parametrize("mode", ["modal", "qwen"])
async def test_cancelling_closes_the_provider(studio: Studio, mode: str) -> None:
    await studio.flip(mode)
    provider = getattr(studio, mode)
    caller = await studio.caller()
    voice = await studio.voice(caller)
    provider.gate.clear()
    # The heartbeat is minutes away: what arrives is the notification.
    async with studio.working(times=WorkerTimes(lease_s=600.0, sweep_interval_s=0.05)):
        admitted = await studio.speak(caller, voice)
        await studio.until(lambda: provider.spoken, "speech begun")

        async def sent() -> bool:
            return (await studio.task(admitted.id)).dispatched_at is not None

        await studio.until(sent, "dispatched")
        await tasks.cancel_task(studio.ctx, caller, admitted.id)
        task = await studio.ended(admitted.id)
    assert (task.status, (await studio.generation(task)).status) == ("cancelled", "cancelled")
    assert provider.closed_early == 1
    assert len(provider.cancelled_jobs) == (1 if mode == "modal" else 0)
    (call,) = [row for row in await studio.calls() if row["operation"] == "speak"]
    assert (call["outcome"], call["category"]) == ("cancelled", "cancelled")


async def test_a_cancelled_task_of_a_dead_worker_is_cancelled_not_spoken(studio: Studio) -> None:
    claim = await dead_claim(studio, dispatched=False)
    row = await studio.task(claim.task_id)
    await studio.sql("UPDATE public.tasks SET cancellation_requested = true WHERE id = %s", row.id)
    async with studio.working():
        assert (await studio.ended(row.id)).status == "cancelled"
    assert studio.modal.spoken == []
    assert await studio.calls() == []


async def test_a_task_deleted_in_flight_is_hidden_cancelled_and_gone(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    studio.modal.gate.clear()
    async with studio.working():
        task = await studio.speak(caller, voice)
        await studio.until(lambda: studio.modal.submitted, "job submitted")
        await tasks.delete_task(studio.ctx, caller, task.id)
        with pytest.raises(NotFoundError):
            await tasks.get_task(studio.ctx, caller, task.id)

        async def gone() -> bool:
            return await studio.sql("SELECT id FROM public.tasks WHERE id = %s", task.id) == []

        await studio.until(gone, "task deleted")
    assert (await studio.generation(task)).status == "cancelled"
    assert len(studio.modal.cancelled_jobs) == 1


async def test_an_ended_task_is_deleted_at_once(studio: Studio) -> None:
    caller = await studio.caller()
    async with studio.working():
        task = await studio.ended((await studio.speak(caller, await studio.voice(caller))).id)
    await tasks.delete_task(studio.ctx, caller, task.id)
    assert await studio.sql("SELECT id FROM public.tasks") == []
    assert (await studio.generation(task)).status == "completed"


async def test_a_task_nobody_starts_fails_when_its_deadline_passes(studio: Studio) -> None:
    caller = await studio.caller()
    task = await studio.speak(caller, await studio.voice(caller))
    await studio.sql("UPDATE public.tasks SET deadline_at = now() - interval '1 s'")
    async with studio.working():
        ended = await studio.ended(task.id)
    assert (ended.status, ended.metadata["failure"]["category"]) == ("failed", "timeout")
    assert "could not be started in time" in (ended.error or "")
    assert (await studio.generation(task)).error_message == ended.error
    assert studio.modal.spoken == []
    # The provider was not asked, so its record stays clean.
    assert await studio.calls() == []


async def test_a_dead_workers_overdue_job_is_failed_and_cancelled(studio: Studio) -> None:
    claim = await dead_claim(studio, dispatched=True)
    await studio.sql(
        "UPDATE public.tasks SET provider_job_id = 'fc-dead', deadline_at = now() - interval '1 s'"
    )
    async with studio.working():
        ended = await studio.ended(claim.task_id)
        await studio.until(lambda: studio.modal.cancelled_jobs == {"fc-dead"}, "job cancelled")
    assert ended.metadata["failure"] == {
        "category": "timeout",
        "failure_class": "transport",
        "code": "deadline",
    }
    (call,) = await studio.calls()
    assert (call["outcome"], call["failure_class"], call["task_id"]) == ("failed", "transport", ended.id)


async def test_a_live_workers_task_ends_at_its_deadline(make_studio: MakeStudio) -> None:
    async with make_studio(task_deadline_s=5) as studio:
        caller = await studio.caller()
        voice = await studio.voice(caller)
        studio.modal.gate.clear()
        async with studio.working():
            task = await studio.speak(caller, voice)
            await studio.until(lambda: studio.modal.submitted, "job submitted")
            await studio.sql("UPDATE public.tasks SET deadline_at = now()")
            ended = await studio.ended(task.id)
            await studio.until(lambda: studio.modal.closed_early, "provider closed")
    assert (ended.status, ended.metadata["failure"]["code"]) == ("failed", "deadline")
    assert len(studio.modal.cancelled_jobs) == 1
    assert len(await studio.calls()) == 1


async def test_a_stopping_worker_finishes_what_it_holds_and_claims_nothing(wide_studio: Studio) -> None:
    studio = wide_studio
    caller = await studio.caller()
    voice = await studio.voice(caller)
    studio.modal.gate.clear()
    async with studio.working() as stop:
        held = await studio.speak(caller, voice)
        await studio.until(lambda: studio.modal.submitted, "job submitted")
        stop.set()
        waiting = await studio.speak(caller, voice)
        await studio.sql(
            "UPDATE public.tasks SET created_at = now() - interval '1 hour' WHERE id = %s", waiting.id
        )
        swept_at = asyncio.get_running_loop().time() + 10 * TIMES.sweep_interval_s
        await studio.until(lambda: asyncio.get_running_loop().time() > swept_at, "ten sweeps passed")
        studio.modal.gate.set()
        assert (await studio.ended(held.id)).status == "completed"
    assert (await studio.task(waiting.id)).status == "pending"
    assert len(studio.modal.spoken) == 1


async def test_what_a_stopping_worker_cannot_finish_another_does(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    studio.modal.gate.clear()
    async with studio.working("old", drain_deadline_s=1):
        admitted = await studio.speak(caller, voice)
        await studio.until(lambda: studio.modal.submitted, "job submitted")
    released = await studio.task(admitted.id)
    assert (released.status, released.claimed_by, released.provider_job_id) == ("processing", None, None)
    studio.modal.gate.set()
    async with studio.working("new", times=QUEUE_ONLY):
        task = await studio.ended(admitted.id)
    assert (task.status, task.attempts) == ("completed", 2)
    # The first job was cancelled at the provider, so the second needs a name of its own.
    names = [request.request_id for request in studio.modal.spoken]
    assert names == [str(task.id), f"{task.id}-1"]
    assert [row["outcome"] for row in await studio.calls()] == ["cancelled", "ok"]


async def test_a_stream_a_stopping_worker_cannot_finish_fails_in_words(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    voice = await studio.voice(caller)
    studio.qwen.gate.clear()
    async with studio.working(drain_deadline_s=1):
        admitted = await studio.speak(caller, voice)
        await studio.until(lambda: studio.qwen.spoken, "speech begun")
    task = await studio.task(admitted.id)
    assert (task.status, task.metadata["failure"]["code"]) == ("failed", "interrupted")
    assert studio.qwen.closed_early == 1
    # We ended it, not the provider: no success rate counts it.
    assert [row["outcome"] for row in await studio.calls() if row["operation"] == "speak"] == ["cancelled"]


async def test_a_failing_task_does_not_take_its_neighbours_down(wide_studio: Studio) -> None:
    studio = wide_studio
    caller = await studio.caller()
    voice = await studio.voice(caller)
    studio.modal.cues.append(Cue(error=wire_cut))
    async with studio.working():
        ended = [await studio.ended((await studio.speak(caller, voice)).id) for _ in range(3)]
    assert sorted(task.status for task in ended) == ["completed", "completed", "failed"]


async def test_a_worker_survives_losing_every_connection(
    studio: Studio, postgres_server: EmbeddedPostgres
) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    studio.modal.gate.clear()
    async with studio.working(times=TIMES):
        held = await studio.speak(caller, voice)
        await studio.until(lambda: studio.modal.submitted, "job submitted")
        superuser = postgres_server.superuser_url.get_secret_value()
        async with await psycopg.AsyncConnection.connect(superuser, autocommit=True) as conn:
            cursor = await conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = %s AND usename = 'understudy_app'",
                (studio.ctx.settings.database_url.get_secret_value().rsplit("/", 1)[1],),
            )
            assert cursor.rowcount >= 3
        studio.modal.gate.set()
        assert (await studio.ended(held.id)).status == "completed"
        after = await studio.ended((await studio.speak(caller, voice)).id)
        assert after.status == "completed"
        assert after.result is not None
        key = f"{caller.user_id}/{after.generation_id}.wav"
        assert await studio.ctx.objects.stat(GENERATIONS, key)
