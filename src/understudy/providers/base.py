"""The provider interface: what every speech provider offers, whatever its wire.

Callers branch on :class:`Capabilities`, never on a provider's name. One conformance suite
(``tests/conformance``) holds every adapter to what is written here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

#: ``provider_code`` of a submit that was sent and whose answer never came: whether it was taken is not known.
SUBMIT_UNKNOWN = "submit_unknown"
#: ``provider_code`` of a billed create that was sent and whose answer never came, nor a look-up found it.
CREATE_UNKNOWN = "create_unknown"


class AudioFormat(StrEnum):
    """Formats of audio as it leaves a provider."""

    PCM = "pcm"
    """Raw 16-bit little-endian mono at ``AudioChunk.sample_rate``."""
    WAV = "wav"
    MP3 = "mp3"
    OPUS = "opus"
    """Opus in Ogg."""

    @property
    def content_type(self) -> str:
        """Media type of a body in this format."""
        return _CONTENT_TYPES[self]


_CONTENT_TYPES = {
    AudioFormat.PCM: "audio/pcm",
    AudioFormat.WAV: "audio/wav",
    AudioFormat.MP3: "audio/mpeg",
    AudioFormat.OPUS: "audio/ogg",
}


class Operation(StrEnum):
    """What was asked of a provider; the unit that signals count."""

    SPEAK = "speak"
    ENROLL = "enroll"
    DESIGN = "design"
    CHECK = "check"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do, and up to where.

    Parameters
    ----------
    streaming
        Audio arrives while synthesis still runs.
    needs_enrolment
        A voice must be enrolled (billed) before it can speak; otherwise reference audio is sent each time.
    max_text_chars
        Unicode code points accepted in one request.
    formats
        What ``speak`` delivers, the most natural one first.
    bills_creates
        Each clone or design create costs money, and no key makes two of them one.
    """

    streaming: bool
    clone: bool
    design: bool
    needs_enrolment: bool
    languages: tuple[str, ...]
    max_text_chars: int
    formats: tuple[AudioFormat, ...]
    bills_creates: bool


@dataclass(frozen=True, slots=True)
class Reference:
    """A voice's own speech.

    Parameters
    ----------
    audio
        WAV, mono, 16 bit, 24 kHz.
    transcript
        What is said in it.
    language
        English name of the language (``English``), or ``Auto``.
    """

    audio: bytes
    transcript: str
    language: str


@dataclass(frozen=True, slots=True)
class VoiceBinding:
    """How one provider knows a voice. Empty ids mean that nothing was enrolled (Modal).

    Parameters
    ----------
    kind
        ``vc`` (cloned) or ``vd`` (designed).
    target_model
        The one model this voice speaks with: the binding is fixed at creation (facts/dashscope.md section 7).
    """

    provider: str
    voice_id: str | None = None
    target_model: str | None = None
    kind: str | None = None
    region: str | None = None
    request_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DesignBrief:
    """A voice to invent: ``instruct`` describes it, ``text`` is what its preview says."""

    text: str
    language: str
    instruct: str


@dataclass(frozen=True, slots=True)
class DesignedVoice:
    """A designed voice with its one preview (WAV, 24 kHz mono 16 bit), which becomes its reference."""

    binding: VoiceBinding
    preview: bytes
    cost_microusd: int


@dataclass(frozen=True, slots=True)
class EnrolledVoice:
    """A cloned voice as the provider now knows it."""

    binding: VoiceBinding
    cost_microusd: int


@dataclass(frozen=True, slots=True)
class MadeVoice:
    """A voice as the provider's own list has it.

    Parameters
    ----------
    label
        What it was made under, as far as its id tells.
    created_at
        The provider's own word for when.
    """

    voice_id: str
    kind: str
    target_model: str | None
    label: str | None
    created_at: str | None


@dataclass(frozen=True, slots=True)
class SpeakRequest:
    """One utterance.

    Parameters
    ----------
    text
        Already within ``Capabilities.max_text_chars``.
    request_id
        Ours, stable over retries of the same task: an idempotency key where the provider takes one.
    resume_job_id
        A job the provider already accepted for this request; poll it instead of submitting again.
    go
        Nothing that may be billed is sent before it is set; ``None`` is as if it were. A connection may be
        opened meanwhile.
    """

    text: str
    language: str
    voice: VoiceBinding
    reference: Reference | None
    audio_format: AudioFormat
    request_id: str
    resume_job_id: str | None = None
    go: asyncio.Event | None = None


