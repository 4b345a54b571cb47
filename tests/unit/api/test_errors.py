"""Sentences for people, and the shapes of errors."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, Field
from pydantic import ValidationError as PydanticError
from starlette.requests import Request

from understudy.api.errors import error_response, sentence_of
from understudy.api.identifiers import parse_uuid
from understudy.api.text import Text

pytestmark = pytest.mark.unit


class Form(BaseModel):
    name: Text = Field(max_length=100)
    text: Text = ""
    number: int = 0


def request(path: str, **headers: str) -> Request:
    raw = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": raw}
    return Request({**scope, "server": ("testserver", 80), "scheme": "http"})


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "name is required."),
        ({"name": "x" * 101}, "name must have at most 100 characters."),
        ({"name": "a\0b"}, "Text must not contain NUL characters."),
        ({"name": "a", "text": "a\0b"}, "Text must not contain NUL characters."),
        ({"name": "a", "text": "\ud800"}, "Text must be valid Unicode."),
        ({"name": 5}, "name should be a valid string."),
        (
            {"name": "a", "number": "many"},
            "number should be a valid integer, unable to parse string as an integer.",
        ),
    ],
)
def test_a_validation_error_is_one_sentence(body: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PydanticError) as caught:
        Form.model_validate(body)
    assert sentence_of([dict(error) for error in caught.value.errors()]) == sentence


def test_code_points_are_counted_not_bytes() -> None:
    assert Form.model_validate({"name": "\U0001f600" * 100}).name == "\U0001f600" * 100


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ({"type": "json_invalid", "loc": ("body", 3)}, "The request body is not valid JSON."),
        (
            {"type": "model_attributes_type", "loc": ("body",), "msg": "Input should be a dict"},
            "The request body must be a JSON object sent as application/json.",
        ),
    ],
)
def test_a_body_that_is_no_object_is_said_to_be_none(error: dict[str, Any], sentence: str) -> None:
    assert sentence_of([error]) == sentence


def test_an_error_is_exactly_a_detail_of_one_line() -> None:
    answer = error_response(request("/api/voices"), 404, "Not\n found.")
    assert json.loads(answer.body) == {"detail": "Not found."}
    assert answer.headers["content-type"] == "application/json"


def test_the_issuer_keeps_the_shapes_of_gotrue() -> None:
    old = error_response(request("/auth/v1/token"), 400, "Bad.")
    assert json.loads(old.body) == {"code": 400, "error_code": "validation_failed", "msg": "Bad."}
    new = error_response(request("/auth/v1/token", X_Supabase_Api_Version="2024-01-01"), 400, "Bad.")
    assert json.loads(new.body) == {"code": "validation_failed", "message": "Bad."}
    assert new.headers["x-supabase-api-version"] == "2024-01-01"


@pytest.mark.parametrize(
    "value",
    ["", "1", "urn:uuid:0b6f3c52-2f0b-4a3c-8a51-0d1c7e0a2f11", "0b6f3c522f0b4a3c8a510d1c7e0a2f11", "../x"],
)
def test_only_the_canonical_form_is_an_id(value: str) -> None:
    assert parse_uuid(value) is None
