"""Speech that is sent while it is spoken."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from understudy.api.auth import AuthenticatedRoute, CallerDep, ContextDep, bearer_scheme
from understudy.api.identifiers import body_uuid
from understudy.api.routes.generations import Speech
from understudy.api.streaming_response import AudioStreamResponse, until_hang_up
from understudy.providers.base import AudioFormat
from understudy.speech.streaming import StreamOrder, open_stream

router = APIRouter(
    prefix="/api",
    tags=["generations"],
    route_class=AuthenticatedRoute,
    dependencies=[Depends(bearer_scheme)],
)


@router.post("/generate/stream", summary="Speak a text, sent while it is spoken", response_class=Response)
async def generate_stream(request: Request, ctx: ContextDep, caller: CallerDep, body: Speech) -> Response:
    """Answer MP3 as it is spoken, stored as a generation too; 409 while the active provider does not stream.

    Until the first audio a failure has its own status. After that a body that breaks off ends abnormally: a
    clean end means that the speech is whole and stored. To hang up is to cancel.
    """
    order = StreamOrder(
        voice_id=body_uuid(body.voice_id, "voice_id"),
        text=body.text,
        language=body.language,
        formats=(AudioFormat.MP3,),
        must_stream=True,
    )
    return AudioStreamResponse(await until_hang_up(request, open_stream(ctx, caller, order)))
