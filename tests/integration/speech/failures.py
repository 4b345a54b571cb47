"""Provider failures, one of each class, as adapters raise them."""

from __future__ import annotations

from understudy.errors import (
    FailureClass,
    ProviderCancelledError,
    ProviderError,
    ProviderRejectedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)


def wire_cut() -> ProviderError:
    """The connection broke."""
    return ProviderUnavailableError(failure_class=FailureClass.TRANSPORT, provider="scripted")


def garbage() -> ProviderError:
    """The answer broke its contract."""
    return ProviderUnavailableError(
        "The speech provider sent nonsense.", failure_class=FailureClass.PROTOCOL, provider="scripted"
    )


def refusal() -> ProviderError:
    """The provider said no."""
    return ProviderRejectedError(
        failure_class=FailureClass.PROVIDER,
        provider="scripted",
        provider_code="Model.AccessDenied",
        provider_request_id="req-9",
    )


def withdrawn() -> ProviderError:
    """The provider cancelled the job by itself."""
    return ProviderCancelledError(failure_class=FailureClass.PROVIDER, provider="scripted")


def late() -> ProviderError:
    """The provider did not answer in time."""
    return ProviderTimeoutError(failure_class=FailureClass.TRANSPORT, provider="scripted")
