"""Designed voices: a preview is the one create; saving it makes a voice and asks no provider."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4, uuid5

from understudy.errors import ConflictError, NotFoundError, UnservedError, ValidationError
from understudy.providers.base import Operation
from understudy.speech import languages, references, replays, spending, wording
from understudy.speech.context import Caller, SpeechContext
from understudy.speech.voices import MAX_NAME_CHARS
from understudy.store import queue, tasks
from understudy.store import voices as rows
from understudy.store.buckets import REFERENCES
from understudy.store.tasks import TaskDraft, TaskRow
from understudy.store.voices import NewVoice, VoiceNotCreatedError, VoiceRow

MAX_TEXT_CHARS = 500
MAX_INSTRUCT_CHARS = 500
MAX_AUDIO_BYTES = 1024 * 1024

#: Namespace of the ids of designed voices: a preview has one voice, however often it is saved.
VOICE_OF_TASK = UUID("5b1f6f6e-7a55-4d0b-9b57-2f5a3c8f1d11")


async def start_preview(
    ctx: SpeechContext, caller: Caller, *, text: str, language: str | None, instruct: str
) -> TaskRow:
    """Start the design of a voice: a task whose result carries the preview's audio.

    Raises
    ------
    ValidationError
        Text or description is empty or over 500 characters, or the language unknown.
    ConflictError
        The active provider designs no voices.
    BudgetExceededError, ValveClosedError
        No more may be spent on creates now.
    StoreUnavailableError
        Nothing was admitted.
    """
    if earlier := await replays.earlier_task(ctx, caller):
        return earlier
    mode = ctx.mode.admit(caller.user_id)
    provider = ctx.provider(mode.value)
    brief = {
        "text": wording.required(text, "Text", max_chars=MAX_TEXT_CHARS),
        "language": languages.normalise(language),
        "instruct": wording.required(instruct, "Instruct", max_chars=MAX_INSTRUCT_CHARS),
    }
    with ctx.signals.admission(provider.name, mode.epoch, Operation.DESIGN, caller.user_id):
        if not provider.capabilities.design:
            raise UnservedError("The active speech provider cannot design voices.")
    draft = TaskDraft(
        id=uuid4(),
        user_id=caller.user_id,
        type=tasks.DESIGN_PREVIEW,
        provider=provider.name,
        mode_epoch=mode.epoch,
        deadline_at=ctx.clock.now() + timedelta(seconds=ctx.settings.task_deadline_s),
        metadata={"brief": brief},
    )
    async with ctx.database.service() as conn:
        active = await tasks.count_active(conn, caller.user_id, tasks.DESIGN_PREVIEW)
        task = await tasks.insert_task(conn, draft)
        await spending.reserve(
            ctx,
            conn,
            task_id=task.id,
            caller=caller,
            provider=provider,
            operation=Operation.DESIGN,
            text=brief["text"],
        )
        await queue.enqueue(conn, [task.id], priority=queue.turn(task.created_at, active))
    return task


async def save_design(
    ctx: SpeechContext,
    caller: Caller,
    *,
    name: str,
    text: str,
    language: str | None,
    instruct: str,
    task_id: UUID | None = None,
    audio: bytes | None = None,
) -> VoiceRow:
    """Make a voice of a completed preview, whoever made that; the same ``task_id`` is the same voice.

    Parameters
    ----------
    audio
        A recording to speak from, in place of ``task_id``; only where voices need no enrolment.

    Raises
    ------
    ValidationError
        Name, text or description is not valid, or neither a preview nor usable audio is given.
    NotFoundError
        The caller has no such preview.
    ConflictError
        The preview is not completed, or its voice was deleted.
    """
    checked_name = wording.required(name, "Name", max_chars=MAX_NAME_CHARS).strip()
    if task_id is not None:
        return await _save_preview(ctx, caller, checked_name, task_id)
    if audio is None:
        raise ValidationError("task_id of a completed preview is required.")
    spoken = wording.required(text, "Text", max_chars=MAX_TEXT_CHARS)
    described = wording.required(instruct, "Instruct", max_chars=MAX_INSTRUCT_CHARS)
    provider = ctx.provider(ctx.mode.admit(caller.user_id).value)
    if provider.capabilities.needs_enrolment:
        raise ValidationError("task_id of a completed preview is required in this provider mode.")
    if len(audio) > MAX_AUDIO_BYTES:
        raise ValidationError("Audio file exceeds 1 MB.")
    voice_id = replays.fresh_id(caller, "voice")
    recording = await references.normalise(audio)
    return await _store(
        ctx,
        recording,
        NewVoice(
            id=voice_id,
            user_id=caller.user_id,
            name=checked_name,
            language=languages.normalise(language),
            source="designed",
            description=described,
            reference_object_key=references.reference_key(caller.user_id, voice_id),
            reference_transcript=spoken.strip(),
            reference_sha256=references.digest(recording),
            reference_content_type=references.CONTENT_TYPE,
            tts_provider=provider.name,
            provider_voice_kind="vd",
        ),
    )


async def _save_preview(ctx: SpeechContext, caller: Caller, name: str, task_id: UUID) -> VoiceRow:
    async with ctx.database.tenant(caller.user_id) as conn:
        saved = await rows.find_designed(conn, caller.user_id, task_id)
        task = await tasks.find_task(conn, caller.user_id, task_id)
    if saved is not None:
        return _live(saved)
    if task is None or task.type != tasks.DESIGN_PREVIEW:
        raise NotFoundError("Design preview not found.")
    preview = task.metadata.get("preview")
    if task.status != "completed" or not preview:
        raise ConflictError(f"The design preview is not completed (status: {task.status}).")
    brief, binding = task.metadata["brief"], task.metadata.get("binding") or {}
    voice_id = uuid5(VOICE_OF_TASK, str(task_id))
    recording = await ctx.objects.get(REFERENCES, preview["object_key"])
    voice = NewVoice(
        id=voice_id,
        user_id=caller.user_id,
        name=name,
        language=brief["language"],
        source="designed",
        description=brief["instruct"],
        reference_object_key=references.reference_key(caller.user_id, voice_id),
        # What the preview says, whatever the form says by now: it is the recording's transcript.
        reference_transcript=brief["text"],
        reference_sha256=references.digest(recording),
        reference_content_type=references.CONTENT_TYPE,
        tts_provider=task.provider,
        provider_voice_id=binding.get("voice_id"),
        provider_target_model=binding.get("target_model"),
        provider_voice_kind=binding.get("kind"),
        provider_region=binding.get("region"),
        provider_request_id=binding.get("request_id"),
        provider_metadata=binding.get("metadata"),
        designed_task_id=task_id,
    )
    return await _store(ctx, recording, voice)


async def _store(ctx: SpeechContext, recording: bytes, voice: NewVoice) -> VoiceRow:
    await ctx.objects.put(REFERENCES, voice.reference_object_key, recording, references.CONTENT_TYPE)
    try:
        async with ctx.database.service() as conn:
            created = await rows.insert_voice(conn, voice)
            if created is None and voice.designed_task_id is not None:
                created = await rows.find_designed(conn, voice.user_id, voice.designed_task_id)
            elif created is None:
                # Made by an earlier request with the same Idempotency-Key.
                created = await rows.find_voice(conn, voice.user_id, voice.id, deleted=True)
    except VoiceNotCreatedError:
        await references.discard_upload(ctx, voice.user_id, voice.id)
        raise
    if created is None:
        raise VoiceNotCreatedError
    return _live(created)


def _live(voice: VoiceRow) -> VoiceRow:
    if voice.deleted_at is not None:
        raise ConflictError("The voice of this preview was deleted; make a new preview.")
    return voice
