"""Speak one stream: from the provider's first sound to a stored, settled end, whoever listens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

from understudy.errors import (
    FailureCategory,
    FailureClass,
    ProviderError,
    ProviderUnavailableError,
    StoreUnavailableError,
    StreamInterruptedError,
    UnderstudyError,
)
from understudy.logs import get_logger
from understudy.providers.base import (
    AudioChunk,
    JobAccepted,
    Operation,
    SpeechEvent,
    SpeechFinished,
)
from understudy.rollout.mode import ModeState
from understudy.speech import references, settling, spending
from understudy.speech.calls import CallMeter
from understudy.speech.context import SpeechContext
from understudy.speech.failures import INTERNAL, Failure, failure_of
from understudy.speech.holding import Held, Stop
from understudy.speech.stream_buffer import StreamBuffer
from understudy.speech.stream_endings import count_what_was_bought, verdict_of_error, verdict_of_stop
from understudy.speech.stream_hearing import Hearing
from understudy.speech.stream_opening import Opening, speak_request
from understudy.speech.stream_orders import Casting, StreamOrder, cast
from understudy.store import calls, claims, tasks
from understudy.store.generations import StoredSpeech
from understudy.store.tasks import TaskRow

MOVED = Failure("The speech was moved to another provider.", FailureCategory.CANCELLED, None, "mode_changed")

log = get_logger(__name__)


class _StoppedError(Exception):
    """Asked to stop; ``Held.reason`` says why."""


class StreamDriver:
    """Drives one admitted stream in a task of its own.

    Parameters
    ----------
    held
        Its task, claimed by this process, and its voice.
    language
        As the provider is told.
    opening
        The provider, called already; its text goes when the driving begins.
    """

    def __init__(
        self,
        ctx: SpeechContext,
        held: Held,
        order: StreamOrder,
        language: str,
        casting: Casting,
        *,
        opening: Opening | None = None,
    ) -> None:
        self.held = held
        self._ctx = ctx
        self._order = order
        self._language = language
        #: What whoever listens reads.
        self.buffer = StreamBuffer()
        self._begin(casting)
        self._opening = opening
        self._moved = False
        #: Whether a stop, or a change of the mode, may cancel what goes on now.
        self._interruptible = False
        self._mode_leaves = False
        #: All audio is here: a stop comes too late.
        self._finishing = False
        self._driving: asyncio.Task[None] | None = None

    def _begin(self, casting: Casting) -> None:
        task = self.held.task
        self._casting = casting
        self.audio_format = casting.audio_format
        self._meter = CallMeter(
            operation=Operation.SPEAK,
            provider=casting.provider.name,
            model=casting.model,
            user_id=task.user_id,
            task_id=task.id,
            mode_epoch=task.mode_epoch or 0,
            started_at=self._ctx.clock.now(),
            clock=self._ctx.clock,
            on_end=self._ctx.call_ended,
        )
        self._hearing = Hearing(
            task, self._order.text, casting.audio_format, buffer=self.buffer, meter=self._meter
        )
        #: Whether this provider was called at all.
        self._asked = False

    @property
    def task(self) -> TaskRow:
        """The stream's task."""
        return self.held.task

    @property
    def sample_rate(self) -> int:
        """Of the audio, once some is heard."""
        return self._hearing.sample_rate

    def start(self) -> None:
        """Begin to speak."""
        self._ctx.streams.hold(self.held.task.id, self)
        self._driving = asyncio.create_task(self._drive(), name=f"stream-{self.held.task.id}")

    async def settled(self) -> None:
        """Return when nothing is left to do; the driving goes on when the waiting is cancelled."""
        if self._driving is not None:
            await asyncio.wait({self._driving})

    def stop(self, reason: Stop) -> None:
        """Close the provider and settle; once all its audio is here, the stream ends as it would have."""
        if self._interruptible and self._driving is not None and self.held.reason is None:
            self.held.stop(reason)
            self._driving.cancel()
        elif not self._finishing:
            self.held.stop(reason)

    def mode_changed(self) -> None:
        """Leave a provider of which nothing was heard yet, when the mode left it."""
        if self._interruptible and self._driving is not None and self._may_move() and not self._mode_leaves:
            self._mode_leaves = True
            self._driving.cancel()

    async def _drive(self) -> None:
        deadline = self.held.task.deadline_at
        left_s = (deadline - self._ctx.clock.now()).total_seconds() if deadline else None
        timer = None
        if left_s is not None:
            timer = asyncio.get_running_loop().call_later(max(0.0, left_s), self.stop, Stop.DEADLINE)
        try:
            try:
                finished = await self._speak()
                await self._complete(finished)
            except Exception as error:  # noqa: BLE001 - it ends the stream, and is logged there
                await self._end(error)
        except BaseException as error:
            self.buffer.fail(error if isinstance(error, Exception) else StreamInterruptedError())
            raise
        finally:
            if timer is not None:
                timer.cancel()
            self._ctx.streams.drop(self.held.task.id)
            await self._close_opening()

    async def _speak(self) -> SpeechFinished:
        """Listen to the provider; to another one, once, when the mode leaves the first before it is heard."""
        if self._may_move():
            await self._move(None)
        while True:
            try:
                return await self._listen_interruptibly()
            except ProviderError as error:
                if not self._may_move():
                    raise
                await self._move(error)
            except _StoppedError:
                if self.held.reason is not None:
                    raise
                await self._move(None)

    async def _listen_interruptibly(self) -> SpeechFinished:
        if self.held.reason is not None:
            raise _StoppedError
        self._interruptible = True
        try:
            return await self._listen()
        except asyncio.CancelledError:
            if self.held.reason is None and not self._mode_leaves:
                raise
            raise _StoppedError from None
        finally:
            self._interruptible = False
            task = asyncio.current_task()
            while task is not None and (self.held.reason or self._mode_leaves) and task.cancelling():
                task.uncancel()

    async def _listen(self) -> SpeechFinished:
        provider = self._casting.provider
        streaming = provider.capabilities.streaming
        reference = None
        if not provider.capabilities.needs_enrolment:
            assert self.held.voice is not None  # noqa: S101  (it was admitted with one)
            reference = await references.load_reference(self._ctx, self.held.voice)
        whole: list[AudioChunk] = []
        self._asked = True
        if self._opening is not None:
            speaking: Opening | AsyncGenerator[SpeechEvent, None] = self._opening.go()
            self._opening = None
        else:
            order, task_id = self._order, self.held.task.id
            speaking = provider.speak(
                speak_request(order, self._language, self._casting, task_id, reference=reference)
            )
        async with aclosing(speaking) as events:
            async for event in events:
                if isinstance(event, AudioChunk):
                    if streaming:
                        self._hearing.take(event, self._ctx.objects)
                    else:
                        whole.append(event)
                elif isinstance(event, SpeechFinished):
                    self._meter.finish(event)
                    if whole:
                        self._hearing.take_whole(whole, self._ctx.objects)
                    return event
                elif isinstance(event, JobAccepted):
                    await self._keep_job(event.job_id)
        raise ProviderUnavailableError(
            "The speech provider ended without finishing.",
            failure_class=FailureClass.PROTOCOL,
            provider=provider.name,
            provider_code="speech_unfinished",
        )

    async def _close_opening(self) -> None:
        """Close a provider that was called and is not to speak."""
        opening, self._opening = self._opening, None
        if opening is not None:
            await opening.aclose()

    async def _keep_job(self, job_id: str) -> None:
        async with self._ctx.database.service() as conn:
            row = await claims.record_job(conn, self.held.claim, job_id)
        if row is None:
            self.held.stop(Stop.LOST)
            raise _StoppedError
        self.held.task = row

    def _may_move(self) -> bool:
        """Whether the mode left this provider before it was heard, for the first time."""
        view = self._ctx.mode.view()
        left = view.state is ModeState.FRESH and not self._ctx.mode.serves(self._casting.provider.name)
        if not left or self.buffer.heard or self._moved or self.held.reason is not None:
            return False
        # What must stream ends with the mode that streams; anything else stays where it can be had.
        return self._order.must_stream or self._recast(view.value) is not None

    def _recast(self, name: str) -> Casting | None:
        """How another provider speaks this, if it can."""
        assert self.held.voice is not None  # noqa: S101  (it was admitted with one)
        try:
            return cast(self._order, self.held.voice, self._ctx.provider(name), self._ctx.settings)
        except UnderstudyError:
            return None

    async def _move(self, error: ProviderError | None) -> None:
        """Give the task to the mode's provider, the call that ends here recorded as its own.

        Parameters
        ----------
        error
            How the call failed by itself; ``None`` when it is us who left.

        Raises
        ------
        ConflictError, ValidationError
            That provider cannot give what was ordered: the call then ends with the task.
        """
        self._moved, self._mode_leaves = True, False
        await self._close_opening()
        failure = MOVED if error is None else failure_of(error)
        view = self._ctx.mode.view()
        assert self.held.voice is not None  # noqa: S101  (it was admitted with one)
        casting = cast(self._order, self.held.voice, self._ctx.provider(view.value), self._ctx.settings)
        if self._asked:
            count_what_was_bought(self._meter, self._casting, self._order.text, error, heard=False)
        left, held = self._casting.provider.name, self.held
        async with self._ctx.database.service() as conn:
            facts = {"rerun": {"from": left, "epoch": held.task.mode_epoch, "code": failure.code}}
            moved = await claims.reroute_task(
                conn, held.claim, provider=casting.provider.name, mode_epoch=view.epoch, facts=facts
            )
            sent = await claims.mark_dispatched(conn, held.claim) if moved else None
            if sent is not None:
                await calls.settle_call(conn, self._meter.ended(failure, cancelled=error is None))
                await spending.move(
                    self._ctx,
                    conn,
                    task_id=sent.id,
                    provider=casting.provider,
                    operation=Operation.SPEAK,
                    text=self._order.text,
                    kind=casting.binding.kind,
                )
        if sent is None:
            held.stop(Stop.LOST if await self._lost() else Stop.CANCELLED)
            raise _StoppedError
        held.task = sent
        self._begin(casting)
        log.warning("stream_moved", task_id=str(sent.id), left=left, to=sent.provider, code=failure.code)

    async def _complete(self, finished: SpeechFinished) -> None:
        self._finishing = True
        recording, meter = self._hearing.recording, self._meter
        assert recording is not None  # noqa: S101  (an adapter never finishes without audio)
        # What is announced from now on is this end.
        self._ctx.streams.expect(self.held.task.id)
        self._hearing.check_length()
        stored = await recording.finish()
        speech = StoredSpeech(
            object_key=recording.key,
            content_type=stored.content_type,
            sha256=stored.sha256,
            duration_seconds=meter.audio_ms / 1000,
            generation_time_seconds=meter.elapsed_ms / 1000,
            model=finished.model,
            provider_metadata={"request_id": finished.provider_request_id, "characters": finished.characters},
            output_format=str(recording.audio_format),
        )

        async def write() -> bool:
            return await settling.complete_speech(self._ctx, self.held, meter, speech, polls=0)

        if not await settling.patiently(self._ctx, self.held, write):
            self.held.stop(Stop.LOST if await self._lost() else Stop.CANCELLED)
            raise _StoppedError
        self.buffer.finish()

    async def _lost(self) -> bool:
        """Whether the task is no longer this process's; else its tenant cancelled it."""
        async with self._ctx.database.service() as conn:
            row = await tasks.load_task(conn, self.held.task.id)
        claim = self.held.claim
        return row is None or row.terminal or (row.claimed_by, row.attempts) != (claim.worker, claim.attempt)

    async def _end(self, error: Exception) -> None:
        """Settle a stream without a whole clip, tell whoever listens, keep none of its audio."""
        await self._close_opening()
        heard, task_id = self.buffer.heard, str(self.held.task.id)
        if isinstance(error, _StoppedError):
            provider = self._casting.provider.name
            verdict = verdict_of_stop(self.held.reason, heard=heard, provider=provider)
        else:
            verdict = verdict_of_error(error, heard=heard)
        if (failure := verdict.failure) is None:
            log.warning("stream_lost", task_id=task_id)
            self.buffer.fail(verdict.told)
            return
        if failure.code == INTERNAL.code:
            log.error("stream_broke", task_id=task_id, exc_info=error)
        elif isinstance(error, ProviderError):
            log.warning("stream_failed", task_id=task_id, heard=heard, cause=failure_of(error).code)
        if self._asked:
            count_what_was_bought(self._meter, self._casting, self._order.text, error, heard=heard)

        async def write() -> bool:
            try:
                return await settling.fail_task(self._ctx, self.held, self._meter, failure, ours=verdict.ours)
            except StoreUnavailableError:
                # Whoever listens does not wait for the store.
                self.buffer.fail(verdict.told)
                raise

        try:
            await settling.patiently(self._ctx, self.held, write)
        except StoreUnavailableError:
            # A worker's sweep ends it once its lease is over.
            log.warning("stream_not_settled", task_id=task_id)
        self.buffer.fail(verdict.told)
        if self._hearing.recording is not None:
            with contextlib.suppress(StoreUnavailableError):
                await self._hearing.recording.discard()
