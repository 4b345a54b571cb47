"""Qwen realtime as a :class:`understudy.providers.base.Provider`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from understudy.audio.wav import Clip, from_pcm, is_silent, read_wav, resample, write_wav
from understudy.errors import FailureClass, ProviderError, ProviderValidationError, ValidationError
from understudy.logs import get_logger
from understudy.providers.base import (
    CREATE_UNKNOWN,
    AudioChunk,
    AudioFormat,
    Capabilities,
    CheckResult,
    DesignBrief,
    DesignedVoice,
    EnrolledVoice,
    MadeVoice,
    Operation,
    Reference,
    SpeakRequest,
    SpeechEvent,
    VoiceBinding,
)
from understudy.providers.deadlines import Deadlines
from understudy.providers.failures import may_have_been_done, safe_code
from understudy.providers.languages import QWEN_LANGUAGES, customization_code, realtime_name
from understudy.providers.prices import PRICES, billed_characters, synthesis_cost
from understudy.providers.qwen.access import NAME, LaneAccess
from understudy.providers.qwen.conversation import RATE, Utterance
from understudy.providers.qwen.customization import DESIGN_MODEL, ENROLLMENT_MODEL, Customization, name_of
from understudy.providers.qwen.realtime import RealtimeSession
from understudy.providers.sessions import ProviderSession
from understudy.settings import Settings

CLONE = "vc"
DESIGN = "vd"
LOOKUP_PAUSES_S = (0.0, 1.0, 3.0)
"""A create goes on at the provider when its answer is lost: it is looked up now, and twice a little later."""

log = get_logger(__name__)


class QwenProvider:
    """The candidate provider."""

    name = NAME

    def __init__(self, settings: Settings) -> None:
        settings.check_qwen()
        self._models = {CLONE: settings.qwen_vc_target_model, DESIGN: settings.qwen_vd_target_model}
        self._lane = LaneAccess.from_settings(settings)
        self._deadlines = Deadlines.from_settings(settings)
        self._http = ProviderSession(connect_s=self._deadlines.connect_s)
        self.capabilities = Capabilities(
            streaming=True,
            clone=True,
            design=True,
            needs_enrolment=True,
            languages=QWEN_LANGUAGES,
            max_text_chars=settings.qwen_max_text_chars,
            formats=(AudioFormat.PCM, AudioFormat.WAV, AudioFormat.MP3, AudioFormat.OPUS),
            bills_creates=True,
        )

    def _customization(self) -> Customization:
        return Customization(self._http.get(), lane=self._lane, deadlines=self._deadlines)

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()

    async def check(self) -> CheckResult:
        """List one enrolled voice: proves key, lane and endpoint, bills nothing.

        The key is told by its fingerprint, for ``DASHSCOPE_KEY_FINGERPRINTS``.
        """
        started = time.monotonic()
        await self._customization().list_voices(ENROLLMENT_MODEL, page_size=1, operation="check")
        return CheckResult(
            round((time.monotonic() - started) * 1000),
            f"lane {self._lane.region} answers to key {self._lane.region}:{self._lane.key_fingerprint}",
        )

    def estimate(self, operation: Operation, *, text: str = "", kind: str | None = None) -> int:
        """List price: billed characters, or the create; a recovered preview costs its speech on top."""
        match operation:
            case Operation.SPEAK:
                kinds = (kind,) if kind else (CLONE, DESIGN)
                return max(synthesis_cost(billed_characters(text), known) for known in kinds)
            case Operation.ENROLL:
                return PRICES.clone_create
            case Operation.DESIGN:
                return PRICES.design_create
            case Operation.CHECK:
                return 0

    async def enroll(self, reference: Reference, *, label: str) -> EnrolledVoice:
        """Enrol a cloned voice for the configured ``vc`` model (billed)."""
        try:
            output = await self._customization().clone(
                audio=reference.audio,
                transcript=reference.transcript,
                language_code=customization_code(reference.language),
                target_model=self._models[CLONE],
                label=label,
            )
        except ProviderError as error:
            return self._enrolled(await self._made_all_the_same(CLONE, label, error), recovered=True)
        return self._enrolled(output)

    async def find_enrolled(self, label: str) -> EnrolledVoice | None:
        """Look for the clone of ``label`` in this account; bills nothing."""
        found = await self._find(CLONE, label)
        return None if found is None else self._enrolled(found, recovered=True)

    async def design(self, brief: DesignBrief, *, label: str) -> DesignedVoice:
        """Design a voice for the configured ``vd`` model (billed; each call makes another voice)."""
        try:
            output, audio = await self._customization().design(
                instruct=brief.instruct,
                text=brief.text,
                # DashScope's own default for a design is Chinese, whatever the text.
                language_code=customization_code(brief.language, text=brief.text),
                target_model=self._models[DESIGN],
                label=label,
            )
        except ProviderError as error:
            return await self._recovered(brief, await self._made_all_the_same(DESIGN, label, error))
        clip = _audible_wav(audio)
        if clip is None:
            log.warning("design_preview_broken", bytes=len(audio), voice=output["voice"])
            return await self._recovered(brief, output)
        return DesignedVoice(
            binding=self._binding(output, DESIGN),
            preview=write_wav(resample(clip, RATE)),
            cost_microusd=PRICES.design_create,
        )

    async def find_designed(self, brief: DesignBrief, *, label: str) -> DesignedVoice | None:
        """Look for the design of ``label`` in this account, and let it say its preview again."""
        found = await self._find(DESIGN, label)
        return None if found is None else await self._recovered(brief, found)

    async def made_voices(self) -> list[MadeVoice]:
        """Every voice of the account for realtime models, clones first; other models' are not ours."""
        made = []
        for kind, manager in ((CLONE, ENROLLMENT_MODEL), (DESIGN, DESIGN_MODEL)):
            async with aclosing(self._customization().every_voice(manager)) as entries:
                async for entry in entries:
                    model, created = entry.get("target_model"), entry.get("gmt_create")
                    made.append(
                        MadeVoice(
                            voice_id=entry["voice"],
                            kind=kind,
                            target_model=model if isinstance(model, str) else None,
                            label=name_of(entry["voice"]),
                            created_at=created if isinstance(created, str) else None,
                        )
                    )
        return made

    async def _find(self, kind: str, label: str) -> dict[str, Any] | None:
        manager = ENROLLMENT_MODEL if kind == CLONE else DESIGN_MODEL
        return await self._customization().find(manager, label, self._models[kind])

    async def _made_all_the_same(self, kind: str, label: str, error: ProviderError) -> dict[str, Any]:
        """The voice of a create whose answer was lost; raises ``error`` when there is none to be found."""
        if not may_have_been_done(error):
            raise error
        # An error of the server's own is an answer: nothing more is to come, so one look is enough.
        answered = error.failure_class is FailureClass.PROVIDER
        for pause_s in LOOKUP_PAUSES_S[: 1 if answered else None]:
            await asyncio.sleep(pause_s)
            try:
                found = await self._find(kind, label)
            except ProviderError as failure:
                log.warning("create_not_looked_up", label=label, kind=kind, evidence=failure.evidence)
                break
            if found is not None:
                log.warning("create_recovered", label=label, kind=kind, voice=found["voice"])
                return found
        if not answered:
            log.error("create_unknown", label=label, kind=kind, evidence=error.evidence)
            error.provider_code = CREATE_UNKNOWN
        raise error

    async def _recovered(self, brief: DesignBrief, entry: dict[str, Any]) -> DesignedVoice:
        """A designed voice without its preview says the preview's text again."""
        binding = self._binding(entry, DESIGN, {"recovered": True})
        pcm, cost = bytearray(), PRICES.design_create
        request = SpeakRequest(
            text=brief.text,
            language=brief.language,
            voice=binding,
            reference=None,
            audio_format=AudioFormat.PCM,
            request_id=entry["voice"],
        )
        try:
            async with aclosing(self.speak(request)) as events:
                async for event in events:
                    if isinstance(event, AudioChunk):
                        pcm += event.data
                    else:
                        cost += getattr(event, "cost_microusd", 0)
        except ProviderError as error:
            # Made and paid for, and known by its label: a later look-up finds it.
            error.provider_code = CREATE_UNKNOWN
            error.evidence["voice_made"] = True
            raise
        clip = from_pcm(bytes(pcm[: len(pcm) // 2 * 2]), RATE)
        return DesignedVoice(binding=binding, preview=write_wav(clip), cost_microusd=cost)

    def _enrolled(self, output: dict[str, Any], *, recovered: bool = False) -> EnrolledVoice:
        metadata: dict[str, Any] = {"recovered": True} if recovered else {}
        if output.get("fallback_mode") is True:
            # HTTP 200, and a worse voice: the recording could not be segmented or does not fit its text.
            metadata |= {"degraded": True, "fallback_reason": safe_code(output.get("fallback_reason"))}
        return EnrolledVoice(
            binding=self._binding(output, CLONE, metadata), cost_microusd=PRICES.clone_create
        )

    def _binding(
        self, output: dict[str, Any], kind: str, metadata: dict[str, Any] | None = None
    ) -> VoiceBinding:
        request_id = output.get("request_id")
        return VoiceBinding(
            provider=NAME,
            voice_id=output["voice"],
            target_model=output["target_model"],
            kind=kind,
            region=self._lane.region,
            request_id=request_id if isinstance(request_id, str) else None,
            metadata=metadata or {},
        )

    async def speak(self, request: SpeakRequest) -> AsyncGenerator[SpeechEvent, None]:
        """Speak over one realtime session; closing the generator closes its socket."""
        voice = request.voice
        if not voice.voice_id or not voice.target_model:
            raise ProviderValidationError(
                "This voice is not enrolled with the active speech provider.",
                failure_class=FailureClass.PROVIDER,
                provider=NAME,
            )
        session = RealtimeSession(self._http.get(), lane=self._lane, deadlines=self._deadlines)
        utterance = Utterance(
            text=request.text,
            voice_id=voice.voice_id,
            model=voice.target_model,
            kind=voice.kind or CLONE,
            language=realtime_name(request.language),
            audio_format=request.audio_format,
        )
        async with aclosing(session.speak(utterance, go=request.go)) as events:
            async for event in events:
                yield event

    async def cancel(self, job_id: str) -> None:
        """Nothing to do: a session ends when its socket closes, and no job outlives it."""


def _audible_wav(audio: bytes) -> Clip | None:
    try:
        clip = read_wav(audio)
    except ValidationError:
        return None
    return None if is_silent(clip) else clip
