"""The error rate of digits, as the checks use it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.errors import ValidationError
from understudy.voicebox.hearing import digit_error_rate, to_digits

pytestmark = pytest.mark.unit

DIGITS = st.text(alphabet="0123456789", min_size=1, max_size=12)


@pytest.mark.parametrize(
    "said", ["4 7 1", "471", "four seven one", "Four, seven. One", ["4", "7", "1"], ["four", "71"]]
)
def test_digits_are_read_however_they_are_written(said: str | list[str]) -> None:
    assert to_digits(said) == ["4", "7", "1"]


@pytest.mark.parametrize(
    ("said", "heard", "rate"),
    [
        ("471930", "471930", 0.0),
        ("471930", "471931", 1 / 6),
        ("471930", "47190", 1 / 6),
        ("471930", "4711930", 1 / 6),
        ("471930", "", 1.0),
        ("1", "234", 3.0),
    ],
)
def test_each_wrong_missing_or_extra_digit_counts_once(said: str, heard: str, rate: float) -> None:
    assert digit_error_rate(said, heard) == pytest.approx(rate)


@given(DIGITS, DIGITS)
def test_the_rate_is_zero_only_for_equals(said: str, heard: str) -> None:
    rate = digit_error_rate(said, heard)
    assert (rate == 0.0) is (said == heard)
    assert rate <= max(len(said), len(heard)) / len(said)


def test_nothing_said_cannot_be_judged() -> None:
    with pytest.raises(ValidationError):
        digit_error_rate("hello", "1")
