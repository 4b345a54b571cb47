"""The Modal provider: five URLs that submit, poll, fetch and cancel jobs, and design voices.

Wire: facts/modal.md. Cloning is per request (reference audio and transcript travel with every job), so any
voice with a stored reference speaks here, whichever provider it was made with.
"""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from yarl import URL

from understudy.audio.wav import duration_ms, resample, write_wav
from understudy.clock import Clock
from understudy.errors import FailureClass, ProviderError, ProviderTimeoutError, ProviderValidationError
from understudy.logs import get_logger
from understudy.providers.base import (
    AudioChunk,
    AudioFormat,
    Capabilities,
    CheckResult,
    DesignBrief,
    DesignedVoice,
    EnrolledVoice,
    JobAccepted,
    JobProgress,
    MadeVoice,
    Operation,
    Reference,
    SpeakRequest,
    SpeechEvent,
    SpeechFinished,
    VoiceBinding,
)
from understudy.providers.bodies import json_body
from understudy.providers.deadlines import Deadlines
from understudy.providers.failures import protocol_failure, status_failure, timeout_failure, wire_errors
from understudy.providers.languages import QWEN_LANGUAGES
from understudy.providers.modal_answers import (
    NAME,
    job_named,
    mark_unknown,
    parsed,
    raise_if_ended,
    result_withheld,
    seconds,
    valid_clip,
    word,
)
from understudy.providers.prices import billed_characters, gpu_cost
from understudy.providers.sessions import ProviderSession
from understudy.settings import Settings

MODEL = "qwen3-tts-open-weights"
RATE = 24_000
MAX_NEW_TOKENS = 4096
MAX_REDIRECTS = 30
MAX_POLL_INTERVAL_S = 15.0
#: The last poll before the deadline gets this much all the same, or it would only ever tell of itself.
LAST_POLL_S = 1.0
ESTIMATED_START_S = 10.0
"""GPU seconds a job may take before it speaks: overhead, and a share of a cold start."""
ESTIMATED_S_PER_CHARACTER = 0.15
"""GPU seconds a billed character: slow speech (0.2 s of it) at 1.6 times real time (facts/modal.md), up."""

log = get_logger(__name__)


