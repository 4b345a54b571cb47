"""Shapes: descriptions move the numbers the way a listener would expect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.errors import ValidationError
from understudy.voicebox.languages import ESPEAK_VOICES, resolve_language
from understudy.voicebox.shape import (
    FASTEST_WPM,
    HIGHEST_PITCH_HZ,
    LOWEST_PITCH_HZ,
    SLOWEST_WPM,
    VoiceShape,
    shape_from_description,
)

pytestmark = pytest.mark.unit


def test_female_voices_are_higher_than_male_and_children_higher_still() -> None:
    male, female, child = (
        shape_from_description(f"a {who}").pitch_hz
        for who in ("male narrator", "female narrator", "little girl")
    )
    assert male < 130 < 180 < female < 240 < child


@pytest.mark.parametrize(
    ("less", "more", "attribute"),
    [
        ("a deep male voice", "a high male voice", "pitch_hz"),
        ("a slow woman", "a fast woman", "words_per_minute"),
        ("a calm woman", "an excited woman", "liveliness"),
        ("一位低沉的男人", "一位清亮的男人", "pitch_hz"),
    ],
)
def test_traits_move_what_they_name(less: str, more: str, attribute: str) -> None:
    assert getattr(shape_from_description(less), attribute) < getattr(shape_from_description(more), attribute)


def test_man_inside_woman_does_not_make_her_male() -> None:
    assert shape_from_description("a woman").pitch_hz > 180
    assert shape_from_description("the human manager of a female choir").pitch_hz > 180


@given(st.text(max_size=200))
def test_any_description_gives_the_same_speakable_shape_again(text: str) -> None:
    shape = shape_from_description(text)
    assert shape == shape_from_description(text) == shape.within_limits()
    assert LOWEST_PITCH_HZ <= shape.pitch_hz <= HIGHEST_PITCH_HZ
    assert SLOWEST_WPM <= shape.words_per_minute <= FASTEST_WPM


def test_a_shape_survives_its_file() -> None:
    shape = VoiceShape(123.4, 1.05, 133, 0.8)
    assert VoiceShape.from_json(shape.to_json()) == shape


def test_the_ten_languages_are_spoken_and_no_other() -> None:
    assert len(ESPEAK_VOICES) == 10
    with pytest.raises(ValidationError, match="Klingon"):
        resolve_language("Klingon", "nuqneH")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("你好", "Chinese"),
        ("こんにちは世界", "Japanese"),
        ("안녕", "Korean"),
        ("Привет", "Russian"),
        ("Hello", "English"),
    ],
)
def test_auto_reads_the_script(text: str, language: str) -> None:
    assert resolve_language("Auto", text) == language
    assert resolve_language("German", text) == "German"
