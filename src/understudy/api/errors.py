"""Every error body: ``{"detail": "<one sentence>"}``; ``/auth/v1`` has GoTrue's shapes, ``/v1`` OpenAI's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import HTTPConnection, Request

from understudy.api.openai_errors import is_openai, openai_response
from understudy.errors import ConfigurationError, MigrationError, TargetError, UnderstudyError
from understudy.logs import get_logger

AUTH_PREFIX: Final = "/auth/v1"
UNEXPECTED: Final = "Something went wrong on our side."

#: Seconds a caller should wait after a refusal that says nothing more exact.
DEFAULT_RETRY_AFTER_S: Final = 2

#: Version from which GoTrue names the code ``code`` and the text ``message``; clients ask for it by header.
GOTRUE_VERSION_HEADER: Final = "X-Supabase-Api-Version"
GOTRUE_NAMED_CODES_SINCE: Final = "2024-01-01"

#: Where FastAPI says a field was; a person knows.
_PLACES: Final = frozenset({"body", "query", "path", "header"})

_OPERATOR_ERRORS = (ConfigurationError, MigrationError, TargetError)

_HTTP_SENTENCES: Final = {
    400: "The request could not be read.",
    404: "Not found.",
    405: "Method not allowed.",
}

_GOTRUE_CODES: Final = {400: "validation_failed", 429: "over_request_rate_limit", 500: "unexpected_failure"}

log = get_logger(__name__)


class ErrorBody(BaseModel):
    """What every failed request answers."""

    detail: str = Field(description="One sentence a person can act on.", examples=["Not found."])


class GoTrueErrorBody(BaseModel):
    """What a failed request under ``/auth/v1`` answers, in the shape that GoTrue's own clients expect.

    A client that sends ``X-Supabase-Api-Version`` gets the stable code as ``code``, the text as ``message``.
    """

    code: int | str
    error_code: str = ""
    msg: str = ""
    message: str = ""


class BodyTooLargeError(HTTPException):
    """The body grew past its limit while it was read; an ``HTTPException``, or FastAPI would answer 400."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(
            413,
            f"The request body is larger than {limit_bytes} bytes.",
            headers={"Connection": "close"},
        )


class GoTrueError(Exception):
    """An error of the auth issuer.

    Parameters
    ----------
    error_code
        GoTrue's own stable code, such as ``invalid_credentials``.
    reasons
        Of a weak password, such as ``["length"]``.
    """

    def __init__(self, status: int, error_code: str, message: str, reasons: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        self.message = message
        self.reasons = tuple(reasons)


def install_error_handlers(app: FastAPI) -> None:
    """Give ``app`` the one error shape, whatever is raised below the middleware."""
    app.add_exception_handler(UnderstudyError, _on_understudy_error)
    app.add_exception_handler(StarletteHTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(GoTrueError, _on_gotrue_error)


def error_response(
    connection: HTTPConnection,
    status: int,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    error: UnderstudyError | None = None,
    param: str | None = None,
) -> JSONResponse:
    """Build the error answer that the path of ``connection`` calls for.

    Parameters
    ----------
    error, param
        What failed, and which field it is about, for the shapes that tell them.
    """
    sentence = " ".join(detail.split()) or UNEXPECTED
    if is_openai(connection.url.path):
        return openai_response(status, sentence, error=error, param=param, headers=headers)
    if _is_auth(connection):
        code = _GOTRUE_CODES.get(status, "unknown")
        return _gotrue_response(connection, GoTrueError(status, code, sentence), headers)
    return JSONResponse({"detail": sentence}, status_code=status, headers=dict(headers or {}))


def unexpected_response(connection: HTTPConnection) -> JSONResponse:
    """Build the answer to a failure nobody foresaw; it tells nothing of the inside."""
    return error_response(connection, 500, UNEXPECTED)


def field_of(errors: Sequence[Mapping[str, Any]]) -> str:
    """Return where pydantic's first error is, as a person would write it; empty for the body as a whole."""
    places = errors[0].get("loc", ()) if errors else ()
    return ".".join(str(part) for part in places if part not in _PLACES)


def sentence_of(errors: Sequence[Mapping[str, Any]]) -> str:
    """Turn pydantic's first error into one sentence that names the field."""
    error = errors[0] if errors else {}
    context = error.get("ctx") or {}
    field = field_of(errors)
    match error.get("type"):
        case "json_invalid":
            return "The request body is not valid JSON."
        case "value_error" if "error" in context:
            sentence = str(context["error"])
        case _ if not field:
            sentence = "The request body must be a JSON object sent as application/json."
        case "missing":
            sentence = f"{field} is required."
        case "string_too_long":
            sentence = f"{field} must have at most {context['max_length']} characters."
        case _:
            message = str(error.get("msg", "is not valid")).removeprefix("Input ").rstrip(".")
            sentence = f"{field} {message[:1].lower()}{message[1:]}."
    return sentence


async def _on_understudy_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, UnderstudyError)  # noqa: S101 - Starlette's signature is wider than its promise
    if error.status >= 500:
        log.warning("request_failed", code=error.code, status=error.status, error=error.message)
    headers = {}
    retry_after_s = error.retry_after_s
    if retry_after_s is None and error.retryable and error.status in {429, 503}:
        retry_after_s = DEFAULT_RETRY_AFTER_S
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    if error.status == 413:
        # The rest of the body is still on its way and nobody will read it.
        headers["Connection"] = "close"
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    detail = UNEXPECTED if isinstance(error, _OPERATOR_ERRORS) else error.message
    return error_response(request, error.status, detail, headers=headers, error=error)


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)  # noqa: S101 - as above
    own = isinstance(error, BodyTooLargeError)
    detail = str(error.detail) if own else _HTTP_SENTENCES.get(error.status_code, str(error.detail))
    return error_response(request, error.status_code, detail, headers=error.headers)


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    found = error.errors()
    if _is_auth(request) and found and found[0].get("type") == "json_invalid":
        return _gotrue_response(request, GoTrueError(400, "bad_json", "Could not parse request body as JSON"))
    malformed = found and found[0].get("type") == "json_invalid"
    param = None if malformed else field_of(found) or None
    return error_response(request, 400, sentence_of(found), param=param)


async def _on_gotrue_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, GoTrueError)  # noqa: S101 - as above
    return _gotrue_response(request, error)


def _is_auth(connection: HTTPConnection) -> bool:
    return connection.url.path.startswith(f"{AUTH_PREFIX}/")


def _gotrue_response(
    connection: HTTPConnection, error: GoTrueError, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    sent = dict(headers or {})
    body: dict[str, Any]
    if connection.headers.get(GOTRUE_VERSION_HEADER, "") >= GOTRUE_NAMED_CODES_SINCE:
        sent[GOTRUE_VERSION_HEADER] = GOTRUE_NAMED_CODES_SINCE
        body = {"code": error.error_code, "message": error.message}
    else:
        body = {"code": error.status, "error_code": error.error_code, "msg": error.message}
    if error.reasons:
        body["weak_password"] = {"reasons": list(error.reasons)}
    return JSONResponse(body, status_code=error.status, headers=sent)
