"""Requests that no provider saw: refused with 409 for the mode in force or a voice's coverage in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from understudy.restoration.signals.readings import Series, Signals
from understudy.restoration.signals.windows import BUCKET_S, CallWindow, windows_of
from understudy.restoration.triggers.cures import Check
from understudy.restoration.triggers.verdict import Finding, Verdict, concluded


class Refusals(Check):
    """Requests refused with 409 by the mode or by a voice's coverage: an objective of their own."""

    window_s: int = Field(ge=BUCKET_S, le=86_400, multiple_of=BUCKET_S)
    """Length of a window in seconds, a multiple of 5; UNDERSTUDY_GUARD_WINDOW_S overrides it."""
    consecutive: int = Field(ge=1, le=10)
    """Newest windows in a row that must break both limits."""
    count: int = Field(ge=1)
    """Refused requests in a window, fewest."""
    rate_percent: float = Field(ge=0, le=100)
    """Share of the window's requests that were refused, in percent; exactly at it breaks the limit."""


def judge(check: Refusals, signals: Signals, *, trigger: str, now: datetime) -> tuple[Finding, ...]:
    """Judge each operation asked of the provider and epoch in force; one NO_DATA finding where none was."""
    mode, blind = signals.mode, signals.blind or signals.calls.blind
    if mode is None:
        return (_finding(check, trigger, None, Verdict.BLIND, blind or "no mode is known", now=now),)
    here = sorted(
        series
        for series in signals.calls.refused
        if (series.provider, series.mode_epoch) == (mode.value, mode.epoch)
    )
    if not here:
        series = Series(mode.value, mode.epoch, "")
        verdict, detail = (
            (Verdict.BLIND, blind) if blind else (Verdict.NO_DATA, "no request was counted in this mode")
        )
        return (_finding(check, trigger, series, verdict, detail, now=now),)
    return tuple(_judged(check, trigger, signals, series, blind=blind, now=now) for series in here)


def _judged(
    check: Refusals, trigger: str, signals: Signals, series: Series, *, blind: str | None, now: datetime
) -> Finding:
    buckets = sorted(signals.calls.refused[series], key=lambda bucket: bucket.start, reverse=True)
    windows = windows_of(buckets, now, window_s=check.window_s, limit=check.consecutive)
    broken = [window for window in windows if _breaks(check, window)]
    n, failed = sum(window.total for window in windows), sum(window.failed for window in windows)
    said = f"{failed} of {n} requests of {series.operation} were refused with 409"
    if len(broken) == check.consecutive:
        verdict, detail = Verdict.FAIL, said
    elif blind:
        verdict, detail = Verdict.BLIND, blind
    elif broken:
        verdict, detail = Verdict.INCONCLUSIVE, f"{said}, in {len(broken)} of {check.consecutive} windows"
    elif not n:
        verdict, detail = Verdict.NO_DATA, f"no request of {series.operation}"
    else:
        verdict, detail = Verdict.PASS, said
    return _finding(check, trigger, series, verdict, detail, now=now, windows=windows)


def _breaks(check: Refusals, window: CallWindow) -> bool:
    return window.failed >= check.count and window.failed * 100 >= check.rate_percent * window.total


def _finding(
    check: Refusals,
    trigger: str,
    series: Series | None,
    verdict: Verdict,
    detail: str,
    *,
    now: datetime,
    windows: Sequence[CallWindow] = (),
) -> Finding:
    return concluded(
        "refusals",
        check,
        verdict,
        detail,
        now,
        trigger=trigger,
        provider=series.provider if series else None,
        mode_epoch=series.mode_epoch if series else None,
        subject=series.operation if series else "",
        n=sum(window.total for window in windows),
        failures=sum(window.failed for window in windows),
        bounds={
            "consecutive": check.consecutive,
            "count": check.count,
            "rate_percent": check.rate_percent,
        },
        window_s=check.window_s,
        windows=tuple(windows),
        first_bad_at=min((window.start for window in windows if window.failed), default=None),
    )
