"""What speaks: the voicebox in the stand-in, Qwen3-TTS on a GPU in the Modal app."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from understudy.errors import UnderstudyError, ValidationError
from understudy.jobserver.orders import DesignOrder, SpeechOrder

BROKEN = "The speech engine failed."


class Engine(Protocol):
    """A speech engine; both methods return a whole WAV, mono, 16 bit.

    Raises
    ------
    understudy.errors.UnderstudyError
        With a sentence that the client may read. Anything else counts as broken and is told as such.
    """

    async def speak(self, order: SpeechOrder) -> bytes:
        """Speak ``order.text`` in the voice of its reference."""
        ...

    async def design(self, order: DesignOrder) -> bytes:
        """Speak ``order.text`` in a voice as described."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended: audio, or why there is none.

    Parameters
    ----------
    elapsed_s
        The engine's own time.
    refused
        The order was at fault, not the engine.
    """

    wav: bytes | None
    error: str | None
    elapsed_s: float
    refused: bool = False


async def outcome_of(work: Awaitable[bytes]) -> Outcome:
    """Await an engine's work and catch whatever it raises, but a cancellation.

    A job that let the builtin ``TimeoutError`` out would look unfinished for ever to who polls Modal.
    """
    started_s = time.monotonic()
    wav, error, at_fault = None, None, False
    try:
        wav = await work
    except UnderstudyError as refused:
        error, at_fault = refused.message, isinstance(refused, ValidationError)
    except Exception as broken:  # noqa: BLE001  # the engine is foreign code
        error = f"{BROKEN} ({type(broken).__name__})"
    return Outcome(wav, error, time.monotonic() - started_s, refused=at_fault)
