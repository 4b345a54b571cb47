"""Playbook trigger 1: the success rate drops below the agreed SLO for two consecutive windows.

Rule ``literal`` is the playbook's sentence, nothing added: the newest two windows in which something happened
are both below the SLO. An empty window has no success rate; it neither completes a streak nor breaks one.

Rule ``guarded`` adds evidence, for the sentence alone trips on two stray failures of a quiet hour
(facts/restoration.md 2.2; docs/simulation.md has both side by side). It is FAIL where

* the literal sentence holds **and** the calls pooled over some run of the newest windows are ``min_calls`` or
  more, with ``min_failures`` failures or more that a service exactly at the SLO would show with a probability
  below ``alpha``; or
* **every** one of the newest ``streak`` calls or more failed, for ``streak_s`` seconds or more. This is the
  one case that trips before a second window can exist.

Where the sentence holds without the evidence it is INCONCLUSIVE and says so; every finding tells under
``evidence`` whether the sentence holds. Failures of one tenant alone, while others are served, flip nobody
(:mod:`~understudy.restoration.triggers.tenants`). More failures never make a verdict milder, unless they are
one tenant's alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from understudy.restoration.signals.readings import Series, Signals
from understudy.restoration.signals.windows import BUCKET_S, CallWindow, windows_of
from understudy.restoration.triggers import probing, refused
from understudy.restoration.triggers.cures import Check, Part
from understudy.restoration.triggers.refused import Refusals
from understudy.restoration.triggers.statistics import binomial_tail, detectable_rate
from understudy.restoration.triggers.streaks import Streak, streak_of
from understudy.restoration.triggers.tenants import Alone, alone
from understudy.restoration.triggers.verdict import Finding, Verdict, concluded

NAME = "success_rate"
OperationName = Literal["speak", "enroll", "design"]


class Evidence(Part):
    """What rule `guarded` wants to see besides the playbook's sentence."""

    min_calls: int = Field(ge=1, le=10_000)
    """Fewest calls in the pooled windows that can show anything."""
    min_failures: int = Field(ge=1, le=1_000)
    """Fewest failed calls among them."""
    alpha: float = Field(gt=0, le=0.05)
    """FAIL only below this chance that a service exactly at the SLO shows so many; chosen by simulation."""
    streak: int = Field(ge=2, le=100)
    """So many calls in a row that all failed are FAIL without waiting for a second window."""
    streak_s: float = Field(ge=0, le=600)
    """Seconds such a streak must have lasted: at ten calls a second five failures are half a second."""
    alone_windows: int = Field(ge=0, le=120)
    """Windows to wait for a call of others while one tenant's calls alone fail and the others are quiet."""
    failed_probes: int = Field(ge=1, le=20)
    """Probes of the provider in force that failed in a row: FAIL where users make fewer than `min_calls`."""


class Rate(Check):
    """Users' success rate against the agreed SLO."""

    rule: Literal["guarded", "literal"]
    """`literal` is the playbook's sentence and nothing else; `guarded` wants the `evidence` besides."""
    operation: OperationName
    """The provider call that is judged; `speak` is the one behind generate."""
    slo_percent: float = Field(gt=0, le=100)
    """Lowest acceptable share of successful calls, in percent; a window exactly at it is healthy."""
    window_s: int = Field(ge=BUCKET_S, le=3600, multiple_of=BUCKET_S)
    """Length of a window in seconds, a multiple of 5; UNDERSTUDY_GUARD_WINDOW_S overrides it."""
    consecutive: int = Field(ge=1, le=10)
    """Windows with calls, in a row and the newest, that are below the SLO."""
    lookback_windows: int = Field(ge=1, le=120)
    """Windows searched; older trouble has gone quiet and is no evidence any more."""
    evidence: Evidence
    """What `guarded` wants besides."""

    @model_validator(mode="after")
    def _lookback_holds_a_streak(self) -> Self:
        if self.lookback_windows < self.consecutive:
            raise ValueError("lookback_windows must be at least consecutive, or the rule could never trip")
        return self

    @property
    def lookback_s(self) -> int:
        """How far back calls count, in seconds."""
        return self.window_s * self.lookback_windows

    @property
    def budget(self) -> float:
        """The error rate that the SLO allows."""
        return 1.0 - self.slo_percent / 100.0


