"""The asynchronous side of the voicebox: one worker process, many speakers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from understudy.audio.wav import Clip, from_pcm
from understudy.errors import ConfigurationError, UnderstudyError, ValidationError, VoiceboxError
from understudy.logs import get_logger
from understudy.voicebox.frames import Frame, pack_frame, receive_frame
from understudy.voicebox.shape import VoiceShape

DEFAULT_RATE = 24_000
START_DEADLINE_S = 20.0
STOP_DEADLINE_S = 5.0

#: The worker forks, so nothing in it may start threads; numpy's linear algebra would.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

_ERRORS: dict[str, type[UnderstudyError]] = {
    error.code: error for error in (ValidationError, ConfigurationError, VoiceboxError)
}


@dataclass(frozen=True, slots=True)
class Measured:
    """A reference's shape (inside the engine's limits) and its median pitch as it is, in Hz."""

    shape: VoiceShape
    pitch_hz: float


class _WorkerDiedError(Exception):
    """The worker went away under a request."""


class Voicebox:
    """Speaks through one worker process, which is started again when it dies.

    A request whose worker dies before its first audio is sent once more; later it fails with
    :class:`VoiceboxError`. Audio that the caller has not taken yet waits in memory: 48 kB a second of speech.
    """

    def __init__(self) -> None:
        self._log = get_logger("voicebox")
        self._process: asyncio.subprocess.Process | None = None
        self._receiver: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Queue[Frame | None]] = {}

    @property
    def worker_pid(self) -> int | None:
        """Process id of the running worker."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the worker now instead of at the first request.

        Raises
        ------
        ConfigurationError
            The extra ``local`` is not installed.
        VoiceboxError
            The worker did not start in time.
        """
        await self._running()

    async def stop(self) -> None:
        """End the worker; requests in progress fail."""
        async with self._starting:
            process, self._process = self._process, None
            if process is None:
                return
            if process.stdin is not None:
                process.stdin.close()
            try:
                async with asyncio.timeout(STOP_DEADLINE_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
            if self._receiver is not None:
                await self._receiver
                self._receiver = None

    async def speak(
        self,
        text: str,
        language: str,
        voice: VoiceShape | None = None,
        *,
        rate: int = DEFAULT_RATE,
        pace: float = 1.0,
    ) -> Clip:
        """Speak ``text`` whole; see :meth:`stream`."""
        stream = self.stream(text, language, voice, rate=rate, pace=pace)
        async with contextlib.aclosing(stream):
            return from_pcm(b"".join([chunk async for chunk in stream]), rate)

    async def stream(
        self,
        text: str,
        language: str,
        voice: VoiceShape | None = None,
        *,
        rate: int = DEFAULT_RATE,
        pace: float = 1.0,
    ) -> AsyncGenerator[bytes, None]:
        """Yield raw s16le mono audio, a segment's worth at a time, as it is made.

        Parameters
        ----------
        language
            English name (``English``), or ``Auto``.
        voice
            Shape to speak with; ``None`` is the plain engine.
        rate
            Samples a second of the audio.
        pace
            Factor on the speaking rate.

        Raises
        ------
        ValidationError
            Unknown language.
        VoiceboxError
            The engine failed, or died twice before the first audio or once after it.
        """
        header = {
            "op": "speak",
            "text": text,
            "language": language,
            "shape": voice.to_json() if voice else None,
            "rate": rate,
            "pace": pace,
        }
        delivered = False
        for attempt in (1, 2):
            answers = self._ask(header)
            try:
                async with contextlib.aclosing(answers):
                    async for _, body in answers:
                        delivered = True
                        yield body
            except _WorkerDiedError:
                if delivered or attempt == 2:
                    raise VoiceboxError("The local speech engine died while it spoke.") from None
            else:
                return

    async def measure(self, wav: bytes) -> Measured:
        """Measure a reference recording (WAV, 16 bit).

        Raises
        ------
        ValidationError
            Not a WAV, or too little voiced speech in it.
        VoiceboxError
            The engine died twice.
        """
        for _ in (1, 2):
            answers = self._ask({"op": "measure"}, wav)
            try:
                async with contextlib.aclosing(answers):
                    async for header, _body in answers:
                        return Measured(VoiceShape.from_json(header["shape"]), float(header["pitch_hz"]))
            except _WorkerDiedError:
                continue
        raise VoiceboxError("The local speech engine died while it measured a recording.")

    async def shape_from_reference(self, wav: bytes) -> VoiceShape:
        """Return the shape of the voice in a recording; raises as :meth:`measure`."""
        return (await self.measure(wav)).shape

    async def _ask(self, header: dict[str, Any], body: bytes = b"") -> AsyncGenerator[Frame, None]:
        """Send one request, yield its ``chunk`` and ``shape`` frames; closed early, it cancels there."""
        process = await self._running()
        number = next(self._numbers)
        queue = self._waiting[number] = asyncio.Queue()
        finished = False
        try:
            await self._send(process, pack_frame({**header, "id": number}, body))
            while True:
                frame = await queue.get()
                if frame is None:
                    finished = True
                    raise _WorkerDiedError
                event = frame[0]["event"]
                finished = event != "chunk"
                if event == "done":
                    return
                if event == "error":
                    raise _ERRORS.get(frame[0]["code"], VoiceboxError)(frame[0]["message"])
                yield frame
                if finished:
                    return
        finally:
            del self._waiting[number]
            if not finished and process.returncode is None and process.stdin is not None:
                process.stdin.write(pack_frame({"op": "cancel", "id": number}))

    async def _send(self, process: asyncio.subprocess.Process, frame: bytes) -> None:
        assert process.stdin is not None  # noqa: S101  # started with a pipe
        try:
            process.stdin.write(frame)
            await process.stdin.drain()
        except (ConnectionError, RuntimeError):
            raise _WorkerDiedError from None

    async def _running(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is not None and self._process.returncode is None:
                return self._process
            if self._receiver is not None:
                await self._receiver
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "understudy.voicebox.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, **_ONE_THREAD},
            )
            try:
                await self._await_ready(process)
            except BaseException:
                if process.returncode is None:
                    process.kill()
                await process.wait()
                raise
            self._process = process
            self._receiver = asyncio.create_task(self._receive(process), name="voicebox-receiver")
            self._log.info("voicebox_started", pid=process.pid)
            return process

    async def _await_ready(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101  # started with a pipe
        try:
            async with asyncio.timeout(START_DEADLINE_S):
                frame = await receive_frame(process.stdout)
        except TimeoutError:
            raise VoiceboxError(
                f"The local speech engine did not start within {START_DEADLINE_S:g} s."
            ) from None
        if frame is None:
            raise VoiceboxError("The local speech engine ended while it started.")
        if frame[0]["event"] == "error":
            raise _ERRORS.get(frame[0]["code"], VoiceboxError)(frame[0]["message"])

    async def _receive(self, process: asyncio.subprocess.Process) -> None:
        """Hand each frame to its request, until the worker's output ends."""
        assert process.stdout is not None  # noqa: S101  # started with a pipe
        while (frame := await receive_frame(process.stdout)) is not None:
            queue = self._waiting.get(int(frame[0]["id"]))
            if queue is not None:
                queue.put_nowait(frame)
        await process.wait()
        if self._process is process:
            self._process = None
            self._log.warning("voicebox_died", pid=process.pid, exit_code=process.returncode)
        for queue in self._waiting.values():
            queue.put_nowait(None)
