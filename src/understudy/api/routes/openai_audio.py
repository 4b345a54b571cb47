"""``/v1/audio/speech``: speech for programs that speak OpenAI's dialect."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from understudy.api.auth import AuthenticatedRoute, CallerDep, ContextDep, bearer_scheme
from understudy.api.identifiers import parse_uuid
from understudy.api.openai_errors import InvalidParameterError, UnknownNameError
from understudy.api.routes.openai_models import check_model
from understudy.api.speech_events import MEDIA_TYPE, as_events
from understudy.api.spoken_formats import acceptable, needs_encoder, spoken_as
from understudy.api.streaming_response import AudioStreamResponse, until_hang_up
from understudy.audio.encode import CONTENT_TYPES, Encoders
from understudy.errors import EncodingError, NotFoundError, ValidationError
from understudy.providers.base import AudioFormat
from understudy.speech import languages, voice_names
from understudy.speech.context import Caller, SpeechContext
from understudy.speech.streaming import OpenStream, StreamOrder, open_stream

router = APIRouter(
    prefix="/v1/audio",
    tags=["openai"],
    route_class=AuthenticatedRoute,
    dependencies=[Depends(bearer_scheme)],
)

_VOICE_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
    ],
    "description": 'The id of one of your voices, its name, or `{"id": ...}`.',
}


def _named(value: Any) -> Any:
    return value["id"] if isinstance(value, dict) and "id" in value else value


class SpeechOrder(BaseModel):
    """Body of ``/v1/audio/speech``; what is not listed is ignored."""

    model: str = Field(description="One of `/v1/models`; all of them mean the active speech provider.")
    input: str = Field(description="What is spoken, as long as the active provider takes.")
    voice: Annotated[str, BeforeValidator(_named), WithJsonSchema(_VOICE_SCHEMA)]
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: float | None = Field(default=None, description="1.0 only: the providers take no other.")
    instructions: str | None = Field(default=None, description="Not supported: leave it empty.")
    stream_format: Literal["audio", "sse"] = "audio"
    language: str | None = Field(default=None, description="English name or code; found out when empty.")


@router.post("/speech", summary="Speak, in OpenAI's dialect", response_class=Response)
async def create_speech(
    request: Request, ctx: ContextDep, caller: CallerDep, body: SpeechOrder
) -> AudioStreamResponse:
    """Speak; bytes leave as they arrive from a provider that streams, and once it is whole from any other.

    A body that ends cleanly is whole, and kept as a generation; speech that breaks off is a connection cut.
    """
    check_model(body.model)
    _refuse_unsupported(body)
    _check_language(body.language)
    order = StreamOrder(
        voice_id=await _voice_id(ctx, caller, body.voice),
        text=body.input,
        language=body.language,
        formats=_formats(body.response_format),
        must_stream=False,
    )
    encoders: Encoders = request.app.state.encoders
    if needs_encoder(body.response_format, ctx.provider(ctx.mode.view(caller.user_id).value)):
        # While the provider thinks.
        await encoders.prepare(body.response_format)
    stream, audio = await until_hang_up(request, _begin(ctx, caller, order, body.response_format, encoders))
    if body.stream_format == "sse":
        events = as_events(audio, characters=len(body.input))
        return AudioStreamResponse(stream, body=events, media_type=MEDIA_TYPE)
    return AudioStreamResponse(stream, body=audio, media_type=CONTENT_TYPES[body.response_format])


async def _begin(
    ctx: SpeechContext, caller: Caller, order: StreamOrder, name: str, encoders: Encoders
) -> tuple[OpenStream, AsyncGenerator[bytes, None]]:
    """Return the stream and its bytes once the first of them are in hand: until then failures are JSON."""
    try:
        stream = await open_stream(ctx, caller, order)
    except ValidationError as error:
        if isinstance(error, InvalidParameterError):
            raise
        raise InvalidParameterError(error.message, param="input") from error
    except NotFoundError as error:
        raise _no_voice(error.message) from error
    try:
        pieces = spoken_as(name, stream, encoders)
        return stream, _rejoined(await anext(pieces), pieces)
    except StopAsyncIteration:
        await stream.aclose()
        raise EncodingError from None
    except BaseException:
        await stream.aclose()
        raise


async def _rejoined(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest) as pieces:
        yield first
        async for piece in pieces:
            yield piece


def _refuse_unsupported(body: SpeechOrder) -> None:
    if body.speed not in {None, 1.0}:
        raise InvalidParameterError(
            "speed other than 1.0 is not supported: the speech providers take none.",
            param="speed",
            reason="unsupported_value",
        )
    if body.instructions and body.instructions.strip():
        raise InvalidParameterError(
            "instructions are not supported: a voice sounds as it was cloned or designed.",
            param="instructions",
            reason="unsupported_parameter",
        )


def _check_language(language: str | None) -> None:
    try:
        languages.normalise(language)
    except ValidationError as error:
        raise InvalidParameterError(error.message, param="language") from error


def _formats(name: str) -> tuple[AudioFormat, ...]:
    formats = acceptable(name)
    if not formats:
        raise InvalidParameterError(
            f"This server has no encoder of {name}; ask for mp3, wav or pcm.",
            param="response_format",
            reason="unsupported_value",
        )
    return formats


async def _voice_id(ctx: SpeechContext, caller: Caller, given: str) -> UUID:
    """Return the id that ``given`` is, or that of the caller's voice which it names."""
    voice_id = parse_uuid(given)
    if voice_id is not None:
        return voice_id
    found = await voice_names.named(ctx, caller, given)
    if not found:
        raise _no_voice("You have no voice of that id or name; GET /v1/audio/voices lists yours.")
    if len(found) > 1:
        raise InvalidParameterError(
            "Several of your voices have that name; give the id of one.",
            param="voice",
            reason="ambiguous_voice",
        )
    return found[0].id


def _no_voice(message: str) -> UnknownNameError:
    return UnknownNameError(message, param="voice", reason="voice_not_found")
