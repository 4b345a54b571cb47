"""How many calls a stage needs until its failure would have shown, and whether two sides differ; exact."""

from __future__ import annotations

import math

from understudy.restoration.triggers.statistics import binomial_tail

#: Beyond so many calls a stage asks for more than it could ever get.
MOST_CALLS = 10_000_000


def excludes(calls: int, failures: int, rate: float, error: float) -> bool:
    """Whether so few failures have a chance of at most ``error`` where ``rate`` of all calls fail."""
    if failures >= calls:
        return False
    # P(X <= failures) is the upper tail of the successes: summed so, a small one is exact.
    return binomial_tail(calls - failures, calls, 1.0 - rate) <= error


def calls_needed(failures: int, rate: float, error: float) -> int:
    """Return the fewest calls with ``failures`` among them that rule out a failure rate of ``rate``.

    Parameters
    ----------
    error
        Chance to rule it out although it is true: 0.05 where 95 % confidence is wanted.
    """
    low, high = failures, max(failures + 1, 2)
    while not excludes(high, failures, rate, error):
        low, high = high, high * 2
        if high > MOST_CALLS:
            return MOST_CALLS
    while high - low > 1:
        middle = (low + high) // 2
        if excludes(middle, failures, rate, error):
            high = middle
        else:
            low = middle
    return high


def upper_rate(calls: int, failures: int, error: float) -> float:
    """Return the largest failure rate that the sample does not rule out: what may still be hidden in it."""
    if calls == 0 or failures >= calls:
        return 1.0
    low, high = failures / calls, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if excludes(calls, failures, middle, error):
            high = middle
        else:
            low = middle
    return high


def chance_if_equal(calls: int, failures: int, control_calls: int, control_failures: int) -> float:
    """Return the chance that of equal sides the first has so many of all failures, or more (Fisher).

    1.0 where a side made no call, or the first does no worse.
    """
    if not calls or not control_calls or failures * control_calls <= control_failures * calls:
        return 1.0
    failed, total = failures + control_failures, calls + control_calls
    most = min(failed, calls)
    whole = _log_choose(total, failed)
    terms = [
        _log_choose(calls, count) + _log_choose(control_calls, failed - count) - whole
        for count in range(failures, most + 1)
        if failed - count <= control_calls
    ]
    largest = max(terms)
    return min(1.0, math.exp(largest) * math.fsum(math.exp(term - largest) for term in terms))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
