"""What is heard of one provider: judged, measured, recorded and handed on as it comes."""

from __future__ import annotations

from understudy.audio.duration import DurationMeter, duration_meter
from understudy.audio.pace import longest_ms
from understudy.providers.base import AudioChunk, AudioFormat
from understudy.speech.calls import CallMeter
from understudy.speech.plausible import check_length, check_wav
from understudy.speech.recording import Recording
from understudy.speech.stream_buffer import StreamBuffer
from understudy.store.objects import ObjectStore
from understudy.store.tasks import TaskRow

#: Until the provider says another.
RATE = 24_000


class Hearing:
    """Takes the audio of one call.

    Parameters
    ----------
    buffer
        Whoever listens reads it.
    meter
        Of the call; it is told when audio began, and how much came.
    """

    def __init__(
        self, task: TaskRow, text: str, audio_format: AudioFormat, *, buffer: StreamBuffer, meter: CallMeter
    ) -> None:
        self._task = task
        self._text = text
        self._longest_ms = longest_ms(text)
        self._format = audio_format
        self._buffer = buffer
        self._meter = meter
        #: Of a provider whose adapter does not measure.
        self._duration: DurationMeter | None = None
        self.sample_rate = RATE
        #: Once audio came.
        self.recording: Recording | None = None

    def take(self, chunk: AudioChunk, objects: ObjectStore) -> None:
        """Pass audio on; the first is the commit point, for the provider's adapter has found it valid."""
        if self.recording is None:
            self.sample_rate = chunk.sample_rate
            key = f"{self._task.user_id}/{self._task.generation_id}"
            self.recording = Recording(objects, key, self._format, chunk.sample_rate)
            self._meter.hear()
        self._meter.audio_ms = self._measured_ms(chunk)
        if self._meter.audio_ms > self._longest_ms:
            # A synthesis that ran away is neither paid for nor held in memory any longer.
            self.check_length()
        self.recording.write(chunk.data)
        self._buffer.write(chunk.data)

    def take_whole(self, chunks: list[AudioChunk], objects: ObjectStore) -> None:
        """Audio that came in one go is judged as a whole, before anybody hears it."""
        data, rate = b"".join(chunk.data for chunk in chunks), chunks[0].sample_rate
        self._meter.hear()
        if self._format is AudioFormat.WAV:
            rate = check_wav(data, self._text, provider=self._meter.provider).rate
        self.take(AudioChunk(data, self._format, rate), objects)

    def check_length(self) -> None:
        """Raise a ``protocol`` failure when what came cannot be the text."""
        check_length(self._meter.audio_ms, self._text, provider=self._meter.provider)

    def _measured_ms(self, chunk: AudioChunk) -> int:
        """Milliseconds of audio up to the end of ``chunk``: by the adapter, or by a measure of our own."""
        if chunk.audio_ms is not None:
            return chunk.audio_ms
        if self._duration is None:
            self._duration = duration_meter(self._format, chunk.sample_rate)
        self._duration.feed(chunk.data)
        return self._duration.duration_ms
