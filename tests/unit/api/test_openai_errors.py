"""Errors under ``/v1`` as OpenAI's clients read them, and speech as events."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from understudy.api.errors import error_response, unexpected_response
from understudy.api.openai_errors import InvalidParameterError, UnknownNameError, error_object, is_openai
from understudy.api.speech_events import as_events
from understudy.errors import (
    BudgetExceededError,
    ConfigurationError,
    ConflictError,
    StreamTruncatedError,
    UnauthenticatedError,
    UnderstudyError,
)

pytestmark = pytest.mark.unit


def at(path: str) -> HTTPConnection:
    scope = {
        "type": "http",
        "path": path,
        "headers": [],
        "server": ("h", 1),
        "scheme": "http",
        "query_string": b"",
    }
    return HTTPConnection(scope)


def answered(error: UnderstudyError) -> tuple[dict[str, Any], str | None]:
    response = error_response(at("/v1/audio/speech"), error.status, error.message, error=error)
    return json.loads(bytes(response.body))["error"], response.headers.get("x-should-retry")


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("/v1", True),
        ("/v1/", True),
        ("/v1/models", True),
        ("/v11", False),
        ("/auth/v1/user", False),
        ("/api", False),
    ],
)
def test_which_paths_speak_openais_dialect(path: str, ours: bool) -> None:
    assert is_openai(path) is ours
    body = json.loads(bytes(error_response(at(path), 404, "Not found.").body))
    assert (set(body) == {"error"}) is ours


@pytest.mark.parametrize(
    ("error", "kind", "code", "param", "retry"),
    [
        (UnauthenticatedError(), "authentication_error", "invalid_api_key", None, "false"),
        (BudgetExceededError(), "rate_limit_error", "budget_exceeded", None, "true"),
        (ConflictError(), "invalid_request_error", "conflict", None, "false"),
        (StreamTruncatedError(), "server_error", "truncated", None, "true"),
        (ConfigurationError("a secret"), "server_error", "server_error", None, "false"),
        (
            InvalidParameterError("no", param="speed"),
            "invalid_request_error",
            "invalid_value",
            "speed",
            "false",
        ),
        (
            UnknownNameError("no", param="voice", reason="voice_not_found"),
            "invalid_request_error",
            "voice_not_found",
            "voice",
            "false",
        ),
    ],
)
def test_the_error_tree_in_openais_words(
    error: UnderstudyError, kind: str, code: str, param: str | None, retry: str
) -> None:
    body, should_retry = answered(error)
    assert body == {"message": error.message, "type": kind, "param": param, "code": code}
    assert should_retry == retry


def test_a_crash_says_nothing_of_retrying() -> None:
    response = unexpected_response(at("/v1/models"))
    assert "x-should-retry" not in response.headers
    assert json.loads(bytes(response.body))["error"]["type"] == "server_error"


@pytest.mark.parametrize(
    ("status", "code"), [(400, "invalid_value"), (405, "method_not_allowed"), (413, "payload_too_large")]
)
def test_what_http_itself_refuses(status: int, code: str) -> None:
    assert error_object(status, "no")["error"] == {
        "message": "no",
        "type": "invalid_request_error",
        "param": None,
        "code": code,
    }


async def events(audio: AsyncGenerator[bytes, None], into: list[dict[str, Any]]) -> None:
    async for event in as_events(audio, characters=7):
        assert event.startswith(b"data: ")
        assert event.endswith(b"\n\n")
        into.append(json.loads(event[6:]))


async def test_speech_as_events() -> None:
    async def spoken() -> AsyncGenerator[bytes, None]:
        yield b"one"
        yield b"two"

    found: list[dict[str, Any]] = []
    await events(spoken(), found)
    assert [base64.b64decode(event["audio"]) for event in found[:-1]] == [b"one", b"two"]
    assert [event["type"] for event in found] == ["speech.audio.delta"] * 2 + ["speech.audio.done"]
    assert found[-1]["usage"] == {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "characters": 7}


async def test_an_abnormal_end_is_an_event_and_an_error() -> None:
    async def spoken() -> AsyncGenerator[bytes, None]:
        yield b"one"
        raise StreamTruncatedError

    found: list[dict[str, Any]] = []
    with pytest.raises(StreamTruncatedError):
        await events(spoken(), found)
    assert [event["type"] for event in found] == ["speech.audio.delta", "error"]
    assert found[-1]["error"]["code"] == "truncated"
