"""Trigger 1 at its limits: the last value that is one thing, and the first that is the other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.restoration.looking import NOW, bucket, part, signals, tail
from understudy.restoration.signals.readings import TailCall
from understudy.restoration.signals.windows import CallWindow
from understudy.restoration.triggers.success_rate import SuccessRate, detectable, judge, recovered
from understudy.restoration.triggers.verdict import Finding, Verdict

pytestmark = pytest.mark.unit

BIG = frozenset({"big"})


def windows(newest_first: Sequence[tuple[int, int]]) -> list[CallWindow]:
    return [bucket(5 * index, total, failed) for index, (total, failed) in enumerate(newest_first) if total]


def found(
    buckets: Sequence[CallWindow], policy: SuccessRate | None = None, tails: Sequence[TailCall] = ()
) -> Finding:
    return judge(policy or part(), signals(buckets, tails=tails), known_good="modal", now=NOW)[0]


def short(**changes: Any) -> SuccessRate:
    """One bucket a window."""
    return part(**{"window_s": 5, "lookback_windows": 6, **changes})


@pytest.mark.parametrize(("calls", "expected"), [(300, False), (301, True)])
def test_exactly_a_third_of_the_budget_is_not_yet_recovered(calls: int, expected: bool) -> None:
    look = signals(windows([(calls, 2)] * 4))
    assert recovered(short(), look, now=NOW) is expected


def test_the_fewest_calls_can_show_something() -> None:
    assert detectable(part().rate, 19) is None
    assert detectable(part().rate, 20) is not None


@pytest.mark.parametrize(("failures", "named"), [(4, None), (5, "big")])
def test_a_streak_exactly_at_the_limit_asks_whose_calls_they_are(failures: int, named: str | None) -> None:
    """A tenant whose five calls alone fail, where others called before, flips nobody."""
    calls = tail(*[(1 + 3 * index, False, "big") for index in range(failures)])
    buckets = [bucket(0, failures, failures, failed_users=BIG), bucket(120, 500)]
    seen = found(buckets, tails=calls)
    assert (seen.verdict, seen.evidence["lone_tenant"]) == (Verdict.INCONCLUSIVE, named)
    assert (seen.evidence["literal"], seen.evidence["streak"]) == (False, failures)


@pytest.mark.parametrize(("failures", "first_bad_s"), [(4, 65), (5, 241)])
def test_trouble_begins_where_a_streak_exactly_at_the_limit_does(failures: int, first_bad_s: int) -> None:
    """Shorter, it is the compared windows (the newest two) that tell when; the streak is older than they."""
    ages = [1 + 60 * index for index in range(failures)]
    calls = tail(*[(age, False, "ab"[index % 2]) for index, age in enumerate(ages)])
    seen = found([bucket(age - 1, 1, 1) for age in ages], tails=calls)
    assert seen.first_bad_at == NOW - timedelta(seconds=first_bad_s)


@pytest.mark.parametrize(("oldest_s", "first_bad_s"), [(25, 30), (30, 5)])
def test_the_oldest_bucket_of_the_oldest_window_is_looked_at(oldest_s: int, first_bad_s: int) -> None:
    seen = found([bucket(0, 5, 4), bucket(oldest_s, 5, 4)], short())  # no streak, which tells by itself
    assert seen.first_bad_at == NOW - timedelta(seconds=first_bad_s)


@pytest.mark.parametrize(("unnamed_age_s", "named"), [(-5, "big"), (0, None)])
def test_a_bucket_that_is_not_over_names_nobody(unnamed_age_s: int, named: str | None) -> None:
    """A failure that nobody is named for unmasks the lone tenant; not until its bucket is over."""
    broken = [bucket(age, 10, 10, failed_users=BIG) for age in (5, 10)]
    unnamed = bucket(unnamed_age_s, 1, 1, failed_users=frozenset())
    seen = found([unnamed, *broken], short())
    assert (seen.evidence["literal"], seen.evidence["lone_tenant"]) == (True, named)


@pytest.mark.parametrize(
    ("newest_first", "slo_percent", "pooled"),
    [
        ([(20, 5), (20, 0)], 99.0, 2),  # two windows are pooled at least, though one has calls enough
        ([(20, 5), (20, 0), (20, 0)], 99.0, 2),  # the third is clean and says less
        ([(20, 2), (20, 0), (20, 1)], 99.0, 3),
        ([(10, 3), (10, 0), (10, 0)], 100.0, 2),  # exactly enough calls before a clean window
        ([(10, 3), (9, 0), (10, 0)], 100.0, 3),  # one too few: it is needed
        ([(10, 5), (10, 5)], 50.0, 0),  # exactly as many as agreed show nothing
        ([(10, 5), (10, 6)], 50.0, 2),
        ([(10, 3), (10, 3), (10, 3)], 100.0, 3),  # equally loud runs: the longest
        ([(10, 2), (9, 1), (0, 0)], 99.0, 0),  # 19 calls
        ([(10, 2), (10, 1), (0, 0)], 99.0, 2),  # 20 calls, three failures
        ([(10, 1), (10, 1), (0, 0)], 99.0, 0),  # two failures
    ],
)
def test_which_windows_are_pooled(
    newest_first: list[tuple[int, int]], slo_percent: float, pooled: int
) -> None:
    seen = found(windows(newest_first), short(slo_percent=slo_percent))
    assert seen.evidence["pooled_windows"] == pooled
    assert seen.evidence["pooled_calls"] == sum(total for total, _ in newest_first[:pooled])


@pytest.mark.parametrize(("rule", "n", "failures"), [("literal", 20, 18), ("guarded", 30, 18)])
def test_each_rule_tells_the_calls_it_judged(rule: str, n: int, failures: int) -> None:
    """The sentence compares the newest two windows; the evidence is pooled over all that are looked at."""
    seen = found(windows([(10, 9), (10, 9), (10, 0)]), short(rule=rule))
    assert (seen.n, seen.failures) == (n, failures)
    older = found(windows([(10, 9), (10, 9), (10, 1)]), short(rule=rule))
    assert older.failures == failures + (rule == "guarded")
