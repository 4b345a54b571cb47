"""Drive one claimed task from its dispatch to its end."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict
from typing import Any

from understudy.audio.wav import Clip, duration_ms, read_wav, write_wav
from understudy.cancelling import checkpoint
from understudy.errors import (
    FailureCategory,
    ProviderError,
    StoreUnavailableError,
    ValidationError,
)
from understudy.logs import get_logger
from understudy.providers.base import (
    SUBMIT_UNKNOWN,
    AudioFormat,
    DesignBrief,
    JobProgress,
    Provider,
    SpeakRequest,
    SpeechFinished,
)
from understudy.rollout.mode import ModeView
from understudy.speech import flipping, references, settling
from understudy.speech.calls import CallMeter
from understudy.speech.context import SpeechContext
from understudy.speech.designing import make_design
from understudy.speech.failures import CANCELLED, INTERRUPTED, NOT_STORED, TOO_SLOW, Failure, failure_of
from understudy.speech.flipping import LostError, WayBack
from understudy.speech.holding import Held, Stop
from understudy.speech.listening import Utterance, broken
from understudy.speech.plausible import check_speech
from understudy.speech.settling import GenerationGoneError
from understudy.speech.speakable import binding_of
from understudy.store import claims, tasks
from understudy.store.buckets import GENERATIONS, REFERENCES
from understudy.store.generations import GenerationRow, StoredSpeech
from understudy.store.tasks import Ending, TaskRow
from understudy.store.voices import VoiceRow

#: Of polls that bring no news, every tenth is written down.
POLLS_A_NOTE = 10

log = get_logger(__name__)


class _InterruptedError(Exception):
    """A worker died after it may have sent a text that must not be sent twice."""


class Driver:
    """Drives one :class:`Held` task; :meth:`run` returns when it is settled, released or lost."""

    def __init__(self, ctx: SpeechContext, held: Held) -> None:
        self._ctx = ctx
        self._held = held
        self._task = held.task
        #: Set once the provider may have been called.
        self._meter: CallMeter | None = None
        self._way_back = WayBack(ctx, held)
        #: Set once everything that the provider has to give is here.
        self._spoken = False
        #: What the provider last said of the job.
        self._said = ""
        self._polls = 0

    @property
    def _provider(self) -> Provider:
        return self._ctx.provider(self._task.provider)

    @property
    def _replayable(self) -> bool:
        """Whether sending the same request twice costs the tenant nothing.

        A provider with jobs is billed by its own time (facts/modal.md: re-run at our cost); a provider that
        enrols, or streams, bills each request.
        """
        able = self._provider.capabilities
        return not (able.needs_enrolment if self._task.type == tasks.DESIGN_PREVIEW else able.streaming)

    async def run(self) -> None:
        """Do the work, until it ends, its deadline passes, or somebody asks to stop."""
        if self._task.cancellation_requested:
            self._held.stop(Stop.CANCELLED)
        try:
            # At most twice: a task goes to the known-good provider once.
            while await self._attempt():
                log.info("task_begun_anew", task_id=str(self._task.id), provider=self._task.provider)
        except StoreUnavailableError:
            log.exception("task_not_settled", task_id=str(self._task.id))

    async def _attempt(self) -> bool:
        """Work until the task is settled, or is to be worked on anew by another provider (then true)."""
        work = asyncio.create_task(self._work(), name=f"speak-{self._task.id}")
        stopped = asyncio.create_task(self._held.stopped())
        outstayed = asyncio.create_task(self._way_back.outstayed())
        try:
            await self._first_of(work, stopped, outstayed)
            outstays = outstayed.done() and not self._spoken and not await self._moved_meanwhile(work)
            if outstayed.done() and not outstays:
                # It has all it wants of the provider, or is where it was to go: it only has to end.
                await self._first_of(work, stopped)
            if not work.done():
                if not outstays:
                    self._held.stop(Stop.DEADLINE)
                if not await self._job_is_anothers():
                    work.cancel()
                await asyncio.wait({work})
            return await self._settle(work, outstayed)
        finally:
            stopped.cancel()
            outstayed.cancel()
            if not work.done():
                work.cancel()
                await asyncio.wait({work})

    async def _moved_meanwhile(self, work: asyncio.Task[None]) -> bool:
        """Whether ``work`` moved the task in the instant in which its time was up, and may have sent it."""
        if work.done():
            return False
        try:
            return await self._way_back.rerouted_meanwhile()
        except StoreUnavailableError:
            return False

    async def _first_of(self, *tasks: asyncio.Task[Any]) -> None:
        await asyncio.wait(tasks, timeout=self._seconds_left(), return_when=asyncio.FIRST_COMPLETED)

    def _seconds_left(self) -> float | None:
        deadline = self._task.deadline_at
        return None if deadline is None else max(0.0, (deadline - self._ctx.clock.now()).total_seconds())

    async def _job_is_anothers(self) -> bool:
        """Whether another worker resumed this very job: closing our iterator would cancel it under them."""
        if self._held.reason is not Stop.LOST or self._task.provider_job_id is None:
            return False
        async with self._ctx.database.service() as conn:
            row = await tasks.load_task(conn, self._task.id)
        return row is not None and not row.terminal

    async def _settle(self, work: asyncio.Task[None], outstayed: asyncio.Task[ModeView]) -> bool:
        """Write down how the attempt ended; true when the task begins anew at another provider instead."""
        if work.cancelled():
            if self._held.reason is None:
                moved = await settling.patiently(self._ctx, self._held, self._way_back.rerouted_meanwhile)
                # Sent by then, its job was cancelled with the work, and cannot be resumed.
                if moved and self._held.task.dispatched_at is None:
                    self._start_over()
                    return True
                # Towards the known-good side, also when the mode has left it again this instant.
                return await self._move_back(outstayed.result(), flipping.OUTSTAYED, ours=True)
            await self._end_stopped(self._held.reason)
            return False
        error = work.exception()
        return error is not None and await self._settle_failed(error)

    async def _settle_failed(self, error: BaseException) -> bool:
        if isinstance(error, LostError):
            await self._end_lost()
        elif isinstance(error, GenerationGoneError):
            await self._end(CANCELLED)
        elif isinstance(error, _InterruptedError):
            return await self._begin_anew(INTERRUPTED)
        elif isinstance(error, StoreUnavailableError):
            if self._meter is None or (self._task.provider_job_id and self._replayable):
                # Nothing is lost: when the lease expires a worker starts or resumes it.
                raise error
            await self._end(NOT_STORED, ours=True)
        else:
            failure = failure_of(error)
            if failure.code == "internal":
                log.error("task_broke", task_id=str(self._task.id), exc_info=error)
            if isinstance(error, ProviderError) and failure.category is not FailureCategory.VALIDATION:
                return await self._begin_anew(failure)
            await self._end(failure)
        return False

    async def _begin_anew(self, failure: Failure) -> bool:
        """Take the way back to the known-good provider where it is open; end the task where it is not."""
        goal = self._way_back.goal() if self._held.reason is None else None
        if goal is not None:
            return await self._move_back(goal, failure, ours=False)
        await self._end(failure)
        return False

    async def _move_back(self, goal: ModeView, failure: Failure, *, ours: bool) -> bool:
        async def move() -> bool:
            return await self._way_back.rerun(goal, self._meter, failure, ours=ours)

        if not await settling.patiently(self._ctx, self._held, move):
            await self._end_lost()
            return False
        self._start_over()
        return True

    def _start_over(self) -> None:
        self._task, self._meter, self._said, self._polls = self._held.task, None, "", 0
        self._spoken = False

    async def _end_lost(self) -> None:
        """Settle the one kind of lost task that is still ours: its tenant cancelled it."""
        async with self._ctx.database.service() as conn:
            row = await tasks.load_task(conn, self._task.id)
        claim = self._held.claim
        if row is not None and (row.claimed_by, row.attempts) == (claim.worker, claim.attempt):
            await self._end(CANCELLED)
        else:
            log.warning("task_lost", task_id=str(self._task.id))

    async def _end_stopped(self, reason: Stop) -> None:
        if reason is Stop.CANCELLED:
            await self._end(CANCELLED)
        elif reason is Stop.DEADLINE:
            await self._end(TOO_SLOW)
        elif reason is Stop.RELEASED:
            if (goal := self._way_back.goal()) is not None:
                # The next worker speaks it there; here it was sent, and must not be sent again.
                if not await self._way_back.rerun(goal, self._meter, flipping.OUTSTAYED, ours=True):
                    return
                self._start_over()
            await settling.release(self._ctx, self._held, self._meter, replayable=self._replayable)
        else:
            log.warning("task_lost", task_id=str(self._task.id))

    async def _end(self, failure: Failure, *, ours: bool = False) -> None:
        async def write() -> bool:
            return await settling.fail_task(self._ctx, self._held, self._meter, failure, ours=ours)

        if await settling.patiently(self._ctx, self._held, write):
            # Audio that was stored and not completed belongs to nobody; the row is final, so none follows.
            with contextlib.suppress(StoreUnavailableError):
                await self._ctx.objects.delete(*self._place())

    def _place(self) -> tuple[str, str]:
        """Bucket and key of this task's audio."""
        if self._task.type == tasks.DESIGN_PREVIEW:
            return REFERENCES, f"{self._task.user_id}/previews/{self._task.id}.wav"
        return GENERATIONS, f"{self._task.user_id}/{self._held.task.generation_id}.wav"

    async def _put(self, clip: Clip) -> tuple[str, str]:
        """Store the audio; return its key and digest."""
        # Only resampling takes long enough to be worth a thread.
        resampled = clip.rate != references.RATE
        audio = await asyncio.to_thread(references.standard_wav, clip) if resampled else write_wav(clip)
        bucket, key = self._place()

        async def put() -> str:
            return (await self._ctx.objects.put(bucket, key, audio, references.CONTENT_TYPE)).sha256

        sha256 = await settling.patiently(self._ctx, self._held, put)
        checkpoint()
        return key, sha256

    async def _work(self) -> None:
        async with self._way_back.rerouted() as moved:
            if moved:
                self._start_over()
            await self._send()

    async def _send(self) -> None:
        sent = self._task.dispatched_at is not None and self._task.provider_job_id is None
        if self._task.type == tasks.DESIGN_PREVIEW and not self._replayable:
            await self._design(sent=sent)
            return
        if sent:
            await self._recover_unknown_submission()
        if self._task.type == tasks.DESIGN_PREVIEW:
            await self._design()
            return
        try:
            await self._speak()
        except ProviderError as error:
            if error.provider_code != SUBMIT_UNKNOWN or not self._replayable:
                raise
            # Sent, and no answer came. Once more, under the same id: a provider that knows it has one job.
            await settling.note_unknown_submission(self._ctx, self._held, self._meter, failure_of(error))
            await self._speak()

    async def _recover_unknown_submission(self) -> None:
        """A worker died between its intent to send and the provider's answer: was it sent? Nobody knows."""
        if not self._replayable:
            self._meter = settling.meter_of(self._ctx, self._task)
            raise _InterruptedError
        await settling.note_unknown_submission(self._ctx, self._held)

    async def _dispatch(self, model: str) -> None:
        """Persist the intent to call the provider; from here on a call counts as made."""
        if self._task.provider_job_id is None:
            async with self._ctx.database.service() as conn:
                row = await claims.mark_dispatched(conn, self._held.claim)
            if row is None:
                raise LostError
            self._task = row
        self._meter = settling.meter_of(self._ctx, self._task, model=model)
        checkpoint()

    async def _speak(self) -> None:
        generation, voice = self._subject()
        binding = binding_of(voice, self._provider, self._ctx.settings)
        able = self._provider.capabilities
        reference = None if able.needs_enrolment else await references.load_reference(self._ctx, voice)
        audio_format = AudioFormat.PCM if AudioFormat.PCM in able.formats else AudioFormat.WAV
        await self._dispatch(binding.target_model or self._provider.name)
        submission = self._task.metadata.get("submission", 0)
        meter = self._meter
        assert meter is not None  # noqa: S101  (_dispatch set it)
        heard = Utterance(self._provider, meter, on_job=self._keep_job, on_progress=self._note_progress)
        clip, finished = await heard.collect(
            SpeakRequest(
                text=generation.text,
                language=generation.language,
                voice=binding,
                reference=reference,
                audio_format=audio_format,
                request_id=f"{self._task.id}-{submission}" if submission else str(self._task.id),
                resume_job_id=self._task.provider_job_id,
            )
        )
        self._spoken = True
        check_speech(clip, generation.text, provider=self._provider.name)
        await self._store_speech(clip, finished)

    def _subject(self) -> tuple[GenerationRow, VoiceRow]:
        if self._held.generation is None:
            raise GenerationGoneError
        if self._held.voice is None:
            raise ValidationError("The voice of this generation no longer exists.")
        return self._held.generation, self._held.voice

    async def _keep_job(self, job_id: str) -> None:
        async def write() -> TaskRow | None:
            async with self._ctx.database.service() as conn:
                return await claims.record_job(conn, self._held.claim, job_id)

        row = await settling.patiently(self._ctx, self._held, write)
        if row is None:
            raise LostError
        self._task = row
        checkpoint()

    async def _note_progress(self, progress: JobProgress) -> None:
        """Keep what a poll said when it is news; a store that is away costs only the news."""
        said = progress.status
        self._polls = progress.polls
        # That it is completed is written with the task's end, a moment later.
        if said == "completed" or (said == self._said and progress.polls % POLLS_A_NOTE):
            return
        self._said = said
        with contextlib.suppress(StoreUnavailableError):
            async with self._ctx.database.service() as conn:
                await claims.record_progress(conn, self._held.claim, said, progress.polls)

    async def _store_speech(self, clip: Clip, finished: SpeechFinished) -> None:
        meter = self._meter
        assert meter is not None  # noqa: S101  (_dispatch set it)
        key, sha256 = await self._put(clip)
        speech = StoredSpeech(
            object_key=key,
            content_type=references.CONTENT_TYPE,
            sha256=sha256,
            duration_seconds=meter.audio_ms / 1000,
            generation_time_seconds=meter.elapsed_ms / 1000,
            model=finished.model,
            provider_metadata={"request_id": finished.provider_request_id, "characters": finished.characters},
        )

        async def write() -> bool:
            return await settling.complete_speech(self._ctx, self._held, meter, speech, polls=self._polls)

        if not await settling.patiently(self._ctx, self._held, write):
            raise LostError

    async def _design(self, *, sent: bool = False) -> None:
        """Design a voice; one that a dead worker ``sent`` for, and that is billed, is only looked up."""
        brief = DesignBrief(**self._task.metadata["brief"])
        if sent:
            self._meter = settling.meter_of(self._ctx, self._task)
        else:
            await self._dispatch(self._provider.name)
        meter = self._meter
        assert meter is not None  # noqa: S101  (just set)
        designed = await make_design(self._ctx, self._held, self._provider, meter, brief, sent=sent)
        if designed is None:
            raise _InterruptedError
        try:
            clip = read_wav(designed.preview)
        except ValidationError as error:
            raise broken(
                self._provider.name, "audio_unreadable", "sent a preview that cannot be read"
            ) from error
        meter.audio_ms = duration_ms(clip)
        check_speech(clip, brief.text, provider=self._provider.name)
        key, sha256 = await self._put(clip)
        ending = Ending(
            "completed",
            result={"duration_seconds": meter.audio_ms / 1000},
            metadata={
                "preview": {"object_key": key, "sha256": sha256},
                "binding": asdict(designed.binding),
            },
        )

        async def write() -> bool:
            return await settling.complete_preview(self._ctx, self._held, meter, ending)

        if not await settling.patiently(self._ctx, self._held, write):
            raise LostError
