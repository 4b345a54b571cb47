"""The OpenAPI document: what FastAPI derives, with the statuses and the error shapes that we really answer.

Which statuses an operation may answer follows from what it takes: a token, an id, a body, the store. What
follows from its rules alone is listed here by name.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from understudy.api.auth import READING_POSTS
from understudy.api.errors import AUTH_PREFIX, ErrorBody, GoTrueErrorBody
from understudy.api.idempotency import HEADER
from understudy.api.openai_errors import OpenAIErrorBody, is_openai
from understudy.audio.encode import CONTENT_TYPES

Operation = dict[str, Any]

#: What each status of a refusal means.
DESCRIPTIONS = {
    400: "Not valid; the sentence says what and why.",
    401: "`Missing authorization header` or `Invalid or expired token`.",
    403: "The token or the link is not valid or has expired, or the account may not do this.",
    404: "There is none of yours by that name.",
    409: "It conflicts with the current state; the sentence says with what.",
    413: "The body is larger than this route takes.",
    416: "The range lies outside the audio.",
    422: "Understood, and refused.",
    429: "Too much at once, or over a budget; try again after `Retry-After` seconds.",
    500: "Something went wrong on our side.",
    501: "Not offered by this issuer.",
    502: "The speech provider rejected the request.",
    503: "Store or provider out of reach, or writes frozen; try again after `Retry-After` seconds.",
    504: "The speech provider did not answer in time.",
}
_RETRIED = {429, 503}
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}
}
_REQUEST_ID = {
    "X-Request-Id": {
        "description": "Yours, when it was well formed; quote it when you ask for help.",
        "schema": {"type": "string"},
    }
}

#: Beyond what :func:`_statuses` derives: by method and path, what the rules of a route refuse.
_OWN_STATUSES: dict[tuple[str, str], tuple[int, ...]] = {
    ("post", "/api/clone/finalize"): (409, 429, 502, 504),
    ("post", "/api/voices/design"): (404, 409),
    ("post", "/api/voices/design/preview"): (409, 429),
    ("post", "/api/generate"): (404, 409, 429),
    ("post", "/api/generate/stream"): (404, 409, 429, 502, 504),
    ("post", "/api/playback-events"): (429,),
    ("post", "/api/tasks/{id}/cancel"): (400,),
    ("get", "/api/operator/mode"): (403,),
    ("put", "/api/operator/mode"): (403, 409),
    ("get", "/api/operator/mode/history"): (403,),
    ("post", "/v1/audio/speech"): (404, 409, 429, 502, 504),
    ("post", "/v1/audio/voices"): (409, 429, 502, 504),
    ("get", "/v1/models/{model}"): (404,),
    ("get", "/objects/{bucket}/{key}"): (403, 404, 416),
    ("put", "/objects/{bucket}/{key}"): (403, 404, 409),
}
_KEY_PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Sent again within a day with the same body, the request is not done again: the answer is "
    "the first one's, with `Idempotency-Replayed: true`. 409 while the first is under way.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
}
#: Answered whatever else is down.
_UNFAILING = {"/api/health"}
OPTIONAL_TOKEN = ("get", "/api/me")
_MPEG = {"audio/mpeg": {"schema": {"type": "string", "format": "binary"}}}
_SPOKEN = {
    "description": "The audio, as it is spoken. Only a clean end means that it is whole and stored.",
    "content": _MPEG,
    "headers": {
        "X-Provider": {"description": "Who speaks it.", "schema": {"type": "string"}},
        "X-Generation-Id": {
            "description": "Under which it is stored.",
            "schema": {"type": "string", "format": "uuid"},
        },
        "X-Task-Id": {
            "description": "Under which it can be cancelled.",
            "schema": {"type": "string", "format": "uuid"},
        },
    },
}
#: What `response_format` and `stream_format` may ask for.
_IN_ANY_FORMAT = {
    **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in CONTENT_TYPES.values()},
    "text/event-stream": {"schema": {"type": "string"}},
}
_AUDIO = {"audio/wav": {"schema": {"type": "string", "format": "binary"}}}


def install_contract(app: FastAPI) -> None:
    """Make ``/openapi.json`` say what the service answers: 400 where FastAPI would say 422."""

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            schemas = schema.setdefault("components", {}).setdefault("schemas", {})
            for model in (ErrorBody, GoTrueErrorBody, OpenAIErrorBody):
                described = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas.update(described.pop("$defs", {}))
                schemas[model.__name__] = described
            for path, method, operation in operations(schema):
                if _takes_key(path, method, operation):
                    operation.setdefault("parameters", []).append(_KEY_PARAMETER)
                _complete(path, method, operation)
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = build  # type: ignore[method-assign]  # FastAPI's documented way to extend the schema


def operations(schema: dict[str, Any]) -> list[tuple[str, str, Operation]]:
    """Return ``(path, method, operation)`` of every operation of an OpenAPI document."""
    return [
        (path, method, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]


def _complete(path: str, method: str, operation: Operation) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    if (method, path) == OPTIONAL_TOKEN:
        # A token is welcome and not needed.
        operation["security"] = [{}, *operation.get("security", [])]
    if path == "/objects/{bucket}/{key}":
        _describe_object(method, operation)
    if path == "/api/generate/stream":
        responses["200"] = _SPOKEN
    if path == "/v1/audio/speech":
        responses["200"] = {**_SPOKEN, "content": _IN_ANY_FORMAT}
    if responses.get("302"):
        location = {"description": "An expiring URL of the audio.", "schema": {"type": "string"}}
        responses["302"] = {
            "description": "Found: the audio lies at `Location`.",
            "headers": {"Location": location},
        }
    name = _error_model(path).__name__
    error = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
    for status in _statuses(path, method, operation):
        response = responses.setdefault(str(status), {"description": DESCRIPTIONS[status], "content": error})
        if status in _RETRIED:
            response.setdefault("headers", {}).update(_RETRY_AFTER)
    for status_key, response in responses.items():
        schema = response.get("content", {}).get("application/json", {}).get("schema", {})
        if status_key >= "400" and "$ref" not in schema:
            response["content"] = error
        response.setdefault("headers", {}).update(_REQUEST_ID)
    operation["responses"] = dict(sorted(responses.items()))


def _error_model(path: str) -> type[BaseModel]:
    if path.startswith(AUTH_PREFIX):
        return GoTrueErrorBody
    return OpenAIErrorBody if is_openai(path) else ErrorBody


def _takes_key(path: str, method: str, operation: Operation) -> bool:
    keyed = method == "post" and "security" in operation and not path.startswith(AUTH_PREFIX)
    return keyed and path not in READING_POSTS


def _statuses(path: str, method: str, operation: Operation) -> set[int]:
    if path in _UNFAILING:
        return set()
    found = {500, 503, *_OWN_STATUSES.get((method, path), ())}
    if (method, path) != OPTIONAL_TOKEN and operation.get("security"):
        found.add(401)
    if "{id}" in path:
        found.add(404)
    places = {parameter["in"] for parameter in operation.get("parameters", [])}
    if "query" in places:
        found.add(400)
    if method in {"post", "put", "patch"}:
        found |= {400, 413} if "requestBody" in operation else {413}
    if path.startswith(AUTH_PREFIX):
        # GoTrue's own choices: 403 for a bad token, 422 for what it understood and refuses.
        found |= {403} if operation.get("security") else set()
        found |= {403, 422, 501} if method in {"post", "put"} else set()
    if _takes_key(path, method, operation):
        found |= {400, 409}
    if path in READING_POSTS:
        found -= {400}
    return found


def _describe_object(method: str, operation: Operation) -> None:
    responses = operation["responses"]
    if method == "put":
        operation["requestBody"] = {"required": True, "content": _AUDIO}
        return
    responses["200"] = {"description": "The audio.", "content": _AUDIO}
    responses["206"] = {"description": "One range of the audio.", "content": _AUDIO}
    responses["304"] = {"description": "The copy you have is the current one."}
