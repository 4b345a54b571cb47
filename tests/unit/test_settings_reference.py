"""The settings reference is what the code says, and says something of every setting."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from understudy.doctor.reference import settings_markdown
from understudy.settings import Settings

pytestmark = pytest.mark.unit

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_every_setting_has_a_meaning_beside_it() -> None:
    silent = [name for name, field in Settings.model_fields.items() if not field.description]
    assert silent == [], "write a docstring below each of these fields in settings.py"


def test_every_setting_is_used_somewhere() -> None:
    idle = [line.split("`")[1] for line in settings_markdown().splitlines() if line.endswith("|  |")]
    assert idle == []


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_markdown(), "run `make settings`"


def test_no_secret_has_a_default_in_the_page() -> None:
    rows = {line.split("`")[1]: line for line in settings_markdown().splitlines() if line.startswith("| `")}
    for name, field in Settings.model_fields.items():
        assert ("| yes |" in rows[name.upper()]) == (field.annotation is SecretStr), name
