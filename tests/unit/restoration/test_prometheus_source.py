"""Counters of a Prometheus as buckets of calls: falls, births, gaps, and values nobody can count with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.restoration.signals.prometheus import (
    Curve,
    UnusableError,
    began_at_zero,
    bucketed,
    number,
    steps,
)
from understudy.restoration.signals.readings import Series

pytestmark = pytest.mark.unit

SINCE = datetime(2026, 11, 27, 12, tzinfo=UTC)
AT_S = int(SINCE.timestamp())
SPEAK = Series("qwen", 4, "speak")


def curve(*values: float | None, instance: str = "a", first: int = 0, **labels: str) -> Curve:
    """Values at the edges from the ``first`` one on; None is a gap."""
    given_labels = {
        "job": "understudy",
        "instance": instance,
        "provider": "qwen",
        "operation": "speak",
        "outcome": "ok",
        "failure_class": "",
        "mode_epoch": "4",
        **labels,
    }
    points = [(AT_S + 5 * (first + i), v) for i, v in enumerate(values) if v is not None]
    return Curve(given_labels, tuple(points))


def counted(*curves: Curve, zero: bool = False) -> list[tuple[int, int, int]]:
    """``(edge, total, failed)`` of each bucket, oldest first."""
    buckets = bucketed(curves, lambda _: zero, SINCE).get(SPEAK, ())
    assert [b.start for b in buckets] == sorted((b.start for b in buckets), reverse=True)
    return [(int((b.start - SINCE).total_seconds()) // 5, b.total, b.failed) for b in reversed(buckets)]


def test_growth_lies_in_the_bucket_before_the_edge_it_was_seen_at() -> None:
    assert counted(curve(7, 7, 9, 9, 10)) == [(1, 2, 0), (3, 1, 0)]


def test_a_counter_that_falls_began_anew() -> None:
    assert counted(curve(100, 102, 3, 5)) == [(0, 2, 0), (1, 3, 0), (2, 2, 0)]


def test_failures_are_counted_by_class_and_what_callers_end_or_get_wrong_is_not() -> None:
    found = bucketed(
        [
            curve(0, 8),
            curve(0, 2, outcome="failed", failure_class="transport"),
            curve(0, 1, outcome="failed", failure_class="protocol", instance="b"),
            curve(0, 1, outcome="failed"),
            curve(0, 9, outcome="cancelled"),
            curve(0, 7, outcome="rejected"),
            curve(0, 3, operation="design"),
        ],
        lambda _: False,
        SINCE,
    )
    (bucket,) = found[SPEAK]
    assert (bucket.total, bucket.failed) == (12, 4)
    assert bucket.by_class == {"transport": 2, "protocol": 1, "unknown": 1}
    assert found[SPEAK._replace(operation="design")][0].total == 3


@pytest.mark.parametrize(
    ("twin_first", "started_s", "first_counts"),
    [
        (0, None, True),  # its process was there before: the first call of this kind
        (2, None, False),  # process and counter came into sight together: what it shows is history
        (2, AT_S + 3, True),  # ... unless the process started meanwhile
        (2, AT_S - 3600, False),
    ],
)
def test_a_series_that_was_not_there_before(
    twin_first: int, started_s: float | None, first_counts: bool
) -> None:
    calls = curve(5, 6, first=2)
    twin = curve(*[4.0] * (6 - twin_first), first=twin_first)
    starts = [] if started_s is None else [({"job": "understudy", "instance": "a"}, started_s)]
    buckets = bucketed([calls], began_at_zero([calls], [twin], starts, SINCE), SINCE)[SPEAK]
    assert sum(bucket.total for bucket in buckets) == (6 if first_counts else 1)


def test_what_was_there_when_the_time_begins_is_history_whatever_else() -> None:
    assert counted(curve(1000, 1001), zero=True) == [(0, 1, 0)]


@given(st.lists(st.integers(0, 20), min_size=2, max_size=40), st.sets(st.integers(1, 38), max_size=4))
def test_resets_lose_no_call_that_was_seen(growth: list[int], restarts: set[int]) -> None:
    value, values = 0, [0]
    for place, by in enumerate(growth, 1):
        value = by if place in restarts else value + by
        values.append(value)
    total = sum(by for _, by in steps(curve(*values), from_zero=False))
    # One that began anew and has overtaken its old count cannot be told: it hides as many calls.
    hidden = sum(
        values[place - 1]
        for place in range(1, len(values))
        if place in restarts and values[place] >= values[place - 1]
    )
    assert total == sum(growth) - hidden


@pytest.mark.parametrize("text", ["NaN", "+Inf", "-Inf", "-1", "-0.5"])
def test_values_that_cannot_be_counted_with(text: str) -> None:
    with pytest.raises(UnusableError, match="up is"):
        number(text, "up")


@pytest.mark.parametrize(
    "labels",
    [{"provider": ""}, {"operation": ""}, {"outcome": "fine"}, {"mode_epoch": "x"}, {"mode_epoch": ""}],
)
def test_a_series_that_does_not_say_whose_calls_it_counts(labels: dict[str, str]) -> None:
    with pytest.raises(UnusableError, match="lacks"):
        counted(curve(0, 1, **labels))


def test_edges_are_whole_buckets() -> None:
    (bucket,) = bucketed([curve(0, 1)], lambda _: False, SINCE)[SPEAK]
    assert bucket.start == SINCE
    assert bucket.end - bucket.start == timedelta(seconds=5)
