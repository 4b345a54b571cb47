"""Tasks: our own state of them, cancelling, deleting."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.requests import ClientDisconnect

from understudy.api import answers
from understudy.api.auth import AuthenticatedRoute, CallerDep, ContextDep, bearer_scheme
from understudy.api.boundary import DrainState
from understudy.api.identifiers import PathId, absolute
from understudy.speech import tasks
from understudy.speech.context import Caller, SpeechContext
from understudy.speech.watching import TaskWatch
from understudy.store.tasks import TaskRow

router = APIRouter(
    prefix="/api/tasks",
    tags=["tasks"],
    route_class=AuthenticatedRoute,
    dependencies=[Depends(bearer_scheme)],
)

_SIGNED = "/objects/"


@router.get("", summary="My tasks of now", response_model=answers.Tasks, response_model_exclude_unset=True)
async def list_tasks(request: Request, ctx: ContextDep, caller: CallerDep) -> dict[str, Any]:
    """Answer what is not over and what ended in the last hour, newest first; at most 100."""
    return {"tasks": [_described(request, task) for task in await tasks.list_tasks(ctx, caller)]}


@router.get(
    "/{id}", summary="How far a task is", response_model=answers.Task, response_model_exclude_unset=True
)
async def get_task(
    request: Request,
    ctx: ContextDep,
    caller: CallerDep,
    task_id: PathId,
    wait: Annotated[
        int, Query(ge=0, le=30, description="Seconds to wait for a change of status before answering.")
    ] = 0,
) -> dict[str, Any]:
    """Answer the stored state; no provider is asked. With `wait`, once the status changes or time is up."""
    if wait:
        task = await _news(request, ctx, caller, task_id, wait)
    else:
        task = await tasks.get_task(ctx, caller, task_id)
    return _described(request, task)


@router.post("/{id}/cancel", summary="Cancel a task", response_model=answers.CancelledTask)
async def cancel(ctx: ContextDep, caller: CallerDep, task_id: PathId) -> dict[str, Any]:
    """Cancel it; 400 once it is terminal."""
    await tasks.cancel_task(ctx, caller, task_id)
    return {"cancelled": True, "task_id": str(task_id)}


@router.delete("/{id}", summary="Delete a task", response_model=answers.Done)
async def delete(ctx: ContextDep, caller: CallerDep, task_id: PathId) -> dict[str, bool]:
    """Delete it; one in progress is cancelled."""
    await tasks.delete_task(ctx, caller, task_id)
    return {"ok": True}


async def _news(request: Request, ctx: SpeechContext, caller: Caller, task_id: UUID, seconds: int) -> TaskRow:
    """Wait for news, but not past the client's hang-up or the begin of this process's drain."""
    watch: TaskWatch = request.app.state.watch
    drain: DrainState = request.app.state.drain
    waiting = asyncio.create_task(watch.wait(caller, task_id, seconds))
    hung_up = asyncio.create_task(_hang_up(request))
    draining = asyncio.create_task(drain.begun.wait())
    try:
        await asyncio.wait({waiting, hung_up, draining}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return await waiting
        if hung_up.done():
            raise ClientDisconnect
        return await tasks.get_task(ctx, caller, task_id)
    finally:
        for task in (waiting, hung_up, draining):
            task.cancel()
        await asyncio.gather(waiting, hung_up, draining, return_exceptions=True)


async def _hang_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _result(request: Request, task: TaskRow) -> dict[str, Any] | None:
    if task.result is None:
        return None
    url = task.result.get("audio_url")
    if isinstance(url, str) and url.startswith(_SIGNED):
        return {**task.result, "audio_url": absolute(request, url)}
    return task.result


def _described(request: Request, task: TaskRow) -> dict[str, Any]:
    # Of a clone the voice is known before there is a row to refer to.
    voice_id = task.voice_id or task.metadata.get("voice_id")
    return {
        "id": str(task.id),
        "type": task.type,
        "status": task.status,
        "result": _result(request, task),
        "error": task.error,
        "provider": task.provider,
        "provider_status": task.provider_status,
        "provider_poll_count": task.provider_poll_count,
        "modal_status": task.modal_status,
        "modal_elapsed_seconds": task.modal_elapsed_seconds,
        "modal_poll_count": task.modal_poll_count,
        "generation_id": str(task.generation_id) if task.generation_id else None,
        "voice_id": str(voice_id) if voice_id else None,
        "created_at": task.created_at,
        "completed_at": task.completed_at,
        "delivery": task.delivery,
        "brief": task.metadata.get("brief"),
    }
