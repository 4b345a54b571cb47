"""The promises that a broken deployment can break, and what its tenants own."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Any

import numpy as np

from understudy.audio.wav import Clip, write_wav


class Break(StrEnum):
    """The promises that can be broken."""

    HEALTH_EXTRA = auto()
    HEALTH_NOT_OK = auto()
    HEALTH_HTML = auto()
    OTHER_PROVIDER = auto()
    MODAL_STREAMS = auto()
    DEFAULT_STREAM = auto()
    NO_TRANSCRIPTION = auto()
    FEW_LANGUAGES = auto()
    UNHASHABLE_LANGUAGES = auto()
    UPLOAD_REFUSED = auto()
    FOREIGN_UPLOAD_URL = auto()
    FINALIZE_FAILS = auto()
    REFERENCE_SILENT = auto()
    GENERATE_REFUSED = auto()
    AUDIO_SILENT = auto()
    AUDIO_CUT = auto()
    AUDIO_HEADER_LIES = auto()
    AUDIO_HTML = auto()
    AUDIO_ELSEWHERE = auto()
    AUDIO_LOOPS = auto()
    DURATION_LIES = auto()
    SPEECH_FAILS = auto()
    SPEECH_NEVER_ENDS = auto()
    TASK_NEVER_ENDS = auto()
    TASK_LEAVES_END = auto()
    TASK_GOES_BACK = auto()
    TASK_AUDIO_URL = auto()
    TASK_PROVIDER = auto()
    TASK_FIELD_MISSING = auto()
    DESIGN_FAILS = auto()
    DESIGN_SILENT = auto()
    DESIGN_TEMP_URL = auto()
    LISTS_VOICES_OF_ALL = auto()
    LISTS_GENERATIONS_OF_ALL = auto()
    SHOWS_TASKS_OF_ALL = auto()
    PLAYS_GENERATIONS_OF_ALL = auto()
    FORBIDS_INSTEAD = auto()
    TELLS_EXISTENCE = auto()
    SPEAKS_FOR_ALL = auto()
    DELETES_FOR_ALL = auto()
    SAVES_TASKS_OF_ALL = auto()
    READS_WITHOUT_TOKEN = auto()
    OBJECTS_PUBLIC = auto()
    ERROR_LIST = auto()
    ERROR_EXTRA = auto()
    ERROR_HTML = auto()
    ERROR_422 = auto()
    ERROR_STACK = auto()
    ERROR_SURROGATE = auto()
    UNKNOWN_PATH_TEXT = auto()
    TOKEN_SENTENCE = auto()
    ECHOES_TOKEN = auto()
    AUTH_DOWN = auto()
    DELETE_REFUSED = auto()


def tone(seconds: float, *, level: float = 0.2) -> bytes:
    """A WAV of ``seconds``, 24 kHz; ``level`` 0 is silence."""
    wave = np.sin(np.arange(int(seconds * 24000)) * 0.05) * level * 32767
    return write_wav(Clip(wave.astype(np.int16), 24000))


@dataclass(slots=True)
class Row:
    """A voice, generation or task of one tenant."""

    id: str
    owner: str
    kind: str
    data: dict[str, Any] = field(default_factory=dict)
    reads: int = 0


class RefusedError(Exception):
    """Answer with this status and detail."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
