"""The worker process: the one place where espeak-ng and Praat are loaded.

Frames (:mod:`understudy.voicebox.frames`) come in on standard input and go out on standard output.
Requests take turns, one segment each, so that a long text never holds up a short one. The process ends
with its parent: it looks at its standard input between segments, and a closed one ends it.
It has one thread: the engine forks.
"""

from __future__ import annotations

import os
import selectors
import sys
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import soxr

from understudy.audio.wav import read_wav
from understudy.errors import UnderstudyError
from understudy.voicebox.engine import EspeakEngine
from understudy.voicebox.frames import Frame, pack_frame, take_frame
from understudy.voicebox.languages import ESPEAK_VOICES, resolve_language
from understudy.voicebox.segments import split_segments
from understudy.voicebox.shape import VoiceShape

#: Largest body of one chunk frame: about 0.34 s at 24 kHz.
CHUNK_BYTES = 16 * 1024
_READ_BYTES = 1 << 20


class Inbox:
    """Requests as they arrive on a file descriptor, and those that were cancelled since."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._selector = selectors.DefaultSelector()
        self._selector.register(descriptor, selectors.EVENT_READ)
        self._buffer = bytearray()
        self._cancelled: set[int] = set()

    def take(self, *, wait: bool) -> list[Frame]:
        """Every request that is here; waits for the first when ``wait``.

        Raises
        ------
        EOFError
            The parent is gone.
        """
        if wait:
            # Nothing is in progress: what is left here was cancelled after its end.
            self._cancelled.clear()
        taken: list[Frame] = []
        while True:
            timeout_s = None if wait and not taken else 0.0
            if not self._selector.select(timeout_s):
                return taken
            data = os.read(self._descriptor, _READ_BYTES)
            if not data:
                raise EOFError
            self._buffer += data
            while (frame := take_frame(self._buffer)) is not None:
                if frame[0]["op"] == "cancel":
                    self._cancelled.add(int(frame[0]["id"]))
                else:
                    taken.append(frame)

    def was_cancelled(self, request: int) -> bool:
        """Whether ``request`` was cancelled; asked at each of its turns, and forgotten once told."""
        if request in self._cancelled:
            self._cancelled.discard(request)
            return True
        return False


class Speaker:
    """Turns one request into frames, a segment at a time."""

    def __init__(self, engine: EspeakEngine) -> None:
        self._engine = engine

    def frames(self, header: dict[str, Any], body: bytes) -> Iterator[list[bytes]]:
        """Yield the frames of each turn; the last turn carries ``done``, ``shape`` or ``error``."""
        request = header["id"]
        try:
            if header["op"] == "measure":
                yield [self._measure(request, body)]
                return
            yield from self._speak(header)
        except UnderstudyError as error:
            yield [
                pack_frame({"id": request, "event": "error", "code": error.code, "message": error.message})
            ]

    def _measure(self, request: int, body: bytes) -> bytes:
        from understudy.voicebox.matching import (  # noqa: PLC0415  # 0.2 s that plain speech does not need
            measure_pitch_hz,
            shape_of_reference,
        )

        clip = read_wav(body)
        shape = shape_of_reference(clip).to_json()
        return pack_frame(
            {"id": request, "event": "shape", "shape": shape, "pitch_hz": measure_pitch_hz(clip)}
        )

    def _speak(self, header: dict[str, Any]) -> Iterator[list[bytes]]:
        request, text = header["id"], header["text"]
        voice = ESPEAK_VOICES[resolve_language(header["language"], text)]
        shape = VoiceShape.from_json(header["shape"]) if header["shape"] else None
        pace = float(header["pace"])
        words_per_minute = round((shape.words_per_minute if shape else 140) * pace)
        # One stream over all segments keeps the filter's state: no click where two meet. In floats, because
        # soxr dithers 16-bit output with noise that differs each time.
        stream = soxr.ResampleStream(self._engine.rate, header["rate"], 1, dtype="float32")
        for segment in split_segments(text):
            samples = self._engine.speak(segment, voice, words_per_minute)
            if shape is not None:
                from understudy.voicebox.matching import apply_shape  # noqa: PLC0415  # see _measure

                samples = apply_shape(samples, self._engine.rate, shape)
            yield self._chunks(request, stream.resample_chunk(samples.astype(np.float32)))
        tail = stream.resample_chunk(np.zeros(0, np.float32), last=True)
        yield [*self._chunks(request, tail), pack_frame({"id": request, "event": "done"})]

    @staticmethod
    def _chunks(request: int, samples: Any) -> list[bytes]:
        pcm = np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()
        return [
            pack_frame({"id": request, "event": "chunk"}, pcm[start : start + CHUNK_BYTES])
            for start in range(0, len(pcm), CHUNK_BYTES)
        ]


def serve(requests: int, answers: int) -> None:
    """Answer frames between two file descriptors.

    Raises
    ------
    EOFError, BrokenPipeError
        The parent is gone.
    """
    inbox = Inbox(requests)
    speaker = Speaker(EspeakEngine())
    _write(answers, pack_frame({"id": 0, "event": "ready"}))
    turns: deque[tuple[int, Iterator[list[bytes]]]] = deque()
    while True:
        for header, body in inbox.take(wait=not turns):
            turns.append((header["id"], speaker.frames(header, body)))
        if not turns:
            continue
        request, frames = turns.popleft()
        if inbox.was_cancelled(request):
            continue
        turn = next(frames, None)
        if turn is not None:
            _write(answers, b"".join(turn))
            turns.append((request, frames))


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def main() -> None:
    """Serve on standard input and output; anything the C libraries print goes to standard error."""
    answers = os.dup(1)
    os.dup2(2, 1)
    try:
        serve(0, answers)
    except (EOFError, BrokenPipeError):
        sys.exit(0)
    except UnderstudyError as error:
        _write(answers, pack_frame({"id": 0, "event": "error", "code": error.code, "message": error.message}))
        sys.exit(1)


if __name__ == "__main__":
    main()
