"""espeak-ng through ctypes, each utterance in a forked child.

The C library keeps global state that cannot be reset (noise, flutter, the tail of the last word): the same
text would sound a little different each time. A child forked from the engine as it was after its start
always says the same thing; it costs about 5 ms, and a crash in the library ends the child only.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from understudy.errors import ConfigurationError, VoiceboxError

# Names and numbers of espeak-ng's speak_lib.h.
_OUTPUT_SYNCHRONOUS = 2
_DO_NOT_EXIT = 0x8000
_CHARS_UTF8 = 1
_POSITION_CHARACTER = 1
_PARAMETER_RATE, _PARAMETER_VOLUME, _PARAMETER_PITCH, _PARAMETER_RANGE = 1, 2, 3, 4

#: The Klatt voice is heard best by the digit recogniser: 0 of 48 digits wrong where the plain one had 5.
VARIANT = "+klatt4"
#: 100 is the default; klatt4 clips there.
VOLUME = 75

_SEED = 1
_NO_VOICE, _NOT_SPOKEN = 2, 3

_Samples = npt.NDArray[np.int16]
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class EspeakEngine:
    """The plain engine. The process that holds it must have a single thread, or forking is not safe.

    Attributes
    ----------
    rate
        Samples a second of what :meth:`speak` returns (22050 for espeak-ng 1.52).

    Raises
    ------
    ConfigurationError
        The extra ``local`` is not installed, or its data is missing.
    """

    def __init__(self) -> None:
        try:
            import espeakng_loader  # noqa: PLC0415  # GPL and optional: loaded only in the worker process
        except ImportError:
            raise ConfigurationError(
                "The stand-ins need the extra `local` (pip install 'understudy[local]')."
            ) from None
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._libc = ctypes.CDLL(None)
        data_path = str(espeakng_loader.get_data_path()).encode()
        self.rate = int(self._library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, data_path, _DO_NOT_EXIT))
        if self.rate <= 0:
            raise ConfigurationError("espeak-ng did not start: its data files are missing.")
        self._buffers: list[_Samples] = []
        # The library keeps the pointer: the callback must live as long as the engine.
        self._callback: Callable[..., int] = _Callback(self._collect)
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, voice: str, words_per_minute: int) -> _Samples:
        """Return ``text`` spoken by espeak-ng's ``voice``; shape ``(n,)``, 16 bit, at :attr:`rate`.

        Raises
        ------
        VoiceboxError
            The engine has no such voice, refused the text, or crashed.
        """
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            status = _NOT_SPOKEN
            try:
                status = self._speak_into(writing, text, voice, words_per_minute)
            finally:
                os._exit(status)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            spoken = pipe.read()
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            raise VoiceboxError(f"espeak-ng was ended by {signal.Signals(os.WTERMSIG(status)).name}.")
        if os.WEXITSTATUS(status) == _NO_VOICE:
            raise VoiceboxError(f"espeak-ng has no voice {voice!r}.")
        if status != 0:
            raise VoiceboxError("espeak-ng could not speak the text.")
        return np.frombuffer(spoken, np.int16)

    def _speak_into(self, pipe: int, text: str, voice: str, words_per_minute: int) -> int:
        self._libc.srand(_SEED)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(_SEED))
        if self._library.espeak_SetVoiceByName((voice + VARIANT).encode()) != 0:
            return _NO_VOICE
        settings = (
            (_PARAMETER_RATE, words_per_minute),
            (_PARAMETER_VOLUME, VOLUME),
            (_PARAMETER_PITCH, 50),
            (_PARAMETER_RANGE, 50),
        )
        for parameter, value in settings:
            self._library.espeak_SetParameter(parameter, value, 0)
        encoded = text.replace("\0", " ").encode(errors="replace")
        size = ctypes.c_size_t(len(encoded) + 1)
        answer = self._library.espeak_Synth(encoded, size, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None)
        if answer != 0:
            return _NOT_SPOKEN
        left = memoryview(b"".join(buffer.tobytes() for buffer in self._buffers))
        while left:
            left = left[os.write(pipe, left) :]
        return 0

    def _collect(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._buffers.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 0
