from __future__ import annotations

import math
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.restoration.triggers.statistics import (
    binomial_tail,
    critical_failures,
    detectable_rate,
    poisson_cap,
    poisson_tail,
    robust_z,
    sprt_clean_calls,
)

pytestmark = pytest.mark.unit

rates = st.floats(0.001, 0.999)


def numpy_binomial_tail(failures: int, n: int, rate: float) -> float:
    counts = np.arange(failures, n + 1)
    terms = [
        math.exp(
            math.lgamma(n + 1)
            - math.lgamma(k + 1)
            - math.lgamma(n - k + 1)
            + k * math.log(rate)
            + (n - k) * math.log1p(-rate)
        )
        for k in counts
    ]
    return float(np.sum(terms))


def numpy_poisson_tail(count: int, mean: float) -> float:
    counts = np.arange(0, count)
    below = [math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in counts]
    return 1.0 - float(np.sum(below))


@given(st.integers(1, 400), st.data(), rates)
def test_the_binomial_tail_is_the_sum_of_its_terms(n: int, data: st.DataObject, rate: float) -> None:
    failures = data.draw(st.integers(0, n))
    assert binomial_tail(failures, n, rate) == pytest.approx(
        numpy_binomial_tail(failures, n, rate), rel=1e-8, abs=1e-12
    )


@given(st.integers(0, 300), st.floats(0.01, 200))
def test_the_poisson_tail_is_what_its_lower_terms_leave(count: int, mean: float) -> None:
    assert poisson_tail(count, mean) == pytest.approx(numpy_poisson_tail(count, mean), rel=1e-6, abs=1e-9)


def test_known_tails() -> None:
    assert binomial_tail(3, 20, 0.01) == pytest.approx(1.00358e-3, rel=1e-4)
    assert binomial_tail(20, 20, 0.01) == pytest.approx(1e-40, rel=1e-6)
    assert poisson_tail(5, 0.5) == pytest.approx(1.7212e-4, rel=1e-4)
    assert poisson_tail(100, 1.0) == pytest.approx(3.9823e-159, rel=1e-3)
    assert (binomial_tail(0, 5, 0.1), binomial_tail(6, 5, 0.1), poisson_tail(0, 3.0)) == (1.0, 0.0, 1.0)
    assert (binomial_tail(1, 5, 0.0), binomial_tail(5, 5, 1.0), poisson_tail(1, 0.0)) == (0.0, 1.0, 0.0)


@given(st.integers(1, 200), st.data(), rates)
def test_more_failures_are_never_more_likely(n: int, data: st.DataObject, rate: float) -> None:
    failures = data.draw(st.integers(0, n))
    assert binomial_tail(failures + 1, n, rate) <= binomial_tail(failures, n, rate) + 1e-12
    # One more call that fails is never weaker evidence: what the pooled rule rests on.
    assert binomial_tail(failures + 1, n + 1, rate) <= binomial_tail(failures, n, rate) + 1e-9


@pytest.mark.parametrize(
    "call",
    [
        lambda: binomial_tail(-1, 5, 0.1),
        lambda: binomial_tail(1, -5, 0.1),
        lambda: binomial_tail(1, 5, float("nan")),
        lambda: binomial_tail(1, 5, 1.5),
        lambda: poisson_tail(1, float("nan")),
        lambda: poisson_tail(1, float("inf")),
        lambda: poisson_tail(-1, 1.0),
        lambda: poisson_cap(1.0, looks_a_year=0),
        lambda: robust_z(float("nan"), [1.0, 2.0, 3.0]),
        lambda: sprt_clean_calls(0.1, 0.1),
    ],
)
def test_what_is_no_number_or_no_chance_is_refused(call: object) -> None:
    with pytest.raises(ValueError, match=r"negative|between|finite|positive|exceed"):
        call()  # type: ignore[operator]


def test_caps_are_those_of_the_facts() -> None:
    assert [poisson_cap(mean, looks_a_year=8760) for mean in (0.5, 2, 5, 20, 60)] == [6, 10, 16, 39, 92]
    for mean in (0.5, 20.0):
        cap = poisson_cap(mean, looks_a_year=8760)
        assert poisson_tail(cap, mean) * 8760 <= 1 < poisson_tail(cap - 1, mean) * 8760


def test_clean_calls_are_those_of_the_facts() -> None:
    assert [sprt_clean_calls(0.01, rejected) for rejected in (0.10, 0.50, 0.05)] == [31, 5, 72]
    assert sprt_clean_calls(0.01, 1.0) == 1


@given(st.integers(1, 300), st.floats(0.001, 0.2), st.floats(1e-6, 0.05))
def test_the_critical_count_is_the_first_below_alpha(n: int, rate: float, alpha: float) -> None:
    critical = critical_failures(n, rate, alpha)
    assert critical == n + 1 or binomial_tail(critical, n, rate) < alpha
    assert critical == 0 or binomial_tail(critical - 1, n, rate) >= alpha


def test_what_can_be_detected_shrinks_with_traffic() -> None:
    found = [detectable_rate(n, 0.01, alpha=1e-4) for n in (20, 200, 2000)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[2] is not None
    assert 0.2 < found[0] < 0.4
    assert found[0] > found[1] > found[2] > 0.01
    needed = critical_failures(20, 0.01, 1e-4)
    assert binomial_tail(needed, 20, found[0]) == pytest.approx(0.8, abs=1e-6)
    assert detectable_rate(2, 0.01, alpha=1e-9) is None
    assert detectable_rate(2, 0.01, alpha=0.05, at_least=3) is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(-1e6, 1e6))
def test_the_robust_distance(baseline: list[float], value: float) -> None:
    centre = median(baseline)
    spread = median(abs(item - centre) for item in baseline)
    found = robust_z(value, baseline)
    if spread == 0:
        assert found is None
    else:
        assert found == pytest.approx((value - centre) / (1.4826 * spread))
    assert robust_z(1.0, []) is None
