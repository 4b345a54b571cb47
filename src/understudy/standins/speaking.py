"""Speak one response of a realtime session: its events, and paced audio deltas between them."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace

import numpy as np

from understudy.clock import Clock
from understudy.standins.billing import billed_characters
from understudy.standins.encoders import make_encoder
from understudy.standins.events import Event, ResponseEvents
from understudy.standins.session_faults import DELTAS_BEFORE_FAULT, SessionFaults, Wire
from understudy.standins.sessions import SessionConfig
from understudy.voicebox.client import Voicebox
from understudy.voicebox.shape import VoiceShape

#: Audio in one delta. The vendor's cadence is not documented.
DELTA_MS = 100
NEUTRAL_VOLUME = 50


@dataclass(frozen=True, slots=True)
class Spoken:
    """How a response ended: its status and what it cost in characters."""

    status: str
    characters: int


@dataclass(slots=True)
class ResponseSpeaker:
    """Speaks responses for one session."""

    voicebox: Voicebox
    faults: SessionFaults
    clock: Clock
    wire: Wire
    real_time_factor: float
    first_audio_delay_s: float
    #: Later responses go on in the file of the first: the deltas of a session, joined, are one.
    file_begun: bool = False

    async def speak(
        self, text: str, config: SessionConfig, shape: VoiceShape, is_cancelled: Callable[[], bool]
    ) -> Spoken:
        """Send every event of one response.

        Raises
        ------
        SessionBrokenError
            A fault struck.
        understudy.errors.VoiceboxError
            The engine failed.
        """
        events = ResponseEvents(config.voice)
        self.faults.draw()
        opening = events.opening()
        if "out_of_order" not in self.faults:
            await self._send(opening)
            opening = []
        await self.faults.before_audio()
        if self.first_audio_delay_s:
            await self.clock.sleep(self.first_audio_delay_s)
        characters = billed_characters(text)
        late: list[Event] = []
        if "failed_response" in self.faults:
            status, characters = "failed", 0
        else:
            deltas = self._deltas(text, config, shape)
            is_whole, late = await self._speak_audio(events, opening, deltas, is_cancelled)
            status = "completed" if is_whole else "incomplete"
        await self._send([*events.closing(status, characters), *late])
        return Spoken(status, characters)

    async def _speak_audio(
        self,
        events: ResponseEvents,
        opening: list[Event],
        deltas: AsyncGenerator[bytes, None],
        is_cancelled: Callable[[], bool],
    ) -> tuple[bool, list[Event]]:
        """Send the audio, and ``opening`` after its first delta.

        Returns
        -------
        tuple[bool, list[Event]]
            Whether the audio came to its end, and the deltas that are to come too late.
        """
        sent = 0
        late: list[Event] = []
        sendable = self.faults.on_deltas(deltas)
        async with contextlib.aclosing(deltas), contextlib.aclosing(sendable):
            async for encoded, is_late in sendable:
                if is_cancelled():
                    return False, late
                delta = events.delta(base64.b64encode(encoded).decode())
                if is_late:
                    late.append(delta)
                    continue
                await self._send([delta, *opening])
                opening = []
                sent += 1
                if sent == DELTAS_BEFORE_FAULT:
                    await self.faults.amid_audio(events)
                    if "incomplete_response" in self.faults:
                        return False, late
        if sent < DELTAS_BEFORE_FAULT:
            await self.faults.amid_audio(events)
        await self._send(opening)
        return True, late

    async def _send(self, events: list[Event]) -> None:
        for one in events:
            await self.wire.event(one)

    async def _deltas(
        self, text: str, config: SessionConfig, shape: VoiceShape
    ) -> AsyncGenerator[bytes, None]:
        """Encoded audio in pieces of :data:`DELTA_MS`, no faster than the pace allows."""
        encoder = make_encoder(
            config.response_format, config.sample_rate, config.bit_rate, continues=self.file_begun
        )
        self.file_begun = True
        voice = replace(shape, pitch_hz=shape.pitch_hz * config.pitch_rate)
        piece_bytes = config.sample_rate * DELTA_MS // 1000 * 2
        started_s, sent_bytes, kept = self.clock.monotonic_s(), 0, b""
        speech = self.voicebox.stream(
            text, config.language_type, voice, rate=config.sample_rate, pace=config.speech_rate
        )
        async with contextlib.aclosing(speech):
            async for chunk in speech:
                kept += chunk
                while len(kept) >= piece_bytes:
                    piece, kept = kept[:piece_bytes], kept[piece_bytes:]
                    await self._wait_for_pace(started_s, sent_bytes / (2 * config.sample_rate))
                    sent_bytes += len(piece)
                    if encoded := encoder.encode(self._final(piece, config)):
                        yield encoded
        tail = (encoder.encode(self._final(kept, config)) if kept else b"") + encoder.finish()
        if tail:
            yield tail

    def _final(self, pcm: bytes, config: SessionConfig) -> bytes:
        return self.faults.on_samples(_at_volume(pcm, config.volume))

    async def _wait_for_pace(self, started_s: float, audio_s: float) -> None:
        ahead_s = audio_s * self.real_time_factor - (self.clock.monotonic_s() - started_s)
        if ahead_s > 0:
            await self.clock.sleep(ahead_s)


def _at_volume(pcm: bytes, volume: float) -> bytes:
    if volume == NEUTRAL_VOLUME:
        return pcm
    louder = np.frombuffer(pcm, "<i2").astype(np.float64) * (volume / NEUTRAL_VOLUME)
    return np.clip(np.rint(louder), -32768, 32767).astype("<i2").tobytes()
