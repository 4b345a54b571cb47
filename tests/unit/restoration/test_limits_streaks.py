"""Streaks of calls and of probes at their limits: which instant still counts, and which does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.restoration.looking import NOW, QWEN, bucket, mode, part, signals, tail
from understudy.restoration.signals.readings import ProbeResult, TailCall
from understudy.restoration.signals.windows import CallWindow
from understudy.restoration.triggers.probing import probes_of
from understudy.restoration.triggers.streaks import TAIL_KEPT, Streak, streak_of
from understudy.restoration.triggers.success_rate import judge
from understudy.restoration.triggers.verdict import Verdict

pytestmark = pytest.mark.unit

MINUTE_AGO = NOW - timedelta(seconds=60)
JUST_S = 1e-6


def streak(calls: Sequence[TailCall] = (), buckets: Sequence[CallWindow] = ()) -> Streak:
    return streak_of(calls, buckets, since=MINUTE_AGO, now=NOW)


@pytest.mark.parametrize(("age_s", "count"), [(60, 2), (60 + JUST_S, 1), (30, 2), (0, 2), (-JUST_S, 1)])
def test_a_call_counts_from_the_oldest_instant_to_this_one(age_s: float, count: int) -> None:
    assert streak(tail((age_s, False, "a"), (20, False, "a"))).count == count


@pytest.mark.parametrize(("named", "count"), [(TAIL_KEPT - 1, TAIL_KEPT - 1), (TAIL_KEPT, 75)])
def test_only_a_full_tail_goes_on_in_the_buckets(named: int, count: int) -> None:
    calls = tail(*[(0.1 * index, False, "a") for index in range(named)])
    assert streak(calls, [bucket(age, 25, 25) for age in (0, 5, 10)]).count == count


@pytest.mark.parametrize(
    ("age_s", "count"),
    [(-5, 6), (-5 - JUST_S, 3), (55, 6), (55 + JUST_S, 3)],  # a bucket starts 5 s before it ends
)
def test_a_bucket_counts_from_the_oldest_instant_to_this_one(age_s: float, count: int) -> None:
    buckets = sorted([bucket(20, 3, 3), bucket(age_s, 3, 3)], key=lambda item: item.start, reverse=True)
    assert streak(buckets=buckets).count == count


@pytest.mark.parametrize(("failed", "count"), [(3, 6), (2, 3)])
def test_one_success_in_a_bucket_ends_it(failed: int, count: int) -> None:
    assert streak(buckets=[bucket(0, 3, 3), bucket(5, 3, failed)]).count == count


@pytest.mark.parametrize(("users", "mixed"), [("a", False), ("ab", True), ("", True)])
def test_a_streak_is_one_tenants_only_where_it_alone_is_named(users: str, mixed: bool) -> None:
    calls = tail(*[(index, False, user) for index, user in enumerate(users or [None])])
    assert streak(calls).mixed is mixed
    assert streak(buckets=[bucket(0, 3, 3, failed_users=frozenset(users))]).mixed is mixed


def probed(ages_s: Sequence[float], *, changed_s: float = 3600) -> int:
    failed = tuple(ProbeResult(NOW - timedelta(seconds=age), False, "qwen") for age in ages_s)
    look = signals(row=mode(changed_at=NOW - timedelta(seconds=changed_s)))
    look = replace(look, probes=replace(look.probes, active=failed))
    return len(probes_of(look, QWEN, since=MINUTE_AGO))


def test_probes_count_since_the_mode_is_in_force_and_the_lookback_and_not_ahead() -> None:
    assert probed([30], changed_s=30) == 1
    assert probed([30 + JUST_S], changed_s=30) == 0
    assert probed([60, 0]) == 2
    assert probed([60 + JUST_S, -JUST_S]) == 0


@pytest.mark.parametrize(
    ("served_age_s", "expected"), [(70, Verdict.INCONCLUSIVE), (70 + JUST_S, Verdict.FAIL)]
)
def test_a_user_served_from_the_first_failed_probe_on_contradicts_it(
    served_age_s: float, expected: Verdict
) -> None:
    probes = tail(*[(age, False, None) for age in (10, 40, 70)])
    named = signals(probes=probes, tails=tail((served_age_s, True, "a")))
    counted = signals([bucket(served_age_s - 5, 1)], probes=probes)
    for look in (named, counted):
        assert judge(part(), look, known_good="modal", now=NOW)[0].verdict is expected


@pytest.mark.parametrize(("failed", "expected"), [(2, Verdict.FAIL), (1, Verdict.INCONCLUSIVE)])
def test_users_whose_calls_all_fail_contradict_no_probe(failed: int, expected: Verdict) -> None:
    look = signals([bucket(15, 2, failed)], probes=tail(*[(age, False, None) for age in (10, 40, 70)]))
    assert judge(part(), look, known_good="modal", now=NOW)[0].verdict is expected
