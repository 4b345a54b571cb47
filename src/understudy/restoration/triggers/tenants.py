"""One tenant's trouble is not the provider's: whether failures are its alone while others are served.

Buckets name tenants, not how often each called. A tenant named in a bucket called at least once in it, which
is what is counted of the others: a lower bound, and exact while each calls at most once in five seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from understudy.restoration.signals.windows import CallWindow
from understudy.restoration.triggers.statistics import binomial_tail

#: Others are served as agreed unless their failures are this unlikely at the SLO.
HEALTHY_CHANCE = 0.05
#: Others differ from the tenant where so few failures among them are this unlikely at its own error rate.
DIFFERENT_CHANCE = 0.01


@dataclass(frozen=True, slots=True)
class Alone:
    """What is known of the tenant that fails most, and of the others.

    Parameters
    ----------
    tenant
        The one named in most buckets with failures; None where none is named.
    since
        Start of the first bucket in which it failed.
    others_calls, others_failed
        At least so many calls, and failures, of others after that bucket; failures of it too.
    others_served
        They are served as agreed, and too well to share its trouble.
    others_known
        Other tenants called at all, as far back as is looked.
    """

    tenant: str | None = None
    since: datetime | None = None
    others_calls: int = 0
    others_failed: int = 0
    others_served: bool = False
    others_known: bool = False

    def excuses(self, now: datetime, *, wait_s: float) -> bool:
        """Whether the failures are one tenant's trouble: others are served, or have ``wait_s`` to tell."""
        if self.tenant is None:
            return False
        if self.others_calls:
            return self.others_served
        waited_s = (now - self.since).total_seconds() if self.since else 0.0
        return self.others_known and waited_s < wait_s


def alone(buckets: Sequence[CallWindow], since: datetime, *, budget: float) -> Alone:
    """Look for the one tenant behind the failures in ``buckets`` (newest first) from ``since`` on.

    Parameters
    ----------
    budget
        Error rate that the SLO allows.
    """
    failing = [bucket for bucket in buckets if bucket.failed and bucket.start >= since]
    named = Counter(user for bucket in failing for user in bucket.failed_users)
    if not named or any(not bucket.failed_users for bucket in failing):
        return Alone(others_known=True)
    tenant = max(named, key=lambda user: (named[user], user))
    onset = min(bucket.start for bucket in failing if tenant in bucket.failed_users)
    known = any((bucket.failed_users | bucket.ok_users) - {tenant} for bucket in buckets)
    # Successes of the first bucket may have come before the trouble began; failures speak all the same.
    after = [bucket for bucket in buckets if bucket.start > onset]
    since_then = sum(len(bucket.failed_users - {tenant}) for bucket in after)
    served_then = sum(len(bucket.ok_users - {tenant}) for bucket in after)
    own_calls = sum(bucket.total for bucket in after) - since_then - served_then
    own_failed = sum(bucket.failed for bucket in after) - since_then
    failed = sum(len(bucket.failed_users - {tenant}) for bucket in buckets if bucket.start >= onset)
    calls = failed + served_then
    rate = min(1.0, max(0.0, own_failed / own_calls)) if own_calls > 0 else 0.0
    served = (
        calls > 0
        and binomial_tail(failed, calls, budget) >= HEALTHY_CHANCE
        and 1.0 - binomial_tail(failed + 1, calls, rate) < DIFFERENT_CHANCE
    )
    return Alone(tenant, onset, calls, failed, others_served=served, others_known=known)