@dataclass(frozen=True, slots=True)
class JobAccepted:
    """The provider took the job under ``job_id``; persist it before anything else happens."""

    job_id: str


@dataclass(frozen=True, slots=True)
class JobProgress:
    """An accepted job was asked for its state: the provider's own word, and how often it was asked."""

    status: str
    polls: int


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Audio in order. The first one is the commit point: it has been checked not to be empty.

    Parameters
    ----------
    audio_ms
        How much the adapter has heard by then, where it measures; it may hold some of it back.
    """

    data: bytes
    audio_format: AudioFormat
    sample_rate: int
    audio_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SpeechFinished:
    """The provider ended the utterance itself, whole.

    Parameters
    ----------
    characters
        Billed characters (Han counts 2): the provider's own count where it gave one.
    cost_microusd
        Cost at list price (``providers.prices``), in millionths of a US dollar.
    counted_characters
        Billed characters by our own count of the text; ``None`` where characters are not what is billed.
    """

    characters: int
    cost_microusd: int
    provider_request_id: str | None
    model: str
    counted_characters: int | None = None

    @property
    def usage_disagrees(self) -> bool:
        """Whether the provider bills other characters than we count; its own figure is the one billed."""
        return self.counted_characters is not None and self.counted_characters != self.characters


SpeechEvent = JobAccepted | JobProgress | AudioChunk | SpeechFinished


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a cheap authenticated call said: the provider answers, with this latency in milliseconds."""

    latency_ms: int
    detail: str


class Provider(Protocol):
    """One speech provider.

    Every method raises only :class:`understudy.errors.ProviderError` (its subclass carries the category,
    its ``failure_class`` the class) besides :class:`asyncio.CancelledError`.
    """

    @property
    def name(self) -> str:
        """``modal`` or ``qwen``; for records and headers, never for branching."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this provider can do as configured."""
        ...

    def estimate(self, operation: Operation, *, text: str = "", kind: str | None = None) -> int:
        """Return what one call may cost at most, in micro-dollars.

        Parameters
        ----------
        text
            What is spoken, or what a preview says.
        kind
            Of the voice, ``vc`` or ``vd``; the dearer one when it is not given.
        """
        ...

    async def enroll(self, reference: Reference, *, label: str) -> EnrolledVoice:
        """Make the voice of ``reference`` known; ``label`` is ours, one for each voice.

        A create whose answer was lost is looked up once by its label, and never sent again. Where that finds
        nothing, or fails too, the error's ``provider_code`` is :data:`CREATE_UNKNOWN`.
        """
        ...

    async def find_enrolled(self, label: str) -> EnrolledVoice | None:
        """Return the voice that an earlier :meth:`enroll` under ``label`` made, if it did; bills nothing.

        ``None`` where there is none, and where nothing is enrolled at all.
        """
        ...

    async def design(self, brief: DesignBrief, *, label: str) -> DesignedVoice:
        """Invent a voice. Billed where the provider bills it: looked up when its answer is lost, as above."""
        ...

    async def find_designed(self, brief: DesignBrief, *, label: str) -> DesignedVoice | None:
        """Return what an earlier :meth:`design` under ``label`` made, if it did; creates nothing.

        Its preview is lost with the answer, so the voice speaks ``brief.text`` anew (billed as speech; the
        binding's metadata says ``recovered``). ``None`` where there is none.
        """
        ...

    async def made_voices(self) -> list[MadeVoice]:
        """Return every voice that the provider's account holds; empty where it holds none."""
        ...

    def speak(self, request: SpeakRequest) -> AsyncGenerator[SpeechEvent, None]:
        """Speak.

        Yields ``JobAccepted`` first where the provider has jobs (unless one is resumed) and ``JobProgress``
        while it waits, then chunks, then ``SpeechFinished``.
        An iteration that ends without ``SpeechFinished`` never happens: it raises instead. Closing the
        generator (``aclose``) cancels at the provider. Zero, silent or truncated audio is a ``protocol``
        failure.
        """
        ...

    async def cancel(self, job_id: str) -> None:
        """Cancel an accepted job; idempotent; a failure here is logged, never raised."""
        ...

    async def check(self) -> CheckResult:
        """Prove key, region and endpoint with one cheap call that bills nothing."""
        ...

    async def close(self) -> None:
        """Give back sockets."""
        ...
