from __future__ import annotations

import pytest

from understudy.errors import ValidationError
from understudy.speech import languages

pytestmark = pytest.mark.unit


def test_the_names_are_auto_and_the_ten_that_qwen_speaks() -> None:
    assert languages.NAMES[0] == "Auto"
    assert set(languages.NAMES) == {"Auto", *languages.CODES.values()}
    assert len(languages.CODES) == 10


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (None, "Auto"),
        ("", "Auto"),
        ("auto", "Auto"),
        ("English", "English"),
        (" gErMaN ", "German"),
        ("en", "English"),
        ("pt-BR", "Portuguese"),
        ("zh_Hans", "Chinese"),
    ],
)
def test_a_name_or_a_code_is_its_english_name(given: str | None, name: str) -> None:
    assert languages.normalise(given) == name


@pytest.mark.parametrize("given", ["Latin", "xx", "e n", "-", "english-"])
def test_what_cannot_be_spoken_is_refused_with_the_choices(given: str) -> None:
    with pytest.raises(ValidationError, match="Language must be one of Auto, Chinese"):
        languages.normalise(given)
