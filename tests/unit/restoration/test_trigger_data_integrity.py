from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.restoration.signals_of import NOW, signals
from understudy.restoration.signals.integrity import Plan
from understudy.restoration.signals.readings import IntegrityReading, InvariantReading
from understudy.restoration.triggers.data_integrity import (
    CounterInvariant,
    DataIntegrity,
    Invariant,
    SampledInvariant,
    judge,
)
from understudy.restoration.triggers.verdict import Finding, Verdict, worst
from understudy.store.invariants import QUERIES

pytestmark = pytest.mark.unit

NAMES = tuple(DataIntegrity.model_fields)


def policy(looks: int = 1) -> DataIntegrity:
    shared = {
        "mode": "pause",
        "cures": ["code_rollback"],
        "due_s": 60.0,
        "older_than_s": 120.0,
        "looks": looks,
    }
    made: dict[str, Invariant] = {name: Invariant(**shared) for name in NAMES}  # type: ignore[arg-type]
    for name in ("completed_without_audio", "unreadable_references"):
        made[name] = SampledInvariant(**shared, full_pass_s=3600.0)  # type: ignore[arg-type]
    made["provider_counters"] = CounterInvariant(**shared, tolerance_percent=5.0, window_s=600.0)  # type: ignore[arg-type]
    return DataIntegrity(**made)  # type: ignore[arg-type]


def found(reading: InvariantReading, looks: int = 1) -> Finding:
    healthy = [InvariantReading(name, NOW, 60.0) for name in NAMES if name != reading.name]
    integrity = IntegrityReading(NOW, (reading, *healthy))
    findings = judge(policy(looks), signals(integrity=integrity), known_good="modal", now=NOW)
    assert [finding.check for finding in findings] == list(NAMES)
    others = [finding for finding in findings if finding.check != reading.name]
    assert {finding.verdict for finding in others} == {Verdict.PASS}
    return next(finding for finding in findings if finding.check == reading.name)


def broken(name: str = "orphaned_tasks", count: int = 1, looks: int = 1, **more: object) -> InvariantReading:
    fields = {"sample": ("t1",), "since": NOW - timedelta(seconds=60), "broken_looks": looks} | more
    return InvariantReading(name, NOW, 60.0, count, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_every_invariant_tolerates_nothing(name: str) -> None:
    finding = found(broken(name))
    assert (finding.verdict, finding.n, finding.subject) == (Verdict.FAIL, 1, name)
    assert finding.evidence["sample"] == ["t1"]
    assert finding.first_bad_at == NOW - timedelta(seconds=60)


@pytest.mark.parametrize(
    ("agreed", "seen", "expected"),
    [(1, 1, Verdict.FAIL), (2, 1, Verdict.INCONCLUSIVE), (2, 2, Verdict.FAIL), (3, 2, Verdict.INCONCLUSIVE)],
)
def test_what_can_race_must_be_seen_again(agreed: int, seen: int, expected: Verdict) -> None:
    assert found(broken(looks=seen), agreed).verdict is expected


def test_an_invariant_whose_looks_do_not_come_is_blind_whatever_was_seen_last() -> None:
    for late_s, expected in ((120, Verdict.PASS), (120.001, Verdict.BLIND)):
        at = NOW - timedelta(seconds=late_s)
        assert found(InvariantReading("schema_drift", at, 60.0)).verdict is expected
    late = broken(blind="no answer within 30 s")
    assert (found(late).verdict, found(late).detail) == (Verdict.BLIND, "no answer within 30 s")
    assert found(InvariantReading("schema_drift", None, 60.0)).verdict is Verdict.NO_DATA


def test_an_invariant_that_nobody_looks_at_is_blind() -> None:
    findings = judge(policy(), signals(), known_good="modal", now=NOW)
    assert {finding.verdict for finding in findings} == {Verdict.BLIND}
    unread = IntegrityReading(NOW, tuple(InvariantReading(name, NOW, 60.0) for name in NAMES), blind="away")
    findings = judge(policy(), signals(integrity=unread), known_good="modal", now=NOW)
    assert worst(finding.verdict for finding in findings) is Verdict.BLIND


def test_the_observer_gets_the_numbers_of_the_policy() -> None:
    plans = policy().plans()
    assert set(plans) == set(QUERIES) | {"schema_drift"}
    assert plans["orphaned_tasks"] == Plan(60.0, 120.0)
    assert plans["unreadable_references"] == Plan(60.0, 120.0, full_pass_s=3600.0)
    assert plans["provider_counters"] == Plan(60.0, 120.0, span_s=600.0, tolerance_percent=5.0)
