"""The fourth condition: money runs away, by repeated design creates or by generation without end.

Counted from our own ledger at the point of admission, never from a provider's bill, which comes a day late.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from statistics import fmean, median
from typing import Any

from pydantic import Field

from understudy.money import dollars
from understudy.restoration.signals.readings import CostReading, Signals
from understudy.restoration.triggers.cures import Check, Part
from understudy.restoration.triggers.statistics import poisson_cap, robust_z
from understudy.restoration.triggers.verdict import Finding, Verdict, concluded
from understudy.store.valves import DESIGN_CREATES, GENERATION

NAME = "cost"
_finding = partial(concluded, trigger=NAME)

HOURS_A_YEAR = 8760


class DesignRepeats(Check):
    """One tenant pays for the same voice design again and again."""

    max_creates: int = Field(ge=1, le=1000)
    """Billed creates of one tenant for one prompt in 60 minutes that are tolerated; one more trips."""


class CreatesHour(Check):
    """Billed creates of all tenants in 60 minutes."""

    hard_limit: int = Field(ge=1, le=1_000_000)
    """More than this trips, whatever is usual."""
    minimum_cap: int = Field(ge=1, le=1_000_000)
    """Fewer than this never trip, however quiet it was before."""
    minimum_hours: int = Field(ge=1, le=168)
    """Whole hours on record from which on what is usual counts at all; before, only the hard limit."""
    false_alarms_a_year: float = Field(gt=0, le=365)
    """How often chance alone may trip it."""


class RunawayCharacters(Check):
    """Characters that one tenant had spoken in 60 minutes."""

    hard_limit: int = Field(ge=1)
    """More than this trips, whatever is usual for the tenant."""
    floor: int = Field(ge=0)
    """Up to this many never trip: a small tenant that has a busy hour is no accident."""
    robust_z: float = Field(gt=0, le=100)
    """Robust standard deviations above the median of the tenant's own hours from which on it trips."""
    median_multiple: float = Field(gt=1, le=1000)
    """Where its hours do not differ (no deviation): this many times their median trips."""
    minimum_hours: int = Field(ge=1, le=168)
    """Hours in which the tenant must have spoken before its own usual counts; until then, the hard limit."""


class SpendHour(Check):
    """Micro-dollars of all tenants in 60 minutes."""

    hard_limit_microusd: int = Field(ge=1)
    """More than this trips, whatever is usual."""
    floor_microusd: int = Field(ge=0)
    """Up to this much never trips."""
    robust_z: float = Field(gt=0, le=100)
    """Robust standard deviations above the median of the hours before from which on it trips."""
    median_multiple: float = Field(gt=1, le=1000)
    """Where those hours do not differ: this many times their median trips."""
    minimum_hours: int = Field(ge=1, le=168)
    """Whole hours on record from which on what is usual counts at all."""


class Cost(Part):
    """Fourth condition: repeated design creates, or runaway generation."""

    design_repeats: DesignRepeats
    """The same design, paid for again and again by one tenant."""
    creates_hour: CreatesHour
    """All billed creates of an hour."""
    runaway_characters: RunawayCharacters
    """One tenant's speech in an hour."""
    spend_hour: SpendHour
    """All money of an hour."""


def judge(policy: Cost, signals: Signals, *, known_good: str, now: datetime) -> tuple[Finding, ...]:  # noqa: ARG001
    """Judge what is spent, whichever provider is paid for it."""
    reading = signals.cost
    blind = signals.blind or reading.blind
    if blind is not None:
        checks = (
            ("design_repeats", policy.design_repeats),
            ("creates_hour", policy.creates_hour),
            ("runaway_characters", policy.runaway_characters),
            ("spend_hour", policy.spend_hour),
        )
        return tuple(_finding(name, check, Verdict.BLIND, blind, now) for name, check in checks)
    return (
        *_design_repeats(policy.design_repeats, reading, now),
        _creates_hour(policy.creates_hour, reading, now),
        *_runaway(policy.runaway_characters, reading, now),
        _spend_hour(policy.spend_hour, reading, now),
    )


def _design_repeats(check: DesignRepeats, reading: CostReading, now: datetime) -> list[Finding]:
    bounds = {"max_creates": check.max_creates}
    found = [
        _finding(
            "design_repeats",
            check,
            Verdict.FAIL,
            f"{repeat.creates} billed creates of one tenant for one prompt in 60 minutes, "
            f"{check.max_creates} are tolerated",
            now,
            subject=repeat.user,
            n=repeat.creates,
            failures=repeat.creates - check.max_creates,
            bounds=bounds,
            first_bad_at=repeat.first_at,
            evidence={
                "prompt_digest": repeat.prompt_digest,
                "last_at": repeat.last_at.isoformat(),
                "valve_closed": DESIGN_CREATES in reading.closed_valves,
            },
        )
        for repeat in reading.repeats
        if repeat.creates > check.max_creates
    ]
    if found:
        return found
    most = max((repeat.creates for repeat in reading.repeats), default=0)
    verdict = Verdict.PASS if most else Verdict.NO_DATA
    detail = f"at most {most} billed creates of one prompt by one tenant in 60 minutes"
    return [_finding("design_repeats", check, verdict, detail, now, n=most, bounds=bounds)]


