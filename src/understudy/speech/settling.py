"""The end of a task: status, generation, call record and release, each in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from understudy.errors import StoreUnavailableError, UnderstudyError
from understudy.logs import get_logger
from understudy.providers.base import SUBMIT_UNKNOWN, Operation
from understudy.speech.calls import CallMeter
from understudy.speech.context import SpeechContext
from understudy.speech.designing import prompt_digest
from understudy.speech.failures import INTERRUPTED, NOT_STARTED, TOO_SLOW, Failure
from understudy.speech.holding import Held, Stop
from understudy.store import calls, claims, generations, queue, streams, tasks
from understudy.store.buckets import REFERENCES
from understudy.store.completing import Completion, complete_spoken
from understudy.store.generations import StoredSpeech
from understudy.store.tasks import Ending, TaskRow

T = TypeVar("T")

#: Audio that is spoken and paid for is worth this much patience with a database that is away.
PATIENCE_S = 60.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0

OPERATIONS = {
    tasks.GENERATE: Operation.SPEAK,
    tasks.DESIGN_PREVIEW: Operation.DESIGN,
    tasks.CLONE: Operation.ENROLL,
}

log = get_logger(__name__)


class GenerationGoneError(UnderstudyError):
    """The generation was deleted while it was spoken."""

    code = "generation_gone"
    status = 404


async def patiently(ctx: SpeechContext, held: Held, write: Callable[[], Awaitable[T]]) -> T:
    """Run ``write``, again and again while the store is away and the task is still this worker's.

    Raises
    ------
    StoreUnavailableError
        The store stayed away, or the task was lost; its lease then lets another worker go on.
    """
    give_up_at = ctx.clock.monotonic_s() + PATIENCE_S
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return await write()
        except StoreUnavailableError:
            if held.reason in {Stop.LOST, Stop.RELEASED} or ctx.clock.monotonic_s() > give_up_at:
                raise
        await ctx.clock.sleep(pause_s)
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


async def complete_speech(
    ctx: SpeechContext, held: Held, meter: CallMeter, speech: StoredSpeech, *, polls: int
) -> bool:
    """Complete a generate task whose audio is stored; false when it is no longer to be completed.

    Parameters
    ----------
    polls
        How often the provider was asked for the job.

    Raises
    ------
    GenerationGoneError
        Its generation was deleted meanwhile; nothing was written.
    """
    task = held.task
    assert task.generation_id is not None  # noqa: S101  (the driver loaded the generation by it)
    result = {
        "audio_url": f"/api/generations/{task.generation_id}/audio",
        "generation_id": str(task.generation_id),
        "duration_seconds": speech.duration_seconds,
    }
    async with ctx.database.service() as conn:
        completion = await complete_spoken(
            conn,
            held.claim,
            result,
            polls=polls,
            user_id=task.user_id,
            generation_id=task.generation_id,
            speech=speech,
            record=meter.succeeded(),
        )
        if completion is Completion.GONE:
            raise GenerationGoneError
    return completion is Completion.DONE


async def complete_preview(ctx: SpeechContext, held: Held, meter: CallMeter, ending: Ending) -> bool:
    """Complete a design preview whose audio is stored; false when it is no longer to be completed."""
    async with ctx.database.service() as conn:
        if await claims.end_claimed(conn, held.claim, ending) is None:
            return False
        await calls.settle_call(conn, meter.succeeded())
    return True


async def fail_task(
    ctx: SpeechContext, held: Held, meter: CallMeter | None, failure: Failure, *, ours: bool = False
) -> bool:
    """End a task without speech, whatever was bought recorded; false when the claim is lost.

    Parameters
    ----------
    meter
        ``None`` when the provider was never called.
    ours
        The call was ended by us: its record is ``cancelled``, which no success rate counts.
    """
    async with ctx.database.service() as conn:
        ended = await claims.end_claimed(conn, held.claim, failure.ending())
        if ended is not None:
            await _end_with(conn, ended, failure, meter, ours=ours)
    log.info(
        "task_ended" if ended else "task_lost",
        task_id=str(held.task.id),
        provider=held.task.provider,
        **failure.facts,
    )
    if ended is not None:
        await forget_if_deleted(ctx, ended)
    return ended is not None


async def release(ctx: SpeechContext, held: Held, meter: CallMeter | None, *, replayable: bool) -> None:
    """Give a task back for another worker; one that may not be sent twice ends here instead."""
    if meter is not None and not replayable:
        await fail_task(ctx, held, meter, INTERRUPTED, ours=True)
        return
    submission = held.task.metadata.get("submission", 0) + 1 if meter is not None else None
    async with ctx.database.service() as conn:
        released = await claims.release_task(conn, held.claim, next_submission=submission)
        if released is None:
            return
        await queue.enqueue(conn, [released.id])
        if meter is not None:
            await calls.settle_call(conn, meter.ended(INTERRUPTED, cancelled=True))
    log.info("task_released", task_id=str(held.task.id))


async def note_unknown_submission(
    ctx: SpeechContext, held: Held, meter: CallMeter | None = None, failure: Failure | None = None
) -> None:
    """Write on a task that stays in flight that its text may have been sent for nothing.

    Parameters
    ----------
    meter, failure
        Of the call whose answer was lost, where this worker made it: its record is a failed one.
    """
    async with ctx.database.service() as conn:
        await claims.add_facts(conn, held.claim, {SUBMIT_UNKNOWN: True})
        if meter is not None and failure is not None:
            await calls.settle_call(conn, meter.ended(failure))
    log.warning("submit_unknown", task_id=str(held.task.id), provider=held.task.provider)


async def reap_overdue(ctx: SpeechContext) -> TaskRow | None:
    """Fail one task past its deadline, whoever holds it; return it, or ``None`` when there is none."""
    async with ctx.database.service() as conn:
        task = await tasks.next_overdue(conn)
        if task is None:
            return None
        failure = TOO_SLOW if task.dispatched_at else NOT_STARTED
        ended = await tasks.end_unheld(conn, task.id, failure.ending())
        if ended is not None:
            await _end_with(conn, ended, failure, meter_of(ctx, task) if task.dispatched_at else None)
    log.warning("task_overdue", task_id=str(task.id), provider=task.provider, code=failure.code)
    if ended is not None:
        await forget_if_deleted(ctx, ended)
    return task


async def end_abandoned_stream(ctx: SpeechContext) -> TaskRow | None:
    """End one stream whose process died; return it, or ``None`` when there is none.

    Its text had been sent, as far as anybody knows: what that costs is recorded, and its tenant does not pay.
    """
    async with ctx.database.service() as conn:
        task = await streams.next_abandoned(conn)
        if task is None:
            return None
        ended = await tasks.end_unheld(conn, task.id, INTERRUPTED.ending())
        if ended is not None:
            meter = meter_of(ctx, task)
            provider = ctx.providers.get(task.provider)
            if provider is not None and provider.capabilities.streaming and task.generation_id is not None:
                spoken = await generations.find_generation(conn, task.user_id, task.generation_id)
                text = spoken.text if spoken else ""
                meter.owe(text, provider.estimate(Operation.SPEAK, text=text))
            await _end_with(conn, ended, INTERRUPTED, meter, ours=True)
    log.warning("stream_abandoned", task_id=str(task.id), provider=task.provider)
    if ended is not None:
        await forget_if_deleted(ctx, ended)
    return task


def meter_of(ctx: SpeechContext, task: TaskRow, *, model: str | None = None) -> CallMeter:
    """Return the meter of a task's provider call, running since it was dispatched."""
    return CallMeter(
        operation=OPERATIONS[task.type],
        provider=task.provider,
        model=model or task.provider,
        user_id=task.user_id,
        task_id=task.id,
        mode_epoch=task.mode_epoch or 0,
        started_at=task.dispatched_at or ctx.clock.now(),
        clock=ctx.clock,
        at_our_cost=bool(task.metadata.get("submit_unknown")),
        subject_digest=prompt_digest(brief) if (brief := task.metadata.get("brief")) else None,
        on_end=ctx.call_ended,
    )


async def forget_if_deleted(ctx: SpeechContext, task: TaskRow) -> None:
    """Delete an ended task that its owner deleted while it was under way, and its preview."""
    if not task.metadata.get("delete_requested"):
        return
    async with ctx.database.service() as conn:
        await tasks.delete_ended(conn, task.user_id, task.id)
    if preview := task.metadata.get("preview"):
        await ctx.objects.delete(REFERENCES, preview["object_key"])


async def _end_with(
    conn: tasks.Connection,
    task: TaskRow,
    failure: Failure,
    meter: CallMeter | None,
    *,
    ours: bool = False,
) -> None:
    if task.generation_id is not None:
        await generations.end_generation(
            conn, task.user_id, task.generation_id, status=task.status, error=task.error
        )
    if meter is not None:
        await calls.settle_call(conn, meter.ended(failure, cancelled=ours or task.status == "cancelled"))
