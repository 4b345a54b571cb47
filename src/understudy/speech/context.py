"""What every rule of speech works with: the stores, the providers, the mode, the settings, the clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from understudy.clock import Clock
from understudy.errors import FailureCategory, FailureClass, ProviderUnavailableError
from understudy.metrics import CallFacts, ModeFacts, ProcessMetrics
from understudy.providers.base import Provider
from understudy.rollout.freeze import FreezeReader
from understudy.rollout.mode import ModeReader
from understudy.settings import Settings
from understudy.speech.live_streams import LiveStreams
from understudy.speech.ramping import Ramp
from understudy.speech.recent import RecentRecordings
from understudy.speech.signals import SignalRecorder
from understudy.store.calls import CallRecord
from understudy.store.database import Database
from understudy.store.idempotency import KeyClaim
from understudy.store.objects import ObjectStore
from understudy.tracing import NoTracing, Tracing


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks; whether it is a canary is for the store to know (``understudy.synthetic_users``).

    Parameters
    ----------
    user_id
        The tenant; every row read or written is theirs.
    claim
        The Idempotency-Key of the request, held while it runs; ``None`` without one.
    """

    user_id: UUID
    claim: KeyClaim | None = field(default=None, compare=False)


@dataclass(slots=True)
class SpeechContext:
    """Everything a process gives to the speech room, built once at its start.

    Parameters
    ----------
    providers
        By name, as ``providers.catalog.build_providers`` returns them.
    mode
        A started reader: a request asks it once, at admission.
    kind
        ``api`` or ``worker``, as listed in ``understudy.processes``.
    freeze
        A started reader: asked before anything is written for a tenant.
    recent
        Recordings this process used lately.
    signals
        Takes what is noticed; whoever opens the context starts and stops it.
    metrics, tracing
        What this process counts, and where its spans go.
    streams
        Speech that this process streams.
    ramp
        Turns of what a switch back re-routes.
    """

    database: Database
    objects: ObjectStore
    providers: dict[str, Provider]
    mode: ModeReader
    settings: Settings
    clock: Clock
    freeze: FreezeReader
    kind: str = "api"
    recent: RecentRecordings = field(default_factory=RecentRecordings)
    metrics: ProcessMetrics = field(init=False)
    tracing: Tracing = field(default_factory=NoTracing)
    signals: SignalRecorder = field(init=False)
    streams: LiveStreams = field(init=False)
    ramp: Ramp = field(default_factory=Ramp)

    def __post_init__(self) -> None:
        """Begin without streams, and with nothing noticed."""
        self.streams = LiveStreams(self.database, self.mode, self.clock, self.settings.worker_lease_s)
        self.signals = SignalRecorder(
            self._connect_signals, process=self.kind, instance=self.mode.instance, clock=self.clock
        )
        self.metrics = ProcessMetrics()
        self.metrics.follow(
            mode=self._mode_facts, streams=lambda: len(self.streams), drops=lambda: self.signals.dropped
        )

    def call_ended(self, record: CallRecord) -> None:
        """Count a provider call that ended, and trace it."""
        first_audio_s = record.first_audio_ms / 1000 if record.first_audio_ms is not None else None
        facts = CallFacts(
            record.provider,
            record.operation,
            # A caller's own mistake is no failure of the provider, in no success rate.
            "rejected" if record.category == FailureCategory.VALIDATION else record.outcome,
            record.failure_class or "",
            record.mode_epoch,
        )
        self.metrics.provider_call(facts, record.latency_ms / 1000, first_audio_s)
        self.tracing.past(
            f"provider {record.operation}",
            record.at - timedelta(milliseconds=record.latency_ms),
            record.at,
            failed=record.outcome == "failed",
            understudy__provider=record.provider,
            understudy__operation=record.operation,
            understudy__outcome=record.outcome,
            understudy__failure_class=record.failure_class or "",
            understudy__code=record.code or "",
            understudy__mode_epoch=record.mode_epoch,
            understudy__task_id=str(record.task_id or ""),
        )

    async def _connect_signals(self) -> Database:
        return await Database.connect(
            self.settings.database_url, application_name=f"understudy-{self.kind}-signals", max_size=1
        )

    def _mode_facts(self) -> ModeFacts:
        view = self.mode.view()
        return ModeFacts(view.value, str(view.state), view.epoch)

    def provider(self, name: str) -> Provider:
        """Return the provider that a mode or a row names.

        Raises
        ------
        ProviderUnavailableError
            This process was started without that provider's settings.
        """
        provider = self.providers.get(name)
        if provider is None:
            raise ProviderUnavailableError(
                failure_class=FailureClass.TRANSPORT, provider=name, provider_code="not_configured"
            )
        return provider
