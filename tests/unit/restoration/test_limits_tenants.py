"""Whose failures they are, at the limits of what is counted of the others."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.restoration.looking import NOW, bucket
from understudy.restoration.triggers.tenants import Alone, alone

pytestmark = pytest.mark.unit

BIG, SMALL = frozenset({"big"}), frozenset({"small"})
AGO_15 = NOW - timedelta(seconds=15)


@pytest.mark.parametrize(("served_age_s", "counted"), [(10, 0), (5, 1)])
def test_a_success_in_the_bucket_where_trouble_began_does_not_count(served_age_s: int, counted: int) -> None:
    """It may have come before; five seconds later it did not."""
    buckets = [
        bucket(
            age,
            10,
            9 if age == served_age_s else 10,
            failed_users=BIG,
            ok_users=SMALL if age == served_age_s else frozenset(),
        )
        for age in (5, 10)
    ]
    seen = alone(buckets, AGO_15, budget=0.01)
    assert (seen.tenant, seen.since, seen.others_calls) == ("big", AGO_15, counted)
    assert (seen.others_known, seen.others_served) == (True, bool(counted))


@pytest.mark.parametrize("later", [0, 1])
def test_a_tenant_that_has_not_called_since_has_no_error_rate(later: int) -> None:
    """Nothing after the first bucket, or others' calls alone: they cannot be told from the tenant."""
    after = [bucket(5, 1, ok_users=SMALL)] * later
    seen = alone([*after, bucket(10, 3, 3, failed_users=BIG)], AGO_15, budget=0.01)
    assert seen == Alone("big", AGO_15, others_calls=later, others_known=bool(later))


@pytest.mark.parametrize(("age_s", "tenant"), [(10, "big"), (15, None)])
def test_failures_count_from_the_given_instant_on(age_s: int, tenant: str | None) -> None:
    assert alone([bucket(age_s, 3, 3, failed_users=BIG)], AGO_15, budget=0.01).tenant == tenant
