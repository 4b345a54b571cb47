"""A provider that does what a test tells it to: tones for speech, failures on cue, jobs kept in a folder.

It follows ``understudy.providers.base`` to the letter. Jobs are files, so that a job outlives the process
that submitted it, as it does at a real provider.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from understudy.audio.wav import Clip, read_wav, to_pcm, write_wav
from understudy.errors import FailureClass, ProviderCancelledError, ProviderError, ProviderValidationError
from understudy.providers.base import (
    AudioChunk,
    AudioFormat,
    Capabilities,
    CheckResult,
    DesignBrief,
    DesignedVoice,
    EnrolledVoice,
    JobAccepted,
    MadeVoice,
    Operation,
    Reference,
    SpeakRequest,
    SpeechEvent,
    SpeechFinished,
    VoiceBinding,
)
from understudy.providers.languages import QWEN_LANGUAGES

RATE = 24_000
MS_PER_CHARACTER = 80
ENROLMENT_COST = 10_000
DESIGN_COST = 200_000


def tone(milliseconds: int, *, hertz: float = 220.0, amplitude: float = 0.3) -> Clip:
    """A sine of this length."""
    times = np.arange(RATE * milliseconds // 1000) / RATE
    return Clip((np.sin(2 * np.pi * hertz * times) * amplitude * 32767).astype(np.int16), RATE)


def speech_of(text: str) -> Clip:
    """A tone as long as the text takes to say."""
    return tone(MS_PER_CHARACTER * max(1, sum(1 for character in text if not character.isspace())))


@dataclass
class Cue:
    """What the next utterance does instead of speaking well.

    Parameters
    ----------
    error
        Raised after ``chunks`` chunks.
    clip
        Given instead of the text's own speech.
    made
        The create that ``error`` reports lost was made all the same: ``find_enrolled`` finds it.
    """

    error: Callable[[], ProviderError] | None = None
    chunks: int = 0
    clip: Clip | None = None
    made: bool = False


@dataclass
class ScriptedProvider:
    """One provider.

    Parameters
    ----------
    jobs
        Folder of the jobs, for a provider that has them (``streaming`` false).
    """

    name: str
    streaming: bool
    jobs: Path
    max_text_chars: int = 2000
    cues: deque[Cue] = field(default_factory=deque)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    spoken: list[SpeakRequest] = field(default_factory=list)
    closed_early: int = 0
    enrolled: list[Reference] = field(default_factory=list)
    designed: list[DesignBrief] = field(default_factory=list)
    #: What creates left at this provider, by label: a :class:`Cue` may fail a create that was made.
    made: dict[str, EnrolledVoice] = field(default_factory=dict)
    designs: set[str] = field(default_factory=set)
    looked_up: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.jobs.mkdir(parents=True, exist_ok=True)
        self.gate.set()
        self.capabilities = Capabilities(
            streaming=self.streaming,
            clone=True,
            design=True,
            needs_enrolment=self.streaming,
            languages=QWEN_LANGUAGES,
            max_text_chars=self.max_text_chars,
            formats=(AudioFormat.PCM, AudioFormat.WAV) if self.streaming else (AudioFormat.WAV,),
            bills_creates=self.streaming,
        )

    def _next_cue(self) -> Cue:
        return self.cues.popleft() if self.cues else Cue()

    async def enroll(self, reference: Reference, *, label: str) -> EnrolledVoice:
        cue = self._next_cue()
        self.enrolled.append(reference)
        await self.gate.wait()
        if self.streaming and (cue.made or not cue.error):
            self.made[label] = EnrolledVoice(self._binding("vc", label), ENROLMENT_COST)
        if cue.error:
            raise cue.error()
        return EnrolledVoice(self._binding("vc", label), ENROLMENT_COST if self.streaming else 0)

    async def find_enrolled(self, label: str) -> EnrolledVoice | None:
        self.looked_up.append(label)
        return self.made.get(label)

    def estimate(self, operation: Operation, *, text: str = "", kind: str | None = None) -> int:
        if operation is Operation.SPEAK:
            return 13 * len(text)
        if not self.streaming:
            return 0
        return {Operation.ENROLL: ENROLMENT_COST, Operation.DESIGN: DESIGN_COST}.get(operation, 0)

    async def design(self, brief: DesignBrief, *, label: str) -> DesignedVoice:
        cue = self._next_cue()
        self.designed.append(brief)
        await self.gate.wait()
        if self.streaming and (cue.made or not cue.error):
            self.designs.add(label)
        if cue.error:
            raise cue.error()
        preview = write_wav(cue.clip or speech_of(brief.text))
        return DesignedVoice(self._binding("vd", label), preview, DESIGN_COST if self.streaming else 0)

    async def find_designed(self, brief: DesignBrief, *, label: str) -> DesignedVoice | None:
        self.looked_up.append(label)
        if label not in self.designs:
            return None
        return DesignedVoice(self._binding("vd", label), write_wav(speech_of(brief.text)), DESIGN_COST)

    async def made_voices(self) -> list[MadeVoice]:
        names = [("vc", label) for label in self.made] + [("vd", label) for label in sorted(self.designs)]
        bindings = [(label, self._binding(kind, label)) for kind, label in names]
        return [
            MadeVoice(str(binding.voice_id), str(binding.kind), binding.target_model, label, None)
            for label, binding in bindings
        ]

    def _binding(self, kind: str, label: str) -> VoiceBinding:
        if not self.streaming:
            return VoiceBinding(provider=self.name, kind=kind)
        return VoiceBinding(
            provider=self.name,
            voice_id=f"qwen-tts-{kind}-{label}",
            target_model=f"qwen3-tts-{kind}-realtime-2026-01-15",
            kind=kind,
            region="intl",
            request_id=f"request-{label}",
        )

    def speak(self, request: SpeakRequest) -> AsyncGenerator[SpeechEvent, None]:
        return self._stream(request) if self.streaming else self._job(request)

    async def _stream(self, request: SpeakRequest) -> AsyncGenerator[SpeechEvent, None]:
        if not request.voice.voice_id or request.audio_format not in self.capabilities.formats:
            raise ProviderValidationError(failure_class=FailureClass.PROVIDER, provider=self.name)
        if request.go is not None:
            await request.go.wait()
        cue = self._next_cue()
        self.spoken.append(request)
        clip = cue.clip or speech_of(request.text)
        pcm = to_pcm(clip) if request.audio_format is AudioFormat.PCM else write_wav(clip)
        half = len(pcm) // 4 * 2
        finished = False
        try:
            for number, piece in enumerate((pcm[:half], pcm[half:])):
                if cue.error and number >= cue.chunks:
                    raise cue.error()
                yield AudioChunk(piece, request.audio_format, RATE)
                await self.gate.wait()
            if cue.error:
                raise cue.error()
            finished = True
            yield self._finished(request, "response-1")
        finally:
            self.closed_early += not finished

    async def _job(self, request: SpeakRequest) -> AsyncGenerator[SpeechEvent, None]:
        if request.reference is None:
            raise ProviderValidationError(failure_class=FailureClass.PROVIDER, provider=self.name)
        read_wav(request.reference.audio)
        if request.go is not None:
            await request.go.wait()
        cue = self._next_cue()
        self.spoken.append(request)
        job_id = request.resume_job_id
        finished = False
        try:
            if cue.error and cue.chunks == 0:
                raise cue.error()
            if job_id is None:
                job_id = self._submit(request)
                yield JobAccepted(job_id)
            while not self.gate.is_set() or (self.jobs / "hold").exists():
                self._raise_if_cancelled(job_id)
                await asyncio.sleep(0.01)
            self._raise_if_cancelled(job_id)
            if cue.error:
                raise cue.error()
            yield AudioChunk(write_wav(cue.clip or speech_of(request.text)), AudioFormat.WAV, RATE)
            finished = True
            yield self._finished(request, job_id)
        finally:
            if not finished:
                self.closed_early += 1
                if job_id is not None:
                    await self.cancel(job_id)

    def _submit(self, request: SpeakRequest) -> str:
        job_id = f"fc-{uuid.uuid4().hex}"
        facts = {"request_id": request.request_id, "text": request.text}
        (self.jobs / f"{job_id}.json").write_text(json.dumps(facts))
        return job_id

    def _raise_if_cancelled(self, job_id: str) -> None:
        if not (self.jobs / f"{job_id}.json").exists():
            raise ProviderValidationError(failure_class=FailureClass.PROVIDER, provider=self.name)
        if job_id in self.cancelled_jobs:
            raise ProviderCancelledError(failure_class=FailureClass.PROVIDER, provider=self.name)

    def _finished(self, request: SpeakRequest, request_id: str) -> SpeechFinished:
        model = request.voice.target_model or "open-weights"
        return SpeechFinished(len(request.text), 13 * len(request.text), request_id, model)

    @property
    def submitted(self) -> list[dict[str, str]]:
        """Every job ever accepted."""
        return [json.loads(path.read_text()) for path in sorted(self.jobs.glob("*.json"))]

    @property
    def cancelled_jobs(self) -> set[str]:
        """Ids of the jobs that were cancelled."""
        return {path.stem for path in self.jobs.glob("*.cancelled")}

    async def cancel(self, job_id: str) -> None:
        (self.jobs / f"{job_id}.cancelled").touch()

    async def check(self) -> CheckResult:
        return CheckResult(1, "scripted")

    async def close(self) -> None:
        return
