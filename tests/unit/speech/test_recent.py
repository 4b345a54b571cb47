"""Recordings used lately: bounded in bytes, oldest use first."""

from __future__ import annotations

import pytest

from understudy.speech.recent import RecentRecordings

pytestmark = pytest.mark.unit


def test_what_was_used_longest_ago_goes_first() -> None:
    recent = RecentRecordings(kept_bytes=30)
    for name in "abc":
        recent.keep(name, name.encode() * 10)
    assert recent.get("a") == b"a" * 10
    recent.keep("d", b"d" * 10)
    assert recent.get("b") is None
    assert [recent.get(name) for name in "acd"] == [b"a" * 10, b"c" * 10, b"d" * 10]


def test_the_bound_is_in_bytes_and_nothing_counts_twice() -> None:
    recent = RecentRecordings(kept_bytes=30)
    recent.keep("huge", bytes(31))
    assert recent.get("huge") is None
    for _ in range(5):
        recent.keep("a", bytes(10))
    recent.keep("b", bytes(20))
    assert recent.get("a") is not None
    recent.keep("c", bytes(25))
    assert (recent.get("a"), recent.get("b")) == (None, None)
