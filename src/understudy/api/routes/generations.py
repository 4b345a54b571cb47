"""Generations: start one, list, hear, delete."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel

from understudy.api import answers
from understudy.api.auth import AuthenticatedRoute, CallerDep, ContextDep, bearer_scheme
from understudy.api.identifiers import PathId, body_uuid
from understudy.api.links import LINKED, Redirect, link_to
from understudy.api.listings import PageNumber, PerPage, Search, pagination
from understudy.speech import generations
from understudy.speech.quarantined import LOST_AUDIO
from understudy.store.generations import ListedGeneration

router = APIRouter(
    prefix="/api",
    tags=["generations"],
    route_class=AuthenticatedRoute,
    dependencies=[Depends(bearer_scheme)],
)

#: About 150 words a minute of six characters each: how long the speech will be, not how long we take.
CHARS_A_MINUTE = 900


class Speech(BaseModel):
    """Body of ``/generate``."""

    voice_id: str
    text: str
    language: str | None = "Auto"


@router.post("/generate", summary="Speak a text with a voice", response_model=answers.StartedGeneration)
async def generate(ctx: ContextDep, caller: CallerDep, body: Speech) -> dict[str, Any]:
    """Start a task; poll ``/api/tasks/{task_id}`` until it is terminal."""
    task = await generations.start_generation(
        ctx,
        caller,
        voice_id=body_uuid(body.voice_id, "voice_id"),
        text=body.text,
        language=body.language,
    )
    return {
        "task_id": str(task.id),
        "status": "processing",
        "is_long_running": True,
        "estimated_duration_minutes": math.ceil(len(body.text) / CHARS_A_MINUTE),
        "generation_id": str(task.generation_id),
    }


@router.get("/generations", summary="My generations", response_model=answers.Generations)
async def list_generations(
    *,
    ctx: ContextDep,
    caller: CallerDep,
    page: PageNumber = 1,
    per_page: PerPage = 20,
    search: Search = None,
    status: str | None = None,
) -> dict[str, Any]:
    """Answer one page, newest first."""
    found = await generations.list_generations(
        ctx, caller, page=page, per_page=per_page, search=search, status=status
    )
    return {"generations": [_listed(item) for item in found.items], "pagination": pagination(found)}


@router.get("/generations/{id}/audio", summary="Hear a generation", status_code=302, responses=LINKED)
async def audio(
    request: Request, ctx: ContextDep, caller: CallerDep, generation_id: PathId, redirect: Redirect = True
) -> Response:
    """Redirect to an expiring URL of the audio, or answer it; 404 before there is any."""
    found = await generations.audio_url(ctx, caller, generation_id)
    return link_to(request, ctx, found, redirect=redirect)


@router.post("/generations/{id}/regenerate", summary="Speak it again", response_model=answers.Regeneration)
async def regenerate(ctx: ContextDep, caller: CallerDep, generation_id: PathId) -> dict[str, Any]:
    """Answer what fills the form again; nothing is started."""
    row = await generations.find_generation(ctx, caller, generation_id)
    voice_id = str(row.voice_id) if row.voice_id else None
    # The text stays out of the address: it is long, and addresses end up in histories and logs.
    chosen = {"voice_id": voice_id or "", "language": row.language, "generation_id": str(row.id)}
    return {
        "voice_id": voice_id,
        "text": row.text,
        "language": row.language,
        "redirect_url": f"/generate?{urlencode(chosen)}",
    }


@router.delete("/generations/{id}", summary="Delete a generation", response_model=answers.Done)
async def delete(ctx: ContextDep, caller: CallerDep, generation_id: PathId) -> dict[str, bool]:
    """Remove row and audio."""
    await generations.delete_generation(ctx, caller, generation_id)
    return {"ok": True}


def audio_path(generation_id: UUID) -> str:
    """Return the path that redirects to a generation's audio."""
    return f"/api/generations/{generation_id}/audio"


def _listed(item: ListedGeneration) -> dict[str, Any]:
    row = item.generation
    return {
        "id": str(row.id),
        "user_id": str(row.user_id),
        "voice_id": str(row.voice_id) if row.voice_id else None,
        "voice_name": item.voice_name,
        "text": row.text,
        "language": row.language,
        "status": "failed" if row.lost else row.status,
        "audio_path": audio_path(row.id) if row.status == "completed" and not row.lost else None,
        "audio_object_key": None if row.lost else row.audio_object_key,
        "duration_seconds": row.duration_seconds,
        "generation_time_seconds": row.generation_time_seconds,
        "error_message": LOST_AUDIO if row.lost else row.error_message,
        "created_at": row.created_at,
        "completed_at": row.completed_at,
        "tts_provider": row.tts_provider,
        "provider_model": row.provider_model,
        "output_format": row.output_format,
    }
