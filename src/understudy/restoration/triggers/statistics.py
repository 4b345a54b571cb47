"""The few exact statistics that triggers rest on; pure Python, no approximation by a normal curve.

Every tail is a probability in [0, 1] and is summed from its larger terms, so that a tail of 1e-12 is one and
not the rounding error of ``1 - 0.999999999999``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

#: 1.4826 MAD is the standard deviation where the values are normal.
MAD_TO_SIGMA = 1.4826
#: A term this much smaller than the sum no longer changes it.
_NEGLIGIBLE = 1e-17


def binomial_tail(failures: int, n: int, rate: float) -> float:
    """Return P(X >= ``failures``) of ``n`` independent calls that each fail with probability ``rate``.

    Raises
    ------
    ValueError
        ``n`` or ``failures`` is negative, or ``rate`` is no probability (NaN included).
    """
    _count(n, "n")
    _count(failures, "failures")
    _probability(rate)
    if failures == 0:
        return 1.0
    if failures > n or rate == 0.0:
        return 0.0
    if rate == 1.0:
        return 1.0
    if failures <= n * rate:  # the lower tail is the smaller one; summing it loses nothing
        return max(0.0, 1.0 - _binomial_sum(n - failures + 1, n, 1.0 - rate))
    return min(1.0, _binomial_sum(failures, n, rate))


def _binomial_sum(first: int, n: int, rate: float) -> float:
    term = math.exp(
        math.lgamma(n + 1)
        - math.lgamma(first + 1)
        - math.lgamma(n - first + 1)
        + first * math.log(rate)
        + (n - first) * math.log1p(-rate)
    )
    odds = rate / (1.0 - rate)
    total = 0.0
    for count in range(first, n + 1):
        total += term
        if term <= total * _NEGLIGIBLE:
            break
        term *= odds * (n - count) / (count + 1)
    return total


def poisson_tail(count: int, mean: float) -> float:
    """Return P(X >= ``count``) of a Poisson variable with this mean.

    Raises
    ------
    ValueError
        ``count`` is negative, or ``mean`` is negative, infinite or NaN.
    """
    _count(count, "count")
    if not (math.isfinite(mean) and mean >= 0.0):
        raise ValueError(f"mean={mean} is not a finite number of at least 0")
    if count == 0:
        return 1.0
    if mean == 0.0:
        return 0.0
    if count <= mean:
        return max(0.0, 1.0 - _poisson_sum(count - 1, mean, falling=True))
    return min(1.0, _poisson_sum(count, mean, falling=False))


def _poisson_sum(first: int, mean: float, *, falling: bool) -> float:
    count = first
    term = math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))
    total = 0.0
    while True:
        total += term
        if term <= total * _NEGLIGIBLE or (falling and count == 0):  # a term may underflow to 0
            return total
        if falling:
            term *= count / mean
            count -= 1
        else:
            count += 1
            term *= mean / count


def poisson_cap(mean: float, *, looks_a_year: float, false_alarms_a_year: float = 1.0) -> int:
    """Return the smallest count that trips at most ``false_alarms_a_year`` where ``mean`` is usual.

    Parameters
    ----------
    mean
        Events in one look's window where all is well.
    looks_a_year
        Independent windows a year: 8 760 of one hour. Windows that slide overlap; count those that do not,
        and expect up to three times the alarms.
    """
    if not (math.isfinite(looks_a_year) and looks_a_year > 0 and false_alarms_a_year > 0):
        raise ValueError("looks and false alarms a year must be positive")
    chance = false_alarms_a_year / looks_a_year
    low, high = 0, 1
    while poisson_tail(high, mean) > chance:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if poisson_tail(middle, mean) > chance:
            low = middle
        else:
            high = middle
    return high


def robust_z(value: float, baseline: Sequence[float]) -> float | None:
    """Return how many robust standard deviations ``value`` lies above the median of ``baseline``.

    None where the baseline has no spread (a median absolute deviation of 0, or no value at all): the measure
    means nothing there, and a caller must hold ``value`` against a count instead.
    """
    if not baseline:
        return None
    centre = median(baseline)
    spread = median([abs(item - centre) for item in baseline])
    if not (math.isfinite(value) and math.isfinite(spread)):
        raise ValueError("a value that is not finite has no distance from anything")
    return None if spread == 0 else (value - centre) / (MAD_TO_SIGMA * spread)


def sprt_clean_calls(accepted: float, rejected: float, *, alpha: float = 0.05, beta: float = 0.05) -> int:
    """Return how many calls in a row must succeed until a sequential test rules ``rejected`` out.

    Parameters
    ----------
    accepted, rejected
        Error rates: the one that is agreed, and the one that must be ruled out (larger).
    alpha, beta
        Chance to keep believing ``rejected`` where ``accepted`` is true, and the other way round.
    """
    _probability(accepted)
    _probability(rejected)
    if rejected <= accepted:
        raise ValueError(f"the rejected rate {rejected} must exceed the accepted one {accepted}")
    if rejected == 1.0:
        return 1
    step = math.log((1.0 - accepted) / (1.0 - rejected))
    return math.ceil(math.log((1.0 - alpha) / beta) / step)


def critical_failures(n: int, rate: float, alpha: float) -> int:
    """Return the fewest failures of ``n`` whose tail at ``rate`` is below ``alpha``, or ``n + 1``."""
    low, high = -1, n + 1  # the tail falls as the count rises
    while high - low > 1:
        middle = (low + high) // 2
        if binomial_tail(middle, n, rate) < alpha:
            high = middle
        else:
            low = middle
    return high


def detectable_rate(
    n: int, rate: float, *, alpha: float, power: float = 0.8, at_least: int = 1
) -> float | None:
    """Return the smallest true error rate that ``n`` calls show with this power, or None.

    Parameters
    ----------
    rate
        The agreed error rate, that of the null hypothesis.
    at_least
        Failures that the rule demands besides.
    """
    needed = max(at_least, critical_failures(n, rate, alpha))
    if needed > n:
        return None
    low, high = rate, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if binomial_tail(needed, n, middle) < power:
            low = middle
        else:
            high = middle
    return high


def _count(value: int, name: str) -> None:
    if value < 0:
        raise ValueError(f"{name}={value} is negative")


def _probability(rate: float) -> None:
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"rate={rate} is not between 0 and 1")
