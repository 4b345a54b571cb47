"""Codes of DashScope's: whose fault each is, and what a refused key is said to be."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr

from understudy.errors import FailureCategory, FailureClass, ProviderRejectedError
from understudy.lanes import fingerprint
from understudy.providers.failures import (
    may_have_been_done,
    protocol_failure,
    status_failure,
    timeout_failure,
)
from understudy.providers.qwen.access import LaneAccess
from understudy.providers.qwen.refusals import by_code, refused_by_event
from understudy.restoration.signals.security import REFUSED_KEY

pytestmark = pytest.mark.unit

KEY = "sk-secret-key-of-ours"


def lane(recorded: dict[str, str] | None = None) -> LaneAccess:
    return LaneAccess("https://dashscope-intl.aliyuncs.com", "intl", SecretStr(KEY), recorded or {})


@pytest.mark.parametrize(
    ("code", "category"),
    [
        ("invalid_value", FailureCategory.VALIDATION),
        ("InvalidParameter", FailureCategory.VALIDATION),
        ("DataInspectionFailed", FailureCategory.VALIDATION),
        ("Audio.PreprocessError", FailureCategory.VALIDATION),
        ("Throttling", FailureCategory.PROVIDER_UNAVAILABLE),
        ("Throttling.RateQuota", FailureCategory.PROVIDER_UNAVAILABLE),
        ("InternalError.Algo", FailureCategory.PROVIDER_UNAVAILABLE),
        ("Arrearage", FailureCategory.PROVIDER_REJECTED),
        ("Model.AccessDenied", FailureCategory.PROVIDER_REJECTED),
        ("CLIENT_ERROR", FailureCategory.PROVIDER_REJECTED),
        (None, FailureCategory.PROVIDER_REJECTED),
    ],
)
def test_an_error_event_is_told_by_its_code(code: str | None, category: FailureCategory) -> None:
    details = {"code": code, "message": "the tenant's own words"}
    error = refused_by_event({"type": "error", "event_id": "event_1", "error": details})
    assert (error.category, error.failure_class) == (category, FailureClass.PROVIDER)
    assert (error.provider_code, error.provider_request_id) == (code, "event_1")
    assert "own words" not in f"{error} {error.evidence}"


def test_an_error_event_without_a_shape_is_a_refusal() -> None:
    error = refused_by_event({"type": "error", "error": "no"})
    assert (error.category, error.provider_code) == (FailureCategory.PROVIDER_REJECTED, None)


@pytest.mark.parametrize(
    ("status", "code", "category"),
    [
        (400, "InvalidParameter", FailureCategory.VALIDATION),
        (400, "Audio.DecoderError", FailureCategory.VALIDATION),
        (400, "Arrearage", FailureCategory.PROVIDER_REJECTED),
        (400, "BadRequest.VoiceNotFound", FailureCategory.PROVIDER_REJECTED),
        (400, "VoiceNotFound", FailureCategory.PROVIDER_REJECTED),
        (403, "AllocationQuota.FreeTierOnly", FailureCategory.PROVIDER_REJECTED),
        (429, "Throttling.BurstRate", FailureCategory.PROVIDER_UNAVAILABLE),
        (500, "InternalError", FailureCategory.PROVIDER_UNAVAILABLE),
    ],
)
def test_a_400_is_the_inputs_fault_only_where_its_code_says_so(
    status: int, code: str, category: FailureCategory
) -> None:
    body = json.dumps({"code": code, "message": "m", "request_id": "r-1"}).encode()
    error = by_code(status_failure("qwen", status, {}, body, operation="enroll"))
    assert (error.category, error.provider_code, error.provider_request_id) == (category, code, "r-1")


@pytest.mark.parametrize(
    ("recorded", "told", "code"),
    [
        ({}, "wrong, revoked, or of another region", "InvalidApiKey"),
        ({fingerprint(KEY): "intl"}, "was revoked or disabled", "InvalidApiKey"),
        ({fingerprint(KEY): "cn"}, "it is a key of lane cn, and DASHSCOPE_REGION is intl", "wrong_lane_key"),
        ({fingerprint("sk-other"): "cn"}, "wrong, revoked, or of another region", "InvalidApiKey"),
    ],
)
def test_a_refused_key_is_explained_by_what_is_on_record(
    recorded: dict[str, str], told: str, code: str
) -> None:
    body = json.dumps({"code": "InvalidApiKey", "request_id": "r-1"}).encode()
    refused = status_failure("qwen", 401, {}, body, operation="check")
    error = lane(recorded).named(refused, for_operator=True)
    assert lane(recorded).named(refused).message == "The speech provider refused our key."
    assert isinstance(error, ProviderRejectedError)
    assert told in error.message
    assert error.provider_code == code
    assert error.evidence["key_fingerprint"] == fingerprint(KEY)
    assert KEY not in f"{error} {error.evidence}"


@pytest.mark.parametrize(
    ("recorded", "code"), [({}, "InvalidApiKey"), ({fingerprint(KEY): "cn"}, "wrong_lane_key")]
)
def test_a_refused_handshake_without_a_body_is_a_refused_key(recorded: dict[str, str], code: str) -> None:
    refused = status_failure("qwen", 401, {}, b"", operation="speak")
    assert refused.provider_code is None
    assert lane(recorded).named(refused).provider_code == code
    assert code in REFUSED_KEY  # the guard looks for it


def test_other_refusals_are_left_as_they_are() -> None:
    error = status_failure("qwen", 403, {}, b"", operation="check")
    assert lane().named(error) is error


def test_addresses_are_of_the_lane_alone() -> None:
    assert (
        lane()
        .realtime_url("m-1")
        .startswith("wss://dashscope-intl.aliyuncs.com/api-ws/v1/realtime?model=m-1")
    )
    assert lane().customization_url.startswith("https://dashscope-intl.aliyuncs.com/api/v1/services/")


def test_what_may_have_been_done_is_told_from_what_was_not() -> None:
    assert may_have_been_done(timeout_failure("qwen", "enroll", 60.0))
    assert may_have_been_done(protocol_failure("qwen", "garbage"))
    assert may_have_been_done(status_failure("qwen", 502, {}, b"", operation="enroll"))
    assert not may_have_been_done(timeout_failure("qwen", "enroll", 60.0, sent=False))
    assert not may_have_been_done(status_failure("qwen", 429, {}, b"", operation="enroll"))
