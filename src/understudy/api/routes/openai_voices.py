"""``/v1/audio/voices``: the caller's voices, as OpenAI's clients make, list and delete them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Query, UploadFile

from understudy.api import openai_answers as answers
from understudy.api.auth import AuthenticatedRoute, CallerDep, ContextDep, bearer_scheme
from understudy.api.identifiers import PathId, parse_uuid
from understudy.api.openai_errors import InvalidParameterError
from understudy.providers.base import Provider
from understudy.speech import voice_names, voices
from understudy.speech.context import SpeechContext
from understudy.speech.samples import clone_of_sample
from understudy.speech.voices import Consent, VoiceDraft
from understudy.store.voices import VoiceRow

#: How OpenAI names a recording of consent; there is no such recording here.
_CONSENT_ID = "cons_"

router = APIRouter(
    prefix="/v1/audio/voices",
    tags=["openai"],
    route_class=AuthenticatedRoute,
    dependencies=[Depends(bearer_scheme)],
)


@router.get("", summary="My voices", response_model=answers.OpenAIVoices)
async def list_voices(
    ctx: ContextDep,
    caller: CallerDep,
    limit: Annotated[int, Query(description="1 to 100.")] = 20,
    after: Annotated[str | None, Query(description="Id of the last voice of the slice before.")] = None,
) -> dict[str, Any]:
    """Answer a slice, newest first; names and languages may be given to `/v1/audio/speech`."""
    cursor = parse_uuid(after) if after else None
    if after and cursor is None:
        raise InvalidParameterError("after must be the id of a voice.", param="after")
    found, more = await voice_names.listed_after(ctx, caller, cursor, limit=limit)
    provider = ctx.provider(ctx.mode.view(caller.user_id).value)
    return {
        "object": "list",
        "data": [_listed(ctx, provider, voice) for voice in found],
        "first_id": str(found[0].id) if found else None,
        "last_id": str(found[-1].id) if found else None,
        "has_more": more,
        "voices": [{"id": str(voice.id), "name": voice.name} for voice in found],
    }


@router.post("", summary="Make a voice of a recording", response_model=answers.OpenAIVoice)
async def create_voice(
    *,
    ctx: ContextDep,
    caller: CallerDep,
    name: Annotated[str, Form(description="1 to 100 characters.")],
    audio_sample: Annotated[UploadFile | None, File(description="The recording; at most 10 MB.")] = None,
    transcript: Annotated[str, Form(description="What is said in it. Required here.")] = "",
    text: Annotated[str, Form(description="Another name of `transcript`.")] = "",
    language: Annotated[str | None, Form(description="English name or code; found out when empty.")] = None,
    description: Annotated[str | None, Form()] = None,
    consent: Annotated[str | None, Form(description="What the person who is heard agreed to.")] = None,
    consent_name: Annotated[str | None, Form(description="Who that is. Required with `consent`.")] = None,
    voice_type: Annotated[str, Form(alias="type", description="`audio_sample`.")] = "audio_sample",
) -> dict[str, Any]:
    """Make it by the rules of `/api/clone`: where the active provider enrols voices, it is enrolled."""
    if voice_type != "audio_sample":
        raise InvalidParameterError(
            "Only voices of type audio_sample are made here; design one of words with "
            "/api/voices/design/preview.",
            param="type",
            reason="unsupported_value",
        )
    if audio_sample is None:
        raise InvalidParameterError("audio_sample is required.", param="audio_sample")
    said = transcript if transcript.strip() else text
    if not said.strip():
        raise InvalidParameterError(
            "transcript is required: what is said in audio_sample.", param="transcript"
        )
    voice = await clone_of_sample(
        ctx,
        caller,
        sample=await audio_sample.read(),
        content_type=(audio_sample.content_type or "").partition(";")[0].strip().lower(),
        draft=VoiceDraft(name=name, language=language, transcript=said, description=description),
        consent=_consent(consent, consent_name),
    )
    return _listed(ctx, ctx.provider(ctx.mode.view(caller.user_id).value), voice)


@router.delete("/{id}", summary="Delete a voice", response_model=answers.DeletedVoice)
async def delete_voice(ctx: ContextDep, caller: CallerDep, voice_id: PathId) -> dict[str, Any]:
    """Delete it softly, as `/api/voices/{id}` does: what it spoke stays."""
    await voices.delete_voice(ctx, caller, voice_id)
    return {"id": str(voice_id), "object": "audio.voice.deleted", "deleted": True}


def _consent(statement: str | None, name: str | None) -> Consent | None:
    if not statement or not statement.strip():
        return None
    if statement.startswith(_CONSENT_ID):
        raise InvalidParameterError(
            "Consent is kept in words here, not as a recording: send in consent what the person agreed to, "
            "and their name in consent_name.",
            param="consent",
            reason="unsupported_value",
        )
    if not name or not name.strip():
        raise InvalidParameterError(
            "consent_name is required with consent: who the person is.", param="consent_name"
        )
    return Consent(statement, name)


def _listed(ctx: SpeechContext, provider: Provider, voice: VoiceRow) -> dict[str, Any]:
    # The provider's own ids stay inside.
    return {
        "id": str(voice.id),
        "object": "audio.voice",
        "type": "prompt" if voice.source == "designed" else "audio_sample",
        "name": voice.name,
        "created_at": int(voice.created_at.timestamp()),
        "language": voice.language,
        "source": voice.source,
        "degraded": voice.degraded,
        "speakable": voice_names.speakable(ctx, voice, provider),
    }