class SuccessRate(Part):
    """First condition: generate's success rate drops below the agreed SLO for two consecutive windows."""

    rate: Rate
    """Failed calls at the provider."""
    refusals: Refusals
    """Requests that no provider saw, because the mode or a voice's coverage refused them with 409."""


@dataclass(frozen=True, slots=True)
class _Pool:
    """The run of newest windows that speaks loudest against the SLO.

    Parameters
    ----------
    chance
        The smallest of any run; below 1e-300 they are all 0, so that ``weight`` picks the run.
    weight
        Chernoff's exponent of its tail.
    """

    windows: int = 0
    n: int = 0
    failures: int = 0
    chance: float = 1.0
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """Everything the rules look at."""

    windows: tuple[CallWindow, ...]
    buckets: tuple[CallWindow, ...]
    compared: tuple[CallWindow, ...]
    below: int
    pool: _Pool
    streak: Streak
    n: int
    failures: int


def judge(part: SuccessRate, signals: Signals, *, known_good: str, now: datetime) -> tuple[Finding, ...]:
    """Judge the provider and epoch in force, and only these."""
    del known_good
    return (_rate(part.rate, signals, now), *refused.judge(part.refusals, signals, trigger=NAME, now=now))


def recovered(part: SuccessRate, signals: Signals, *, now: datetime) -> bool:
    """Whether the rate has left the breach: only then may the same trigger open an incident again.

    It enters at the SLO, and leaves where each of the newest windows with calls, twice as many as it takes to
    enter, is better than the SLO by more than a third of the error budget.
    """
    check, mode = part.rate, signals.mode
    if mode is None or signals.blind or signals.calls.blind:
        return False
    windows = _windows(check, signals, Series(mode.value, mode.epoch, check.operation), now)
    busy = [window for window in windows if not window.empty][: 2 * check.consecutive]
    slo_ppm = round(check.slo_percent * 10_000)
    wanted = 3 * slo_ppm + (1_000_000 - slo_ppm)
    return len(busy) == 2 * check.consecutive and all(
        3_000_000 * (window.total - window.failed) > wanted * window.total or window.failed == 0
        for window in busy
    )


def detectable(check: Rate, n: int) -> float | None:
    """Return the smallest error rate, in percent, that ``n`` calls show four times in five, or None."""
    if n < check.evidence.min_calls:
        return None
    rate = detectable_rate(n, check.budget, alpha=check.evidence.alpha, at_least=check.evidence.min_failures)
    return None if rate is None else round(rate * 100, 2)


def _windows(check: Rate, signals: Signals, series: Series, now: datetime) -> list[CallWindow]:
    buckets = sorted(signals.calls.calls(series), key=lambda bucket: bucket.start, reverse=True)
    return windows_of(buckets, now, window_s=check.window_s, limit=check.lookback_windows)


