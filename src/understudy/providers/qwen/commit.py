"""The commit point: from which byte on audio may be passed to a listener, and what is judged when.

=======  ==========================================  ===========================================
format   before the first byte is passed on          while and after
=======  ==========================================  ===========================================
PCM      a delta whose samples sound (RMS)           length (adapter), loudness (whole clip)
WAV      the header, then the same as PCM            the same as PCM
MP3      a whole frame, found at the very start      length by frames, and that a frame is more
                                                     than digital silence (adapter)
Opus     the stream's head and a whole audio page    the same by granules and packets (adapter)
=======  ==========================================  ===========================================

MP3 and Opus are not decoded in flight: leading silence is passed on (an encoder's own delay is some), speech
that was digital silence to its end is refused there, and faint noise in place of speech is not found.
In every format bytes that cannot be the format are refused at once, and audio much shorter or longer than its
text is refused when that is known.
"""

from __future__ import annotations

import numpy as np

from understudy.audio.duration import DurationMeter, WavDuration, duration_meter
from understudy.audio.pace import longest_ms, shortest_ms
from understudy.audio.wav import SILENCE_RMS
from understudy.providers.base import AudioFormat
from understudy.providers.failures import protocol_failure
from understudy.providers.qwen.access import NAME


class CommitGate:
    """Holds audio back until it is known to be some, then passes it and measures it.

    Parameters
    ----------
    rate
        Samples a second of raw PCM.
    """

    def __init__(self, text: str, audio_format: AudioFormat, rate: int) -> None:
        self._text = text
        self._format = audio_format
        self._longest_ms = longest_ms(text)
        self._meter: DurationMeter = duration_meter(audio_format, rate)
        self._held = bytearray()
        #: Bytes of what is held whose sound was judged.
        self._judged = 0
        self._bytes = 0
        self.committed = False

    @property
    def audio_ms(self) -> int:
        """Milliseconds of audio that arrived, held or passed."""
        return self._meter.duration_ms

    def take(self, data: bytes) -> bytes:
        """The bytes that may be passed on now.

        Raises
        ------
        ProviderUnavailableError
            Of class ``protocol``: the bytes are not the format, or far more audio came than the text has.
        """
        self._meter.feed(data)
        self._bytes += len(data)
        if self._meter.duration_ms > self._longest_ms:
            raise protocol_failure(
                NAME,
                "The speech provider sent far more audio than the text has.",
                code="audio_overlong",
                audio_ms=self._meter.duration_ms,
            )
        if self.committed:
            return data
        self._held += data
        if self._meter.stray_bytes:
            raise protocol_failure(
                NAME,
                f"The speech provider sent audio that is not {self._format}.",
                code="audio_unreadable",
                bytes=len(self._held),
            )
        if not self._is_audio():
            return b""
        self.committed = True
        passed, self._held = bytes(self._held), bytearray()
        return passed

    def check_whole(self) -> None:
        """Raise unless what arrived sounds and can be the whole text."""
        facts = {"audio_ms": self.audio_ms}
        if not self.committed or not self._meter.sounding:
            raise protocol_failure(
                NAME,
                "The speech provider finished without sound.",
                code="audio_silent",
                bytes=self._bytes,
                **facts,
            )
        least_ms = shortest_ms(self._text)
        # Samples are two bytes, and so is a WAV header even.
        cut = self._bytes % 2 if self._format in {AudioFormat.PCM, AudioFormat.WAV} else 0
        if cut or self.audio_ms < least_ms:
            raise protocol_failure(
                NAME,
                "The speech provider sent only part of the speech.",
                code="audio_truncated",
                least_ms=least_ms,
                **facts,
            )

    def _is_audio(self) -> bool:
        if self._format in {AudioFormat.MP3, AudioFormat.OPUS}:
            return self._meter.frames > 0
        start = 0
        if isinstance(self._meter, WavDuration):
            if self._meter.data_offset is None:
                return False
            start = self._meter.data_offset
        first = max(start, self._judged)
        fresh = self._held[first : first + (len(self._held) - first) // 2 * 2]
        self._judged = first + len(fresh)
        samples = np.frombuffer(fresh, dtype="<i2").astype(np.float64) / 32768.0
        return bool(samples.size) and float(np.sqrt(np.mean(samples * samples))) >= SILENCE_RMS
