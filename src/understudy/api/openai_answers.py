"""What the routes under ``/v1`` answer, as the OpenAPI document says it."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from understudy.api.answers import Answer


class Model(Answer):
    """A name that `model` may have."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class Models(Answer):
    """All of them."""

    object: Literal["list"]
    data: list[Model]


class OpenAIVoice(Answer):
    """One voice of the caller's, in OpenAI's shape and with what is known of it here."""

    id: UUID
    object: Literal["audio.voice"]
    type: Literal["audio_sample", "prompt"] = Field(description="Cloned from a recording, or designed.")
    name: str
    created_at: int = Field(description="Seconds since 1970.")
    language: str
    source: Literal["uploaded", "designed"]
    degraded: bool = Field(description="The provider made less of the recording than it could have.")
    speakable: bool = Field(description="Whether the active provider can speak it as it is.")


class NamedVoice(Answer):
    """A voice as some clients of speech servers look for it."""

    id: UUID
    name: str


class OpenAIVoices(Answer):
    """A slice of the caller's voices, newest first."""

    object: Literal["list"]
    data: list[OpenAIVoice]
    first_id: UUID | None
    last_id: UUID | None = Field(description="`after` of the next slice.")
    has_more: bool
    voices: list[NamedVoice] = Field(description="The same ones, for clients that look here.")


class DeletedVoice(Answer):
    """The voice is gone."""

    id: UUID
    object: Literal["audio.voice.deleted"]
    deleted: Literal[True]
