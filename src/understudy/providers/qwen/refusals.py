"""What DashScope's codes mean to us, never by the text beside them (facts/dashscope.md section 7)."""

from __future__ import annotations

from typing import Any

from understudy.errors import (
    FailureCategory,
    FailureClass,
    ProviderError,
    ProviderRejectedError,
    ProviderUnavailableError,
    ProviderValidationError,
)
from understudy.providers.failures import safe_code
from understudy.providers.qwen.access import NAME

#: Codes and families of codes (``Throttling`` covers ``Throttling.RateQuota``) with their category.
#: What is not here is refused for a reason of the operator's: key, account, model, voice.
CATEGORIES = {
    "invalid_value": FailureCategory.VALIDATION,
    "invalid_request_error": FailureCategory.VALIDATION,
    "InvalidParameter": FailureCategory.VALIDATION,
    "Audio": FailureCategory.VALIDATION,
    "DataInspectionFailed": FailureCategory.VALIDATION,
    "data_inspection_failed": FailureCategory.VALIDATION,
    "CustomRoleBlocked": FailureCategory.VALIDATION,
    "Throttling": FailureCategory.PROVIDER_UNAVAILABLE,
    "InternalError": FailureCategory.PROVIDER_UNAVAILABLE,
    "SystemError": FailureCategory.PROVIDER_UNAVAILABLE,
    "ServiceUnavailable": FailureCategory.PROVIDER_UNAVAILABLE,
    "ServiceUnavailableError": FailureCategory.PROVIDER_UNAVAILABLE,
    "RequestTimeOut": FailureCategory.PROVIDER_UNAVAILABLE,
}
#: Codes with HTTP 400 that are no fault of the input: money, access, a voice that is gone.
_NOT_THE_INPUT = (
    "Arrearage",
    "AccessDenied",
    "Model",
    "Workspace",
    "VoiceNotFound",
    "BadRequest",
    "AllocationQuota",
)


def category_of(code: str | None) -> FailureCategory:
    """Category of an ``error`` event with this code."""
    family = (code or "").partition(".")[0]
    return CATEGORIES.get(code or "") or CATEGORIES.get(family) or FailureCategory.PROVIDER_REJECTED


def refused_by_event(event: dict[str, Any]) -> ProviderError:
    """The error of an ``error`` event. Its message is not kept: it may quote the text or the prompt."""
    details = event.get("error")
    code = safe_code(details.get("code")) if isinstance(details, dict) else None
    request_id = event.get("event_id")
    facts: dict[str, Any] = {
        "failure_class": FailureClass.PROVIDER,
        "provider": NAME,
        "provider_code": code,
        "provider_request_id": request_id if isinstance(request_id, str) else None,
        "evidence": {"event": "error"},
    }
    match category_of(code):
        case FailureCategory.VALIDATION:
            return ProviderValidationError(f"The speech provider refused the input ({code}).", **facts)
        case FailureCategory.PROVIDER_UNAVAILABLE:
            return ProviderUnavailableError(f"The speech provider is unavailable ({code}).", **facts)
    return ProviderRejectedError("The speech provider reported an error.", **facts)


def by_code(error: ProviderError) -> ProviderError:
    """An HTTP refusal, told apart by its code where the status alone would blame the input."""
    family = (error.provider_code or "").partition(".")[0]
    if not isinstance(error, ProviderValidationError) or family not in _NOT_THE_INPUT:
        return error
    return ProviderRejectedError(
        f"The speech provider rejected the request ({error.provider_code}).",
        failure_class=error.failure_class,
        provider=NAME,
        provider_code=error.provider_code,
        provider_request_id=error.provider_request_id,
        evidence=error.evidence,
    )
