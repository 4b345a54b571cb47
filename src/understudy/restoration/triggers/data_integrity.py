"""The fifth condition: rows, objects and schema that contradict each other.

Nothing is tolerated that is older than its invariant's age: younger rows may belong to work in flight.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import Field

from understudy.restoration.signals.integrity import Plan
from understudy.restoration.signals.observing import MISSED_LOOKS
from understudy.restoration.signals.readings import InvariantReading, Signals
from understudy.restoration.triggers.cures import Check, Part
from understudy.restoration.triggers.verdict import Finding, Verdict, concluded

NAME = "data_integrity"


class Invariant(Check):
    """Something that must hold of the stored data; one row that breaks it for long enough is one too many."""

    due_s: float = Field(ge=1, le=86_400)
    """Seconds between two looks; after two looks that did not come it is BLIND."""
    older_than_s: float = Field(ge=0, le=7 * 86_400)
    """Only what is older than this counts: younger rows may be in flight, under a lease."""
    looks: int = Field(ge=1, le=10)
    """Looks in a row that must find it broken; 1 where a look cannot race with the work it looks at."""


class SampledInvariant(Invariant):
    """An invariant that needs the stored objects themselves, some at each look."""

    full_pass_s: float = Field(ge=60, le=31 * 86_400)
    """Seconds in which every one is looked at once."""


class CounterInvariant(Invariant):
    """What the provider counts, against what we count."""

    tolerance_percent: float = Field(ge=0, le=100)
    """How far the two may differ in one call, in percent of the provider's number."""
    window_s: float = Field(ge=60, le=7 * 86_400)
    """Calls of the last so many seconds are compared."""


class DataIntegrity(Part):
    """Fifth condition: data correctness."""

    missing_provider_metadata: Invariant
    """A live voice or a completed generation that lacks what its provider needs to speak it again."""
    orphaned_generations: Invariant
    """A generation that is not ended although no task works on it."""
    orphaned_tasks: Invariant
    """A task past its deadline and lease, or one that completed without its generation."""
    completed_without_audio: SampledInvariant
    """A completed generation whose audio has no key, or whose object is not there."""
    audio_without_row: Invariant
    """Stored audio that no row stands for."""
    unreadable_references: SampledInvariant
    """A live voice without transcript, or whose recording is not there or has another digest."""
    schema_drift: Invariant
    """Live catalog or migration history other than the migrations give."""
    ledger_unbalanced: Invariant
    """A reservation that outlived its task, or a settled sum other than its calls'."""
    provider_counters: CounterInvariant
    """Characters that the provider counts otherwise than we do."""

    def checks(self) -> Iterator[tuple[str, Invariant]]:
        """Every invariant by its name."""
        for name in type(self).model_fields:
            yield name, getattr(self, name)

    def plans(self) -> dict[str, Plan]:
        """What the observer needs to know of each."""
        return {name: _plan(check) for name, check in self.checks()}


def _plan(check: Invariant) -> Plan:
    match check:
        case SampledInvariant():
            return Plan(check.due_s, check.older_than_s, full_pass_s=check.full_pass_s)
        case CounterInvariant():
            return Plan(
                check.due_s,
                check.older_than_s,
                span_s=check.window_s,
                tolerance_percent=check.tolerance_percent,
            )
    return Plan(check.due_s, check.older_than_s)


def judge(policy: DataIntegrity, signals: Signals, *, known_good: str, now: datetime) -> tuple[Finding, ...]:  # noqa: ARG001
    """Judge every invariant by its newest look, whichever provider serves."""
    blind = signals.blind or signals.integrity.blind
    looks = {reading.name: reading for reading in signals.integrity.invariants}
    return tuple(_judged(name, check, looks.get(name), blind, now) for name, check in policy.checks())


def _judged(
    name: str, check: Invariant, look: InvariantReading | None, blind: str | None, now: datetime
) -> Finding:
    verdict, detail = _conclude(check, look, blind, now)
    count = look.count if look else 0
    return concluded(
        name,
        check,
        verdict,
        detail,
        now,
        trigger=NAME,
        subject=name,
        n=count,
        failures=count,
        bounds={"older_than_s": check.older_than_s, "looks": check.looks},
        first_bad_at=look.since if look and count else None,
        evidence={
            "sample": list(look.sample) if look else [],
            "looked_at": look.at.isoformat() if look and look.at else None,
            "broken_looks": look.broken_looks if look else 0,
        },
    )


def _conclude(
    check: Invariant, look: InvariantReading | None, blind: str | None, now: datetime
) -> tuple[Verdict, str]:
    reason = blind or (look.blind if look else "nobody looks at it")
    if look is None or reason is not None:
        return Verdict.BLIND, reason or ""
    if look.at is None:
        return Verdict.NO_DATA, "its first look is not due yet"
    if now - look.at > timedelta(seconds=MISSED_LOOKS * check.due_s):
        return (
            Verdict.BLIND,
            f"last looked at {(now - look.at).total_seconds():.0f} s ago, due each {check.due_s:g} s",
        )
    if not look.count:
        return Verdict.PASS, "holds"
    if look.broken_looks < check.looks:
        return (
            Verdict.INCONCLUSIVE,
            f"{look.count} found, in {look.broken_looks} of {check.looks} looks so far",
        )
    return Verdict.FAIL, f"{look.count} found"
