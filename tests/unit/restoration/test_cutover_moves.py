"""Moves away from known-good: one in a quarter of an hour, two in six hours, then FROZEN until thawed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clocks import HandClock
from tests.unit.restoration.cutovers import POLICY
from understudy.errors import MoveRefusedError
from understudy.restoration.cutover.moves import MoveLimits
from understudy.store.guard import GuardStore

pytestmark = pytest.mark.unit

SPACING_S, PERIOD_S = POLICY.limits.spacing_s, POLICY.limits.period_s


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def moves(tmp_path: Path, clock: HandClock) -> Iterator[MoveLimits]:
    with GuardStore(tmp_path / "guard.sqlite3", clock) as store:
        yield MoveLimits(store, POLICY.limits, clock, "local")


def test_the_second_waits_for_its_time_to_the_second(moves: MoveLimits, clock: HandClock) -> None:
    moves.take("a move", "ada")
    clock.advance(SPACING_S - 1)
    with pytest.raises(MoveRefusedError, match="Try again after"):
        moves.take("another", "ada")
    assert moves.frozen() is None  # too early freezes nothing
    assert moves.next_at() is not None
    clock.advance(1)
    assert moves.next_at() is None
    moves.take("another", "ada")
    assert len(moves.record().moves) == 2


def test_the_third_in_the_period_freezes_until_a_person_thaws(moves: MoveLimits, clock: HandClock) -> None:
    for _ in range(2):
        moves.take("a move", "ada")
        clock.advance(SPACING_S)
    with pytest.raises(MoveRefusedError, match="FROZEN now"):
        moves.take("a third", "ada")
    clock.advance(10 * PERIOD_S)
    with pytest.raises(MoveRefusedError, match="FROZEN since"):
        moves.take("a fourth", "ada")
    assert moves.thaw("ada", "planned")
    assert moves.frozen() is None
    moves.take("a fifth", "ada")
    assert moves.record().thaws[-1].reason == "planned"


def test_a_move_counts_no_more_once_the_period_is_over(moves: MoveLimits, clock: HandClock) -> None:
    moves.take("first", "ada")
    clock.advance(SPACING_S)
    moves.take("second", "ada")
    assert moves.next_at() is not None
    clock.advance(PERIOD_S - SPACING_S)
    assert moves.next_at() is None
    moves.take("third", "ada")


def test_a_thaw_forgives_earlier_moves(moves: MoveLimits, clock: HandClock) -> None:
    moves.take("first", "ada")
    assert not moves.thaw("ada", "a rehearsal")
    moves.take("at once", "ada")
    assert moves.next_at() is not None


def test_a_hand_typed_environment_is_counted_once_and_never_refused(
    moves: MoveLimits, clock: HandClock
) -> None:
    assert moves.count("by hand", "environment", epoch=4) is None  # as it was when the guard first looked
    for number, epoch in enumerate((5, 6, 7), 1):
        said = moves.count("by hand", "environment", epoch=epoch)
        assert said is not None
        assert f"move {number}" in said
        assert moves.count("by hand", "environment", epoch=epoch) is None
        assert (moves.frozen() is not None) is (number == 3)
    with pytest.raises(MoveRefusedError, match="FROZEN"):
        moves.take("a command", "ada")


def test_what_was_no_move_is_not_taken_for_one_later(moves: MoveLimits) -> None:
    moves.looked_at(4)
    assert moves.count("by hand", "environment", epoch=4) is None
    assert moves.count("by hand", "environment", epoch=5) is not None


def test_another_process_sees_the_same(moves: MoveLimits, tmp_path: Path, clock: HandClock) -> None:
    moves.take("a move", "ada")
    with GuardStore(tmp_path / "guard.sqlite3", clock) as store:
        again = MoveLimits(store, POLICY.limits, clock, "local")
        with pytest.raises(MoveRefusedError):
            again.take("another", "bob")
        # Environments share a store, and no limits.
        MoveLimits(store, POLICY.limits, clock, "staging").take("a move there", "bob")
