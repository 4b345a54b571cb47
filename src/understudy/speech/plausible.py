"""Whether audio can be the whole speech of a text."""

from __future__ import annotations

from understudy.audio.pace import longest_ms, shortest_ms
from understudy.audio.wav import Clip, duration_ms, is_silent, loudness, read_wav
from understudy.errors import FailureClass, ProviderUnavailableError, ValidationError


def check_speech(clip: Clip, text: str, *, provider: str) -> None:
    """Raise unless ``clip`` sounds and lasts about as long as ``text`` takes to say.

    Raises
    ------
    ProviderUnavailableError
        Of class ``protocol``: success with silent, truncated or endless audio is the provider's fault.
    """
    length_ms, rms = duration_ms(clip), round(loudness(clip), 5)
    if is_silent(clip):
        raise _implausible(provider, "sent audio without sound", "audio_silent", audio_ms=length_ms, rms=rms)
    check_length(length_ms, text, provider=provider, rms=rms)


def check_wav(data: bytes, text: str, *, provider: str) -> Clip:
    """Return the clip of a WAV that came in one go; raise as :func:`check_speech`, or when it is no WAV."""
    try:
        clip = read_wav(data)
    except ValidationError as error:
        raise _implausible(
            provider, "sent audio that cannot be read", "audio_unreadable", bytes=len(data)
        ) from error
    check_speech(clip, text, provider=provider)
    return clip


def check_length(length_ms: int, text: str, *, provider: str, **evidence: float) -> None:
    """Raise unless audio of this length can be the whole speech of ``text``; as :func:`check_speech`."""
    if length_ms < shortest_ms(text):
        problem, code = "sent only part of the speech", "audio_truncated"
    elif length_ms > longest_ms(text):
        problem, code = "sent far more audio than the text has", "audio_overlong"
    else:
        return
    raise _implausible(provider, problem, code, audio_ms=length_ms, **evidence)


def _implausible(provider: str, problem: str, code: str, **evidence: float) -> ProviderUnavailableError:
    return ProviderUnavailableError(
        f"The speech provider {problem}.",
        failure_class=FailureClass.PROTOCOL,
        provider=provider,
        provider_code=code,
        evidence=evidence,
    )
