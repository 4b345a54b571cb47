"""Calls in a row that all failed, the newest one last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from understudy.restoration.signals.readings import TailCall
from understudy.restoration.signals.windows import BUCKET_S, CallWindow

#: Calls that a source names one by one; more are counted from buckets.
TAIL_KEPT = 20


@dataclass(frozen=True, slots=True)
class Streak:
    """The failures after the newest success.

    Parameters
    ----------
    since
        When the oldest of them ended, or its bucket began.
    lasted_s
        From the oldest to the newest, in seconds.
    mixed
        More than one tenant, or tenants that nobody named.
    """

    count: int = 0
    since: datetime | None = None
    lasted_s: float = 0.0
    mixed: bool = False


def streak_of(
    tail: Sequence[TailCall], buckets: Sequence[CallWindow], *, since: datetime, now: datetime
) -> Streak:
    """Count back from the newest call to the newest success.

    Parameters
    ----------
    tail
        The newest calls one by one.
    buckets
        Newest first; they continue a tail that failed whole, and stand in where a source names no calls.
    since
        Older calls are no evidence any more.
    """
    named = sorted((call for call in tail if since <= call.at <= now), key=lambda call: call.at, reverse=True)
    failed = list(takewhile(lambda call: not call.ok, named))
    if named and (len(failed) < len(named) or len(named) < TAIL_KEPT):
        if not failed:
            return Streak()
        users = {call.user for call in failed}
        lasted_s = (failed[0].at - failed[-1].at).total_seconds()
        return Streak(len(failed), failed[-1].at, lasted_s, mixed=len(users) > 1 or None in users)
    newest = failed[0].at if failed else None
    return _of_buckets(buckets, len(failed), newest, since=since, now=now)


def _of_buckets(
    buckets: Sequence[CallWindow], named: int, newest: datetime | None, *, since: datetime, now: datetime
) -> Streak:
    count, first, last = 0, None, newest
    users: set[str] = set()
    for bucket in buckets:
        if bucket.start > now or not bucket.total:
            continue
        if bucket.start < since or bucket.failed < bucket.total:
            break
        count += bucket.total
        first = bucket.start
        last = last or bucket.start + timedelta(seconds=BUCKET_S)
        users |= bucket.failed_users
    if first is None or last is None:
        return Streak(named, newest, 0.0, mixed=False)
    lasted_s = max(0.0, (min(last, now) - first).total_seconds())
    return Streak(max(count, named), first, lasted_s, mixed=len(users) != 1)
