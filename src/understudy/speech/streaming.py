"""Speech that is sent while it is spoken: admitted, then open once its first valid audio is here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from uuid import UUID, uuid4

from understudy.errors import NotFoundError, TooManyStreamsError
from understudy.providers.base import AudioFormat, Operation, Provider
from understudy.speech import languages, replays, spending
from understudy.speech.context import Caller, SpeechContext
from understudy.speech.holding import Held, Stop
from understudy.speech.replays import FinishedStream
from understudy.speech.stream_driving import StreamDriver
from understudy.speech.stream_opening import Opening, open_ahead
from understudy.speech.stream_orders import Casting, StreamOrder, cast, format_for
from understudy.store import streams
from understudy.store.claims import Claim
from understudy.store.streams import StreamDraft
from understudy.store.tasks import Connection, TaskRow
from understudy.store.voices import VoiceRow

__all__ = ["OpenStream", "StreamOrder", "open_stream"]


class OpenStream:
    """A stream past its commit point: who speaks it, and its audio.

    It is driven by a task of its own, whether or not anybody reads: a slow reader never makes the provider
    wait, what was not read yet is held, up to the clip. One that an earlier request with the same
    Idempotency-Key finished is read from storage.
    """

    def __init__(self, source: StreamDriver | FinishedStream) -> None:
        self._source = source
        task = source.task
        assert task.generation_id is not None  # noqa: S101  (it was admitted with one)
        self.generation_id: UUID = task.generation_id
        self.task_id: UUID = task.id
        self.provider: str = task.provider
        self.audio_format: AudioFormat = source.audio_format
        self.sample_rate: int = source.sample_rate
        self.mode_epoch: int = task.mode_epoch or 0

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the audio; ends only when the speech is whole, stored, completed and settled.

        Raises
        ------
        StreamTruncatedError
            It broke off; what was yielded is only its beginning.
        StreamCancelledError, StreamInterruptedError, StoreUnavailableError
            Its tenant cancelled it, this process ends, or it could not be stored.
        """
        source = self._source
        return source.buffer.chunks() if isinstance(source, StreamDriver) else source.chunks()

    async def aclose(self) -> None:
        """Nobody listens any more: close the provider at once, cancel the task, record what was bought.

        Of a stream that has ended it changes nothing.
        """
        if isinstance(self._source, StreamDriver):
            self._source.stop(Stop.CANCELLED)
            await self._source.settled()

    def interrupt(self) -> None:
        """This process cannot go on with it: as :meth:`aclose`, but failed as interrupted; does not wait."""
        if isinstance(self._source, StreamDriver):
            self._source.stop(Stop.RELEASED)


async def open_stream(ctx: SpeechContext, caller: Caller, order: StreamOrder) -> OpenStream:
    """Admit a stream and wait for its first valid audio; until then every failure has its own status.

    Cancelling it is a hang-up: the provider is closed and the task ends as cancelled.

    Raises
    ------
    ConflictError
        The active provider cannot give this, or the caller has too many streams under way.
    ValidationError, NotFoundError
        The text or the language is not valid; the caller has no such voice.
    BudgetExceededError, ValveClosedError
        It would cost more than may be spent now.
    KeyInFlightError
        An earlier request with the same Idempotency-Key still speaks.
    ProviderError
        The provider failed before it was heard.
    StoreUnavailableError
        Nothing was admitted.
    """
    if (finished := await replays.finished_stream(ctx, caller, order.formats)) is not None:
        return OpenStream(finished)
    # Whether a commit that is cancelled happened is not known: so it is not cancelled.
    admitting = asyncio.create_task(_admit(ctx, caller, order), name="admit-stream")
    try:
        driver = await asyncio.shield(admitting)
    except asyncio.CancelledError:
        admitting.add_done_callback(_cancel_admitted)
        raise
    driver.start()
    try:
        await driver.buffer.committed()
    except BaseException:
        # Of one that failed by itself this changes nothing.
        driver.stop(Stop.CANCELLED)
        raise
    return OpenStream(driver)


def _cancel_admitted(admitting: asyncio.Task[StreamDriver]) -> None:
    """End what was admitted for somebody who had hung up by then."""
    if not admitting.cancelled() and admitting.exception() is None:
        driver = admitting.result()
        driver.start()
        driver.stop(Stop.CANCELLED)


async def _admit(ctx: SpeechContext, caller: Caller, order: StreamOrder) -> StreamDriver:
    """Create generation and task, held by this process, with what it may cost reserved: one transaction."""
    mode = ctx.mode.admit(caller.user_id)
    provider = ctx.provider(mode.value)
    with ctx.signals.admission(provider.name, mode.epoch, Operation.SPEAK, caller.user_id):
        return await _admit_by(ctx, caller, order, provider, mode.epoch)


async def _admit_by(
    ctx: SpeechContext, caller: Caller, order: StreamOrder, provider: Provider, mode_epoch: int
) -> StreamDriver:
    format_for(order, provider)
    language = languages.normalise(order.language)
    draft = StreamDraft(
        task_id=uuid4(),
        generation_id=uuid4(),
        user_id=caller.user_id,
        voice_id=order.voice_id,
        text=order.text,
        language=language,
        provider=provider.name,
        mode_epoch=mode_epoch,
        deadline_at=ctx.clock.now() + timedelta(seconds=ctx.settings.task_deadline_s),
    )
    opening: Opening | None = None
    try:
        # Two requests at the same instant: the second waits here, then counts the first one's stream.
        async with ctx.database.service(lock=streams.lock_name(caller.user_id)) as conn:
            task, voice, casting = await _write(ctx, conn, caller, order, draft)
            # While this commits the provider's socket opens; the text waits for the commit.
            ctx.streams.expect(task.id)
            opening = open_ahead(order, language, casting, task.id)
    except BaseException:
        ctx.streams.drop(draft.task_id)
        if opening is not None:
            await opening.aclose()
        raise
    held = Held(task, Claim(task.id, ctx.streams.worker, task.attempts), voice=voice)
    return StreamDriver(ctx, held, order, language, casting, opening=opening)


async def _write(
    ctx: SpeechContext, conn: Connection, caller: Caller, order: StreamOrder, draft: StreamDraft
) -> tuple[TaskRow, VoiceRow, Casting]:
    """Write what an admission writes; what it raises ends the transaction."""
    provider = ctx.provider(draft.provider)
    admission = await streams.admit_stream(
        conn,
        draft,
        spending.terms_of_speech(ctx, provider, order.text),
        worker=ctx.streams.worker,
        lease_s=ctx.streams.lease_s,
        most=ctx.settings.max_active_streams,
    )
    voice, task = admission.voice, admission.task
    if voice is None:
        raise NotFoundError("Voice not found.")
    casting = cast(order, voice, provider, ctx.settings)
    if task is None:
        raise TooManyStreamsError(
            f"You have {ctx.settings.max_active_streams} streams under way, and may have no more at a "
            "time; wait for one to end or cancel it."
        )
    await spending.reserved(ctx, conn, task_id=task.id, caller=caller, refusal=admission.refusal)
    return task, voice, casting
