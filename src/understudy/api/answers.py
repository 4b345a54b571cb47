"""What each route answers, as the OpenAPI document says it. Fields may be added; a client must allow that."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

TaskStatus = Literal["pending", "processing", "completed", "failed", "cancelled"]
ProviderName = Literal["qwen", "modal"]


class Answer(BaseModel):
    """A JSON object; fields that are not listed may be there as well."""

    model_config = ConfigDict(extra="allow", from_attributes=True)


class Healthy(BaseModel):
    """``GET /health``, exactly."""

    ok: Literal[True]


class Done(Answer):
    """The request was carried out."""

    ok: Literal[True]


class Readiness(Answer):
    """Whether this process may be sent traffic."""

    ready: bool
    mode: str
    epoch: int
    schema_head: str | None = Field(alias="schema", description="Newest migration in the database.")
    draining: bool
    frozen: bool = Field(description="Writes answer 503 until `understudy freeze off`.")
    env_value: str = Field(description="`TTS_PROVIDER_MODE` in this process's environment.")
    drifting: bool = Field(description="The live mode is another than the environment says.")
    state: Literal["FRESH", "STALE"] = Field(
        description="Whether this process knows the mode, or remembers it."
    )
    instance: UUID


class Capabilities(Answer):
    """What the active provider can do."""

    supports_generate: bool
    supports_generate_stream: bool
    default_generate_mode: Literal["stream", "task"]
    allow_generate_mode_toggle: bool
    max_text_chars: int
    supports_clone: bool
    supports_design: bool


class Transcription(Answer):
    """Whether `POST /api/transcriptions` works here."""

    enabled: bool
    provider: str | None
    model: str | None


class Languages(Answer):
    """Languages, provider and capabilities of the mode in force."""

    languages: list[str]
    default: str
    provider: Literal["qwen", "modal"]
    capabilities: Capabilities
    transcription: Transcription


class Profile(Answer):
    """What a tenant shows of themselves."""

    id: UUID
    handle: str | None
    display_name: str | None
    avatar_url: str | None
    subscription_tier: str
    credits_remaining: int
    created_at: datetime
    updated_at: datetime


class SignedInUser(Answer):
    """Who the token belongs to."""

    id: UUID


class Me(Answer):
    """The caller."""

    signed_in: bool
    user: SignedInUser | None
    profile: Profile | None


class ProviderVoice(Answer):
    """A voice that the speech provider still holds."""

    provider: str
    voice_id: str
    target_model: str | None
    region: str | None


class Erased(Answer):
    """The account is gone; so much was removed with it."""

    erased: Literal[True]
    user_id: UUID
    erased_at: datetime
    counts: dict[str, int]
    provider_voices: list[ProviderVoice] = Field(description="Ask the provider to delete these.")


class ChangedProfile(Answer):
    """The profile as it now is."""

    profile: Profile


class UploadTicket(Answer):
    """Where to put the recording."""

    voice_id: UUID
    upload_url: str = Field(description="Takes one PUT with the audio's content type, and expires.")
    object_key: str


class MadeVoice(Answer):
    """The voice that was made."""

    id: UUID
    name: str
    degraded: bool = Field(
        default=False, description="There, and true, when the provider made a worse voice than it could."
    )


class DesignedVoice(Answer):
    """The designed voice that was kept."""

    id: UUID
    name: str
    description: str | None
    language: str
    source: Literal["designed"]
    preview_url: str


class Pagination(Answer):
    """Which page of how many."""

    page: int
    per_page: int
    total: int
    pages: int


class Consent(Answer):
    """Consent as it was given, for the recording of this digest."""

    statement: str
    name: str
    at: datetime
    reference_sha256: str


class Voice(Answer):
    """One voice of the caller's."""

    id: UUID
    user_id: UUID
    name: str
    reference_object_key: str | None
    reference_transcript: str | None
    language: str
    source: str
    description: str | None
    created_at: datetime
    tts_provider: str
    provider_target_model: str | None
    provider_voice_kind: str | None
    degraded: bool = Field(
        default=False, description="There, and true, when the provider made a worse voice than it could."
    )
    consent: Consent | None = Field(description="What the person who is heard agreed to, and when.")
    has_preview: bool = Field(description="Its recording can be heard.")
    speaks: list[ProviderName] = Field(description="Providers that can speak it as it is.")
    speakable: bool = Field(description="The provider that serves you now can.")
    guidance: str | None = Field(description="What `/api/generate` would refuse it with now.")
    carry_over: Literal["not_needed", "needed", "pending", "done", "failed", "impossible"] = Field(
        description="How far its way to the provider is that speaks only voices it has made."
    )


