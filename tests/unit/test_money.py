"""Money as people read it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.money import MICRO, dollars

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("microusd", "said"),
    [
        (0, "$0.00"),
        (1, "$0.000001"),
        (29_697, "$0.029697"),
        (200_000, "$0.20"),
        (1_500_000, "$1.50"),
        (-70, "-$0.00007"),
        (50_000_000, "$50.00"),
        (1_234_567_890_000, "$1,234,567.89"),
    ],
)
def test_cents_are_written_and_what_is_finer_only_where_there_is_any(microusd: int, said: str) -> None:
    assert dollars(microusd) == said


@given(st.integers(-(10**15), 10**15))
def test_nothing_is_rounded(microusd: int) -> None:
    whole, _, fine = dollars(microusd).replace("$", "").replace(",", "").partition(".")
    value = abs(int(whole)) * MICRO + int(fine.ljust(6, "0"))
    assert value == abs(microusd)
    assert dollars(microusd).startswith("-") == (microusd < 0)
