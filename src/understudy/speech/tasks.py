"""Tasks as their owner sees them: our own state, never a question to a provider."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from uuid import UUID

from understudy.errors import NotFoundError, ValidationError
from understudy.speech.context import Caller, SpeechContext
from understudy.speech.quarantined import LOST_AUDIO
from understudy.store import generations, tasks, voices
from understudy.store.buckets import REFERENCES
from understudy.store.tasks import TaskRow

#: How long ended tasks are listed.
RECENTLY = timedelta(hours=1)
#: None lives so long: `TASK_DEADLINE_S` ends each. It keeps a long history out of the query.
OLDEST_TASK = timedelta(days=1)
MOST_TASKS = 100


async def get_task(ctx: SpeechContext, caller: Caller, task_id: UUID) -> TaskRow:
    """Return the caller's task; the result of a completed design preview carries a fresh signed URL.

    Raises
    ------
    NotFoundError
        The caller has no such task.
    """
    async with ctx.database.tenant(caller.user_id) as conn:
        task = await tasks.find_task(conn, caller.user_id, task_id)
    if task is None:
        raise NotFoundError("Task not found.")
    return await _shown(ctx, task)


async def list_tasks(ctx: SpeechContext, caller: Caller) -> list[TaskRow]:
    """Return the caller's tasks that are not over, and those that ended in the last hour, newest first.

    A page that was reloaded finds by it what it had started.
    """
    now = ctx.clock.now()
    async with ctx.database.tenant(caller.user_id) as conn:
        found = await tasks.recent_tasks(
            conn,
            caller.user_id,
            created_after=now - OLDEST_TASK,
            ended_after=now - RECENTLY,
            limit=MOST_TASKS,
        )
        previews = [task.id for task in found if task.type == tasks.DESIGN_PREVIEW]
        kept = await voices.voices_of_previews(conn, caller.user_id, previews) if previews else {}
    return [
        dataclasses.replace(await _shown(ctx, task), voice_id=task.voice_id or kept.get(task.id))
        for task in found
    ]


async def _shown(ctx: SpeechContext, task: TaskRow) -> TaskRow:
    if task.lost:
        return dataclasses.replace(task, status="failed", result=None, error=LOST_AUDIO)
    preview = task.metadata.get("preview")
    if task.status == "completed" and preview:
        url = await ctx.objects.sign_get(REFERENCES, preview["object_key"])
        return dataclasses.replace(task, result={**(task.result or {}), "audio_url": url})
    return task


async def cancel_task(ctx: SpeechContext, caller: Caller, task_id: UUID) -> TaskRow:
    """Cancel a task: at once when nobody holds it, else its holder closes the provider and ends it.

    Raises
    ------
    NotFoundError
        The caller has no such task.
    ValidationError
        It is terminal already.
    """
    async with ctx.database.service() as conn:
        cancelled = await _cancel(conn, caller.user_id, task_id)
        if cancelled is None:
            task = await tasks.find_task(conn, caller.user_id, task_id)
            if task is None:
                raise NotFoundError("Task not found.")
            raise ValidationError(f"Cannot cancel task with status: {task.status}")
    return cancelled


async def delete_task(ctx: SpeechContext, caller: Caller, task_id: UUID) -> None:
    """Delete a task; one in progress is cancelled, is hidden at once, and goes when its holder ended it.

    Raises
    ------
    NotFoundError
        The caller has no such task.
    """
    async with ctx.database.service() as conn:
        if await tasks.find_task(conn, caller.user_id, task_id) is None:
            raise NotFoundError("Task not found.")
        await _cancel(conn, caller.user_id, task_id)
        task = await tasks.request_delete(conn, caller.user_id, task_id)
        deleted = await tasks.delete_ended(conn, caller.user_id, task_id)
    preview = task.metadata.get("preview") if task else None
    if deleted and preview:
        await ctx.objects.delete(REFERENCES, preview["object_key"])


async def _cancel(conn: tasks.Connection, user_id: UUID, task_id: UUID) -> TaskRow | None:
    task = await tasks.request_cancel(conn, user_id, task_id)
    if task is not None and task.status == "cancelled" and task.generation_id is not None:
        await generations.end_generation(conn, user_id, task.generation_id, status="cancelled", error=None)
    return task
