"""How a failure is told to its tenant and recorded for the triggers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from understudy.errors import FailureCategory, FailureClass, ProviderError, UnderstudyError
from understudy.store.tasks import Ending


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task ended without speech.

    Parameters
    ----------
    sentence
        What the tenant reads: one sentence, no payload of a provider.
    failure_class
        ``None`` when the provider is not to blame.
    asked_for
        Its tenant cancelled it: the task ends ``cancelled``. A job the provider cancels by itself has failed.
    cost_microusd
        What the provider bills for it all the same.
    """

    sentence: str
    category: FailureCategory
    failure_class: FailureClass | None
    code: str
    request_id: str | None = None
    asked_for: bool = False
    cost_microusd: int = 0

    @property
    def facts(self) -> dict[str, Any]:
        """What ``tasks.metadata.failure`` holds."""
        return {
            "category": str(self.category),
            "failure_class": str(self.failure_class) if self.failure_class else None,
            "code": self.code,
        }

    def ending(self) -> Ending:
        """The end of the task that failed so."""
        return Ending(
            status="cancelled" if self.asked_for else "failed",
            error=self.sentence,
            metadata={"failure": self.facts},
        )


CANCELLED = Failure("The speech was cancelled.", FailureCategory.CANCELLED, None, "cancelled", asked_for=True)

NOT_STARTED = Failure(
    "The speech could not be started in time; try again.", FailureCategory.TIMEOUT, None, "not_started"
)

INTERRUPTED = Failure(
    "The speech was interrupted after its text had been sent, and was not sent twice; try again.",
    FailureCategory.PROVIDER_UNAVAILABLE,
    None,
    "interrupted",
)

INTERNAL = Failure(
    "Something went wrong on our side; try again.", FailureCategory.PROVIDER_UNAVAILABLE, None, "internal"
)

NOT_STORED = Failure(
    "The audio could not be stored; try again.", FailureCategory.PROVIDER_UNAVAILABLE, None, "storage"
)


#: The task's own deadline passed while the provider had it.
TOO_SLOW = Failure(
    "The speech took too long and was stopped; try again.",
    FailureCategory.TIMEOUT,
    FailureClass.TRANSPORT,
    "deadline",
)


def failure_of(error: BaseException) -> Failure:
    """Return the failure that ``error`` is; what is not one of ours is never quoted."""
    if isinstance(error, ProviderError):
        return Failure(
            error.message,
            error.category,
            error.failure_class,
            error.provider_code or error.code,
            error.provider_request_id,
            cost_microusd=error.cost_microusd,
        )
    if isinstance(error, UnderstudyError) and error.status < 500:
        return Failure(error.message, FailureCategory.VALIDATION, None, error.code)
    return INTERNAL
