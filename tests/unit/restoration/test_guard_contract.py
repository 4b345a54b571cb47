"""The guard's OpenAPI document: whole, and committed for the console's types as it is."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from understudy.cli.openapi import printed
from understudy.resources import checkout_dir
from understudy.restoration.guard.contract import ROUTES, openapi_document

pytestmark = pytest.mark.unit

COMMITTED = checkout_dir() / "frontend" / "openapi" / "operations.json"


def references(value: Any) -> set[str]:
    return set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(value)))


def test_the_document_is_whole() -> None:
    document = openapi_document()
    schemas = document["components"]["schemas"]
    assert references(document) <= set(schemas)
    assert {"JournalEntry", "StatusEvent", "BeatEvent", "Problem"} <= set(schemas)
    assert sum(len(methods) for methods in document["paths"].values()) == len(ROUTES)
    for methods in document["paths"].values():
        for operation in methods.values():
            assert "default" in operation["responses"]
    asked = {route.body.__name__ for route in ROUTES if route.body is not None}
    for name, schema in schemas.items():
        if "properties" in schema and name not in asked:
            assert set(schema["required"]) == set(schema["properties"]), name


def test_the_committed_document_is_the_present_one() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == printed(openapi_document()), "run `make openapi`"
