"""A provider's answer becomes one of our errors by status and event, never by its text."""

from __future__ import annotations

import json

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.errors import FailureCategory, FailureClass, ProviderError
from understudy.providers.base import SUBMIT_UNKNOWN
from understudy.providers.failures import safe_code, status_failure, wire_errors
from understudy.providers.modal_answers import mark_unknown

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("status", "category", "retryable", "answered"),
    [
        (400, FailureCategory.VALIDATION, False, 400),
        (422, FailureCategory.VALIDATION, False, 400),
        (401, FailureCategory.PROVIDER_REJECTED, False, 502),
        (403, FailureCategory.PROVIDER_REJECTED, False, 502),
        (404, FailureCategory.PROVIDER_REJECTED, False, 502),
        (410, FailureCategory.PROVIDER_REJECTED, False, 502),
        (408, FailureCategory.PROVIDER_UNAVAILABLE, True, 503),
        (429, FailureCategory.PROVIDER_UNAVAILABLE, True, 503),
        (500, FailureCategory.PROVIDER_UNAVAILABLE, True, 503),
        (599, FailureCategory.PROVIDER_UNAVAILABLE, True, 503),
    ],
)
def test_status_decides(status: int, category: FailureCategory, retryable: bool, answered: int) -> None:
    error = status_failure("qwen", status, {}, b"", operation="speak")
    assert (error.category, error.retryable, error.status) == (category, retryable, answered)
    assert error.failure_class is FailureClass.PROVIDER


def test_retry_after_is_kept() -> None:
    assert status_failure("modal", 429, {"Retry-After": "7"}, b"", operation="submit").retry_after_s == 7


def test_codes_and_request_ids_are_kept_and_messages_are_not() -> None:
    body = json.dumps({"code": "InvalidApiKey", "message": "sk-secret said no", "request_id": "r-1"}).encode()
    error = status_failure("qwen", 401, {}, body, operation="check")
    assert error.provider_code == "InvalidApiKey"
    assert error.provider_request_id == "r-1"
    assert "sk-secret" not in f"{error} {error.evidence}"


@given(st.text(max_size=200))
def test_only_plain_identifiers_pass_as_codes(text: str) -> None:
    code = safe_code(text)
    assert code is None or (code == text and " " not in code and len(code) <= 64)


@given(st.binary(max_size=300), st.integers(300, 599))
def test_any_body_gives_an_error_and_no_crash(body: bytes, status: int) -> None:
    error = status_failure("modal", status, {}, body, operation="status")
    assert str(error)


async def caught_on_the_wire(error: Exception) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        async with wire_errors("modal", stage="submit", deadline_s=1.0):
            raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "category", "code"),
    [
        (aiohttp.ServerDisconnectedError(), FailureCategory.PROVIDER_UNAVAILABLE, SUBMIT_UNKNOWN),
        (ConnectionResetError(), FailureCategory.PROVIDER_UNAVAILABLE, SUBMIT_UNKNOWN),
        (TimeoutError(), FailureCategory.TIMEOUT, SUBMIT_UNKNOWN),
        (aiohttp.SocketTimeoutError(), FailureCategory.TIMEOUT, SUBMIT_UNKNOWN),
        (aiohttp.ConnectionTimeoutError(), FailureCategory.TIMEOUT, None),
    ],
)
async def test_a_submit_is_unknown_only_when_it_may_have_been_sent(
    error: Exception, category: FailureCategory, code: str | None
) -> None:
    failure = await caught_on_the_wire(error)
    mark_unknown(failure)
    assert (failure.failure_class, failure.category) == (FailureClass.TRANSPORT, category)
    assert failure.provider_code == code


def test_an_answer_is_never_an_unknown_submit() -> None:
    failure = status_failure("modal", 500, {}, b"", operation="submit")
    mark_unknown(failure)
    assert failure.provider_code is None
