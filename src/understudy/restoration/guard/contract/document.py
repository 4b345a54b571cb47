"""The guard's API as an OpenAPI document."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from understudy.restoration.guard.contract import incidents, status
from understudy.restoration.guard.contract.routes import ROUTES, Query, Route
from understudy.restoration.guard.contract.shared import Problem

#: Data of server-sent events: part of no route's body.
EVENTS: tuple[type[BaseModel], ...] = (incidents.JournalEntry, status.StatusEvent, status.BeatEvent)
_REF = "#/components/schemas/{model}"


class _Untitled(GenerateJsonSchema):
    """Schemas without a title for every field, which says its name again."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        del schema
        return False


def openapi_document() -> dict[str, Any]:
    """Return the document, OpenAPI 3.1."""
    asked: list[tuple[type[BaseModel], JsonSchemaMode]] = [(Problem, "serialization")]
    asked += [(model, "serialization") for model in EVENTS]
    for route in ROUTES:
        if not isinstance(route.answer, str):
            asked.append((route.answer, "serialization"))
        if route.body is not None:
            asked.append((route.body, "validation"))
    _, schemas = models_json_schema(list(dict.fromkeys(asked)), ref_template=_REF, schema_generator=_Untitled)
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Understudy's guard",
            "version": "1",
            "description": "What operators read and write while an incident runs. Errors are `{detail}`.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "operator": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An operator's key: `understudy guard-keys create NAME`.",
                }
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _name_of(route),
        "summary": route.summary,
        "security": [{"operator": []}] if route.key else [],
        "responses": {
            str(route.status): {"description": HTTPStatus(route.status).phrase, "content": _answered(route)},
            "default": {
                "description": "What is wrong, in one sentence.",
                "content": {"application/json": {"schema": {"$ref": _REF.format(model=Problem.__name__)}}},
            },
        },
    }
    names = re.findall(r"{(\w+)}", route.path)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
    ]
    parameters += [_parameter(query) for query in route.query]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        schema = {"$ref": _REF.format(model=route.body.__name__)}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _answered(route: Route) -> dict[str, Any]:
    if not isinstance(route.answer, str):
        return {"application/json": {"schema": {"$ref": _REF.format(model=route.answer.__name__)}}}
    schema = {"type": "object", "additionalProperties": True}
    return {route.answer: {"schema": schema if route.answer == "application/json" else {"type": "string"}}}


def _parameter(query: Query) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": query.name,
        "in": "query",
        "required": query.required,
        "schema": query.schema,
    }
    return {**found, "description": query.description} if query.description else found


def _name_of(route: Route) -> str:
    words = re.findall(r"\w+", route.path)
    return "_".join([route.method.lower(), *words]).replace(".", "_")
