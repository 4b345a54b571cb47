"""Whether an answer is speech that a person could play: readable, audible, and as long as its text."""

from __future__ import annotations

import unicodedata

from understudy.audio.wav import Clip, duration_ms, is_silent, read_wav
from understudy.errors import TargetError, ValidationError
from understudy.restoration.verification.client import Reply

#: Speech runs at about 12-17 letters a second; bounds of 30 and 3 leave room for any voice and pauses,
#: yet catch a clip cut after its first word. A Han, Kana or Hangul letter takes as long as three Latin ones.
FASTEST_LETTERS_PER_S = 30
SLOWEST_LETTERS_PER_S = 3
PAUSES_MS = 3000
WIDE_LETTER = 3


def heard_ms(reply: Reply, *, text: str | None = None) -> int:
    """Return the length in milliseconds of the speech in ``reply``.

    Parameters
    ----------
    text
        What should be said in it; None skips the comparison of lengths.

    Raises
    ------
    TargetError
        It is no audio, silent, or too short or too long for ``text``.
    """
    if not reply.content_type.startswith("audio/"):
        raise TargetError(f"{reply.label} answered {reply.content_type or 'no content type'}, not audio.")
    try:
        clip = read_wav(reply.body)
    except ValidationError as error:
        raise TargetError(f"{reply.label}: {error.message}") from None
    return speech_ms(clip, reply.label, text=text)


def speech_ms(clip: Clip, speaker: str, *, text: str | None) -> int:
    """Return the length in milliseconds of the speech in ``clip``; ``speaker`` is whom an error names.

    Raises
    ------
    TargetError
        It is silent, or too short or too long for ``text``.
    """
    length_ms = duration_ms(clip)
    if is_silent(clip):
        raise TargetError(f"{speaker} answered {length_ms} ms of silence.")
    if text is not None:
        shortest_ms, longest_ms = plausible_ms(text)
        if not shortest_ms <= length_ms <= longest_ms:
            raise TargetError(
                f"{speaker} answered {length_ms} ms of audio; "
                f"{len(text)} characters take {shortest_ms} to {longest_ms} ms."
            )
    return length_ms


def plausible_ms(text: str) -> tuple[int, int]:
    """Shortest and longest plausible duration of ``text`` when spoken, in milliseconds."""
    letters = sum(
        WIDE_LETTER if unicodedata.east_asian_width(char) in "WF" else 1 for char in text if char.isalnum()
    )
    return letters * 1000 // FASTEST_LETTERS_PER_S, letters * 1000 // SLOWEST_LETTERS_PER_S + PAUSES_MS
