"""The policy's fields for people and for editors: docs/policy.md and the JSON Schema, out of the models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from understudy.restoration.playbook.policy import Playbook

SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"
_INTRODUCTION = """# The policy, field by field

Generated from the models by `understudy playbook fields`; do not edit. The file is
[playbooks/restoration.yaml](../playbooks/restoration.yaml), its JSON Schema
[playbooks/restoration.schema.json](../playbooks/restoration.schema.json). Every field is required;
unknown keys, NaN and infinity are refused by name. Durations end in `_s` (seconds), money in
`_microusd` (millionths of a dollar)."""
_SIGNS = (
    ("ge", ">= {:g}"),
    ("gt", "> {:g}"),
    ("le", "<= {:g}"),
    ("lt", "< {:g}"),
    ("multiple_of", "a multiple of {:g}"),
    ("min_length", "at least {:g} long"),
    ("max_length", "at most {:g} long"),
)


def schema() -> str:
    """Return the JSON Schema (draft 2020-12) of the policy file, as text with a newline at the end."""
    document = {"$schema": SCHEMA_ID, **Playbook.model_json_schema()}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def markdown() -> str:
    """Return docs/policy.md."""
    lines = [_INTRODUCTION]
    for path, model in _parts(Playbook, ""):
        lines += ["", f"## {f'`{path}`' if path else 'The file'}", "", _prose(model.__doc__), ""]
        lines += ["| field | type | limits | what it is |", "|---|---|---|---|"]
        for name, field in model.model_fields.items():
            kind, limits = _kind(field.annotation), ", ".join(_limits(field.annotation, field.metadata))
            lines.append(f"| `{name}` | {kind} | {limits} | {_prose(field.description)} |")
    return "\n".join(lines) + "\n"


def _parts(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, model
    for name, field in model.model_fields.items():
        inner = _models(field.annotation)
        for part in inner:
            listed = get_origin(field.annotation) is list
            tag = f"[{_tag(part)}]" if len(inner) > 1 else "[]" if listed else ""
            yield from _parts(part, f"{path}.{name}{tag}".removeprefix("."))


def _tag(model: type[BaseModel]) -> str:
    return str(get_args(model.model_fields["action"].annotation)[0])


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]


def _kind(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(inner[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin is list:
        return f"list of {_kind(inner[0])}"
    if _models(annotation):
        return "section"
    if annotation is type(None):
        return "`null`"
    return {bool: "true or false", int: "integer", float: "number", str: "text"}[annotation]


def _limits(annotation: Any, metadata: list[Any]) -> Iterator[str]:
    for item in metadata:
        yield from _bounds(item)
    if get_origin(annotation) is list:
        inner = get_args(annotation)[0]
        if get_origin(inner) is Annotated:
            yield from (f"each {bound}" for item in get_args(inner)[1:] for bound in _bounds(item))


def _bounds(item: Any) -> Iterator[str]:
    if isinstance(item, FieldInfo):
        for inner in item.metadata:
            yield from _bounds(inner)
        return
    for attribute, said in _SIGNS:
        value = getattr(item, attribute, None)
        if value is not None:
            yield said.format(value)


def _prose(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")
