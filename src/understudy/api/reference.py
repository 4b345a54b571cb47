"""``docs/api.md``: the OpenAPI document as a page for people; ``make openapi`` writes it."""

from __future__ import annotations

from typing import Any

from understudy.api.contract import DESCRIPTIONS, OPTIONAL_TOKEN, Operation, operations
from understudy.api.idempotency import HEADER

_HEAD = """\
# API reference

Written by `understudy openapi api --markdown` (`make openapi`) from what the service answers at
`/openapi.json`; do not edit. Every error outside `/auth/v1` and `/v1` is `{"detail": "<one sentence>"}`,
every answer carries `X-Request-Id`, and fields may be added to any answer. Pages of their own: the
[OpenAI dialect](openai.md), [streaming](streaming.md), [what is spent](ledger.md).

Who: **anyone** needs no token, **you** an access token or an API key, **operator** the operator's role too.
A route that takes `Idempotency-Key` does once what is sent again within a day with the same key and body; the
answer is the first one's then, with `Idempotency-Replayed: true`.

## What a refusal means

Every route may answer `500` and `503` too.

| status | |
|---|---|
"""

#: Told once, at the top.
_EVERYWHERE = frozenset({"500", "503"})
_WHO = {True: "you", False: "anyone"}
_SECTIONS = {
    "voices": "Voices",
    "clone": "Cloning",
    "design": "Designing",
    "generations": "Speech",
    "tasks": "Tasks",
    "usage": "Usage",
    "profile": "Profile",
    "languages": "Languages",
    "studio": "Studio",
    "transcriptions": "Transcription",
    "openai": "OpenAI's dialect",
    "auth": "Accounts",
    "operator": "Operators",
    "objects": "Audio files",
    "health": "Health",
    "metrics": "Metrics",
}


def api_markdown(document: dict[str, Any]) -> str:
    """Return the page of an OpenAPI document: by section, what each route takes, answers and refuses."""
    by_tag: dict[str, list[tuple[str, str, Operation]]] = {}
    for path, method, operation in operations(document):
        by_tag.setdefault(operation.get("tags", [""])[0], []).append((path, method, operation))
    order = {tag: place for place, tag in enumerate(_SECTIONS)}
    parts = [_HEAD, *(f"| `{status}` | {_words(said)} |\n" for status, said in DESCRIPTIONS.items())]
    for tag in sorted(by_tag, key=lambda tag: (order.get(tag, len(order)), tag)):
        parts.append(f"\n## {_SECTIONS.get(tag, tag.capitalize())}\n")
        parts += [_route(document, *found) for found in by_tag[tag]]
    parts.append("\n## What is answered\n")
    answered = _answered(document)
    schemas: dict[str, Any] = document["components"]["schemas"]
    parts += [_model(name, schemas[name]) for name in sorted(answered)]
    return "".join(parts)


def _answered(document: dict[str, Any]) -> set[str]:
    """Names of the models that answers are made of, those inside others too."""
    schemas: dict[str, Any] = document["components"]["schemas"]
    found: set[str] = set()
    ahead = [operation["responses"] for _, _, operation in operations(document)]
    while ahead:
        part = ahead.pop()
        if isinstance(part, list):
            ahead += part
        elif isinstance(part, dict):
            name = str(part.get("$ref", "")).rsplit("/", 1)[-1]
            if name and name not in found:
                found.add(name)
                ahead.append(schemas[name])
            ahead += [value for value in part.values() if isinstance(value, (dict, list))]
    return found


def _model(name: str, schema: dict[str, Any]) -> str:
    rows = [
        f"| `{field}` | {type_of(one)} | {_words(one.get('description', ''))} |"
        for field, one in schema.get("properties", {}).items()
    ]
    said = _words(str(schema.get("description", "")).split("\n\n", 1)[0])
    head = f"\n### `{name}`\n\n{said}\n"
    return head + ("\n".join(["", "| field | type | |", "|---|---|---|", *rows]) + "\n" if rows else "")


def _words(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _route(document: dict[str, Any], path: str, method: str, operation: Operation) -> str:
    lines = [f"\n### `{method.upper()} {path}`\n"]
    said = " ".join(str(operation.get("description", "")).split())
    lines.append(f"{_who(path, method, operation)}: {operation.get('summary', '')}. {said}".rstrip() + "\n")
    rows = _taken(document, operation)
    if rows:
        lines += ["| takes | in | type | |", "|---|---|---|---|", *rows, ""]
    answered, refused = [], []
    for status, response in operation["responses"].items():
        if status < "400":
            answered.append(f"`{status}` {_answer(response)}")
        elif status not in _EVERYWHERE:
            refused.append(f"`{status}`")
    refuses = f" Refuses with {', '.join(refused)}." if refused else ""
    keyed = " Takes `Idempotency-Key`." if _takes_key(operation) else ""
    lines.append(f"Answers {'; '.join(answered)}.{refuses}{keyed}")
    return "\n".join(lines) + "\n"


def _who(path: str, method: str, operation: Operation) -> str:
    if path.startswith("/api/operator/"):
        return "**operator**"
    signed_in = bool(operation.get("security")) and (method, path) != OPTIONAL_TOKEN
    return f"**{_WHO[signed_in]}**"


def _takes_key(operation: Operation) -> bool:
    return any(one["name"] == HEADER for one in operation.get("parameters", []))


def _taken(document: dict[str, Any], operation: Operation) -> list[str]:
    rows = [
        _row(one["name"], one["in"], one.get("schema", {}), one.get("description", ""), one.get("required"))
        for one in operation.get("parameters", [])
        if one["name"] != HEADER
    ]
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        model = _resolved(document, content.get("schema", {}))
        place = "body" if kind == "application/json" else f"body, {kind}"
        required = set(model.get("required", []))
        rows += [
            _row(name, place, field, field.get("description", ""), name in required)
            for name, field in model.get("properties", {}).items()
        ]
        if not model.get("properties"):
            rows.append(f"| the body | {place} | | |")
    return rows


def _row(name: str, place: str, schema: dict[str, Any], said: str, required: object) -> str:
    return f"| `{name}`{'' if required else ' (optional)'} | {place} | {type_of(schema)} | {_words(said)} |"


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rsplit("/", 1)[-1]
    found: dict[str, Any] = document["components"]["schemas"].get(name, schema)
    return found


def _answer(response: dict[str, Any]) -> str:
    for kind, content in response.get("content", {}).items():
        if kind == "application/json":
            return type_of(content.get("schema", {})) or "JSON"
        return f"{kind}: {str(response['description']).rstrip('.')}"
    return str(response.get("description", "")).rstrip(".")


def type_of(schema: dict[str, Any]) -> str:
    """Return a schema in a word or two."""
    if "$ref" in schema:
        return f"`{schema['$ref'].rsplit('/', 1)[-1]}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`".lower()
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_of(one) for one in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    bounds = [
        f"{words} {schema[key]}"
        for key, words in (
            ("minimum", "from"),
            ("maximum", "to"),
            ("minLength", "at least"),
            ("maxLength", "at most"),
        )
        if key in schema
    ]
    return " ".join([str(schema.get("format", schema.get("type", ""))), *bounds])
