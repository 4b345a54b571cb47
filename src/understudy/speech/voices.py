"""Voices: upload a recording, make a voice of it, list, hear, delete."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from uuid import UUID, uuid4

from understudy.errors import (
    ConflictError,
    NotFoundError,
    ProviderError,
    ValidationError,
)
from understudy.providers.base import CREATE_UNKNOWN, EnrolledVoice, Operation, Provider, Reference
from understudy.rollout.mode import ModeView
from understudy.speech import creates, languages, references, replays, spending, wording
from understudy.speech.calls import CallMeter
from understudy.speech.context import Caller, SpeechContext
from understudy.speech.failures import INTERNAL, Failure, failure_of
from understudy.speech.pages import Page, check_page
from understudy.speech.quarantined import require_recording
from understudy.store import calls, claims, tasks
from understudy.store import creates as create_rows
from understudy.store import voices as rows
from understudy.store.buckets import REFERENCES
from understudy.store.claims import Claim
from understudy.store.tasks import Ending, TaskDraft, TaskRow
from understudy.store.voices import NewVoice, VoiceNotCreatedError, VoiceRow

SOURCES = ("uploaded", "designed")
MAX_NAME_CHARS = 100
MAX_CONSENT_CHARS = 500
#: A create is bounded by the provider adapter at 60 s; past this the enrolment's holder is dead.
ENROLMENT_LEASE_S = 120.0


@dataclass(frozen=True, slots=True)
class VoiceDraft:
    """What a tenant says of a voice before it exists."""

    name: str
    language: str | None
    transcript: str
    description: str | None = None

    def checked(self) -> VoiceDraft:
        """Return the draft with its language's English name; :class:`ValidationError` for what is missing."""
        return VoiceDraft(
            name=wording.required(self.name, "Name", max_chars=MAX_NAME_CHARS).strip(),
            language=languages.normalise(self.language),
            transcript=wording.required(self.transcript, "Transcript").strip(),
            description=wording.optional(self.description, "Description"),
        )


@dataclass(frozen=True, slots=True)
class UploadTicket:
    """Where to put the recording: ``upload_url`` takes one ``PUT`` and expires."""

    voice_id: UUID
    upload_url: str
    object_key: str


async def start_upload(ctx: SpeechContext, caller: Caller, draft: VoiceDraft) -> UploadTicket:
    """Give a place for the recording of a new voice; nothing is created yet.

    Raises
    ------
    ValidationError
        The draft is not one of a voice.
    """
    draft.checked()
    voice_id = replays.fresh_id(caller, "voice")
    key = references.reference_key(caller.user_id, voice_id)
    return UploadTicket(voice_id, await ctx.objects.sign_put(REFERENCES, key), key)


@dataclass(frozen=True, slots=True)
class Consent:
    """What the person who is heard agreed to, and who that is."""

    statement: str
    name: str

    def checked(self) -> Consent:
        """Return it without surrounding space; :class:`ValidationError` for what is missing or too long."""
        return Consent(
            wording.required(self.statement, "Consent statement", max_chars=MAX_CONSENT_CHARS).strip(),
            wording.required(self.name, "Consent name", max_chars=MAX_NAME_CHARS).strip(),
        )


async def finalize_clone(
    ctx: SpeechContext,
    caller: Caller,
    voice_id: UUID,
    draft: VoiceDraft,
    consent: Consent | None = None,
) -> VoiceRow:
    """Make the voice of an uploaded recording; finalizing twice answers the same voice.

    Parameters
    ----------
    consent
        Kept with the voice, with its time and the digest of the recording that it is given for.

    Raises
    ------
    ValidationError
        The draft or the recording is not usable, nothing was uploaded, or consent is required and not given.
    ConflictError
        Another request is making this voice right now, or it was deleted.
    ProviderError
        The active provider enrols voices and did not enrol this one.
    VoiceNotCreatedError
        The database refused it; the upload is removed.
    """
    checked = draft.checked()
    agreed = consent.checked() if consent is not None else None
    if agreed is None and ctx.settings.require_clone_consent:
        raise ValidationError("The consent of the person who is heard is required: send consent.")
    mode = ctx.mode.admit(caller.user_id)
    provider = ctx.provider(mode.value)
    existing = await _existing(ctx, caller, voice_id)
    if existing is not None:
        return existing
    reference = await references.settle_upload(ctx, caller.user_id, voice_id)
    voice = NewVoice(
        id=voice_id,
        user_id=caller.user_id,
        name=checked.name,
        language=checked.language or languages.DEFAULT,
        source="uploaded",
        description=checked.description,
        reference_object_key=reference.object_key,
        reference_transcript=checked.transcript,
        reference_sha256=reference.sha256,
        reference_content_type=references.CONTENT_TYPE,
        tts_provider=provider.name,
        consent_statement=agreed.statement if agreed else None,
        consent_name=agreed.name if agreed else None,
        consent_at=ctx.clock.now() if agreed else None,
        consent_reference_sha256=reference.sha256 if agreed else None,
    )
    if not provider.capabilities.needs_enrolment:
        return await _create(ctx, caller, voice)
    return await _Enrolment(ctx, caller, provider, mode).run(voice, reference.audio)


