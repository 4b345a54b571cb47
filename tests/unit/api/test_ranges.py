"""Byte ranges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.api.ranges import ByteRange, UnsatisfiableRangeError, parse_range

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("header", "start", "length"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=90-", 90, 10),
        ("bytes=90-500", 90, 10),
        ("bytes=-1", 99, 1),
        ("bytes=-500", 0, 100),
        (" bytes=5-6 ", 5, 2),
    ],
)
def test_one_range(header: str, start: int, length: int) -> None:
    assert parse_range(header, 100) == ByteRange(start, length, 100)


@pytest.mark.parametrize(
    "header", [None, "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes=0-1,3-4", "lines=0-1"]
)
def test_what_is_not_one_range_means_the_whole(header: str | None) -> None:
    assert parse_range(header, 100) is None


@pytest.mark.parametrize(("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0)])
def test_a_range_outside_is_unsatisfiable(header: str, size: int) -> None:
    with pytest.raises(UnsatisfiableRangeError):
        parse_range(header, size)


@given(st.text(), st.integers(min_value=0, max_value=10**6))
def test_a_range_never_leaves_the_object(header: str, size: int) -> None:
    try:
        found = parse_range("bytes=" + header, size)
    except UnsatisfiableRangeError:
        return
    if found is not None:
        assert found.length > 0
        assert found.start >= 0
        assert found.start + found.length <= size
