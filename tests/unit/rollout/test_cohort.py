"""Who belongs to a share: always the same tenants, evenly drawn, and nobody leaves while the share grows."""

from __future__ import annotations

import itertools
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.rollout.cutover import cohort_bucket, in_cohort

pytestmark = pytest.mark.unit

PERCENTS = st.integers(0, 100)


@given(st.uuids(), PERCENTS, PERCENTS)
def test_who_is_in_a_share_is_in_every_larger_one(user: UUID, one: int, other: int) -> None:
    smaller, larger = sorted((one, other))
    assert in_cohort(user, larger) or not in_cohort(user, smaller)


@given(st.uuids())
def test_nobody_is_in_nothing_and_everybody_in_all(user: UUID) -> None:
    assert not in_cohort(user, 0)
    assert in_cohort(user, 100)
    assert 0 <= cohort_bucket(user) < 10_000


@given(st.uuids(), PERCENTS)
def test_it_depends_on_the_id_alone(user: UUID, percent: int) -> None:
    assert in_cohort(UUID(str(user)), percent) == in_cohort(user, percent)


def test_places_are_those_of_yesterday() -> None:
    # Another hash would move tenants between the providers at an upgrade in the middle of a cutover.
    known = {
        "00000000-0000-0000-0000-000000000000": 8922,
        "11111111-1111-1111-1111-111111111111": 9443,
        "9f1f1b1e-52e5-4a0e-9a35-9b6f1f6f2f11": 1978,
    }
    found = {text: cohort_bucket(UUID(text)) for text in known}
    assert found == known


@pytest.mark.parametrize("percent", [1, 5, 25, 50])
def test_shares_are_as_large_as_they_say(percent: int) -> None:
    tenants = 40_000
    users = [UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128) for number in range(tenants)]
    share = sum(in_cohort(user, percent) for user in users) / tenants
    # Six standard deviations of a fair draw.
    allowed = 6 * (percent / 100 * (1 - percent / 100) / tenants) ** 0.5
    assert abs(share - percent / 100) < allowed


def test_neighbouring_ids_do_not_land_together() -> None:
    inside = [in_cohort(UUID(int=number), 50) for number in range(4_000)]
    changes = sum(one != other for one, other in itertools.pairwise(inside))
    assert 1_800 < changes < 2_200
