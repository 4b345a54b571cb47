"""The record that each provider call leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from understudy.clock import Clock
from understudy.errors import FailureClass, ProviderError
from understudy.providers.base import Operation, SpeechFinished
from understudy.providers.prices import billed_characters
from understudy.speech.failures import Failure
from understudy.store.calls import CallRecord


@dataclass(slots=True)
class CallMeter:
    """Measures one provider call and makes its record.

    Parameters
    ----------
    model
        The model asked for, until the provider names the one it used.
    started_at
        When the call was sent; for a resumed job, by the worker that sent it.
    at_our_cost
        It repeats a submission that may have been heard: the tenant does not pay.
    subject_digest
        Of a design's prompt, on record with what was billed for it.
    on_end
        Told of the first record made: for metrics and traces, of which a write that is repeated is one call.
    """

    operation: Operation
    provider: str
    model: str
    user_id: UUID
    task_id: UUID | None
    mode_epoch: int
    started_at: datetime
    clock: Clock
    at_our_cost: bool = False
    subject_digest: str | None = None
    on_end: Callable[[CallRecord], None] | None = field(default=None, compare=False, repr=False)
    first_audio_at: datetime | None = None
    characters: int = 0
    audio_ms: int = 0
    cost_microusd: int = 0
    request_id: str | None = None
    counted_characters: int | None = None

    @property
    def elapsed_ms(self) -> int:
        """Milliseconds since the call was sent."""
        return _milliseconds(self.started_at, self.clock.now())

    def hear(self) -> None:
        """Note that audio arrived; only the first time counts."""
        if self.first_audio_at is None:
            self.first_audio_at = self.clock.now()

    def owe(self, text: str, cost_microusd: int) -> None:
        """Note what is billed once audio began, whole or not; the provider's own word replaces it."""
        self.characters = self.counted_characters = billed_characters(text)
        self.cost_microusd = cost_microusd

    def finish(self, finished: SpeechFinished) -> None:
        """Note what the provider said at the end of an utterance."""
        self.characters = finished.characters
        self.counted_characters = finished.counted_characters
        self.cost_microusd = finished.cost_microusd
        self.request_id = finished.provider_request_id
        self.model = finished.model

    def succeeded(self, *, synthetic: bool = False) -> CallRecord:
        """The record of a call that gave what was asked."""
        return self._record("ok", None, synthetic=synthetic)

    def ended(self, failure: Failure, *, synthetic: bool = False, cancelled: bool = False) -> CallRecord:
        """The record of a call that did not; ``cancelled`` when it was us who ended it."""
        return self._record("cancelled" if cancelled else "failed", failure, synthetic=synthetic)

    def _record(self, outcome: str, failure: Failure | None, *, synthetic: bool) -> CallRecord:
        first = self.first_audio_at
        cost_microusd = self.cost_microusd or (failure.cost_microusd if failure else 0)
        record = CallRecord(
            at=self.clock.now(),
            operation=str(self.operation),
            provider=self.provider,
            model=self.model,
            outcome=outcome,
            category=str(failure.category) if failure else None,
            failure_class=str(failure.failure_class) if failure and failure.failure_class else None,
            code=failure.code if failure else None,
            latency_ms=self.elapsed_ms,
            first_audio_ms=_milliseconds(self.started_at, first) if first else None,
            characters=self.characters,
            audio_ms=self.audio_ms,
            cost_microusd=cost_microusd,
            request_id=self.request_id or (failure.request_id if failure else None),
            user_id=self.user_id,
            task_id=self.task_id,
            mode_epoch=self.mode_epoch,
            synthetic=synthetic,
            counted_characters=self.counted_characters,
            billable=outcome == "ok" and not synthetic and not self.at_our_cost,
            subject_digest=self.subject_digest if cost_microusd else None,
        )
        if self.on_end is not None:
            on_end, self.on_end = self.on_end, None
            on_end(record)
        return record


def took_the_text(error: Exception | None) -> bool:
    """Whether a provider that bills the text it took may bill the call that failed so.

    One that said no, or was never reached, took none; ``None`` is a call that we ended.
    """
    return not isinstance(error, ProviderError) or not (
        error.failure_class is FailureClass.PROVIDER
        or error.evidence.get("sent") is False
        or error.evidence.get("text_sent") is False
    )


def _milliseconds(start: datetime, end: datetime) -> int:
    """Wall-clock difference, never negative: the start may come from another machine's clock."""
    return max(0, round((end - start).total_seconds() * 1000))
