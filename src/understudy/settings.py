"""Every setting, from the environment and the durable environment file.

``TTS_PROVIDER_MODE`` in the environment file is the durable truth that an operator types by hand
(see the playbook); the live override in Postgres is :mod:`understudy.rollout.mode`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from understudy.digests import UNGUESSABLE_CHARS, secret_digests
from understudy.errors import ConfigurationError
from understudy.lanes import check_key, check_lane, check_model, recorded_fingerprints

ProviderName = Literal["modal", "qwen"]

ENV_FILE_VARIABLE = "UNDERSTUDY_ENV_FILE"

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


class Settings(BaseSettings):
    """Validated settings of one process. Field names are the environment variables, in lower case."""

    model_config = SettingsConfigDict(
        extra="ignore", frozen=True, case_sensitive=False, use_attribute_docstrings=True
    )

    tts_provider_mode: ProviderName = "modal"
    """Who serves: the durable truth of the provider mode, and its value at a start."""
    known_good_provider: ProviderName = "modal"
    """The provider that a restoration returns to."""

    database_url: SecretStr = SecretStr("")
    """Postgres, as the service reaches it; the role may act as `authenticated` and `service_role`."""
    migration_database_url: SecretStr = SecretStr("")
    """Postgres, as the schema's owner reaches it: `understudy db migrate`."""
    understudy_home: Path = Path(".understudy")
    """Folder of one machine's installation."""
    objects_dir: Path | None = None
    """Folder of stored audio; `objects` in the home when empty."""
    understudy_frontend_dir: Path | None = None
    """Folder of the built studio and operations console; what comes with this version when empty."""
    public_base_url: str = ""
    """Address under which clients reach the API; signed links begin with it when it is set."""

    objects: Literal["local", "s3"] = "local"
    """Where audio is stored: files of this machine, or S3-compatible storage."""
    s3_endpoint: str = ""
    """Address of the S3-compatible storage; empty for Amazon's own."""
    s3_region: str = "us-east-1"
    """Region of the buckets."""
    s3_access_key_id: str = ""
    """Access key id of the storage."""
    s3_secret_access_key: SecretStr = SecretStr("")
    """Secret of that access key."""
    s3_bucket_references: str = ""
    """Bucket of the recordings that voices are made of."""
    s3_bucket_generations: str = ""
    """Bucket of generated speech."""
    s3_prefix: str = ""
    """Put before every key, so that several deployments share buckets."""

    retention_generations_days: int = Field(default=0, ge=0)
    """Days that generated audio is kept; 0 keeps it for ever."""
    retention_signals_days: int = Field(default=30, ge=0)
    """Days that call records, playback events and ended tasks are kept; 0 keeps them for ever."""
    retention_deleted_voices_days: int = Field(default=30, ge=0)
    """Days until a deleted voice's recordings are removed; 0 keeps them for ever."""
    upload_abandoned_hours: int = Field(default=24, ge=1)
    """Hours until an upload that became no voice is removed."""
    require_clone_consent: bool = False
    """Refuse a clone without the voice owner's recorded consent."""

    auth_verifier: Literal["embedded", "hs256", "jwks"] = "embedded"
    """Whose access tokens count: the embedded issuer's, or a Supabase project's (HS256, or its key set)."""
    supabase_url: str = ""
    """Address of the Supabase project whose tokens count."""
    supabase_jwt_secret: SecretStr = SecretStr("")
    """Secret that the Supabase project signs with (HS256)."""
    supabase_publishable_key: str = ""
    """Publishable (anon) key of the Supabase project: with it the studio signs people in there."""
    cors_allowed_origins: str = ""
    """Origins whose pages may call the API, with commas between them; none when empty."""
    cors_allow_credentials: bool = False
    """Let those pages send cookies; refused together with `*`."""

    jwt_secret: SecretStr = SecretStr("")
    """Signs access tokens of the embedded issuer; 32 bytes or more."""
    jwt_secret_previous: SecretStr = SecretStr("")
    """The secret before the last rotation: its tokens count until they expire."""
    jwt_issuer: str = "understudy"
    """The `iss` of the embedded issuer's tokens."""
    access_token_lifetime_s: int = Field(default=3600, ge=60)
    """Seconds an access token lives."""
    object_url_secret: SecretStr = SecretStr("")
    """Signs links to stored audio; 32 bytes or more."""
    object_url_secret_previous: SecretStr = SecretStr("")
    """The secret before the last rotation: its links work until they expire."""
    object_url_lifetime_s: int = Field(default=900, ge=10)
    """Seconds a signed link works."""

    max_active_generations: int = Field(default=1, ge=1)
    """Generations in progress a user."""
    max_active_streams: int = Field(default=8, ge=1)
    """Speech being streamed at once a user, by `/api/generate/stream` and `/v1/audio/speech`."""
    playback_batches_a_minute: int = Field(default=60, ge=1)
    """Batches of playback events taken from a user in a minute."""
    task_deadline_s: int = Field(default=300, ge=5)
    """Seconds a task may take before it fails."""
    worker_concurrency: int = Field(default=16, ge=1)
    """Tasks one worker drives at once."""
    worker_lease_s: float = Field(default=15.0, ge=1)
    """Seconds until a dead worker\'s tasks are taken over."""
    drain_deadline_s: int = Field(default=30, ge=1)
    """Seconds a process that stops gives what is in flight."""

    budget_generation_tenant_hour_microusd: int = Field(default=0, ge=0)
    """Micro-dollars of speech a tenant may use an hour; 0 sets no limit."""
    budget_generation_tenant_day_microusd: int = Field(default=0, ge=0)
    """Micro-dollars of speech a tenant may use a day; 0 sets no limit."""
    budget_generation_hour_microusd: int = Field(default=0, ge=0)
    """Micro-dollars of speech all tenants together may use an hour; 0 sets no limit."""
    budget_generation_day_microusd: int = Field(default=0, ge=0)
    """Micro-dollars of speech all tenants together may use a day; 0 sets no limit."""
    budget_creates_tenant_hour: int = Field(default=20, ge=0)
    """Billed creates (designs and clones) a tenant may make an hour; 0 sets no limit."""
    budget_creates_tenant_day_microusd: int = Field(default=10_000_000, ge=0)
    """Micro-dollars of billed creates a tenant may make a day; 0 sets no limit."""
    budget_creates_hour: int = Field(default=200, ge=0)
    """Billed creates all tenants together may make an hour; 0 sets no limit."""
    budget_creates_day_microusd: int = Field(default=100_000_000, ge=0)
    """Micro-dollars of billed creates all tenants together may make a day; 0 sets no limit."""

    flip_drain_deadline_s: float = Field(default=10.0, ge=0)
    """Seconds that running speech gets after a switch back; then the known-good provider speaks it anew."""
    voice_carry_over: Literal["on", "off"] = "on"
    """Whether a voice made at one provider is spoken by the other."""

    modal_job_submit: str = ""
    """Modal: where a job is submitted."""
    modal_job_status: str = ""
    """Modal: where a job's state is asked."""
    modal_job_result: str = ""
    """Modal: where a job's audio is fetched."""
    modal_job_cancel: str = ""
    """Modal: where a job is cancelled."""
    modal_endpoint_voice_design: str = ""
    """Modal: where a voice is designed."""
    modal_key: SecretStr = SecretStr("")
    """Modal: proxy token id."""
    modal_secret: SecretStr = SecretStr("")
    """Modal: proxy token secret."""
    modal_poll_interval_s: float = Field(default=0.5, gt=0)
    """Seconds between two questions for a job's state."""
    modal_submit_timeout_s: float = Field(default=15.0, gt=0)
    """Seconds a submission may take."""
    modal_status_timeout_s: float = Field(default=10.0, gt=0)
    """Seconds a question for a job's state may take."""
    modal_result_timeout_s: float = Field(default=30.0, gt=0)
    """Seconds a result may take."""
    modal_design_timeout_s: float = Field(default=180.0, gt=0)
    """Seconds a voice design may take."""

    dashscope_api_key: SecretStr = SecretStr("")
    """Qwen: key of the lane that DASHSCOPE_REGION names."""
    dashscope_base_url: str = "https://dashscope-intl.aliyuncs.com"
    """Qwen: address of the lane."""
    dashscope_region: Literal["intl", "cn"] = "intl"
    """Qwen: the lane; a key of one is refused by the other."""
    dashscope_key_fingerprints: str = ""
    """Qwen: which lane each of your keys is of, as `understudy doctor` prints it (`intl:...,cn:...`)."""
    qwen_vc_target_model: str = "qwen3-tts-vc-realtime-2026-01-15"
    """Qwen: realtime model of cloned voices."""
    qwen_vd_target_model: str = "qwen3-tts-vd-realtime-2026-01-15"
    """Qwen: realtime model of designed voices."""
    qwen_create_timeout_s: float = Field(default=60.0, gt=0, le=60)
    """Qwen: seconds that making a voice may take."""
    qwen_max_text_chars: int = Field(default=2000, ge=1)
    """Longest text in Qwen mode, in Unicode code points."""
    modal_max_text_chars: int = Field(default=10000, ge=1)
    """Longest text in Modal mode, in Unicode code points."""

    provider_connect_timeout_s: float = Field(default=5.0, gt=0)
    """Seconds to reach a provider."""
    provider_first_audio_timeout_s: float = Field(default=15.0, gt=0)
    """Seconds until the first audio."""
    provider_chunk_gap_timeout_s: float = Field(default=10.0, gt=0)
    """Seconds between two pieces of audio."""
    provider_total_timeout_s: float = Field(default=180.0, gt=0)
    """Seconds one utterance may take."""

    guard_poll_interval_s: float = Field(default=1.0, gt=0)
    """Seconds between two looks of the guard."""
    understudy_guard_window_s: int | None = Field(default=None, ge=5, multiple_of=5)
    """Seconds of the guard's windows; the playbook's when empty."""
    playbook_file: Path | None = None
    """The restoration playbook; the one that comes with this version when empty."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe message that is logged."""

    metrics_token: SecretStr = SecretStr("")
    """Bearer token of `/metrics`; without one only this machine may read it, past no proxy."""
    worker_metrics_port: int = Field(default=0, ge=0, le=65535)
    """Port of a worker's `/metrics`; 0 serves none. On loopback, or everywhere when METRICS_TOKEN is set."""
    otel_exporter_otlp_endpoint: str = ""
    """OpenTelemetry collector (OTLP over HTTP) that traces go to; none when empty. Needs the extra `otel`."""
    planted_canaries: SecretStr = SecretStr("")
    """Values planted where only a leak would show them, with commas between; 16 characters or more each."""

    guard_store_url: SecretStr = SecretStr("")
    """The guard's own Postgres, never the product's, for guards on two machines; a local file when empty."""
    guard_slack_webhook_url: SecretStr = SecretStr("")
    """Slack's incoming webhook that the guard tells of incidents; none when empty."""
    guard_pagerduty_routing_key: SecretStr = SecretStr("")
    """PagerDuty's integration key (Events v2) that the guard pages with; none when empty."""
    guard_pagerduty_url: str = "https://events.pagerduty.com/v2/enqueue"
    """Where PagerDuty takes events."""
    guard_cloudevents_url: SecretStr = SecretStr("")
    """Where the guard posts CloudEvents 1.0 (structured JSON); none when empty."""
    guard_deadman_url: SecretStr = SecretStr("")
    """Pinged after completed looks of the guard, for a monitor that calls when they stop; none when empty."""
    guard_deadman_interval_s: float = Field(default=60.0, ge=1)
    """Seconds between two pings of GUARD_DEADMAN_URL."""

    backup_interval_s: int = Field(default=21_600, ge=0)
    """Seconds between two backups that the guard takes by itself; 0 takes none."""
    backup_keep: int = Field(default=14, ge=1)
    """Backups kept; the newest one that was proven is kept however old it is."""
    backup_max_age_s: int = Field(default=93_600, ge=0)
    """Seconds after which the newest proven backup is too old: an alarm, and no restore from it; 0 never."""
    backup_dir: Path | None = None
    """Folder of the backups; `backups` in the home when empty."""

    probes: Literal["on", "off"] = "on"
    """Whether the guard's canaries speak and try what they may not; the playbook says how often."""

    guard_signal_source: Literal["product", "supabase", "prometheus"] = "product"
    """Where the guard sees calls: our tables, a Supabase project's tasks and generations, or Prometheus."""
    guard_signal_database_url: SecretStr = SecretStr("")
    """Postgres that the guard sees calls in; `DATABASE_URL` when empty."""
    guard_prometheus_url: str = ""
    """Prometheus that scrapes every api and worker, for GUARD_SIGNAL_SOURCE=prometheus."""
    guard_prometheus_token: SecretStr = SecretStr("")
    """Bearer token for that Prometheus; none when empty."""

    @property
    def objects_path(self) -> Path:
        """Where stored audio lives when objects are local files."""
        return self.objects_dir or self.understudy_home / "objects"

    @property
    def token_issuer(self) -> str:
        """The ``iss`` of every access token: the embedded issuer's name, or the Supabase project's."""
        return self.jwt_issuer if self.auth_verifier == "embedded" else self.supabase_auth_url

    @property
    def supabase_auth_url(self) -> str:
        """Address of the Supabase project's auth service."""
        return f"{self.supabase_url.rstrip('/')}/auth/v1"

    def cors_origins(self) -> tuple[str, ...]:
        """Origins that ``CORS_ALLOWED_ORIGINS`` names.

        Raises
        ------
        ConfigurationError
            One is not an origin, or every origin (``*``) is allowed together with credentials.
        """
        origins = tuple(part.strip() for part in self.cors_allowed_origins.split(",") if part.strip())
        if "*" in origins and self.cors_allow_credentials:
            raise ConfigurationError(
                "CORS_ALLOWED_ORIGINS=* with CORS_ALLOW_CREDENTIALS lets every page act as your users. Name "
                "the origins, such as https://studio.example.org, or switch credentials off."
            )
        for origin in origins:
            parts = urlsplit(origin)
            whole = f"{parts.scheme}://{parts.netloc}"
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and whole == origin
            if origin != "*" and not usable:
                raise ConfigurationError(
                    f"CORS_ALLOWED_ORIGINS: {origin!r} is not an origin. Write scheme and host only, such as "
                    "https://studio.example.org, with commas between several."
                )
        return origins

    def secrets(self) -> list[SecretStr]:
        """Every secret, whatever is added later: what logs and reports must never hold."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return [value for value in values if isinstance(value, SecretStr)]

    def named_secrets(self) -> dict[str, SecretStr]:
        """Every secret that has a value, by the name of its setting; canaries are :meth:`canaries`."""
        found = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr) and value.get_secret_value() and name != "planted_canaries":
                found[name.upper()] = value
        return found

    def canaries(self) -> dict[str, SecretStr]:
        """Planted values as ``canary-1``, ``canary-2``, ... in the order of ``PLANTED_CANARIES``.

        Raises
        ------
        ConfigurationError
            One is too short to be beyond chance.
        """
        planted = self.planted_canaries.get_secret_value().split(",")
        values = [value.strip() for value in planted if value.strip()]
        for position, value in enumerate(values, 1):
            if len(value) < UNGUESSABLE_CHARS:
                raise ConfigurationError(
                    f"PLANTED_CANARIES: number {position} has {len(value)} characters. Plant random values "
                    f"of {UNGUESSABLE_CHARS} or more."
                )
        return {f"canary-{position}": SecretStr(value) for position, value in enumerate(values, 1)}

    def watched(self) -> dict[str, SecretStr]:
        """What must stand in no log line and no answer, by name; raises as :meth:`canaries`."""
        return self.named_secrets() | self.canaries()

    def secret_digests(self) -> dict[str, str]:
        """What each secret that has a value is compared by: :func:`understudy.digests.secret_digests`."""
        return secret_digests(self.named_secrets())

    def missing(self, *names: str) -> list[str]:
        """Names (upper case) among ``names`` that have no value."""
        empty = []
        for name in names:
            value = getattr(self, name)
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            if not text:
                empty.append(name.upper())
        return empty

    def require(self, *names: str) -> None:
        """Raise :class:`ConfigurationError` that names each setting without a value and how to give it."""
        empty = self.missing(*names)
        if empty:
            listed = ", ".join(empty)
            raise ConfigurationError(
                f"{listed} not set. Set it in the environment, or in the file {ENV_FILE_VARIABLE} names, "
                f"and start again. On one machine `understudy up` sets everything."
            )

    def check_identity(self) -> None:
        """Raise :class:`ConfigurationError` unless the chosen verifier has what it needs, safe to call."""
        match self.auth_verifier:
            case "embedded":
                self.require("jwt_secret")
            case "hs256":
                self.require("supabase_url", "supabase_jwt_secret")
            case "jwks":
                self.require("supabase_url")
        if self.auth_verifier != "embedded":
            check_url("SUPABASE_URL", self.supabase_url)

    def check_s3(self) -> None:
        """Raise :class:`ConfigurationError` unless the S3 settings are present and do not mix two buckets."""
        self.require(
            "s3_region",
            "s3_access_key_id",
            "s3_secret_access_key",
            "s3_bucket_references",
            "s3_bucket_generations",
        )
        if self.s3_bucket_references == self.s3_bucket_generations:
            raise ConfigurationError(
                "S3_BUCKET_REFERENCES and S3_BUCKET_GENERATIONS name the same bucket. Give each its own."
            )
        if self.s3_prefix.startswith("/") or ".." in self.s3_prefix:
            raise ConfigurationError("S3_PREFIX must be a plain path such as understudy/production.")
        if self.s3_endpoint:
            check_url("S3_ENDPOINT", self.s3_endpoint)

    def check_modal(self) -> None:
        """Raise :class:`ConfigurationError` unless Modal's five URLs are present and safe to call."""
        names = (
            "modal_job_submit",
            "modal_job_status",
            "modal_job_result",
            "modal_job_cancel",
            "modal_endpoint_voice_design",
        )
        self.require(*names)
        for name in names:
            check_url(name.upper(), getattr(self, name))

    def check_qwen(self) -> None:
        """Raise :class:`ConfigurationError` unless lane, region, key and models agree."""
        self.require(
            "dashscope_api_key", "dashscope_base_url", "qwen_vc_target_model", "qwen_vd_target_model"
        )
        check_url("DASHSCOPE_BASE_URL", self.dashscope_base_url)
        check_lane(self.dashscope_base_url, self.dashscope_region)
        check_key(self.dashscope_api_key.get_secret_value())
        recorded_fingerprints(self.dashscope_key_fingerprints)
        for kind in ("vc", "vd"):
            name = f"qwen_{kind}_target_model"
            check_model(name.upper(), getattr(self, name), kind, Settings.model_fields[name].default)


