"""What a realtime session is set to, and which voice it may speak with (facts/dashscope.md sections 2, 7)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from understudy.standins.encoders import DEFAULT_BIT_RATE_KBPS, STREAM_FORMATS
from understudy.standins.models import CLONE_MODELS, DESIGN_MODELS, SYSTEM_VOICES
from understudy.standins.refusals import RefusalError
from understudy.standins.voices import VoiceShelf
from understudy.voicebox.languages import AUTO, ESPEAK_VOICES
from understudy.voicebox.shape import VoiceShape

SAMPLE_RATES = (8000, 16000, 24000, 48000)
SERVER_COMMIT, COMMIT = "server_commit", "commit"


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """The fields of ``session`` that change the speech; unknown ones are ignored, as the vendor does."""

    voice: str = "Cherry"
    mode: str = SERVER_COMMIT
    response_format: str = "pcm"
    sample_rate: int = 24000
    language_type: str = AUTO
    speech_rate: float = 1.0
    pitch_rate: float = 1.0
    volume: float = 50
    bit_rate: int = DEFAULT_BIT_RATE_KBPS

    def updated(self, fields: dict[str, Any]) -> SessionConfig:
        """Return this with the known ``fields`` taken over.

        Raises
        ------
        RefusalError
            A value outside its range.
        """
        known = {name: fields[name] for name in self.__slots__ if fields.get(name) is not None}
        checks = (
            _one_of(known, "mode", (SERVER_COMMIT, COMMIT)),
            _one_of(known, "response_format", STREAM_FORMATS),
            _one_of(known, "sample_rate", SAMPLE_RATES),
            _one_of(known, "language_type", (AUTO, *ESPEAK_VOICES)),
            _between(known, "speech_rate", 0.5, 2.0),
            _between(known, "pitch_rate", 0.5, 2.0),
            _between(known, "volume", 0, 100),
            _between(known, "bit_rate", 6, 510),
            None if isinstance(known.get("voice", ""), str) else "voice must be a string",
        )
        for problem in checks:
            if problem:
                raise RefusalError("invalid_value", f"Session update error: {problem}.")
        return replace(self, **known)


def find_voice(model: str, voice: str, shelf: VoiceShelf, *, mismatch_code: str) -> VoiceShape:
    """Return the shape of ``voice`` if ``model`` may speak with it.

    Raises
    ------
    RefusalError
        A system voice on a clone or design model (the vendor's engine error 411), or any other pair that was
        not made for each other (its code is not documented, so it is configured).
    """
    if model not in CLONE_MODELS | DESIGN_MODELS:
        if voice in SYSTEM_VOICES:
            return SYSTEM_VOICES[voice]
    elif voice in SYSTEM_VOICES:
        raise RefusalError("CLIENT_ERROR", "[qwen-tts:]Engine return error code: 411", fatal=True)
    else:
        made = shelf.find(voice)
        if made is not None and made.target_model == model:
            return made.shape
    raise RefusalError(
        mismatch_code,
        "Invalid voice specified, the requested voice does not exist or is not licensed for use.",
        fatal=True,
    )


def _one_of(fields: dict[str, Any], name: str, allowed: tuple[Any, ...]) -> str | None:
    if name not in fields or fields[name] in allowed:
        return None
    return f"{name} must be one of {', '.join(str(value) for value in allowed)}"


def _between(fields: dict[str, Any], name: str, low: float, high: float) -> str | None:
    value = fields.get(name, low)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high:
        return None
    return f"{name} must be from {low} to {high}"
