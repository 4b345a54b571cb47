"""Trigger 2: realtime failures by class, count and share against what was usual."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.restoration.looking import NOW, PLAYBOOK, QWEN, bucket, mode, signals
from understudy.restoration.signals.readings import Series
from understudy.restoration.signals.windows import CallWindow
from understudy.restoration.triggers.realtime_failures import CLASSES, RealtimeFailures, judge
from understudy.restoration.triggers.statistics import poisson_tail
from understudy.restoration.triggers.verdict import Finding, Verdict

pytestmark = pytest.mark.unit

PART = PLAYBOOK.triggers.realtime_failures


def failing(age_s: float, total: int, failed: int, name: str = "protocol", **more: Any) -> CallWindow:
    return bucket(age_s, total, failed, by_class={name: failed}, **more)


def found(
    buckets: list[CallWindow], name: str = "protocol", policy: RealtimeFailures = PART, **more: Any
) -> Finding:
    findings = judge(policy, signals(buckets, **more), known_good="modal", now=NOW)
    assert [item.check for item in findings] == list(CLASSES)
    return next(item for item in findings if item.check == name)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize(
    ("total", "failed", "expected"),
    [
        (50, 5, Verdict.FAIL),  # both limits exactly
        (40, 4, Verdict.PASS),  # four are not five
        (51, 5, Verdict.PASS),  # 9.8 %
        (5, 5, Verdict.FAIL),
        (0, 0, Verdict.NO_DATA),
    ],
)
def test_count_and_share(name: str, total: int, failed: int, expected: Verdict) -> None:
    buckets = [failing(10, total, failed, name)] if total else []
    assert found(buckets, name).verdict is expected
    for other in set(CLASSES) - {name}:
        assert found(buckets, other).verdict is (Verdict.PASS if total else Verdict.NO_DATA)


def test_only_the_newest_window_counts_and_its_edges_are_exact() -> None:
    assert found([failing(55, 20, 10)]).verdict is Verdict.FAIL
    assert found([failing(60, 20, 10), bucket(0, 20)]).verdict is Verdict.PASS
    half = [failing(0, 25, 3), failing(60, 25, 2)]
    assert found(half).verdict is Verdict.PASS


def test_what_is_usual_is_no_failure_but_what_lasts_does_not_become_usual() -> None:
    usual = [failing(age, 100, 4) for age in range(60, 1800, 60)]
    assert poisson_tail(10, 0.04 * 100) > 1e-3 > poisson_tail(12, 0.04 * 100)
    assert found([failing(0, 100, 10), *usual]).verdict is Verdict.INCONCLUSIVE
    assert found([failing(0, 100, 12), *usual]).verdict is Verdict.FAIL
    assert found([failing(0, 100, 10)]).verdict is Verdict.FAIL  # nothing before: the floor
    lasting = [failing(age, 100, 90) for age in range(60, 1800, 60)]
    assert found([failing(0, 100, 90), *lasting]).verdict is Verdict.FAIL


def test_a_single_tenant_is_named_and_flips_nobody() -> None:
    alone = [
        failing(age, 10, 9, failed_users=frozenset({"big"}), ok_users=frozenset({"small"}))
        for age in (0, 5, 10)
    ]
    seen = found(alone)
    assert (seen.verdict, "tenant big" in seen.detail) == (Verdict.INCONCLUSIVE, True)
    everyone = [failing(age, 9, 9, failed_users=frozenset({"big"})) for age in (0, 5, 10)]
    assert found(everyone).verdict is Verdict.FAIL
    mixed = [failing(age, 10, 9, failed_users=frozenset({"big", "small"})) for age in (0, 5, 10)]
    assert found(mixed).verdict is Verdict.FAIL


def test_it_does_not_apply_where_nothing_streams() -> None:
    calls = {Series("modal", 4, "speak"): [failing(0, 50, 50)], QWEN: [failing(0, 50, 50)]}
    findings = judge(PART, signals(calls, row=mode("modal", 4)), known_good="modal", now=NOW)
    assert {item.verdict for item in findings} == {Verdict.NO_DATA}
    assert "not applicable: modal does not stream" in findings[0].detail
    both = PART.model_copy(update={"providers": ["qwen", "modal"]})
    assert (
        judge(both, signals(calls, row=mode("modal", 4)), known_good="modal", now=NOW)[1].verdict
        is Verdict.FAIL
    )


def test_blindness_hides_health_but_not_failure_and_bad_counts_are_blind() -> None:
    assert found([failing(0, 50, 1)], blind="gone").verdict is Verdict.BLIND
    assert found([failing(0, 50, 25)], blind="gone").verdict is Verdict.FAIL
    modal = judge(PART, signals(blind="gone", row=mode("modal", 4)), known_good="modal", now=NOW)
    assert {item.verdict for item in modal} == {Verdict.BLIND}
    for total, failed, by_class in ((10, 5, 6), (10, 11, 11), (10, 5, -1)):
        bad = bucket(0, total, failed, by_class={"protocol": by_class})
        assert found([bad]).verdict is Verdict.BLIND


@given(st.integers(0, 200), st.data())
def test_more_failures_never_make_it_milder(total: int, data: st.DataObject) -> None:
    failed = data.draw(st.integers(0, total))
    more = data.draw(st.integers(failed, total))
    before = [failing(60, 100, data.draw(st.integers(0, 20)))]
    some, many = found([failing(0, total, failed), *before]), found([failing(0, total, more), *before])
    if total:
        assert many.verdict.severity >= some.verdict.severity