async def _existing(ctx: SpeechContext, caller: Caller, voice_id: UUID) -> VoiceRow | None:
    async with ctx.database.tenant(caller.user_id) as conn:
        existing = await rows.find_voice(conn, caller.user_id, voice_id, deleted=True)
    if existing is not None and existing.deleted_at is not None:
        raise ConflictError("This voice was deleted.")
    return existing


async def _create(ctx: SpeechContext, caller: Caller, voice: NewVoice) -> VoiceRow:
    try:
        async with ctx.database.service() as conn:
            created = await rows.insert_voice(conn, voice)
    except VoiceNotCreatedError:
        await references.discard_upload(ctx, voice.user_id, voice.id)
        raise
    return created or await _same(ctx, caller, voice)


async def _same(ctx: SpeechContext, caller: Caller, voice: NewVoice) -> VoiceRow:
    """The voice that another request made of the same upload in the meantime."""
    existing = await _existing(ctx, caller, voice.id)
    if existing is None:
        raise NotFoundError("Voice not found.")
    return existing


class _Enrolment:
    """One billed enrolment, done once: a clone task is its durable intent, and its record.

    An attempt that follows another one asks what became of that before it creates: what our rows hold of it,
    then the provider, by label.
    """

    def __init__(self, ctx: SpeechContext, caller: Caller, provider: Provider, mode: ModeView) -> None:
        self._ctx = ctx
        self._caller = caller
        self._provider = provider
        self._mode = mode
        #: An earlier attempt with the same recording.
        self._earlier: TaskRow | None = None

    async def run(self, voice: NewVoice, audio: bytes) -> VoiceRow:
        """Enrol and create; voice, task and call record commit together."""
        claim = await self._begin(voice)
        if claim is None:
            return await _same(self._ctx, self._caller, voice)
        meter = CallMeter(
            operation=Operation.ENROLL,
            provider=self._provider.name,
            model=self._ctx.settings.qwen_vc_target_model,
            user_id=voice.user_id,
            task_id=claim.task_id,
            mode_epoch=self._mode.epoch,
            started_at=self._ctx.clock.now(),
            clock=self._ctx.clock,
            on_end=self._ctx.call_ended,
        )
        try:
            enrolled = await self._enrol(voice, audio)
        except ProviderError as error:
            if error.provider_code == CREATE_UNKNOWN:
                # It may be on the bill: the ledger assumes that it is.
                meter.cost_microusd = self._provider.estimate(Operation.ENROLL)
            await self._fail(claim, meter, failure_of(error))
            raise
        meter.cost_microusd = enrolled.cost_microusd
        meter.request_id = enrolled.binding.request_id
        meter.model = enrolled.binding.target_model or meter.model
        try:
            return await self._finish(claim, meter, _bound(voice, enrolled))
        except VoiceNotCreatedError:
            await self._fail(claim, meter, INTERNAL, enrolled)
            await references.discard_upload(self._ctx, voice.user_id, voice.id)
            raise

    async def _enrol(self, voice: NewVoice, audio: bytes) -> EnrolledVoice:
        if (known := creates.enrolled_before(self._earlier, self._ctx.settings)) is not None:
            return known
        label = _label(voice)
        if self._earlier is not None and (found := await self._provider.find_enrolled(label)) is not None:
            return creates.paid_before(self._earlier, found)
        reference = Reference(audio, voice.reference_transcript, voice.language)
        return await self._provider.enroll(reference, label=label)

    async def _begin(self, voice: NewVoice) -> Claim | None:
        """Persist the intent; ``None`` when the voice exists by now."""
        ctx = self._ctx
        draft = TaskDraft(
            id=uuid4(),
            user_id=voice.user_id,
            type=tasks.CLONE,
            provider=self._provider.name,
            mode_epoch=self._mode.epoch,
            deadline_at=ctx.clock.now() + timedelta(seconds=ENROLMENT_LEASE_S),
            metadata={"voice_id": str(voice.id), "label": _label(voice)},
        )
        async with ctx.database.service() as conn:
            # Two finalizes at once would bill two enrolments.
            await tasks.lock_user(conn, voice.user_id, "clones")
            if await rows.find_voice(conn, voice.user_id, voice.id, deleted=True) is not None:
                return None
            if await tasks.active_clone(conn, voice.user_id, voice.id) is not None:
                raise ConflictError("This voice is being created already; try again in a moment.")
            self._earlier = await create_rows.last_clone(conn, voice.user_id, voice.id, _label(voice))
            claim = await claims.start_clone(conn, draft, f"request/{draft.id}", ENROLMENT_LEASE_S)
            await spending.reserve(
                ctx,
                conn,
                task_id=draft.id,
                caller=self._caller,
                provider=self._provider,
                operation=Operation.ENROLL,
            )
            return claim

    async def _finish(self, claim: Claim, meter: CallMeter, voice: NewVoice) -> VoiceRow:
        async with self._ctx.database.service() as conn:
            created = await rows.insert_voice(conn, voice)
            # Past its deadline the reaper has ended the task; the enrolment is paid for, so the voice counts.
            await claims.end_claimed(conn, claim, Ending("completed", result={"voice_id": str(voice.id)}))
            await calls.settle_call(conn, meter.succeeded())
        return created or await _same(self._ctx, self._caller, voice)

    async def _fail(
        self, claim: Claim, meter: CallMeter, failure: Failure, made: EnrolledVoice | None = None
    ) -> None:
        async with self._ctx.database.service() as conn:
            ended = await claims.end_claimed(conn, claim, failure.ending())
            if made is not None:
                # With the bill, in one transaction: a binding on record is one that is paid for.
                await create_rows.note_binding(conn, claim.task_id, asdict(made.binding))
            if ended is not None or meter.cost_microusd:
                await calls.settle_call(conn, meter.ended(failure))


