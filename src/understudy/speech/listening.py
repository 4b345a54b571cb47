"""Collecting one utterance of a provider: its job, its progress, its audio, its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing

from understudy.audio.wav import Clip, duration_ms, from_pcm, read_wav
from understudy.errors import FailureClass, ProviderError, ProviderUnavailableError, ValidationError
from understudy.providers.base import (
    AudioChunk,
    AudioFormat,
    JobAccepted,
    JobProgress,
    Operation,
    Provider,
    SpeakRequest,
    SpeechFinished,
)
from understudy.speech.calls import CallMeter, took_the_text

RATE = 24_000


class Utterance:
    """One utterance as it comes in; what it costs and how long it lasts is written on ``meter``."""

    def __init__(
        self,
        provider: Provider,
        meter: CallMeter,
        *,
        on_job: Callable[[str], Awaitable[None]],
        on_progress: Callable[[JobProgress], Awaitable[None]],
    ) -> None:
        self._provider = provider
        self._meter = meter
        self._on_job = on_job
        self._on_progress = on_progress

    async def collect(self, request: SpeakRequest) -> tuple[Clip, SpeechFinished]:
        """Return the whole audio; cancelling this closes the iterator, which cancels at the provider.

        Raises
        ------
        ProviderError
            The provider failed, or what it sent cannot be read.
        """
        meter = self._meter
        try:
            data, rate, finished = await self._hear_out(request)
        except ProviderError as error:
            if took_the_text(error):
                self._owe(request)
            raise
        meter.finish(finished)
        try:
            clip = from_pcm(data, rate) if request.audio_format is AudioFormat.PCM else read_wav(data)
        except ValidationError as error:
            raise broken(self._provider.name, "audio_unreadable", "sent audio that cannot be read") from error
        meter.audio_ms = duration_ms(clip)
        return clip, finished

    async def _hear_out(self, request: SpeakRequest) -> tuple[bytes, int, SpeechFinished]:
        data, rate, finished = bytearray(), RATE, None
        async with aclosing(self._provider.speak(request)) as events:
            async for event in events:
                if isinstance(event, JobAccepted):
                    await self._on_job(event.job_id)
                elif isinstance(event, JobProgress):
                    await self._on_progress(event)
                elif isinstance(event, AudioChunk):
                    self._owe(request)
                    self._meter.hear()
                    data += event.data
                    rate = event.sample_rate
                else:
                    finished = event
        if finished is None:
            raise broken(self._provider.name, "speech_unfinished", "ended without finishing")
        return bytes(data), rate, finished

    def _owe(self, request: SpeakRequest) -> None:
        """Note what a provider that streams bills for the text it took, until it says so itself."""
        if self._meter.cost_microusd or not self._provider.capabilities.streaming:
            return
        kind = request.voice.kind
        self._meter.owe(request.text, self._provider.estimate(Operation.SPEAK, text=request.text, kind=kind))


def broken(provider: str, code: str, what: str) -> ProviderUnavailableError:
    """The failure of a provider that answered, and not with what it should."""
    return ProviderUnavailableError(
        f"The speech provider {what}.",
        failure_class=FailureClass.PROTOCOL,
        provider=provider,
        provider_code=code,
    )
