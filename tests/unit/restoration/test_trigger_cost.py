from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.unit.restoration.signals_of import NOW, signals
from understudy.restoration.signals.readings import CostReading, CreateRepeat, TenantSpending
from understudy.restoration.triggers.cost import (
    Cost,
    CreatesHour,
    DesignRepeats,
    RunawayCharacters,
    SpendHour,
    judge,
    usual_rate,
)
from understudy.restoration.triggers.verdict import Finding, Verdict
from understudy.store.valves import DESIGN_CREATES, GENERATION

pytestmark = pytest.mark.unit

POLICY = Cost(
    design_repeats=DesignRepeats(mode="auto", cures=["close_valve"], max_creates=5),
    creates_hour=CreatesHour(
        mode="auto",
        cures=["close_valve"],
        hard_limit=100,
        minimum_cap=6,
        minimum_hours=24,
        false_alarms_a_year=1.0,
    ),
    runaway_characters=RunawayCharacters(
        mode="pause",
        cures=["throttle_tenant"],
        hard_limit=500_000,
        floor=50_000,
        robust_z=5.0,
        median_multiple=10.0,
        minimum_hours=24,
    ),
    spend_hour=SpendHour(
        mode="pause",
        cures=["close_valve"],
        hard_limit_microusd=50_000_000,
        floor_microusd=5_000_000,
        robust_z=5.0,
        median_multiple=10.0,
        minimum_hours=24,
    ),
)


def found(check: str, **reading: object) -> list[Finding]:
    cost = CostReading(NOW, **reading)  # type: ignore[arg-type]
    judged = judge(POLICY, signals(cost=cost), known_good="modal", now=NOW)
    return [finding for finding in judged if finding.check == check]


def repeat(creates: int, user: str = "a", digest: str = "d1") -> CreateRepeat:
    return CreateRepeat(user, digest, creates, NOW - timedelta(minutes=50), NOW)


def test_repeated_design_creates_of_one_tenant_and_prompt() -> None:
    [tolerated] = found("design_repeats", repeats=(repeat(5), repeat(5, digest="d2")))
    assert tolerated.verdict is Verdict.PASS  # ten in all, no prompt more than five times
    [one_more] = found("design_repeats", repeats=(repeat(6), repeat(5, "b")))
    assert (one_more.verdict, one_more.subject, one_more.mode) == (Verdict.FAIL, "a", "auto")
    assert one_more.first_bad_at == NOW - timedelta(minutes=50)
    assert one_more.evidence["valve_closed"] is False
    assert [f.subject for f in found("design_repeats", repeats=(repeat(6), repeat(7, "b")))] == ["a", "b"]
    assert found("design_repeats")[0].verdict is Verdict.NO_DATA


def test_a_valve_that_is_closed_already_is_told() -> None:
    closed = frozenset({DESIGN_CREATES})
    [again] = found("design_repeats", repeats=(repeat(6),), closed_valves=closed)
    [hour] = found("creates_hour", creates_hour=101, closed_valves=closed)
    assert (again.verdict, again.evidence["valve_closed"]) == (Verdict.FAIL, True)
    assert (hour.verdict, hour.evidence["valve_closed"]) == (Verdict.FAIL, True)


@pytest.mark.parametrize("closed", [True, False])
def test_each_finding_tells_of_the_valve_that_would_stop_it(closed: bool) -> None:
    """Characters are stopped by the one for generation, money by the one for creates."""
    [characters] = found(
        "runaway_characters",
        tenants=(tenant(500_001),),
        closed_valves=frozenset({GENERATION if closed else DESIGN_CREATES}),
    )
    [money] = found(
        "spend_hour",
        spend_hour_microusd=50_000_001,
        closed_valves=frozenset({DESIGN_CREATES if closed else GENERATION}),
    )
    for finding in (characters, money):
        assert (finding.verdict, finding.evidence["valve_closed"]) == (Verdict.FAIL, closed)


