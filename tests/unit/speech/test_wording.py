from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.errors import ValidationError
from understudy.speech import wording
from understudy.speech.pages import Page, check_page

pytestmark = pytest.mark.unit


def test_the_limit_counts_code_points_and_is_told_as_the_contract_says() -> None:
    assert wording.required("𝄞" * 5, "Text", max_chars=5) == "𝄞" * 5
    with pytest.raises(ValidationError, match=r"^Text cannot exceed 5 characters$"):
        wording.required("𝄞" * 6, "Text", max_chars=5)


@pytest.mark.parametrize("value", [None, "", " \t\n"])
def test_nothing_is_not_text(value: str | None) -> None:
    with pytest.raises(ValidationError, match="Name is required"):
        wording.required(value, "Name")
    assert wording.optional(value, "Description") is None


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1))
def test_text_is_kept_as_it_is(value: str) -> None:
    assert wording.storable(value, "Text") == value
    value.encode()


@pytest.mark.parametrize("value", ["a\0b", "\ud83d", "x\udc00"])
def test_what_postgres_cannot_hold_is_refused(value: str) -> None:
    with pytest.raises(ValidationError):
        wording.storable(value, "Text")


@pytest.mark.parametrize(("total", "pages"), [(0, 0), (1, 1), (20, 1), (21, 2)])
def test_pages_are_counted_upwards(total: int, pages: int) -> None:
    assert Page([], 1, 20, total).pages == pages


@pytest.mark.parametrize(("page", "per_page"), [(0, 20), (-1, 20), (1, 0), (1, 101), (1_000_001, 20)])
def test_a_page_that_cannot_be_is_refused(page: int, per_page: int) -> None:
    with pytest.raises(ValidationError):
        check_page(page, per_page)
