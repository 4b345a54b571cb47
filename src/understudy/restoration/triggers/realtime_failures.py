"""Playbook trigger 2: realtime synthesis failures exceed a threshold: transport, protocol, provider errors.

Each realtime call opens a session of its own, so that ``count`` failures are as many sessions. A class is
FAIL where, in the newest window, its failures reach both the count and the share of the window's calls, and
are more than the windows before explain (Poisson). The failures of one tenant alone flip nobody, as in
:mod:`~understudy.restoration.triggers.success_rate`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from understudy.restoration.signals.readings import Series, Signals
from understudy.restoration.signals.windows import BUCKET_S, CallWindow, windows_of
from understudy.restoration.triggers.cures import Check, Part
from understudy.restoration.triggers.statistics import poisson_tail
from understudy.restoration.triggers.tenants import alone
from understudy.restoration.triggers.verdict import Finding, Verdict, concluded

NAME = "realtime_failures"
CLASSES = ("transport", "protocol", "provider")


class FailureClass(Check):
    """Failures of one class in the newest window."""

    count: int = Field(ge=2, le=10_000)
    """Fewest failures; each is a session of its own, so two at least."""
    rate_percent: float = Field(ge=0, le=100)
    """Fewest in percent of the window's calls; exactly at it breaks the limit."""
    alpha: float = Field(gt=0, le=0.05)
    """FAIL only below this chance that the windows before explain so many."""


class RealtimeFailures(Part):
    """Second condition: realtime synthesis failures exceed a threshold."""

    providers: list[Literal["qwen", "modal"]] = Field(min_length=1)
    """Providers that stream; in another one's mode the condition does not apply and says NO_DATA."""
    operation: Literal["speak"]
    """The provider call that streams."""
    window_s: int = Field(ge=BUCKET_S, le=3600, multiple_of=BUCKET_S)
    """Length of a window in seconds, a multiple of 5; UNDERSTUDY_GUARD_WINDOW_S overrides it."""
    baseline_windows: int = Field(ge=1, le=120)
    """Windows before the newest one that tell what is usual."""
    floor_percent: float = Field(gt=0, le=100)
    """The usual share of failures is never taken for less, in percent."""
    ceiling_percent: float = Field(gt=0, le=100)
    """Nor for more: a failure that lasts does not become the usual."""
    alone_windows: int = Field(ge=0, le=120)
    """Windows to wait for a call of others while one tenant's calls alone fail and the others are quiet."""
    slo_percent: float = Field(gt=0, le=100)
    """Other tenants are served as agreed when they are not below this, in percent."""
    transport: FailureClass
    """Reset, TLS, timeout, closed without a close frame."""
    protocol: FailureClass
    """A bad frame, a wrong order, events that mean nothing."""
    provider: FailureClass
    """An error that the provider itself reports: quota, key, 4xx or 5xx."""

    @model_validator(mode="after")
    def _floor_below_ceiling(self) -> Self:
        if self.floor_percent > self.ceiling_percent:
            raise ValueError("floor_percent must not exceed ceiling_percent")
        return self

    def check(self, name: str) -> FailureClass:
        """Return the check of a class by its name."""
        checks = {"transport": self.transport, "protocol": self.protocol, "provider": self.provider}
        return checks[name]


def judge(part: RealtimeFailures, signals: Signals, *, known_good: str, now: datetime) -> tuple[Finding, ...]:
    """Judge each class at the provider and epoch in force."""
    del known_good
    mode, blind = signals.mode, signals.blind or signals.calls.blind
    if mode is None:
        reason = blind or "no process has ever set a provider mode"
        return tuple(_finding(part, name, Verdict.BLIND, reason, now) for name in CLASSES)
    series = Series(mode.value, mode.epoch, part.operation)
    if mode.value not in part.providers:
        verdict, reason = (Verdict.BLIND, blind) if blind else (Verdict.NO_DATA, _NOT_APPLICABLE)
        return tuple(
            _finding(part, name, verdict, reason.format(mode.value), now, series=series) for name in CLASSES
        )
    buckets = sorted(signals.calls.calls(series), key=lambda bucket: bucket.start, reverse=True)
    windows = windows_of(buckets, now, window_s=part.window_s, limit=part.baseline_windows + 1)
    return tuple(
        _judged(part, name, series, buckets=buckets, windows=windows, blind=blind, now=now)
        for name in CLASSES
    )


_NOT_APPLICABLE = "not applicable: {} does not stream"


def _judged(
    part: RealtimeFailures,
    name: str,
    series: Series,
    *,
    buckets: list[CallWindow],
    windows: list[CallWindow],
    blind: str | None,
    now: datetime,
) -> Finding:
    check, newest = part.check(name), windows[0]
    failed = newest.by_class.get(name, 0)
    usual = _usual(part, name, windows[1:])
    chance = poisson_tail(max(0, failed), usual * newest.total)
    many = failed >= check.count and failed * 100 >= check.rate_percent * newest.total
    said = f"{failed} of {newest.total} calls failed ({name}) in {part.window_s} s"
    inside = [bucket for bucket in buckets if bucket.start < newest.end]
    lone = alone(inside, newest.start, budget=1 - part.slo_percent / 100)
    single = lone.excuses(now, wait_s=part.alone_windows * part.window_s)
    if failed < 0 or failed > newest.failed or newest.failed > newest.total:
        verdict, detail = Verdict.BLIND, "the source reports impossible counts"
    elif many and chance < check.alpha and not single:
        verdict, detail = Verdict.FAIL, f"{said}; {usual * 100:.2g} % is usual"
    elif blind:
        verdict, detail = Verdict.BLIND, blind
    elif many and chance < check.alpha:
        verdict, detail = Verdict.INCONCLUSIVE, f"{said}: tenant {lone.tenant} is the only one"
    elif many:
        verdict, detail = Verdict.INCONCLUSIVE, f"{said}, as many as usual before"
    elif not newest.total:
        verdict, detail = Verdict.NO_DATA, f"no call in {part.window_s} s"
    else:
        verdict, detail = Verdict.PASS, said
    return _finding(
        part,
        name,
        verdict,
        detail,
        now,
        series=series,
        n=newest.total,
        failures=failed,
        windows=tuple(windows),
        first_bad_at=min(
            (b.start for b in inside if b.start >= newest.start and b.by_class.get(name, 0)), default=None
        ),
        evidence={"usual_percent": round(usual * 100, 4), "chance": chance, "lone_tenant": lone.tenant},
    )


def _usual(part: RealtimeFailures, name: str, before: list[CallWindow]) -> float:
    total = sum(window.total for window in before)
    failed = sum(window.by_class.get(name, 0) for window in before)
    share = failed / total if total > 0 else 0.0
    return min(max(share, part.floor_percent / 100), part.ceiling_percent / 100)


def _finding(
    part: RealtimeFailures, name: str, verdict: Verdict, detail: str, now: datetime, **more: Any
) -> Finding:
    series: Series | None = more.pop("series", None)
    check = part.check(name)
    return concluded(
        name,
        check,
        verdict,
        detail,
        now,
        trigger=NAME,
        provider=series.provider if series else None,
        mode_epoch=series.mode_epoch if series else None,
        subject=part.operation,
        bounds={"count": check.count, "rate_percent": check.rate_percent, "alpha": check.alpha},
        window_s=part.window_s,
        **more,
    )
