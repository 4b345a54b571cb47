"""A tenant's voices."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from understudy.api import answers
from understudy.api.auth import AuthenticatedRoute, CallerDep, ContextDep, bearer_scheme
from understudy.api.identifiers import PathId
from understudy.api.links import LINKED, Redirect, link_to
from understudy.api.listings import PageNumber, PerPage, Search, pagination
from understudy.speech import voices
from understudy.speech.voice_standings import Standing, standings_of
from understudy.store.voices import VoiceRow

router = APIRouter(
    prefix="/api/voices",
    tags=["voices"],
    route_class=AuthenticatedRoute,
    dependencies=[Depends(bearer_scheme)],
)


@router.get("", summary="My voices", response_model=answers.Voices, response_model_exclude_unset=True)
async def list_voices(
    *,
    ctx: ContextDep,
    caller: CallerDep,
    page: PageNumber = 1,
    per_page: PerPage = 20,
    search: Search = None,
    source: str | None = None,
) -> dict[str, Any]:
    """Answer one page, newest first, without deleted ones."""
    found = await voices.list_voices(ctx, caller, page=page, per_page=per_page, search=search, source=source)
    standings = await standings_of(ctx, caller, found.items)
    return {
        "voices": [_listed(voice, standings[voice.id]) for voice in found.items],
        "pagination": pagination(found),
    }


@router.get("/{id}/preview", summary="Hear a voice's recording", status_code=302, responses=LINKED)
async def preview(
    request: Request, ctx: ContextDep, caller: CallerDep, voice_id: PathId, redirect: Redirect = True
) -> Response:
    """Redirect to an expiring URL of the audio, or answer it."""
    return link_to(request, ctx, await voices.preview_url(ctx, caller, voice_id), redirect=redirect)


@router.delete("/{id}", summary="Delete a voice", response_model=answers.Done)
async def delete(ctx: ContextDep, caller: CallerDep, voice_id: PathId) -> dict[str, bool]:
    """Delete it softly: its generations stay."""
    await voices.delete_voice(ctx, caller, voice_id)
    return {"ok": True}


def _listed(voice: VoiceRow, standing: Standing) -> dict[str, Any]:
    # The provider's own ids and metadata stay inside.
    return {
        "id": str(voice.id),
        "user_id": str(voice.user_id),
        "name": voice.name,
        "reference_object_key": voice.reference_object_key,
        "reference_transcript": voice.reference_transcript,
        "language": voice.language,
        "source": voice.source,
        "description": voice.description,
        "created_at": voice.created_at,
        "tts_provider": voice.tts_provider,
        "provider_target_model": voice.provider_target_model,
        "provider_voice_kind": voice.provider_voice_kind,
        "consent": _consent(voice),
        "has_preview": standing.has_preview,
        "speaks": standing.speaks,
        "speakable": standing.guidance is None,
        "guidance": standing.guidance,
        "carry_over": standing.carry_over,
        **({"degraded": True} if voice.degraded else {}),
    }


def _consent(voice: VoiceRow) -> dict[str, Any] | None:
    if voice.consent_statement is None:
        return None
    return {
        "statement": voice.consent_statement,
        "name": voice.consent_name,
        "at": voice.consent_at,
        "reference_sha256": voice.consent_reference_sha256,
    }
