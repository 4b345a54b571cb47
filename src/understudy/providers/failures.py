"""How a provider's answer becomes one error of our tree: by status and wire event, never by its text."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from understudy.errors import (
    FailureClass,
    ProviderError,
    ProviderRejectedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    ProviderValidationError,
)

#: A provider's own code, safe to keep: a short identifier. Anything else may hold a payload.
_CODE = re.compile(r"^[A-Za-z][A-Za-z0-9_.\-]{0,63}$")
_SERVER_ERRORS = range(500, 600)


def safe_code(value: object) -> str | None:
    """The provider's code when it is a plain identifier, else ``None``."""
    return value if isinstance(value, str) and _CODE.match(value) else None


def protocol_failure(
    provider: str, message: str, *, code: str | None = None, **evidence: Any
) -> ProviderUnavailableError:
    """The provider answered, and the answer breaks its own contract; ``code`` is ours, for the records."""
    return ProviderUnavailableError(
        message,
        failure_class=FailureClass.PROTOCOL,
        provider=provider,
        provider_code=code,
        evidence=evidence,
    )


def transport_failure(provider: str, message: str, **evidence: Any) -> ProviderUnavailableError:
    """The wire to the provider broke."""
    return ProviderUnavailableError(
        message, failure_class=FailureClass.TRANSPORT, provider=provider, evidence=evidence
    )


def timeout_failure(provider: str, stage: str, seconds: float, **evidence: Any) -> ProviderTimeoutError:
    """One of our own deadlines passed; the provider's are not trusted."""
    return ProviderTimeoutError(
        f"The speech provider took longer than {seconds:g} s ({stage}).",
        failure_class=FailureClass.TRANSPORT,
        provider=provider,
        evidence={"stage": stage, "deadline_s": round(seconds, 3), **evidence},
    )


def status_failure(
    provider: str, status: int, headers: Mapping[str, str], body: bytes, *, operation: str
) -> ProviderError:
    """The error of an HTTP status that is not success.

    400 and 422 refuse the input; 401, 403 and 404 refuse us (key, model, address); 408, 429 and 5xx may
    pass.
    """
    code, request_id = _body_facts(body)
    evidence = {"status": status, "operation": operation}
    facts: dict[str, Any] = {
        "failure_class": FailureClass.PROVIDER,
        "provider": provider,
        "provider_code": code,
        "provider_request_id": request_id or headers.get("x-request-id"),
        "evidence": evidence,
    }
    if status in {400, 422}:
        return ProviderValidationError(f"The speech provider refused the input ({code or status}).", **facts)
    if status in {408, 429} or status in _SERVER_ERRORS:
        return ProviderUnavailableError(
            f"The speech provider is unavailable (HTTP {status}).",
            retry_after_s=_retry_after_s(headers),
            **facts,
        )
    return ProviderRejectedError(f"The speech provider rejected the request (HTTP {status}).", **facts)


def _body_facts(body: bytes) -> tuple[str | None, str | None]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return None, None
    if not isinstance(parsed, dict):
        return None, None
    request_id = parsed.get("request_id")
    return safe_code(parsed.get("code")), request_id if isinstance(request_id, str) else None


def _retry_after_s(headers: Mapping[str, str]) -> int | None:
    value = headers.get("Retry-After", "")
    return int(value) if value.isdigit() else None


def may_have_been_done(error: ProviderError) -> bool:
    """Whether what was asked may have happened although this is the answer: it was sent, and not refused."""
    if error.failure_class is FailureClass.PROVIDER:
        return error.evidence.get("status") in _SERVER_ERRORS
    return bool(error.evidence.get("sent", True))


@asynccontextmanager
async def wire_errors(
    provider: str, *, stage: str, deadline_s: float, told_s: float | None = None
) -> AsyncIterator[None]:
    """Bound a block by ``deadline_s`` and turn what aiohttp raises in it into our errors.

    Where ``deadline_s`` is only what is left of a deadline, ``told_s`` is the whole one, for the error.
    Without a connection nothing was sent: the evidence then says ``sent: False``.
    """
    try:
        async with asyncio.timeout(deadline_s):
            yield
    except aiohttp.ConnectionTimeoutError:
        raise timeout_failure(provider, stage, told_s or deadline_s, sent=False) from None
    except TimeoutError:
        raise timeout_failure(provider, stage, told_s or deadline_s) from None
    except aiohttp.WSServerHandshakeError as error:
        if error.status < 400:
            message = "The speech provider answered, and not with a WebSocket."
            raise protocol_failure(
                provider, message, code="frame_unreadable", stage=stage, status=error.status
            ) from None
        raise status_failure(provider, error.status, error.headers or {}, b"", operation=stage) from None
    except aiohttp.ClientConnectorError as error:
        message = f"The connection to the speech provider failed ({stage})."
        evidence = {"stage": stage, "error": type(error).__name__, "sent": False}
        raise transport_failure(provider, message, **evidence) from None
    except aiohttp.ClientError as error:
        message = f"The connection to the speech provider failed ({stage})."
        raise transport_failure(provider, message, stage=stage, error=type(error).__name__) from None
    except OSError as error:
        message = f"The connection to the speech provider failed ({stage})."
        raise transport_failure(provider, message, stage=stage, error=type(error).__name__) from None
