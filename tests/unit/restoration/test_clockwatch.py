"""Clocks: jumps and disagreement in both directions, and clocks that stand still."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from understudy.restoration.signals.clockwatch import APART_S, JUMP_S, ClockWatch

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


class TwoHands:
    """A wall clock and a monotonic one that can be moved apart."""

    def __init__(self) -> None:
        self.wall, self.passed_s = NOW, 100.0

    def now(self) -> datetime:
        return self.wall

    def monotonic_s(self) -> float:
        return self.passed_s

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    def move(self, wall_s: float, passed_s: float) -> None:
        self.wall += seconds(wall_s)
        self.passed_s += passed_s


@pytest.mark.parametrize(
    ("wall_s", "passed_s", "said"),
    [
        (1, 1, None),
        (600, 600, None),
        (1 + JUMP_S, 1, None),
        (1 + JUMP_S + 0.1, 1, "forward"),
        (3600, 1, "jumped 3599 s forward"),
        (1 - JUMP_S, 1, None),
        (1 - JUMP_S - 0.1, 1, "back"),
        (-3600, 1, "jumped 3601 s back"),
    ],
)
def test_a_jump_of_the_guards_clock_is_said_once(wall_s: float, passed_s: float, said: str | None) -> None:
    clock = TwoHands()
    watch = ClockWatch(clock)
    assert watch.jumped() is None
    clock.move(wall_s, passed_s)
    first = watch.jumped()
    assert (first is None) if said is None else (first is not None and said in first)
    clock.move(1, 1)
    assert watch.jumped() is None


@pytest.mark.parametrize(
    ("apart_s", "said"),
    [
        (0, None),
        (APART_S, None),
        (APART_S + 0.1, "ahead of the guard's"),
        (3600, "3600 s ahead of"),
        (-APART_S, None),
        (-APART_S - 0.1, "behind the guard's"),
        (-3600, "3600 s behind"),
    ],
)
def test_a_source_whose_clock_is_another(apart_s: float, said: str | None) -> None:
    watch = ClockWatch(TwoHands())
    found = watch.disagrees(NOW + seconds(apart_s), NOW, NOW)
    assert (found is None) if said is None else (found is not None and said in found)


def test_a_slow_answer_is_no_disagreement() -> None:
    watch = ClockWatch(TwoHands())
    assert watch.disagrees(NOW + seconds(1), NOW, NOW + seconds(30)) is None
    assert watch.disagrees(NOW + seconds(29), NOW, NOW + seconds(30)) is None


def test_a_source_whose_clock_stands_still_is_old_data() -> None:
    watch = ClockWatch(TwoHands())
    assert watch.disagrees(NOW, NOW, NOW) is None
    assert watch.disagrees(NOW, NOW, NOW) == "the database's clock stands still"
    assert watch.disagrees(NOW + seconds(1), NOW + seconds(1), NOW + seconds(1)) is None


@pytest.mark.parametrize(
    ("ahead_s", "future"), [(-3600, False), (0, False), (5, False), (5.1, True), (60, True)]
)
def test_a_record_in_the_future(ahead_s: float, future: bool) -> None:
    found = ClockWatch.from_the_future("the newest call", NOW + seconds(ahead_s), NOW)
    assert (found is not None) is future
    assert ClockWatch.from_the_future("the newest call", None, NOW) is None