def _rate(check: Rate, signals: Signals, now: datetime) -> Finding:
    blind = signals.blind or signals.calls.blind
    if signals.mode is None:
        return _finding(check, Verdict.BLIND, blind or "no process has ever set a provider mode", now)
    series = Series(signals.mode.value, signals.mode.epoch, check.operation)
    seen = _look(check, signals, series, now)
    if seen is None:
        reason = "the source reports impossible counts: negative, or more failures than calls"
        return _finding(check, Verdict.BLIND, reason, now, series=series)
    literal = seen.below >= check.consecutive
    lone = Alone()
    if check.rule == "literal":
        verdict, detail = _literal(check, seen, blind)
    else:
        if literal or seen.streak.count >= check.evidence.streak:
            lone = alone(seen.buckets, _trouble_since(seen), budget=check.budget)
        verdict, detail = _guarded(check, seen, lone, literal=literal, blind=blind, now=now)
        verdict, detail = probing.quiet_hours(
            verdict, detail, signals, series, check=check.evidence, calls=seen.n, since=now - _back(check)
        )
    if verdict is Verdict.NO_DATA and signals.calls.total:
        detail += f"; {signals.calls.total} calls of other operations, providers or epochs"
    return _finding(
        check,
        verdict,
        detail,
        now,
        series=series,
        windows=seen.windows,
        n=seen.n if check.rule == "guarded" else sum(window.total for window in seen.compared),
        failures=seen.failures if check.rule == "guarded" else sum(window.failed for window in seen.compared),
        first_bad_at=_first_bad(check, seen),
        evidence={
            "rule": check.rule,
            "literal": literal,
            "windows_below": seen.below,
            "pooled_windows": seen.pool.windows,
            "pooled_calls": seen.pool.n,
            "pooled_failures": seen.pool.failures,
            "chance_at_slo": seen.pool.chance,
            "streak": seen.streak.count,
            "streak_s": round(seen.streak.lasted_s, 3),
            "lone_tenant": lone.tenant,
        },
    )


def _look(check: Rate, signals: Signals, series: Series, now: datetime) -> _Seen | None:
    """Cut windows and count; None where the counts cannot be."""
    buckets = tuple(sorted(signals.calls.calls(series), key=lambda bucket: bucket.start, reverse=True))
    if any(not 0 <= bucket.failed <= bucket.total for bucket in buckets):
        return None
    windows = tuple(windows_of(buckets, now, window_s=check.window_s, limit=check.lookback_windows))
    compared = tuple(window for window in windows if not window.empty)[: check.consecutive]
    below = 0
    for window in compared:
        if not window.below(check.slo_percent):
            break
        below += 1
    newest_end, oldest_start = windows[0].end, windows[-1].start
    return _Seen(
        windows=windows,
        buckets=tuple(bucket for bucket in buckets if oldest_start <= bucket.start < newest_end),
        compared=compared,
        below=below,
        pool=_pool(check, windows),
        streak=streak_of(signals.calls.tails.get(series, ()), buckets, since=now - _back(check), now=now),
        n=sum(window.total for window in windows),
        failures=sum(window.failed for window in windows),
    )


def _pool(check: Rate, windows: Sequence[CallWindow]) -> _Pool:
    """Find the run of newest windows whose failures a service at the SLO shows least likely."""
    best, n, failures = _Pool(), 0, 0
    wanted = check.evidence
    for count, window in enumerate(windows, 1):
        was_enough = n >= wanted.min_calls and count > min(check.consecutive, 2)
        n += window.total
        failures += window.failed
        if was_enough and not window.failed:
            continue  # a run that ends in clean calls says less than the same run without them
        if count < min(check.consecutive, 2) or n < wanted.min_calls or failures < wanted.min_failures:
            continue
        if failures <= n * check.budget:
            continue  # no more than agreed: nothing to show
        chance = min(best.chance, binomial_tail(failures, n, check.budget))
        weight = _weight(failures, n, check.budget)
        loudest = best if weight < best.weight else _Pool(count, n, failures, chance, weight)
        best = replace(loudest, chance=chance)
    return best


def _weight(failures: int, n: int, rate: float) -> float:
    share = failures / n
    failing = share * math.log(share / rate) if rate else math.inf
    served = (1 - share) * math.log((1 - share) / (1 - rate)) if share < 1 else 0.0
    return n * (failing + served)


def _literal(check: Rate, seen: _Seen, blind: str | None) -> tuple[Verdict, str]:
    if seen.below >= check.consecutive:
        n = sum(window.total for window in seen.compared)
        failed = sum(window.failed for window in seen.compared)
        return Verdict.FAIL, (
            f"{failed} of {n} calls failed: below the SLO of {check.slo_percent:g} % "
            f"in {check.consecutive} consecutive windows of {check.window_s} s"
        )
    return _healthy(check, seen, blind)