class Voices(Answer):
    """One page of voices, newest first."""

    voices: list[Voice]
    pagination: Pagination


class StartedPreview(Answer):
    """The design task that was started."""

    task_id: UUID
    status: Literal["pending"]


class StartedGeneration(Answer):
    """The generation that was admitted."""

    task_id: UUID
    status: Literal["processing"]
    is_long_running: bool
    estimated_duration_minutes: int
    generation_id: UUID


class Generation(Answer):
    """One generation of the caller's."""

    id: UUID
    user_id: UUID
    voice_id: UUID | None
    voice_name: str | None
    text: str
    language: str
    status: TaskStatus
    audio_path: str | None
    audio_object_key: str | None
    duration_seconds: float | None
    generation_time_seconds: float | None
    error_message: str | None
    created_at: datetime
    completed_at: datetime | None
    tts_provider: str
    provider_model: str | None
    output_format: str | None


class Generations(Answer):
    """One page of generations, newest first."""

    generations: list[Generation]
    pagination: Pagination


class Regeneration(Answer):
    """What the form is filled with to speak again."""

    voice_id: UUID | None
    text: str
    language: str
    redirect_url: str


class TaskResult(Answer):
    """What a completed task brought; ``audio_url`` where that is audio."""

    audio_url: str | None = None


class DesignBrief(Answer):
    """What a design preview was asked for."""

    text: str
    language: str
    instruct: str


class Task(Answer):
    """How far a task is."""

    id: UUID
    type: Literal["generate", "design_preview", "clone"]
    status: TaskStatus
    result: TaskResult | None
    error: str | None
    provider: str
    provider_status: str | None
    provider_poll_count: int
    modal_status: str | None
    modal_elapsed_seconds: float | None
    modal_poll_count: int
    generation_id: UUID | None
    voice_id: UUID | None
    created_at: datetime
    completed_at: datetime | None
    delivery: Literal["queued", "stream"] = Field(
        description="`stream`: spoken inside its own request, and cancelled by its hang-up."
    )
    brief: DesignBrief | None = Field(description="Of a design preview: to fill the form again.")


class Tasks(Answer):
    """Tasks, newest first."""

    tasks: list[Task]


class CancelledTask(Answer):
    """The cancellation was taken."""

    cancelled: Literal[True]
    task_id: UUID


class AudioLink(Answer):
    """Where audio lies, for whoever holds the link."""

    url: str
    expires_in_s: int = Field(description="Seconds until the link answers 403.")


class StoredObject(Answer):
    """What was uploaded."""

    key: str
    size: int
    sha256: str


class AuthUser(Answer):
    """An account, in GoTrue's shape."""

    id: UUID
    aud: str
    role: str
    email: str


class AuthSession(Answer):
    """A session, in GoTrue's shape."""

    access_token: str
    token_type: Literal["bearer"]
    expires_in: int
    expires_at: int
    refresh_token: str
    user: AuthUser


class ProviderMode(Answer):
    """The live mode, as an operator or the environment set it."""

    value: str
    epoch: int
    actor: str
    reason: str
    incident: str | None
    env_value: str = Field(description="The environment's value that it was written over.")
    changed_at: datetime


class ModeOfProcess(Answer):
    """One live process, and the mode it holds."""

    instance: UUID
    kind: str
    pid: int
    host: str
    mode_value: str | None
    mode_epoch: int | None
    mode_state: str | None = Field(description="`FRESH`, or `STALE` without the store.")
    env_value: str | None
    started_at: datetime
    seen_at: datetime
    known_good_ok: bool | None = Field(description="Whether the known-good provider passed the last check.")
    revision: str | None = Field(description="The revision that its code says it is.")
    drifting: bool = Field(description="It holds another mode than its environment says.")
    lagging: bool = Field(description="The row's epoch is not in force there yet.")


class ProviderModeState(Answer):
    """Which provider serves, and where that is in force."""

    mode: ProviderMode | None
    known_good: str
    drifting: bool = Field(description="The row says another value than the environment that it overrides.")
    processes: list[ModeOfProcess]


class PastProviderMode(ProviderMode):
    """One change of the mode."""

    previous_value: str | None


class ProviderModeHistory(Answer):
    """Changes of the mode, newest first."""

    history: list[PastProviderMode]


class PlaybackReceipt(Answer):
    """What became of a batch of playback events."""

    accepted: int = Field(description="Events that are kept.")
    ignored: int = Field(description="Events known already, or of no generation of yours.")
