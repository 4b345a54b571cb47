"""Trigger 2 at its limits: the last value that is one thing, and the first that is the other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.restoration.looking import NOW, PLAYBOOK, bucket, signals
from understudy.restoration.signals.windows import CallWindow
from understudy.restoration.triggers.realtime_failures import RealtimeFailures, judge
from understudy.restoration.triggers.verdict import Finding, Verdict

pytestmark = pytest.mark.unit

PART = PLAYBOOK.triggers.realtime_failures
BIG = frozenset({"big"})


def failing(age_s: float, total: int, failed: int, **more: Any) -> CallWindow:
    return bucket(age_s, total, failed, by_class={"protocol": failed}, **more)


def found(buckets: Sequence[CallWindow], policy: RealtimeFailures = PART) -> Finding:
    findings = judge(policy, signals(buckets), known_good="modal", now=NOW)
    return next(item for item in findings if item.check == "protocol")


def test_the_floor_may_be_the_ceiling_and_no_more() -> None:
    fields = PART.model_dump() | {"ceiling_percent": 5.0}
    fixed = RealtimeFailures.model_validate(fields | {"floor_percent": 5.0})
    assert (fixed.floor_percent, fixed.ceiling_percent) == (5.0, 5.0)
    with pytest.raises(ValidationError, match="floor_percent must not exceed ceiling_percent"):
        RealtimeFailures.model_validate(fields | {"floor_percent": 5.01})


@pytest.mark.parametrize(("age_s", "expected"), [(-5, Verdict.INCONCLUSIVE), (0, Verdict.FAIL)])
def test_a_bucket_that_is_not_over_unmasks_nobody(age_s: int, expected: Verdict) -> None:
    """A failure that nobody is named for is somebody else's; not counted until its bucket is over."""
    alone = [failing(age, 10, 9, failed_users=BIG, ok_users=frozenset({"small"})) for age in (5, 10, 15)]
    assert found([failing(age_s, 1, 1, failed_users=frozenset()), *alone]).verdict is expected


@pytest.mark.parametrize(("age_s", "expected"), [(50, Verdict.INCONCLUSIVE), (55, Verdict.FAIL)])
def test_a_lone_tenant_waits_less_than_the_agreed_windows(age_s: int, expected: Verdict) -> None:
    """One window of 60 s: after 55 s the others may still tell, after 60 s they had their time."""
    policy = PART.model_copy(update={"alone_windows": 1})
    others_before = bucket(100, 5, ok_users=frozenset({"small"}))
    assert found([failing(age_s, 10, 10, failed_users=BIG), others_before], policy).verdict is expected


@pytest.mark.parametrize(("age_s", "first_bad_s"), [(55, 60), (60, 5)])
def test_the_oldest_bucket_of_the_window_is_the_first_bad_one(age_s: int, first_bad_s: int) -> None:
    seen = found([failing(0, 10, 5), failing(age_s, 10, 5)])
    assert seen.verdict is Verdict.FAIL
    assert seen.first_bad_at == NOW - timedelta(seconds=first_bad_s)
