"""Synthetic calls for the simulation: Poisson arrivals of a dozen tenants, failing alone or in bursts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from understudy.restoration.signals.readings import (
    CallReading,
    CostReading,
    IntegrityReading,
    PlaybackReading,
    ProbeReading,
    SecurityReading,
    Series,
    Signals,
    TailCall,
)
from understudy.restoration.signals.windows import BUCKET_S, CallWindow
from understudy.restoration.triggers.streaks import TAIL_KEPT
from understudy.restoration.triggers.success_rate import Rate
from understudy.store.mode import ModeRow

Condition = Literal["healthy", "at_slo", "fail_5", "fail_10", "fail_50", "outage", "bursty"]
#: Error rate where all is well.
HEALTHY_RATE = 0.002
#: In a burst half of the calls fail; bursts last so many seconds on average, and 0.2 % fail in the long run.
BURST_S = 5.0
BURST_RATE = 0.5
FAILING: dict[Condition, float] = {"fail_5": 0.05, "fail_10": 0.10, "fail_50": 0.50, "outage": 1.0}
#: The tenants' shares of the traffic fall as 1/rank.
TENANTS = 12
#: Where simulated time begins; a bucket edge.
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SERIES = Series("qwen", 1, "speak")
MODE = ModeRow("qwen", 1, "simulation", "simulated", None, "qwen", EPOCH)

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls in the order of their times.

    Parameters
    ----------
    at_s
        Seconds since the beginning.
    """

    at_s: Floats
    failed: Bools
    tenant: Ints
    length_s: float


def steady(
    random: np.random.Generator, *, calls_per_minute: float, length_s: float, error_rate: float
) -> Calls:
    """Draw calls that fail independently of each other."""
    at_s = _arrivals(random, calls_per_minute, length_s)
    failed = random.random(len(at_s)) < error_rate
    return Calls(at_s, failed, _tenants(random, len(at_s)), length_s)


def bursty(random: np.random.Generator, *, calls_per_minute: float, length_s: float) -> Calls:
    """Draw calls that fail in bursts only, so that :data:`HEALTHY_RATE` of them fail in the long run."""
    at_s = _arrivals(random, calls_per_minute, length_s)
    between_s = BURST_S * (BURST_RATE / HEALTHY_RATE - 1)
    count = int(length_s / (between_s + BURST_S) * 2) + 20
    edges = np.cumsum(
        np.column_stack((random.exponential(between_s, count), random.exponential(BURST_S, count))).ravel()
    )
    inside = np.searchsorted(edges, at_s) % 2 == 1
    failed = inside & (random.random(len(at_s)) < BURST_RATE)
    return Calls(at_s, failed, _tenants(random, len(at_s)), length_s)


def broken_after(
    random: np.random.Generator,
    *,
    calls_per_minute: float,
    healthy_s: float,
    length_s: float,
    error_rate: float,
) -> Calls:
    """Draw calls of a healthy service that fails with ``error_rate`` from ``healthy_s`` on."""
    at_s = _arrivals(random, calls_per_minute, length_s)
    rates = np.where(at_s < healthy_s, HEALTHY_RATE, error_rate)
    failed = random.random(len(at_s)) < rates
    return Calls(at_s, failed, _tenants(random, len(at_s)), length_s)


def _arrivals(random: np.random.Generator, calls_per_minute: float, length_s: float) -> Floats:
    count = random.poisson(calls_per_minute / 60 * length_s)
    return np.sort(random.uniform(0.0, length_s, count))


def _tenants(random: np.random.Generator, count: int) -> Ints:
    shares = 1 / np.arange(1, TENANTS + 1)
    return random.choice(TENANTS, size=count, p=shares / shares.sum())