@pytest.mark.parametrize(
    ("a_day", "trips_at"),
    [(0, 6), (12, 6), (48, 10), (120, 16), (480, 39), (1440, 92)],  # facts/restoration.md 2.3
)
def test_creates_an_hour_trip_where_the_table_of_poisson_caps_says(a_day: int, trips_at: int) -> None:
    hours = tuple(a_day * (i + 1) // 24 - a_day * i // 24 for i in range(24))
    for creates, expected in ((trips_at - 1, Verdict.PASS), (trips_at, Verdict.FAIL)):
        [finding] = found("creates_hour", creates_hour=creates, create_hours=hours)
        assert finding.verdict is expected, finding.detail


def test_without_enough_hours_only_the_hard_limit_counts() -> None:
    for hours, creates, expected in (
        ((0,) * 23, 100, Verdict.PASS),
        ((0,) * 23, 101, Verdict.FAIL),
        ((0,) * 24, 100, Verdict.FAIL),
        ((90,) * 100, 101, Verdict.FAIL),  # usual is no excuse for the hard limit
        ((), 0, Verdict.NO_DATA),
    ):
        [finding] = found("creates_hour", creates_hour=creates, create_hours=hours)
        assert finding.verdict is expected


def test_what_is_usual_knows_the_time_of_day_and_forgets_accidents() -> None:
    night_and_noon = [20 if hour in {22, 23, 0} else 1 for hour in range(24)] * 7  # now is as busy as that
    assert usual_rate(night_and_noon, most=100) == pytest.approx(20.0)
    assert usual_rate(night_and_noon[: 24 * 2], most=100) < 4  # two days are no habit
    assert usual_rate(night_and_noon[: 24 * 3], most=100) < 4  # the ninth such hour is the 73rd
    assert usual_rate(night_and_noon[: 24 * 3 + 1], most=100) == pytest.approx(20.0)
    accident = [0] * 167 + [5000]
    assert usual_rate(accident, most=100) == pytest.approx(100 / 168)
    assert usual_rate([], most=100) == 0.0


def tenant(characters: int, hours: Sequence[int] = (), user: str = "a") -> TenantSpending:
    return TenantSpending(user, characters, cost_microusd=1, creates=0, hours=tuple(hours))


VARIED = [9_000, 10_000, 11_000] * 8  # median 10 000, MAD 1 000 (sigma 1 482.6)
LARGE = [90_000, 100_000, 110_000] * 8


@pytest.mark.parametrize(
    ("characters", "hours", "expected"),
    [
        (500_000, (), Verdict.PASS),
        (500_001, (), Verdict.FAIL),  # the hard limit
        (50_000, VARIED, Verdict.PASS),  # 27 deviations, and a small tenant
        (50_001, VARIED, Verdict.FAIL),
        (50_001, VARIED[:23], Verdict.PASS),  # too few hours of its own
        (174_130, LARGE, Verdict.PASS),  # exactly 5 deviations
        (174_131, LARGE, Verdict.FAIL),
        (60_000, [6_000] * 24, Verdict.PASS),  # hours that do not differ: ten times the median
        (60_001, [6_000] * 24, Verdict.FAIL),
        (0, (), Verdict.NO_DATA),
    ],
)
def test_runaway_characters(characters: int, hours: Sequence[int], expected: Verdict) -> None:
    [finding] = found("runaway_characters", tenants=(tenant(characters, hours),))
    assert finding.verdict is expected, finding.detail
    assert finding.subject == ("a" if expected is Verdict.FAIL else "")


def test_a_tenant_that_is_most_of_the_traffic_is_no_runaway_and_a_small_one_can_be() -> None:
    [only] = found(
        "runaway_characters",
        tenants=(tenant(400_000, [400_000] * 168, "big"), tenant(60_001, [100] * 168, "small")),
    )
    assert only.subject == "small"


@pytest.mark.parametrize(
    ("spent", "hours", "expected"),
    [
        (50_000_000, (), Verdict.PASS),
        (50_000_001, (), Verdict.FAIL),
        (5_000_000, [0] * 24, Verdict.PASS),
        (5_000_001, [0] * 24, Verdict.FAIL),  # nothing is usual: any money above the floor is too much
        (5_000_001, [0] * 23, Verdict.PASS),
        (20_000_000, [1_000_000, 5_000_000, 9_000_000] * 8, Verdict.PASS),
        (40_000_000, [1_000_000, 5_000_000, 9_000_000] * 8, Verdict.FAIL),
        (0, (), Verdict.NO_DATA),
    ],
)
def test_money_an_hour(spent: int, hours: Sequence[int], expected: Verdict) -> None:
    [finding] = found("spend_hour", spend_hour_microusd=spent, spend_hours=tuple(hours))
    assert finding.verdict is expected, finding.detail


def test_a_reading_that_cannot_be_believed_is_blind() -> None:
    cost = CostReading(NOW, repeats=(repeat(60),), creates_hour=1000, blind="frozen")
    findings = judge(POLICY, signals(cost=cost), known_good="modal", now=NOW)
    assert [(finding.verdict, finding.detail) for finding in findings] == [(Verdict.BLIND, "frozen")] * 4


@pytest.mark.parametrize(
    ("shares", "most"),
    [((31_000_000, 29_000_000), "a"), ((30_000_000, 30_000_000), None), ((), None)],
)
def test_money_that_is_unusual_names_the_tenant_that_spent_more_than_all_others(
    shares: tuple[int, ...], most: str | None
) -> None:
    tenants = tuple(
        TenantSpending(user, 1, cost_microusd=cost, creates=0, hours=())
        for user, cost in zip("ab", shares, strict=False)
    )
    [finding] = found("spend_hour", spend_hour_microusd=60_000_000, tenants=tenants)
    assert finding.verdict is Verdict.FAIL
    named = finding.evidence["most_of_it"]
    assert (named["user"] if named else None) == most
