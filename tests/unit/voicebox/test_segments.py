"""Segments: nothing of the text is lost, and the first one is short."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.voicebox.segments import (
    FIRST_SEGMENT_CHARS,
    SEGMENT_CHARS,
    spell_digits,
    split_complete,
    split_segments,
    split_words,
)

pytestmark = pytest.mark.unit

PROSE = st.text(alphabet="abc 。.!?,，;-\n é中4", max_size=600)


def letters(text: str) -> str:
    """The text without the spaces and dashes that a cut may swallow."""
    return re.sub(r"[\s–—-]", "", text)


@given(PROSE)
def test_no_character_is_lost_and_none_is_said_twice(text: str) -> None:
    assert letters("".join(split_segments(text))) == letters(spell_digits(text))


@given(PROSE)
def test_every_segment_is_within_its_limit(text: str) -> None:
    segments = split_segments(text)
    assert all(segment.strip() for segment in segments)
    assert all(len(segment) <= SEGMENT_CHARS for segment in segments)
    assert not segments or len(segments[0]) <= FIRST_SEGMENT_CHARS


def test_sentences_become_segments_in_order() -> None:
    assert split_segments("One. Two! 三。四？ Five") == ["One.", "Two!", "三。", "四？", "Five"]


def test_a_long_first_sentence_is_cut_at_a_clause() -> None:
    text = (
        "It is a truth universally acknowledged, that a single man in possession of a good fortune must want"
    )
    assert split_segments(text)[0] == "It is a truth universally acknowledged,"


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("4, 7, 1", "4 7 1"),
        ("4. 7. 1.", "4 7 1."),
        ("4-7-1", "4 7 1"),
        ("42, 7, 1", "42, 7 1"),
        ("in 1999, 3 men", "in 1999, 3 men"),
        ("3.14", "3.14"),
    ],
)
def test_only_single_digits_in_a_row_are_spelled(written: str, spelled: str) -> None:
    assert spell_digits(written) == spelled


@given(PROSE)
def test_what_is_complete_and_what_waits_are_the_whole_text(text: str) -> None:
    complete, waiting = split_complete(text)
    assert complete + waiting == text
    assert split_complete(waiting) == ("", waiting)


def test_an_unfinished_sentence_waits() -> None:
    assert split_complete("One. Two is not") == ("One. ", "Two is not")
    assert split_complete("Costs 3.") == ("", "Costs 3.")


@given(st.text(alphabet="ab ,.\n中", max_size=200), st.integers(1, 40))
def test_words_are_packed_within_the_limit_and_none_is_lost(text: str, limit: int) -> None:
    pieces = split_words(text, limit)
    assert "".join(pieces) == text
    assert all(len(piece) <= limit or len(piece.split()) <= 1 for piece in pieces)