class Recorded:
    """Calls as the guard sees them: buckets, the newest calls, and which looks could trip at all."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.buckets = int(calls.length_s // BUCKET_S)
        place = (calls.at_s // BUCKET_S).astype(np.int64)
        totals = np.bincount(place, minlength=self.buckets)[: self.buckets]
        failures = np.bincount(place, weights=calls.failed, minlength=self.buckets)[: self.buckets]
        self._totals = np.concatenate(([0], np.cumsum(totals)))
        self._failures = np.concatenate(([0], np.cumsum(failures))).astype(np.int64)
        index = np.arange(len(calls.failed))
        newest_success = np.maximum.accumulate(np.where(calls.failed, -1, index)) if len(index) else index
        self._run = np.concatenate(([0], index - newest_success))
        self._cut: dict[int, CallWindow | None] = {}

    def suspicious(self, rate: Rate) -> Ints:
        """Return the looks, as buckets before them, that a rule could FAIL at; every other look cannot.

        There the newest window has calls and is not below the SLO (or two have, and the older is not), or
        too few calls failed as far back as is looked, or no run of windows can be as unlikely as ``guarded``
        wants; and the newest ``streak`` calls did not all fail.
        """
        window, lookback = rate.window_s // BUCKET_S, rate.lookback_s // BUCKET_S
        guarded = rate.rule == "guarded"
        looks = np.arange(lookback, self.buckets + 1)
        slo_ppm = round(rate.slo_percent * 10_000)
        fewest = rate.evidence.min_failures if guarded else rate.consecutive
        possible = self._between(self._failures, looks, 0, lookback) >= fewest
        for number in range(min(rate.consecutive, 2)):
            n = self._between(self._totals, looks, number * window, (number + 1) * window)
            bad = self._between(self._failures, looks, number * window, (number + 1) * window)
            healthy = (n > 0) & ((n - bad) * 1_000_000 >= slo_ppm * n)
            if number:  # where the newest window is empty, the second one with calls is another
                healthy &= self._between(self._totals, looks, 0, window) > 0
            possible &= ~healthy
        if guarded:
            possible[possible] = self._unlikely(looks[possible], rate)
            possible |= self._run[self._totals[looks]] >= rate.evidence.streak
        found: Ints = looks[possible]
        return found

    def _unlikely(self, looks: Ints, rate: Rate) -> Bools:
        """Whether the tail of some run of windows may be below alpha.

        A tail is at least its first term, and that (Stirling) at least ``exp(-n KL) / sqrt(8 n s (1 - s))``.
        """
        window = rate.window_s // BUCKET_S
        budget = rate.budget
        found = np.zeros(len(looks), dtype=bool)
        for count in range(1, rate.lookback_windows + 1):
            n = self._between(self._totals, looks, 0, count * window).astype(float)
            bad = self._between(self._failures, looks, 0, count * window).astype(float)
            share = np.divide(bad, n, out=np.zeros_like(n), where=n > 0)
            with np.errstate(divide="ignore", invalid="ignore"):
                failing = np.where(share > 0, share * np.log(share / budget), 0.0)
                served = np.where(share < 1, (1 - share) * np.log((1 - share) / (1 - budget)), 0.0)
            spread = np.maximum(1.0, 8 * n * share * (1 - share))
            bound = -n * (failing + served) - 0.5 * np.log(spread)
            found |= (share > budget) & (bound < math.log(rate.evidence.alpha))
        return found

    @staticmethod
    def _between(sums: Ints, looks: Ints, newer: int, older: int) -> Ints:
        between: Ints = sums[looks - newer] - sums[looks - older]
        return between

    def signals(self, look: int, lookback: int) -> Signals:
        """Return what a guard sees at the edge after ``look`` buckets."""
        now = EPOCH + timedelta(seconds=look * BUCKET_S)
        buckets = tuple(
            bucket
            for index in range(look - 1, max(-1, look - 1 - lookback), -1)
            if (bucket := self._bucket(index)) is not None
        )
        return Signals(
            at=now,
            mode=MODE,
            processes=(),
            calls=CallReading(
                at=now,
                since=now - timedelta(seconds=lookback * BUCKET_S),
                buckets={SERIES: buckets},
                tails={SERIES: self._tail(int(self._totals[look]))},
            ),
            playback=PlaybackReading(now, now),
            cost=CostReading(now),
            integrity=IntegrityReading(now),
            security=SecurityReading(now),
            probes=ProbeReading(now),
        )

    def _tail(self, end: int) -> tuple[TailCall, ...]:
        return tuple(
            TailCall(
                at=EPOCH + timedelta(seconds=float(self._calls.at_s[index])),
                ok=not self._calls.failed[index],
                user=f"t{self._calls.tenant[index]}",
            )
            for index in range(end - 1, max(-1, end - 1 - TAIL_KEPT), -1)
        )

    def _bucket(self, index: int) -> CallWindow | None:
        if index not in self._cut:
            self._cut[index] = self._count(index)
        return self._cut[index]

    def _count(self, index: int) -> CallWindow | None:
        first, last = int(self._totals[index]), int(self._totals[index + 1])
        if first == last:
            return None
        failed, tenants = self._calls.failed[first:last], self._calls.tenant[first:last]
        start = EPOCH + timedelta(seconds=index * BUCKET_S)
        bad = int(failed.sum())
        return CallWindow(
            start,
            start + timedelta(seconds=BUCKET_S),
            last - first,
            bad,
            {"provider": bad} if bad else {},
            failed_users=frozenset(f"t{tenant}" for tenant in tenants[failed]),
            ok_users=frozenset(f"t{tenant}" for tenant in tenants[~failed]),
        )