def check_url(name: str, url: str) -> str:
    """Return the host of ``url``; refuse anything but https, or http on loopback.

    Raises
    ------
    ConfigurationError
        Names the setting and what is wrong with it.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigurationError(f"{name} is not a URL: expected https://..., got {url!r}.")
    if parts.scheme == "http" and host not in LOOPBACK_HOSTS:
        raise ConfigurationError(f"{name} uses http to {host}; only https is allowed beyond this machine.")
    return host


def load_settings(**overrides: object) -> Settings:
    """Read the environment and the file that ``UNDERSTUDY_ENV_FILE`` names (the environment wins).

    Raises
    ------
    ConfigurationError
        Each invalid value: its variable's name, its problem and, where it is a choice, the choices.
    """
    env_file = os.environ.get(ENV_FILE_VARIABLE)
    if env_file and not Path(env_file).is_file():
        raise ConfigurationError(f"{ENV_FILE_VARIABLE}={env_file}: there is no such file.")
    try:
        return Settings(_env_file=env_file, **overrides)  # type: ignore[arg-type]  # pydantic-settings
    except ValidationError as error:
        problems = "; ".join(_describe(item) for item in error.errors())
        raise ConfigurationError(problems) from None


class _GivenSettings(Settings):
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def settings_from(values: Mapping[str, str]) -> Settings:
    """Validate variables as a process that sees only these would: nothing of this process's environment.

    Raises
    ------
    ConfigurationError
        As :func:`load_settings`.
    """
    try:
        return _GivenSettings(**{name.lower(): value for name, value in values.items()})  # type: ignore[arg-type]
    except ValidationError as error:
        problems = "; ".join(_describe(item) for item in error.errors())
        raise ConfigurationError(problems) from None


def _describe(item: object) -> str:
    details = dict(item)  # type: ignore[call-overload]
    name = ".".join(str(part) for part in details["loc"]).upper()
    secret = any(word in name for word in ("SECRET", "KEY", "URL", "PASSWORD"))
    shown = "" if secret else f"={details['input']!r}"
    return f"{name}{shown}: {details['msg']}"