def _healthy(check: Rate, seen: _Seen, blind: str | None) -> tuple[Verdict, str]:
    """Conclude where no rule says FAIL."""
    if blind:
        return Verdict.BLIND, blind
    if seen.below:
        return Verdict.INCONCLUSIVE, (
            f"below the SLO of {check.slo_percent:g} % in {seen.below} of {check.consecutive} windows so far"
        )
    if not seen.compared:
        return Verdict.NO_DATA, (
            f"no call of {check.operation} in {check.lookback_windows} windows of {check.window_s} s"
        )
    return Verdict.PASS, f"at or above the SLO of {check.slo_percent:g} % in the newest window with calls"


def _guarded(
    check: Rate, seen: _Seen, lone: Alone, *, literal: bool, blind: str | None, now: datetime
) -> tuple[Verdict, str]:
    wanted, pool, streak = check.evidence, seen.pool, seen.streak
    shown = literal and pool.chance < wanted.alpha
    fast = streak.count >= wanted.streak and streak.lasted_s >= wanted.streak_s
    if fast and (streak.mixed or lone.tenant is None or not lone.others_known):
        return Verdict.FAIL, f"the newest {streak.count} calls all failed, for {streak.lasted_s:.0f} s"
    if shown and not lone.excuses(now, wait_s=wanted.alone_windows * check.window_s):
        return Verdict.FAIL, (
            f"{pool.failures} of {pool.n} calls failed: below the SLO of {check.slo_percent:g} % in "
            f"{check.consecutive} consecutive windows of {check.window_s} s, and by chance once in "
            f"{_once_in(pool.chance)} at the SLO"
        )
    verdict, detail = _healthy(check, seen, blind)
    if verdict is Verdict.BLIND:
        return verdict, detail
    if shown or fast:
        said = "the others are served" if lone.others_calls else "no other tenant has called since"
        return Verdict.INCONCLUSIVE, f"tenant {lone.tenant} is the only one whose calls fail; {said}"
    if literal:
        return Verdict.INCONCLUSIVE, (
            f"below the SLO of {check.slo_percent:g} % in {check.consecutive} consecutive windows, but "
            f"{seen.failures} of {seen.n} calls in {check.lookback_s} s are too little evidence"
        )
    return verdict, detail


def _once_in(chance: float) -> str:
    return f"{1 / chance:.0e} looks" if chance else "never"


def _back(check: Rate) -> timedelta:
    return timedelta(seconds=check.lookback_s)


def _trouble_since(seen: _Seen) -> datetime:
    """Start of the pooled windows that say most, or of the compared ones."""
    if seen.pool.windows:
        return seen.windows[seen.pool.windows - 1].start
    return seen.compared[-1].start if seen.compared else seen.windows[-1].start


def _first_bad(check: Rate, seen: _Seen) -> datetime | None:
    since = _trouble_since(seen)
    bad = [bucket.start for bucket in seen.buckets if bucket.failed and bucket.start >= since]
    if seen.streak.count >= check.evidence.streak and seen.streak.since is not None:
        bad.append(seen.streak.since)
    return min(bad, default=None)


def _finding(check: Rate, verdict: Verdict, detail: str, now: datetime, **more: Any) -> Finding:
    series: Series | None = more.pop("series", None)
    return concluded(
        "rate",
        check,
        verdict,
        detail,
        now,
        trigger=NAME,
        provider=series.provider if series else None,
        mode_epoch=series.mode_epoch if series else None,
        subject=check.operation,
        bounds=_bounds(check),
        window_s=check.window_s,
        **more,
    )


def _bounds(check: Rate) -> Mapping[str, float]:
    bounds: dict[str, float] = {"slo_percent": check.slo_percent, "consecutive": check.consecutive}
    if check.rule == "guarded":
        bounds |= check.evidence.model_dump()
    return bounds
