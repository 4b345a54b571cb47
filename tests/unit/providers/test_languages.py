"""One table of languages: what travels in which operation."""

from __future__ import annotations

import pytest

from understudy.providers.languages import (
    AUTO,
    QWEN_LANGUAGE_CODES,
    customization_code,
    language_of_script,
    realtime_name,
)
from understudy.speech.languages import CODES, NAMES, normalise

pytestmark = pytest.mark.unit


def test_every_way_to_name_a_language_comes_from_one_table() -> None:
    assert set(NAMES) == {AUTO, *QWEN_LANGUAGE_CODES}
    assert {code: name for name, code in QWEN_LANGUAGE_CODES.items()} == CODES
    for name, code in QWEN_LANGUAGE_CODES.items():
        assert normalise(code) == normalise(name.upper()) == normalise(f"{code}-XX") == name
        assert (realtime_name(name), customization_code(name)) == (name, code)


def test_auto_travels_as_each_operation_takes_it() -> None:
    assert realtime_name(AUTO) == "Auto"
    assert customization_code(AUTO) is None
    assert customization_code(AUTO, text="Good evening.") == "en"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Good evening.", "English"),
        ("Guten Abend, Zuhörer", "English"),
        ("各位听众，晚上好。", "Chinese"),
        ("こんばんは、皆さん。", "Japanese"),
        ("안녕하세요 여러분", "Korean"),
        ("Добрый вечер", "Russian"),
        ("", "English"),
    ],
)
def test_the_script_of_a_preview_stands_for_auto(text: str, language: str) -> None:
    assert language_of_script(text) == language
    assert customization_code(AUTO, text=text) == QWEN_LANGUAGE_CODES[language]
    assert customization_code("French", text=text) == "fr"
