"""Money is whole micro-dollars, rounded against us, from one dated table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.providers.prices import PRICES, billed_characters, gpu_cost, synthesis_cost

pytestmark = pytest.mark.unit


def test_han_characters_count_twice_and_kana_once() -> None:
    assert billed_characters("hello") == 5
    assert billed_characters("你好") == 4
    assert billed_characters("你好, world") == 11
    assert billed_characters("こんにちは") == 5
    assert billed_characters("") == 0


def test_han_beyond_the_first_plane_counts_twice_and_other_letters_there_once() -> None:
    assert billed_characters("\U00020000\U0002a6df\U0002f800\U00030000") == 8
    assert billed_characters("\u3400\u9fff\uf900") == 6
    assert billed_characters("\U0001f600\U0001d400é") == 3
    assert billed_characters("한글") == 2


@given(st.text())
def test_a_text_is_billed_once_to_twice_its_length(text: str) -> None:
    assert len(text) <= billed_characters(text) <= 2 * len(text)
    assert billed_characters(text + text) == 2 * billed_characters(text)


def test_list_prices() -> None:
    assert synthesis_cost(10_000, "vc") == 130_000
    assert synthesis_cost(10_000, "vd") == 143_353
    assert PRICES.clone_create == 10_000
    assert PRICES.design_create == 200_000
    assert gpu_cost(3600) == 1_100_000


@given(st.integers(1, 2_000), st.sampled_from(["vc", "vd"]))
def test_a_bill_is_never_understated(characters: int, kind: str) -> None:
    exact = characters * PRICES.synthesis_per_10k_characters[kind] / 10_000
    assert exact <= synthesis_cost(characters, kind) < exact + 1
