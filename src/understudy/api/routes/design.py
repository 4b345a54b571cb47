"""Designed voices: a preview task, then the voice of it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from pydantic import BaseModel

from understudy.api import answers
from understudy.api.auth import AuthenticatedRoute, CallerDep, ContextDep, bearer_scheme
from understudy.api.identifiers import absolute, body_uuid
from understudy.speech import designs, voices

router = APIRouter(
    prefix="/api/voices/design",
    tags=["design"],
    route_class=AuthenticatedRoute,
    dependencies=[Depends(bearer_scheme)],
)


class Brief(BaseModel):
    """Body of ``/voices/design/preview``."""

    text: str
    instruct: str
    language: str | None = None


@router.post("/preview", summary="Design a voice and hear it", response_model=answers.StartedPreview)
async def start_preview(ctx: ContextDep, caller: CallerDep, body: Brief) -> dict[str, str]:
    """Start a task; its result carries ``audio_url``."""
    task = await designs.start_preview(
        ctx, caller, text=body.text, language=body.language, instruct=body.instruct
    )
    return {"task_id": str(task.id), "status": "pending"}


@router.post("", summary="Keep a designed voice", response_model=answers.DesignedVoice)
async def save(
    *,
    request: Request,
    ctx: ContextDep,
    caller: CallerDep,
    name: Annotated[str, Form()] = "",
    text: Annotated[str, Form()] = "",
    language: Annotated[str | None, Form()] = None,
    instruct: Annotated[str, Form()] = "",
    task_id: Annotated[str | None, Form(description="Of the completed preview.")] = None,
    audio: Annotated[UploadFile | None, File(description="Under 1 MB, in Modal mode only.")] = None,
) -> dict[str, Any]:
    """Make the voice; the same ``task_id`` twice answers the same one, and no provider is asked."""
    voice = await designs.save_design(
        ctx,
        caller,
        name=name,
        text=text,
        language=language,
        instruct=instruct,
        task_id=body_uuid(task_id, "task_id") if task_id else None,
        audio=await audio.read() if audio is not None else None,
    )
    return {
        "id": str(voice.id),
        "name": voice.name,
        "description": voice.description,
        "language": voice.language,
        "source": voice.source,
        "preview_url": absolute(request, await voices.preview_url(ctx, caller, voice.id)),
    }