def _creates_hour(check: CreatesHour, reading: CostReading, now: datetime) -> Finding:
    creates = reading.creates_hour
    usual = usual_rate(reading.create_hours, most=check.hard_limit)
    trips_at = check.hard_limit + 1
    if len(reading.create_hours) >= check.minimum_hours:
        cap = poisson_cap(usual, looks_a_year=HOURS_A_YEAR, false_alarms_a_year=check.false_alarms_a_year)
        trips_at = min(trips_at, max(cap, check.minimum_cap))
    verdict = Verdict.FAIL if creates >= trips_at else Verdict.PASS if creates else Verdict.NO_DATA
    return _finding(
        "creates_hour",
        check,
        verdict,
        f"{creates} billed creates in 60 minutes, usually {usual:.1f} an hour; {trips_at} trip",
        now,
        n=creates,
        failures=max(0, creates - trips_at + 1),
        bounds={"hard_limit": check.hard_limit, "trips_at": trips_at},
        evidence={
            "usual_an_hour": round(usual, 2),
            "hours_on_record": len(reading.create_hours),
            "valve_closed": DESIGN_CREATES in reading.closed_valves,
        },
    )


def usual_rate(hours: Sequence[int], *, most: int) -> float:
    """Return what is usual in an hour like this one.

    The mean of all hours or, where it is more, the median of those at this time of earlier days (an hour
    either way, of at least three days): a busy noon is not held against a quiet night. No hour counts for
    more than ``most``, so that one accident does not raise what is usual for a week.

    Parameters
    ----------
    hours
        Whole hours before now, newest first.
    """
    if not hours:
        return 0.0
    kept = [min(count, most) for count in hours]
    now_of_day = [
        count for hours_ago, count in enumerate(kept, start=1) if hours_ago > 2 and (hours_ago + 1) % 24 <= 2
    ]
    seasonal = median(now_of_day) if len(now_of_day) >= 3 * 3 else 0.0
    return max(fmean(kept), seasonal)


def _runaway(check: RunawayCharacters, reading: CostReading, now: datetime) -> list[Finding]:
    bounds = {"hard_limit": check.hard_limit, "floor": check.floor}
    found = []
    for tenant in reading.tenants:
        reason = _unusual(
            tenant.characters,
            tenant.hours,
            hard_limit=check.hard_limit,
            floor=check.floor,
            z=check.robust_z,
            multiple=check.median_multiple,
            minimum_hours=check.minimum_hours,
            told=str,
        )
        if reason is None:
            continue
        found.append(
            _finding(
                "runaway_characters",
                check,
                Verdict.FAIL,
                f"one tenant had {tenant.characters} characters spoken in 60 minutes: {reason}",
                now,
                subject=tenant.user,
                n=tenant.characters,
                failures=tenant.characters,
                bounds=bounds,
                evidence={
                    "cost_microusd": tenant.cost_microusd,
                    "creates": tenant.creates,
                    "usual_characters": median(tenant.hours) if tenant.hours else None,
                    "hours_on_record": len(tenant.hours),
                    "valve_closed": GENERATION in reading.closed_valves,
                },
            )
        )
    if found:
        return found
    most = max((tenant.characters for tenant in reading.tenants), default=0)
    verdict = Verdict.PASS if most else Verdict.NO_DATA
    detail = f"at most {most} characters of one tenant in 60 minutes"
    return [_finding("runaway_characters", check, verdict, detail, now, n=most, bounds=bounds)]


def _spend_hour(check: SpendHour, reading: CostReading, now: datetime) -> Finding:
    spent = reading.spend_hour_microusd
    reason = _unusual(
        spent,
        reading.spend_hours,
        hard_limit=check.hard_limit_microusd,
        floor=check.floor_microusd,
        z=check.robust_z,
        multiple=check.median_multiple,
        minimum_hours=check.minimum_hours,
        told=dollars,
    )
    verdict = Verdict.FAIL if reason else Verdict.PASS if spent else Verdict.NO_DATA
    return _finding(
        "spend_hour",
        check,
        verdict,
        f"{dollars(spent)} in 60 minutes{f': {reason}' if reason else ''}",
        now,
        n=spent,
        failures=spent if reason else 0,
        bounds={"hard_limit_microusd": check.hard_limit_microusd, "floor_microusd": check.floor_microusd},
        evidence={
            "usual_microusd": median(reading.spend_hours) if reading.spend_hours else None,
            "hours_on_record": len(reading.spend_hours),
            "most_of_it": _most_of(reading, spent),
            "closed_valves": sorted(reading.closed_valves),
            "valve_closed": DESIGN_CREATES in reading.closed_valves,
        },
    )


def _most_of(reading: CostReading, spent: int) -> dict[str, Any] | None:
    """The tenant that spent more than all others together, if one did."""
    top = max(reading.tenants, key=lambda tenant: tenant.cost_microusd, default=None)
    if top is None or 2 * top.cost_microusd <= spent:
        return None
    return {"user": top.user, "cost_microusd": top.cost_microusd}


def _unusual(
    value: int,
    hours: Sequence[int],
    *,
    hard_limit: int,
    floor: int,
    z: float,
    multiple: float,
    minimum_hours: int,
    told: Callable[[int], str],
) -> str | None:
    """Say why ``value`` is out of bounds, or None; ``told`` writes what is counted."""
    if value > hard_limit:
        return f"more than the hard limit of {told(hard_limit)}"
    if value <= floor or len(hours) < minimum_hours:
        return None
    distance = robust_z(value, hours)
    if distance is not None:
        return f"{distance:.1f} robust deviations above the usual" if distance > z else None
    usual = median(hours)
    if value <= multiple * usual:
        return None
    return f"more than {multiple:g} times the usual {told(round(usual))}"
