"""What a stream is to be, and who can give it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from understudy.errors import UnservedError
from understudy.providers.base import AudioFormat, Provider, VoiceBinding
from understudy.settings import Settings
from understudy.speech import wording
from understudy.speech.speakable import binding_of
from understudy.store.voices import VoiceRow

NOT_STREAMING = "The active provider does not stream. Use /api/generate and /api/tasks/{id}."


@dataclass(frozen=True, slots=True)
class StreamOrder:
    """Speech to be sent while it is spoken.

    Parameters
    ----------
    formats
        Acceptable formats in order of preference; the first that the provider offers is used.
    must_stream
        Refuse a provider whose audio comes only when it is whole.
    """

    voice_id: UUID
    text: str
    language: str | None
    formats: tuple[AudioFormat, ...]
    must_stream: bool


@dataclass(frozen=True, slots=True)
class Casting:
    """Who speaks an order, as which voice, in which format."""

    provider: Provider
    binding: VoiceBinding
    audio_format: AudioFormat

    @property
    def model(self) -> str:
        """The model asked for."""
        return self.binding.target_model or self.provider.name


def format_for(order: StreamOrder, provider: Provider) -> AudioFormat:
    """Return the format an order gets from ``provider``; it costs nothing to ask.

    Raises
    ------
    UnservedError
        It does not stream and must, or offers none of the formats.
    ValidationError
        The text is empty, or longer than it takes.
    """
    able = provider.capabilities
    if order.must_stream and not able.streaming:
        raise UnservedError(NOT_STREAMING)
    wording.required(order.text, "Text", max_chars=able.max_text_chars)
    for audio_format in order.formats:
        if audio_format in able.formats:
            return audio_format
    wanted = ", ".join(order.formats)
    raise UnservedError(f"The active provider offers no audio in {wanted}; ask for another format.")


def cast(order: StreamOrder, voice: VoiceRow, provider: Provider, settings: Settings) -> Casting:
    """Return how ``provider`` speaks an order with ``voice``.

    Raises
    ------
    UnservedError, ValidationError
        As :func:`format_for`, or it cannot speak this voice.
    """
    audio_format = format_for(order, provider)
    return Casting(provider, binding_of(voice, provider, settings), audio_format)
