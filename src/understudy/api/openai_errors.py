"""Errors under ``/v1``: in the shape that OpenAI's own clients turn into their exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from understudy.errors import NotFoundError, UnderstudyError, ValidationError

OPENAI_PREFIX: Final = "/v1"

#: OpenAI's clients try 409 and every 5xx again, unless this says that it is no use.
SHOULD_RETRY_HEADER: Final = "X-Should-Retry"

INVALID_REQUEST: Final = "invalid_request_error"
SERVER_ERROR: Final = "server_error"
_TYPES: Final = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

#: Codes of ours that clients know under another name.
_CODES: Final = {
    "unauthenticated": "invalid_api_key",
    "throttled": "rate_limit_exceeded",
    "validation": "invalid_value",
    "internal": "server_error",
    # An operator's business, as its message is.
    "configuration": "server_error",
    "migration": "server_error",
    "target": "server_error",
}
_CODES_BY_STATUS: Final = {
    400: "invalid_value",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
}


class OpenAIError(BaseModel):
    """What went wrong."""

    message: str = Field(description="One sentence a person can act on.")
    type: str = Field(examples=[INVALID_REQUEST])
    param: str | None = Field(description="Which field it is about.")
    code: str | None = Field(description="Stable; for programs.")


class OpenAIErrorBody(BaseModel):
    """What every failed request under ``/v1`` answers."""

    error: OpenAIError


class InvalidParameterError(ValidationError):
    """A parameter of the request is not valid.

    Parameters
    ----------
    param
        Its name.
    reason
        OpenAI's code, such as ``unsupported_parameter``.
    """

    def __init__(self, message: str, *, param: str, reason: str = "invalid_value") -> None:
        super().__init__(message)
        self.param = param
        self.reason = reason


class UnknownNameError(NotFoundError):
    """What a parameter names does not exist for this caller.

    Parameters
    ----------
    param
        The parameter.
    reason
        Such as ``voice_not_found``.
    """

    def __init__(self, message: str, *, param: str, reason: str) -> None:
        super().__init__(message)
        self.param = param
        self.reason = reason


def is_openai(path: str) -> bool:
    """Whether ``path`` belongs to the routes that OpenAI's clients call."""
    return path == OPENAI_PREFIX or path.startswith(f"{OPENAI_PREFIX}/")


def error_object(
    status: int, message: str, *, code: str | None = None, param: str | None = None
) -> dict[str, dict[str, Any]]:
    """Return the body: ``code`` is the error tree's, put as OpenAI puts it."""
    told = code or _CODES_BY_STATUS.get(status)
    kind = _TYPES.get(status, SERVER_ERROR if status >= 500 else INVALID_REQUEST)
    return {"error": {"message": message, "type": kind, "param": param, "code": _CODES.get(told or "", told)}}


def openai_response(
    status: int,
    message: str,
    *,
    error: UnderstudyError | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return the answer to a failed request.

    Parameters
    ----------
    error
        What failed, when it was one of the error tree: it knows its code and whether trying again may help.
    """
    sent = dict(headers or {})
    code = None
    if error is not None:
        code = getattr(error, "reason", error.code)
        param = getattr(error, "param", param)
        sent[SHOULD_RETRY_HEADER] = "true" if error.retryable else "false"
    return JSONResponse(error_object(status, message, code=code, param=param), status, sent)