class ModalProvider:
    """The known-good provider."""

    name = NAME

    def __init__(self, settings: Settings, clock: Clock) -> None:
        settings.check_modal()
        self._settings = settings
        self._clock = clock
        self._deadlines = Deadlines.from_settings(settings)
        key, secret = settings.modal_key.get_secret_value(), settings.modal_secret.get_secret_value()
        self._http = ProviderSession(
            connect_s=self._deadlines.connect_s,
            headers={"Modal-Key": key, "Modal-Secret": secret} if key else None,
        )
        self.capabilities = Capabilities(
            streaming=False,
            clone=True,
            design=True,
            needs_enrolment=False,
            languages=QWEN_LANGUAGES,
            max_text_chars=settings.modal_max_text_chars,
            formats=(AudioFormat.WAV,),
            bills_creates=False,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()

    def estimate(self, operation: Operation, *, text: str = "", kind: str | None = None) -> int:  # noqa: ARG002
        """GPU seconds guessed from the text's length; an enrolment and a check cost nothing."""
        if operation not in {Operation.SPEAK, Operation.DESIGN}:
            return 0
        return gpu_cost(ESTIMATED_START_S + ESTIMATED_S_PER_CHARACTER * billed_characters(text))

    async def enroll(self, reference: Reference, *, label: str) -> EnrolledVoice:  # noqa: ARG002
        """Nothing to enrol: the reference itself is sent with every request."""
        return EnrolledVoice(binding=VoiceBinding(provider=NAME, kind="vc"), cost_microusd=0)

    async def find_enrolled(self, label: str) -> EnrolledVoice | None:  # noqa: ARG002
        """Nothing is ever enrolled."""
        return None

    async def find_designed(self, brief: DesignBrief, *, label: str) -> DesignedVoice | None:  # noqa: ARG002
        """A design leaves nothing behind but its audio."""
        return None

    async def made_voices(self) -> list[MadeVoice]:
        """Modal holds no voices."""
        return []

    async def check(self) -> CheckResult:
        """Ask for the state of a job that does not exist: proves address, reachability and proxy keys."""
        started = time.monotonic()
        status, headers, body = await self._get(
            self._settings.modal_job_status,
            {"job_id": "fc-understudy-check"},
            stage="check",
            deadline_s=self._settings.modal_status_timeout_s,
        )
        if status not in {200, 404}:
            raise status_failure(NAME, status, headers, body, operation="check")
        return CheckResult(round((time.monotonic() - started) * 1000), f"job status answers HTTP {status}")

    async def design(self, brief: DesignBrief, *, label: str) -> DesignedVoice:  # noqa: ARG002
        """Design a voice; follows Modal's 303 chain on the same host until the audio is there."""
        started = time.monotonic()
        payload = {"text": brief.text, "language": brief.language, "instruct": brief.instruct}
        async with wire_errors(NAME, stage="design", deadline_s=self._settings.modal_design_timeout_s):
            body = await self._follow_design(payload)
        clip = valid_clip(body, "voice design")
        preview = write_wav(resample(clip, RATE))
        binding = VoiceBinding(provider=NAME, kind="vd")
        return DesignedVoice(
            binding=binding, preview=preview, cost_microusd=gpu_cost(time.monotonic() - started)
        )

    async def _follow_design(self, payload: dict[str, str]) -> bytes:
        url = URL(self._settings.modal_endpoint_voice_design)
        method, body, redirects = "POST", payload, 0
        while redirects <= MAX_REDIRECTS:
            async with self._http.get().request(
                method, url, json=body if method == "POST" else None, allow_redirects=False
            ) as answer:
                content = await answer.read()
            if answer.status == 200:
                return content
            if answer.status == 303:
                target = url.join(URL(answer.headers.get("Location", "")))
                if target.origin() != url.origin():
                    raise protocol_failure(
                        NAME, "The speech provider redirected to another host.", status=303
                    )
                url, method, redirects = target, "GET", redirects + 1
            elif answer.status == 202 and method == "GET":
                # To wait is no redirect; the caller's deadline bounds it. A POST again would design again.
                await self._clock.sleep(self._settings.modal_poll_interval_s)
            else:
                raise status_failure(NAME, answer.status, answer.headers, content, operation="design")
        raise protocol_failure(NAME, "The speech provider redirected without end.", redirects=MAX_REDIRECTS)

    async def speak(self, request: SpeakRequest) -> AsyncGenerator[SpeechEvent, None]:
        """Submit (or resume) a job, poll it, fetch its WAV. Closing the generator cancels the job."""
        job_id = request.resume_job_id
        finished = False
        elapsed_s: float | None = None
        try:
            if job_id is None:
                if request.go is not None:
                    await request.go.wait()
                job_id = await self._submit(request)
                yield JobAccepted(job_id)
            async with aclosing(self._wait(job_id)) as states:
                async for polls, state in states:
                    yield JobProgress(word(state.get("status")), polls)
                    elapsed_s = seconds(state.get("elapsed_seconds"))
            audio = await self._result(job_id)
            clip = valid_clip(audio, "speech")
            yield AudioChunk(write_wav(resample(clip, RATE)), AudioFormat.WAV, RATE)
            finished = True
            gpu_seconds = elapsed_s if elapsed_s is not None else duration_ms(clip) / 1000
            yield SpeechFinished(
                characters=len(request.text),
                cost_microusd=gpu_cost(gpu_seconds),
                provider_request_id=job_id,
                model=MODEL,
            )
        except ProviderError as error:
            # The job of an error we raised ourselves may still burn GPU seconds; one that failed is over.
            finished = error.provider_code == "job_ended"
            # Billed by time, whatever came of it; a job that never told its time is not guessed at.
            error.cost_microusd = gpu_cost(elapsed_s or 0.0)
            raise
        finally:
            if job_id is not None and not finished:
                await self.cancel(job_id)

    async def _submit(self, request: SpeakRequest) -> str:
        if request.reference is None:
            raise ProviderValidationError(
                "This voice has no stored reference recording to speak from.",
                failure_class=FailureClass.PROVIDER,
                provider=NAME,
            )
        payload = {
            "text": request.text,
            "language": request.language,
            "ref_audio_base64": base64.b64encode(request.reference.audio).decode("ascii"),
            "ref_text": request.reference.transcript,
            "max_new_tokens": MAX_NEW_TOKENS,
            "request_id": request.request_id,
        }
        try:
            async with (
                wire_errors(NAME, stage="submit", deadline_s=self._settings.modal_submit_timeout_s),
                self._http.get().post(
                    self._settings.modal_job_submit, **json_body(payload), allow_redirects=False
                ) as answer,
            ):
                body = await answer.read()
        except ProviderError as error:
            mark_unknown(error)
            raise
        if answer.status != 200:
            raise status_failure(NAME, answer.status, answer.headers, body, operation="submit")
        return job_named(body)

    async def _wait(self, job_id: str) -> AsyncGenerator[tuple[int, dict[str, Any]], None]:
        """Poll until the result is ready, and yield each answer; one failed poll never fails the task."""
        give_up_at = self._clock.monotonic_s() + self._deadlines.total_s
        interval_s = self._settings.modal_poll_interval_s
        pause_s, polls = interval_s, 0
        failed: ProviderError | None = None
        while (left_s := give_up_at - self._clock.monotonic_s()) > 0:
            polls += 1
            try:
                deadline_s = min(max(left_s, LAST_POLL_S), self._settings.modal_status_timeout_s)
                state = await self._poll(job_id, deadline_s)
            except ProviderError as error:
                if not error.retryable:
                    raise
                failed = error
                log.warning("modal_poll_failed", job_id=job_id, evidence=error.evidence)
                pause_s = min(max(pause_s * 2, 1.0), MAX_POLL_INTERVAL_S)
            else:
                failed, pause_s = None, interval_s
                yield polls, state
                if state.get("status") == "completed" and state.get("result_ready"):
                    return
                raise_if_ended(state.get("status"))
            await self._clock.sleep(min(pause_s, max(0.0, give_up_at - self._clock.monotonic_s())))
        # Polls that failed to the end say why; else the job itself was too slow.
        raise failed or timeout_failure(NAME, "job", self._deadlines.total_s)

    async def _poll(self, job_id: str, deadline_s: float) -> dict[str, Any]:
        status, headers, body = await self._get(
            self._settings.modal_job_status,
            {"job_id": job_id},
            stage="status",
            deadline_s=deadline_s,
            told_s=self._settings.modal_status_timeout_s,
        )
        if status != 200:
            raise status_failure(NAME, status, headers, body, operation="status")
        return parsed(body)

    async def _result(self, job_id: str) -> bytes:
        deadline_s = self._settings.modal_result_timeout_s
        give_up_at = self._clock.monotonic_s() + deadline_s
        withheld = False
        while (left_s := give_up_at - self._clock.monotonic_s()) > 0:
            try:
                status, headers, body = await self._get(
                    self._settings.modal_job_result,
                    {"job_id": job_id},
                    stage="result",
                    deadline_s=left_s,
                    told_s=deadline_s,
                )
            except ProviderTimeoutError:
                if withheld:
                    break
                raise
            if status == 200:
                return body
            if status != 202:
                raise status_failure(NAME, status, headers, body, operation="result")
            withheld = True
            await self._clock.sleep(self._settings.modal_poll_interval_s)
        raise result_withheld(deadline_s)

    async def cancel(self, job_id: str) -> None:
        """Cancel at Modal; a failure is logged and never fails the tenant's cancel."""
        try:
            async with (
                wire_errors(NAME, stage="cancel", deadline_s=self._deadlines.connect_s),
                self._http.get().post(
                    self._settings.modal_job_cancel, json={"job_id": job_id}, allow_redirects=False
                ) as answer,
            ):
                await answer.read()
                if answer.status != 200:
                    log.warning("modal_cancel_refused", job_id=job_id, status=answer.status)
        except ProviderError as error:
            log.warning("modal_cancel_failed", job_id=job_id, evidence=error.evidence)

    async def _get(
        self, url: str, query: dict[str, str], *, stage: str, deadline_s: float, told_s: float | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        async with (
            wire_errors(NAME, stage=stage, deadline_s=deadline_s, told_s=told_s),
            self._http.get().get(url, params=query, allow_redirects=False) as answer,
        ):
            return answer.status, dict(answer.headers), await answer.read()
