"""Cloning a voice: a place for the recording, then the voice."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from understudy.api import answers
from understudy.api.auth import AuthenticatedRoute, CallerDep, ContextDep, bearer_scheme
from understudy.api.identifiers import absolute, body_uuid
from understudy.speech import voices
from understudy.speech.voices import Consent, VoiceDraft

router = APIRouter(
    prefix="/api/clone",
    tags=["clone"],
    route_class=AuthenticatedRoute,
    dependencies=[Depends(bearer_scheme)],
)


class Draft(BaseModel):
    """Body of ``/clone/upload-url``."""

    name: str
    transcript: str
    language: str | None = None
    description: str | None = None

    def draft(self) -> VoiceDraft:
        """Return it as the speech room knows it."""
        return VoiceDraft(
            name=self.name,
            language=self.language,
            transcript=self.transcript,
            description=self.description,
        )


class ConsentGiven(BaseModel):
    """That the person who is heard agrees, in their words, and their name."""

    statement: str
    name: str


class Finalize(Draft):
    """Body of ``/clone/finalize``."""

    voice_id: str
    consent: ConsentGiven | None = None


@router.post("/upload-url", summary="Where to put the recording", response_model=answers.UploadTicket)
async def upload_url(request: Request, ctx: ContextDep, caller: CallerDep, body: Draft) -> dict[str, str]:
    """Answer a URL that takes one ``PUT`` of the audio, with its content type and no other header."""
    ticket = await voices.start_upload(ctx, caller, body.draft())
    return {
        "voice_id": str(ticket.voice_id),
        "upload_url": absolute(request, ticket.upload_url),
        "object_key": ticket.object_key,
    }


@router.post(
    "/finalize",
    summary="Make the voice of the recording",
    response_model=answers.MadeVoice,
    response_model_exclude_unset=True,
)
async def finalize(ctx: ContextDep, caller: CallerDep, body: Finalize) -> dict[str, Any]:
    """Create the voice; a second time answers the same one."""
    voice_id = body_uuid(body.voice_id, "voice_id")
    consent = Consent(body.consent.statement, body.consent.name) if body.consent else None
    voice = await voices.finalize_clone(ctx, caller, voice_id, body.draft(), consent)
    made: dict[str, Any] = {"id": str(voice.id), "name": voice.name}
    return made | ({"degraded": True} if voice.degraded else {})
