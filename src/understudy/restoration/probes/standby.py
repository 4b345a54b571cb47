"""A probe of the provider that does not serve, through its adapter: it must be there to step back to."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID

from understudy.audio.wav import from_pcm, read_wav, resample, write_wav
from understudy.clock import Clock
from understudy.errors import ProviderError, TargetError, ValidationError
from understudy.logs import get_logger
from understudy.providers.base import (
    CREATE_UNKNOWN,
    AudioChunk,
    AudioFormat,
    Operation,
    Provider,
    Reference,
    SpeakRequest,
    SpeechFinished,
    VoiceBinding,
)
from understudy.restoration.probes.budget import DailyBudget
from understudy.restoration.probes.lanes import Lane
from understudy.restoration.probes.plan import Memory, Outcome
from understudy.restoration.probes.records import ProbeRecords
from understudy.restoration.signals.readings import ProbeResult
from understudy.restoration.verification.listening import speech_ms
from understudy.restoration.verification.recordings import canary_recording
from understudy.store.calls import CallRecord

RATE = 24_000
#: A create whose answer was lost shows in the provider's list within seconds; after this it was not made.
SETTLED_AFTER_S = 60.0
#: A voice that the provider no longer knows is made again, and not more often than this.
ENROL_AGAIN_AFTER_S = 86_400.0
LABEL_DIGITS = 10
LANES_KEY = "probe_lanes"
#: Of an enrolment with its look-ups, in seconds.
ENROL_S = 90.0
#: Of this probe's own deadline; the adapter's are not trusted to add up.
DEADLINE_CODE = "probe_deadline"

log = get_logger(__name__)


@dataclass(slots=True)
class _Call:
    """One call to the provider, measured."""

    operation: Operation
    provider: str
    model: str
    started_s: float
    first_audio_ms: int | None = None
    characters: int = 0
    audio_ms: int = 0
    cost_microusd: int = 0
    request_id: str | None = None


class StandbyProbe:
    """Speaks the phrase at a provider directly.

    Parameters
    ----------
    deadline_s
        Of one utterance, in seconds.
    """

    def __init__(
        self,
        records: ProbeRecords,
        memory: Memory,
        budget: DailyBudget,
        clock: Clock,
        random: Random,
        *,
        text: str,
        deadline_s: float,
    ) -> None:
        self._records = records
        self._memory = memory
        self._budget = budget
        self._clock = clock
        self._random = random
        self._text = text
        self._deadline_s = deadline_s

    async def speak(self, lane: Lane, *, mode_epoch: int, user_id: UUID | None) -> ProbeResult:
        """Speak once, and leave a synthetic record of it.

        Raises
        ------
        BudgetSpentError
            Nothing was asked.
        """
        provider, call = lane.provider, self._begin(Operation.SPEAK, lane.provider)
        error: ProviderError | None = None
        outcome, detail, code, failure_class = Outcome.OK, "", None, None
        asked = False
        try:
            async with asyncio.timeout(ENROL_S):
                voice = await self._voice(lane, mode_epoch=mode_epoch, user_id=user_id)
            reserved = self._budget.reserve(
                provider.estimate(Operation.SPEAK, text=self._text, kind=voice.kind)
            )
            call, asked = self._begin(Operation.SPEAK, provider), True
            async with asyncio.timeout(self._deadline_s):
                audio, audio_format = await self._heard(provider, voice, call)
            self._budget.settle(reserved, call.cost_microusd)
            call.audio_ms = self._listen(audio, audio_format, provider.name)
            detail = f"{len(self._text)} characters, {call.audio_ms / 1000:.1f} s of audio"
        except TimeoutError:
            waited_s = self._deadline_s if asked else ENROL_S
            detail = f"{'No whole speech' if asked else 'No voice'} within {waited_s:g} s."
            outcome, code, failure_class = Outcome.PROVIDER_FAILED, DEADLINE_CODE, "transport"
        except ProviderError as failure:
            error, outcome, detail = failure, Outcome.PROVIDER_FAILED, failure.message
            code, failure_class = failure.provider_code or failure.code, failure.failure_class.value
            call.cost_microusd = failure.cost_microusd
            if asked:
                await self._reconsider(lane, failure)
        except _UnsettledError as unsettled:
            outcome, detail, code = Outcome.PROVIDER_FAILED, str(unsettled), CREATE_UNKNOWN
        except (TargetError, ValidationError) as bad:
            outcome, detail = Outcome.BAD_AUDIO, bad.message
            code, failure_class = outcome.value, "protocol"
        if asked:
            await self._records.keep(
                self._record(call, code, mode_epoch, user_id, error=error, failure_class=failure_class)
            )
        return ProbeResult(
            at=self._clock.now(),
            ok=outcome is Outcome.OK,
            provider=call.provider,
            latency_ms=self._since(call.started_s),
            first_audio_ms=call.first_audio_ms,
            code=code,
            detail=detail,
            failure_class=failure_class,
            outcome=outcome.value,
        )

    async def _heard(self, provider: Provider, voice: VoiceBinding, call: _Call) -> tuple[bytes, AudioFormat]:
        """Return the whole audio."""
        reference = None if provider.capabilities.needs_enrolment else _reference()
        request = SpeakRequest(
            text=self._text,
            language="English",
            voice=voice,
            reference=reference,
            audio_format=provider.capabilities.formats[0],
            request_id=f"probe-{self._random.getrandbits(64):016x}",
        )
        audio = bytearray()
        async with aclosing(provider.speak(request)) as events:
            async for event in events:
                match event:
                    case AudioChunk(data=data):
                        if call.first_audio_ms is None:
                            call.first_audio_ms = self._since(call.started_s)
                        audio += data
                    case SpeechFinished():
                        call.characters, call.cost_microusd = event.characters, event.cost_microusd
                        call.request_id, call.model = event.provider_request_id, event.model
        return bytes(audio), request.audio_format

    def _listen(self, audio: bytes, audio_format: AudioFormat, speaker: str) -> int:
        clip = from_pcm(audio, RATE) if audio_format is AudioFormat.PCM else read_wav(audio)
        return speech_ms(clip, speaker, text=self._text)

    # --- the voice at a provider that enrols ----------------------------------------------------------------

    async def _voice(self, lane: Lane, *, mode_epoch: int, user_id: UUID | None) -> VoiceBinding:
        """Return the canary's voice there, enrolled once for each lane.

        The intent is written before the create. What became of a create whose answer was lost is looked up
        by its label, and never asked for blindly again.
        """
        provider = lane.provider
        if not provider.capabilities.needs_enrolment:
            return VoiceBinding(provider=provider.name, kind="vc")
        known = self._enrolment(lane)
        if known is not None and known["state"] == "made":
            return VoiceBinding(**known["binding"])
        if known is not None:
            found = await provider.find_enrolled(known["label"])
            if found is not None:
                return self._made(lane, known["label"], found.binding)
            if self._age_s(known) < SETTLED_AFTER_S:
                raise _UnsettledError("Whether the canary's voice was enrolled is not known yet.")
        label = f"probe{self._random.getrandbits(4 * LABEL_DIGITS):0{LABEL_DIGITS}x}"
        reserved = self._budget.reserve(provider.estimate(Operation.ENROLL))
        call = self._begin(Operation.ENROLL, provider)
        self._note(lane, {"state": "intended", "label": label})
        try:
            enrolled = await provider.enroll(_reference(), label=label)
        except ProviderError as error:
            code = error.provider_code or error.code
            if error.provider_code != CREATE_UNKNOWN:
                self._forget(lane)
                self._budget.settle(reserved, error.cost_microusd)
            record = self._record(
                call, code, mode_epoch, user_id, error=error, failure_class=error.failure_class.value
            )
            await self._records.keep(record)
            raise
        binding = self._made(lane, label, enrolled.binding)
        call.cost_microusd, call.request_id = enrolled.cost_microusd, enrolled.binding.request_id
        call.model = binding.target_model or call.model
        self._budget.settle(reserved, enrolled.cost_microusd)
        await self._records.keep(self._record(call, None, mode_epoch, user_id))
        return binding

    async def _reconsider(self, lane: Lane, error: ProviderError) -> None:
        """Forget a voice that the provider refuses and does not list: it may have dropped it."""
        known = self._enrolment(lane)
        if error.retryable or known is None or self._age_s(known) < ENROL_AGAIN_AFTER_S:
            return
        try:
            if await lane.provider.find_enrolled(known["label"]) is None:
                self._forget(lane)
        except ProviderError as failure:
            log.warning("probe_voice_not_looked_up", label=known["label"], evidence=failure.evidence)

    def _enrolment(self, lane: Lane) -> dict[str, Any] | None:
        try:
            known = json.loads(self._memory.meta(enrolment_key(lane.name)) or "")
        except ValueError:
            return None
        return known if isinstance(known, dict) else None

    def _made(self, lane: Lane, label: str, binding: VoiceBinding) -> VoiceBinding:
        self._note(lane, {"state": "made", "label": label, "binding": asdict(binding)})
        log.info("probe_voice_enrolled", lane=lane.name, label=label, voice=binding.voice_id)
        return binding

    def _note(self, lane: Lane, known: dict[str, Any]) -> None:
        lanes = json.loads(self._memory.meta(LANES_KEY) or "[]")
        if lane.name not in lanes:
            self._memory.remember(LANES_KEY, json.dumps([*lanes, lane.name]))
        known["at"] = self._clock.now().isoformat()
        self._memory.remember(enrolment_key(lane.name), json.dumps(known, default=str))

    def _forget(self, lane: Lane) -> None:
        self._memory.remember(enrolment_key(lane.name), "")

    def _age_s(self, known: dict[str, Any]) -> float:
        return (self._clock.now() - datetime.fromisoformat(known["at"])).total_seconds()

    # --- measuring ------------------------------------------------------------------------------------------

    def _begin(self, operation: Operation, provider: Provider) -> _Call:
        return _Call(operation, provider.name, "unknown", self._clock.monotonic_s())

    def _since(self, started_s: float) -> int:
        return max(0, round((self._clock.monotonic_s() - started_s) * 1000))

    def _record(
        self,
        call: _Call,
        code: str | None,
        mode_epoch: int,
        user_id: UUID | None,
        *,
        error: ProviderError | None = None,
        failure_class: str | None = None,
    ) -> CallRecord:
        return CallRecord(
            at=self._clock.now(),
            operation=call.operation.value,
            provider=call.provider,
            model=call.model,
            outcome="ok" if code is None else "failed",
            latency_ms=self._since(call.started_s),
            mode_epoch=mode_epoch,
            category=str(error.category) if error else None,
            failure_class=failure_class,
            code=code,
            first_audio_ms=call.first_audio_ms,
            characters=call.characters,
            audio_ms=call.audio_ms,
            cost_microusd=call.cost_microusd,
            request_id=call.request_id or (error.provider_request_id if error else None),
            user_id=user_id,
            synthetic=True,
            billable=False,
        )


class _UnsettledError(Exception):
    """A create is under way, or its answer was lost a moment ago."""


def enrolment_key(lane: str) -> str:
    """Where the canary's voice of a lane is remembered."""
    return f"probe_enrolment/{lane}"


def enrolments(memory: Memory) -> dict[str, str]:
    """Return the canary's voice at each lane that enrols; what is not known yet is told by its label."""
    voices = {}
    for lane in json.loads(memory.meta(LANES_KEY) or "[]"):
        known = json.loads(memory.meta(enrolment_key(lane)) or "null")
        if known is not None:
            voices[lane] = known.get("binding", {}).get("voice_id") or f"{known['label']} ({known['state']})"
    return voices


def _reference() -> Reference:
    recording = canary_recording()
    audio = write_wav(resample(read_wav(recording.audio), RATE))
    return Reference(audio, recording.transcript, recording.language)
