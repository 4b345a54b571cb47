"""The voicebox as the engine of Modal's jobs, as slow as the GPU it pretends to be."""

from __future__ import annotations

import base64
import binascii
import hashlib

from understudy.audio.decode import decode_upload
from understudy.audio.wav import duration_ms, write_wav
from understudy.clock import Clock
from understudy.errors import ValidationError
from understudy.jobserver.orders import DesignOrder, SpeechOrder
from understudy.standins.configuration import StandInSettings
from understudy.voicebox.client import Voicebox
from understudy.voicebox.shape import VoiceShape, shape_from_description

#: Shapes of references seen lately; measuring one takes about 0.2 s.
_SHAPES_KEPT = 64


class VoiceboxEngine:
    """An :class:`understudy.jobserver.engine.Engine`; the reference in each order is the voice."""

    def __init__(self, settings: StandInSettings, voicebox: Voicebox, clock: Clock) -> None:
        self._settings = settings
        self._voicebox = voicebox
        self._clock = clock
        self._shapes: dict[str, VoiceShape] = {}

    async def speak(self, order: SpeechOrder) -> bytes:
        """Speak in the reference's pitch and timbre, then wait for the GPU it pretends to be."""
        started_s = self._clock.monotonic_s()
        shape = await self._shape_of(order.reference)
        clip = await self._voicebox.speak(order.text, order.language, shape)
        pretended_s = duration_ms(clip) / 1000 * self._settings.modal_real_time_factor
        await self._wait_until(started_s + self._settings.modal_overhead_s + pretended_s)
        return write_wav(clip)

    async def design(self, order: DesignOrder) -> bytes:
        """Speak in the voice that a description maps to."""
        started_s = self._clock.monotonic_s()
        clip = await self._voicebox.speak(order.text, order.language, shape_from_description(order.instruct))
        await self._wait_until(started_s + self._settings.modal_design_overhead_s)
        return write_wav(clip)

    async def _wait_until(self, due_s: float) -> None:
        await self._clock.sleep(max(0.0, due_s - self._clock.monotonic_s()))

    async def _shape_of(self, reference: str) -> VoiceShape:
        digest = hashlib.sha256(reference.encode()).hexdigest()
        if digest not in self._shapes:
            try:
                raw = base64.b64decode(reference, validate=True)
            except binascii.Error:
                raise ValidationError("ref_audio_base64 is not valid base64.") from None
            shape = await self._voicebox.shape_from_reference(write_wav(await decode_upload(raw)))
            while len(self._shapes) >= _SHAPES_KEPT:
                del self._shapes[next(iter(self._shapes))]
            self._shapes[digest] = shape
        return self._shapes[digest]
