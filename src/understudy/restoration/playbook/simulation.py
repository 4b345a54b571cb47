"""The live rules over synthetic traffic: how often they cry wolf, and how long they take to see trouble.

A guard looks at every bucket edge, every 5 s. A false trip is followed by ``lookback_windows`` windows in
which nothing is judged, for a restoration is under way; so nothing trips more than 48 times a day. Detection
is timed from the first instant at which calls fail at the new rate, after a healthy stretch as long as is
looked back.
"""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Literal

import numpy as np

from understudy.restoration.playbook.traffic import (
    FAILING,
    HEALTHY_RATE,
    Condition,
    Recorded,
    broken_after,
    bursty,
    steady,
)
from understudy.restoration.signals.windows import BUCKET_S
from understudy.restoration.triggers import success_rate
from understudy.restoration.triggers.statistics import poisson_tail
from understudy.restoration.triggers.success_rate import SuccessRate
from understudy.restoration.triggers.verdict import Verdict

Rule = Literal["literal", "guarded"]
RULES: tuple[Rule, ...] = ("literal", "guarded")
RATES = (1, 5, 20, 60, 600)
QUIET: tuple[Condition, ...] = ("healthy", "at_slo", "bursty")
CONDITIONS: tuple[Condition, ...] = ("healthy", "at_slo", "fail_5", "fail_10", "fail_50", "outage", "bursty")
DAY_S = 86_400
#: Trouble that is not seen within four hours counts as missed; within one where calls are many.
HORIZON_S, BUSY_HORIZON_S = 4 * 3600, 3600
BUSY = 60
SEED = 20_261_125


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is simulated.

    Parameters
    ----------
    days
        Of each quiet condition.
    runs
        Of each kind of trouble.
    shards
        Pieces that a cell is cut into, to share the work.
    """

    days: int = 40
    runs: int = 200
    shards: int = 4
    seed: int = SEED


@dataclass(frozen=True, slots=True)
class Cell:
    """One rule at one level of traffic in one condition, and what came out of it.

    Parameters
    ----------
    detect_s
        Seconds to detection, one a run; infinite where it was missed.
    """

    rule: Rule
    calls_per_minute: int
    condition: Condition
    days: float = 0.0
    trips: int = 0
    detect_s: tuple[float, ...] = ()

    @property
    def key(self) -> tuple[str, int, str]:
        """What names the cell."""
        return self.rule, self.calls_per_minute, self.condition

    def row(self) -> dict[str, Any]:
        """Return the cell as plain data; None where a figure has no meaning or is beyond the horizon."""
        quiet = self.condition in QUIET
        missed = sum(map(math.isinf, self.detect_s))
        return {
            "rule": self.rule,
            "calls_per_minute": self.calls_per_minute,
            "condition": self.condition,
            "false_trips_per_day": round(self.trips / self.days, 4) if quiet and self.days else None,
            "detect_p50_s": self.quantile(0.5),
            "detect_p95_s": self.quantile(0.95),
            "false_trips_per_day_upper": round(upper_rate(self.trips, self.days), 4) if quiet else None,
            "days": self.days if quiet else None,
            "runs": len(self.detect_s),
            "missed": missed,
        }

    def quantile(self, share: float) -> float | None:
        """Seconds within which so many of the runs were detected; None where they were not in the horizon."""
        if not self.detect_s:
            return None
        value = sorted(self.detect_s)[max(0, math.ceil(share * len(self.detect_s)) - 1)]
        return None if math.isinf(value) else round(value, 1)


def upper_rate(trips: int, days: float, *, chance: float = 0.05) -> float:
    """Return the largest rate a day that shows no more than ``trips`` with this chance."""
    if days <= 0:
        return math.inf
    low, high = 0.0, 10.0 + 3.0 * trips
    for _ in range(60):
        middle = (low + high) / 2
        if 1.0 - poisson_tail(trips + 1, middle) > chance:
            low = middle
        else:
            high = middle
    return high / days


def simulate(
    part: SuccessRate,
    plan: Plan,
    *,
    rules: Sequence[Rule] = RULES,
    rates: Sequence[int] = RATES,
    conditions: Sequence[Condition] = CONDITIONS,
    processes: int = 1,
) -> list[Cell]:
    """Run every cell; the same seed gives the same answer with any number of processes."""
    tasks = [
        (rate, condition, shard)
        for condition in conditions
        for rate in sorted(rates, reverse=True)
        for shard in range(plan.shards)
    ]
    run = partial(_task, part.model_dump(), plan, tuple(rules))
    if processes == 1:
        pieces: Iterable[list[Cell]] = map(run, tasks)
        return _merged(pieces, rules, rates, conditions)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        return _merged(pool.map(run, tasks), rules, rates, conditions)


def _merged(
    pieces: Iterable[list[Cell]], rules: Sequence[Rule], rates: Sequence[int], conditions: Sequence[Condition]
) -> list[Cell]:
    found: dict[tuple[str, int, str], Cell] = {}
    for piece in chain.from_iterable(pieces):
        known = found.get(piece.key, Cell(piece.rule, piece.calls_per_minute, piece.condition))
        found[piece.key] = Cell(
            piece.rule,
            piece.calls_per_minute,
            piece.condition,
            known.days + piece.days,
            known.trips + piece.trips,
            known.detect_s + piece.detect_s,
        )
    return [found[rule, rate, condition] for rule in rules for rate in rates for condition in conditions]


def _task(
    document: dict[str, Any], plan: Plan, rules: tuple[Rule, ...], task: tuple[int, Condition, int]
) -> list[Cell]:
    rate, condition, shard = task
    policy = SuccessRate.model_validate(document)
    parts = [
        policy.model_copy(update={"rate": policy.rate.model_copy(update={"rule": rule})}) for rule in rules
    ]
    random = np.random.default_rng([plan.seed, rate, CONDITIONS.index(condition), shard])
    # The same calls for every rule: what differs is the rule.
    if condition in QUIET:
        days = _share(plan.days, plan.shards, shard)
        trips = [
            [_false_trips(part, day) for part in parts]
            for day in _days(policy, random, rate, condition, days)
        ]
        return [
            Cell(rule, rate, condition, days, sum(day[index] for day in trips))
            for index, rule in enumerate(rules)
        ]
    runs = [
        _detections(parts, random, rate, FAILING[condition])
        for _ in range(_share(plan.runs, plan.shards, shard))
    ]
    return [
        Cell(rule, rate, condition, detect_s=tuple(run[index] for run in runs))
        for index, rule in enumerate(rules)
    ]


def _share(total: int, shards: int, shard: int) -> int:
    return total // shards + (shard < total % shards)


def _days(
    policy: SuccessRate, random: np.random.Generator, rate: int, condition: Condition, days: int
) -> Iterator[Recorded]:
    """Draw days one by one, each after a stretch of the same traffic that fills the windows."""
    length_s = DAY_S + policy.rate.lookback_s
    for _ in range(days):
        if condition == "bursty":
            calls = bursty(random, calls_per_minute=rate, length_s=length_s)
        else:
            error_rate = policy.rate.budget if condition == "at_slo" else HEALTHY_RATE
            calls = steady(random, calls_per_minute=rate, length_s=length_s, error_rate=error_rate)
        yield Recorded(calls)


def _false_trips(part: SuccessRate, recorded: Recorded) -> int:
    lookback = part.rate.lookback_s // BUCKET_S
    trips, again = 0, 0
    for look in looks(part, recorded):
        if look >= again and fails(part, recorded, look):
            trips += 1
            again = look + lookback
    return trips


def _detections(
    parts: Sequence[SuccessRate], random: np.random.Generator, rate: int, error_rate: float
) -> list[float]:
    """Return each rule's seconds from the first bad instant to its first FAIL after it."""
    lookback_s = parts[0].rate.lookback_s
    # The trouble begins anywhere between two looks.
    healthy_s = lookback_s + BUCKET_S * float(random.random())
    calls = broken_after(
        random,
        calls_per_minute=rate,
        healthy_s=healthy_s,
        length_s=lookback_s + (HORIZON_S if rate < BUSY else BUSY_HORIZON_S),
        error_rate=error_rate,
    )
    recorded = Recorded(calls)
    return [_detected_s(part, recorded, healthy_s) for part in parts]


def _detected_s(part: SuccessRate, recorded: Recorded, healthy_s: float) -> float:
    for look in looks(part, recorded):
        if look * BUCKET_S > healthy_s and fails(part, recorded, look):
            return look * BUCKET_S - healthy_s
    return math.inf


def looks(part: SuccessRate, recorded: Recorded) -> list[int]:
    """Looks worth judging: at the others the rule cannot FAIL (tested against judging them all)."""
    return [int(look) for look in recorded.suspicious(part.rate)]


def fails(part: SuccessRate, recorded: Recorded, look: int) -> bool:
    """Judge one look as the guard does."""
    signals = recorded.signals(look, part.rate.lookback_s // BUCKET_S)
    return success_rate.judge(part, signals, known_good="modal", now=signals.at)[0].verdict is Verdict.FAIL