def _label(voice: NewVoice) -> str:
    return creates.clone_label(voice.id, voice.reference_sha256)


def _bound(voice: NewVoice, enrolled: EnrolledVoice) -> NewVoice:
    binding = enrolled.binding
    return replace(
        voice,
        provider_voice_id=binding.voice_id,
        provider_target_model=binding.target_model,
        provider_voice_kind=binding.kind,
        provider_region=binding.region,
        provider_request_id=binding.request_id,
        provider_metadata=dict(binding.metadata),
    )


async def list_voices(
    ctx: SpeechContext,
    caller: Caller,
    *,
    page: int = 1,
    per_page: int = 20,
    search: str | None = None,
    source: str | None = None,
) -> Page[VoiceRow]:
    """Return one page of the caller's voices, newest first, without deleted ones.

    Raises
    ------
    ValidationError
        No such page or source.
    """
    check_page(page, per_page)
    if source and source not in SOURCES:
        raise ValidationError(f"source must be one of {', '.join(SOURCES)}.")
    async with ctx.database.tenant(caller.user_id) as conn:
        items, total = await rows.list_voices(
            conn,
            caller.user_id,
            page=page,
            per_page=per_page,
            search=wording.optional(search, "search"),
            source=source or None,
        )
    return Page(items, page, per_page, total)


async def find_voice(ctx: SpeechContext, caller: Caller, voice_id: UUID) -> VoiceRow:
    """Return the caller's voice; :class:`NotFoundError` when there is none."""
    async with ctx.database.tenant(caller.user_id) as conn:
        voice = await rows.find_voice(conn, caller.user_id, voice_id)
    if voice is None:
        raise NotFoundError("Voice not found.")
    return voice


async def preview_url(ctx: SpeechContext, caller: Caller, voice_id: UUID) -> str:
    """Return an expiring URL of the voice's own recording.

    Raises
    ------
    NotFoundError
        No such voice of the caller's, or it has no recording.
    QuarantinedError
        Its recording is damaged.
    """
    voice = await find_voice(ctx, caller, voice_id)
    require_recording(voice)
    if not voice.reference_object_key:
        raise NotFoundError("Voice preview not available.")
    return await ctx.objects.sign_get(REFERENCES, voice.reference_object_key)


async def delete_voice(ctx: SpeechContext, caller: Caller, voice_id: UUID) -> None:
    """Delete a voice softly: the recording, its generations and the provider's voice stay.

    Raises
    ------
    NotFoundError
        No such voice of the caller's.
    """
    async with ctx.database.service() as conn:
        if not await rows.soft_delete_voice(conn, caller.user_id, voice_id):
            raise NotFoundError("Voice not found.")
