"""What is committed of the api's OpenAPI document is what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from understudy.api.app import openapi_document
from understudy.api.reference import api_markdown
from understudy.cli.openapi import printed

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]


def test_the_studios_types_are_made_of_what_the_code_says() -> None:
    committed = (ROOT / "frontend" / "openapi" / "studio.json").read_text(encoding="utf-8")
    assert committed == printed(openapi_document()), "run `make openapi`"


def test_the_reference_page_is_what_the_code_says() -> None:
    committed = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert committed == api_markdown(openapi_document()), "run `make openapi`"


def test_no_name_of_a_model_is_taken_twice() -> None:
    # Pydantic would write both with their modules, which no client wants to read.
    assert [name for name in openapi_document()["components"]["schemas"] if "__" in name] == []
