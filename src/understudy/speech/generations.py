"""Generations: admit one, list them, hear one, delete one."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

from understudy.errors import ConflictError, NotFoundError, QuarantinedError, ValidationError
from understudy.providers.base import Operation
from understudy.speech import languages, replays, spending, wording
from understudy.speech.context import Caller, SpeechContext
from understudy.speech.pages import Page, check_page
from understudy.speech.quarantined import LOST_AUDIO
from understudy.speech.speakable import binding_of
from understudy.store import generations as rows
from understudy.store import queue, tasks, voices
from understudy.store.buckets import GENERATIONS
from understudy.store.generations import GenerationRow, ListedGeneration
from understudy.store.tasks import TaskDraft, TaskRow

STATUSES = ("pending", "processing", "completed", "failed", "cancelled")


async def start_generation(
    ctx: SpeechContext, caller: Caller, *, voice_id: UUID, text: str, language: str | None
) -> TaskRow:
    """Admit a generation and hand it to the workers; generation, task and delivery commit together.

    Raises
    ------
    ValidationError
        The text is empty or over the active provider's limit, or the language unknown.
    NotFoundError
        The caller has no such voice.
    ConflictError
        The active provider cannot speak this voice, or the caller has too many generations in progress.
    BudgetExceededError, ValveClosedError
        No more may be spent on speech now.
    StoreUnavailableError
        Nothing was admitted.
    """
    if earlier := await replays.earlier_task(ctx, caller):
        return earlier
    mode = ctx.mode.admit(caller.user_id)
    provider = ctx.provider(mode.value)
    wording.required(text, "Text", max_chars=provider.capabilities.max_text_chars)
    spoken_language = languages.normalise(language)
    async with ctx.database.tenant(caller.user_id) as conn:
        voice = await voices.find_voice(conn, caller.user_id, voice_id)
    if voice is None:
        raise NotFoundError("Voice not found.")
    with ctx.signals.admission(provider.name, mode.epoch, Operation.SPEAK, caller.user_id):
        binding = binding_of(voice, provider, ctx.settings)
    generation_id = uuid4()
    draft = TaskDraft(
        id=uuid4(),
        user_id=caller.user_id,
        type=tasks.GENERATE,
        provider=provider.name,
        mode_epoch=mode.epoch,
        deadline_at=ctx.clock.now() + timedelta(seconds=ctx.settings.task_deadline_s),
        generation_id=generation_id,
        voice_id=voice_id,
    )
    async with ctx.database.service() as conn:
        # Two requests at the same instant: the second waits here, then counts the first one's task.
        await tasks.lock_user(conn, caller.user_id, "generations")
        active = await tasks.count_active(conn, caller.user_id, tasks.GENERATE)
        if active >= ctx.settings.max_active_generations:
            raise ConflictError(
                f"You have {active} generation(s) in progress, and at most "
                f"{ctx.settings.max_active_generations} at a time; wait for one to finish or cancel it."
            )
        await rows.insert_generation(
            conn,
            generation_id=generation_id,
            user_id=caller.user_id,
            voice_id=voice_id,
            text=text,
            language=spoken_language,
            provider=provider.name,
            mode_epoch=mode.epoch,
        )
        task = await tasks.insert_task(conn, draft)
        await spending.reserve(
            ctx,
            conn,
            task_id=task.id,
            caller=caller,
            provider=provider,
            operation=Operation.SPEAK,
            text=text,
            kind=binding.kind,
        )
        await queue.enqueue(conn, [task.id], priority=queue.turn(task.created_at, active))
    return task


async def list_generations(
    ctx: SpeechContext,
    caller: Caller,
    *,
    page: int = 1,
    per_page: int = 20,
    search: str | None = None,
    status: str | None = None,
) -> Page[ListedGeneration]:
    """Return one page of the caller's generations, newest first.

    Raises
    ------
    ValidationError
        No such page or status.
    """
    check_page(page, per_page)
    if status and status not in STATUSES:
        raise ValidationError(f"status must be one of {', '.join(STATUSES)}.")
    async with ctx.database.tenant(caller.user_id) as conn:
        items, total = await rows.list_generations(
            conn,
            caller.user_id,
            page=page,
            per_page=per_page,
            search=wording.optional(search, "search"),
            status=status or None,
        )
    return Page(items, page, per_page, total)


async def find_generation(ctx: SpeechContext, caller: Caller, generation_id: UUID) -> GenerationRow:
    """Return the caller's generation; :class:`NotFoundError` when there is none."""
    async with ctx.database.tenant(caller.user_id) as conn:
        generation = await rows.find_generation(conn, caller.user_id, generation_id)
    if generation is None:
        raise NotFoundError("Generation not found.")
    return generation


async def audio_url(ctx: SpeechContext, caller: Caller, generation_id: UUID) -> str:
    """Return an expiring URL of the generation's audio.

    Raises
    ------
    NotFoundError
        No such generation of the caller's, or it has no audio (yet).
    QuarantinedError
        Its audio was lost.
    """
    generation = await find_generation(ctx, caller, generation_id)
    if generation.lost:
        raise QuarantinedError(LOST_AUDIO)
    if generation.status != "completed" or not generation.audio_object_key:
        raise NotFoundError("Generation audio not available.")
    return await ctx.objects.sign_get(GENERATIONS, generation.audio_object_key)


async def delete_generation(ctx: SpeechContext, caller: Caller, generation_id: UUID) -> None:
    """Delete a generation and its audio; one in progress is cancelled.

    Raises
    ------
    NotFoundError
        No such generation of the caller's.
    """
    async with ctx.database.service() as conn:
        generation = await rows.find_generation(conn, caller.user_id, generation_id)
        if generation is None:
            raise NotFoundError("Generation not found.")
        await tasks.request_cancel_of_generation(conn, caller.user_id, generation_id)
        await rows.delete_generation(conn, caller.user_id, generation_id)
    if generation.audio_object_key:
        await ctx.objects.delete(GENERATIONS, generation.audio_object_key)
