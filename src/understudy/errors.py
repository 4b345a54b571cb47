"""The one error tree.

Every error has a stable ``code``, an HTTP ``status``, a ``retryable`` flag and a message a user can act on.
A class's docstring is its default message, so the docstring *is* what a user reads.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar


class UnderstudyError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str | None = None, *, retry_after_s: int | None = None) -> None:
        self.message = message or inspect.cleandoc(type(self).__doc__ or "").splitlines()[0]
        self.retry_after_s = retry_after_s
        super().__init__(self.message)


# --- what a caller did -------------------------------------------------------------------------------------


class ValidationError(UnderstudyError):
    """The request is not valid."""

    code = "validation"
    status = 400


class UnauthenticatedError(UnderstudyError):
    """Invalid or expired token"""  # noqa: D400  (the contract's text, facts/api.md)

    code = "unauthenticated"
    status = 401


class ForbiddenError(UnderstudyError):
    """This link is not valid or has expired."""

    code = "forbidden"
    status = 403


class PayloadTooLargeError(UnderstudyError):
    """The request body is too large."""

    code = "payload_too_large"
    status = 413


class NotFoundError(UnderstudyError):
    """Not found."""

    code = "not_found"
    status = 404


class ConflictError(UnderstudyError):
    """The request conflicts with the current state."""

    code = "conflict"
    status = 409


class UnservedError(ConflictError):
    """The active speech provider does not serve this request."""

    # Because of the mode, or because it does not cover the voice: an SLI of its own counts these.


class QuarantinedError(ConflictError):
    """This is damaged on our side and kept from use until it is repaired."""

    code = "quarantined"


class MoveRefusedError(ConflictError):
    """A move away from the known-good provider is refused: there were too many."""

    code = "move_refused"


class KeyInFlightError(ConflictError):
    """A request with this Idempotency-Key is still being processed; try again in a moment."""

    code = "idempotency_in_flight"
    retryable = True


class ThrottledError(UnderstudyError):
    """Too many requests; try again later."""

    code = "throttled"
    status = 429
    retryable = True


class BudgetExceededError(UnderstudyError):
    """A spending limit is used up; try again when its window is over."""

    code = "budget_exceeded"
    status = 429
    retryable = True


class ValveClosedError(UnderstudyError):
    """An operator has paused this operation; try again later."""

    code = "valve_closed"
    status = 429
    retryable = True


# --- what the service lacks --------------------------------------------------------------------------------


class ConfigurationError(UnderstudyError):
    """A setting is missing or contradicts another."""

    code = "configuration"


class StoreUnavailableError(UnderstudyError):
    """The database cannot be reached; nothing was admitted."""

    code = "store_unavailable"
    status = 503
    retryable = True


class IdentityUnavailableError(UnderstudyError):
    """The identity provider cannot be reached, so nobody can be recognised; try again shortly."""

    code = "identity_unavailable"
    status = 503
    retryable = True


class MigrationError(UnderstudyError):
    """The database schema is not what this version needs."""

    code = "migration"


class MigrationRefusedError(MigrationError):
    """The migration gate refuses what is pending."""

    code = "migration_refused"


class BackupError(UnderstudyError):
    """The backup cannot be made, or cannot be used."""

    code = "backup"


class WritesFrozenError(UnderstudyError):
    """Changes are paused for maintenance; nothing was changed, try again later."""

    code = "writes_frozen"
    status = 503
    retryable = True


class ReadsClosedError(UnderstudyError):
    """Reading this is paused by the operators; nothing was lost, try again later."""

    code = "reads_closed"
    status = 503
    retryable = True


class LeaseLostError(UnderstudyError):
    """Another guard holds the lease of this environment; this one must not act."""

    code = "lease_lost"
    status = 409


class TargetError(UnderstudyError):
    """The deployment target did not do what was asked."""

    code = "target"
    status = 502


class ProcessError(UnderstudyError):
    """A process of this deployment did not start, or stopped by itself."""

    code = "process"


class EncodingError(UnderstudyError):
    """The audio could not be encoded."""

    code = "encoding"


class VoiceboxError(UnderstudyError):
    """The local speech engine behind the stand-ins failed."""

    code = "voicebox"
    status = 503
    retryable = True


# --- what a provider did -----------------------------------------------------------------------------------


class FailureCategory(StrEnum):
    """The five categories of facts/api.md; each decides the status a client sees."""

    VALIDATION = "validation"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER_REJECTED = "provider_rejected"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


class FailureClass(StrEnum):
    """The three failure classes that the playbook's second trigger counts."""

    TRANSPORT = "transport"
    PROTOCOL = "protocol"
    PROVIDER = "provider"


class ProviderError(UnderstudyError):
    """The speech provider failed.

    Parameters
    ----------
    failure_class
        Whether the wire broke (transport), the answer broke its contract (protocol) or the provider said no.
    provider
        Name of the provider, for records; never shown to a tenant as an address.
    provider_code
        The provider's own stable code, when it gave one. Its message text is kept out: it may hold payloads.
    provider_request_id
        Request or event id to quote to the provider's support.
    evidence
        Small, secret-free facts (HTTP status, close code, event type) kept with the call record.
    cost_microusd
        What the provider bills for it all the same, where it is billed by time.
    """

    code = "provider"
    category: ClassVar[FailureCategory] = FailureCategory.PROVIDER_UNAVAILABLE

    def __init__(
        self,
        message: str | None = None,
        *,
        failure_class: FailureClass,
        provider: str,
        provider_code: str | None = None,
        provider_request_id: str | None = None,
        evidence: Mapping[str, Any] | None = None,
        retry_after_s: int | None = None,
        cost_microusd: int = 0,
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.cost_microusd = cost_microusd
        self.failure_class = failure_class
        self.provider = provider
        self.provider_code = provider_code
        self.provider_request_id = provider_request_id
        self.evidence = dict(evidence or {})


class ProviderValidationError(ProviderError):
    """The speech provider refused the input."""

    code = "provider_validation"
    status = 400
    category = FailureCategory.VALIDATION


class ProviderUnavailableError(ProviderError):
    """The speech provider is unavailable; try again shortly."""

    code = "provider_unavailable"
    status = 503
    retryable = True
    category = FailureCategory.PROVIDER_UNAVAILABLE


class ProviderRejectedError(ProviderError):
    """The speech provider rejected the request."""

    code = "provider_rejected"
    status = 502
    category = FailureCategory.PROVIDER_REJECTED


class ProviderTimeoutError(ProviderError):
    """The speech provider did not answer in time."""

    code = "provider_timeout"
    status = 504
    retryable = True
    category = FailureCategory.TIMEOUT


class ProviderCancelledError(ProviderError):
    """The speech was cancelled."""

    code = "provider_cancelled"
    status = 409
    category = FailureCategory.CANCELLED


# --- what became of a stream -------------------------------------------------------------------------------


class TooManyStreamsError(ConflictError):
    """Too many streams are under way; wait for one to end."""

    code = "too_many_streams"
    retryable = True


class StreamCancelledError(UnderstudyError):
    """The speech was cancelled."""

    code = "cancelled"
    status = 409


class StreamTruncatedError(UnderstudyError):
    """The speech ended early and is incomplete; try again."""

    code = "truncated"
    status = 502
    retryable = True


class StreamInterruptedError(UnderstudyError):
    """The speech was interrupted on our side; try again."""

    code = "interrupted"
    status = 503
    retryable = True
