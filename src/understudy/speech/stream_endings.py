"""How a stream without a whole clip ends: for its task, for whoever listens, and in money."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.errors import (
    FailureClass,
    ProviderError,
    ProviderTimeoutError,
    StoreUnavailableError,
    StreamCancelledError,
    StreamInterruptedError,
    StreamTruncatedError,
    UnderstudyError,
)
from understudy.providers.base import Operation
from understudy.speech.calls import CallMeter, took_the_text
from understudy.speech.failures import (
    CANCELLED,
    INTERNAL,
    INTERRUPTED,
    NOT_STORED,
    TOO_SLOW,
    Failure,
    failure_of,
)
from understudy.speech.holding import Stop
from understudy.speech.settling import GenerationGoneError
from understudy.speech.stream_orders import Casting


@dataclass(frozen=True, slots=True)
class Verdict:
    """One end.

    Parameters
    ----------
    failure
        What task, generation and call record hold; ``None`` when the task is no longer ours to end.
    told
        What whoever listens is told.
    ours
        We ended the call, not the provider: no success rate counts it.
    """

    failure: Failure | None
    told: UnderstudyError
    ours: bool


def verdict_of_error(error: Exception, *, heard: bool) -> Verdict:
    """The end of a stream that failed; ``heard``: past its commit point."""
    if isinstance(error, GenerationGoneError):
        return Verdict(CANCELLED, StreamCancelledError(), ours=True)
    if isinstance(error, ProviderError):
        failure = failure_of(error)
        if heard:
            return Verdict(_truncated(failure), StreamTruncatedError(), ours=False)
        return Verdict(failure, error, ours=False)
    if isinstance(error, StoreUnavailableError):
        return Verdict(NOT_STORED, StoreUnavailableError(NOT_STORED.sentence, retry_after_s=2), ours=True)
    told = error if isinstance(error, UnderstudyError) else UnderstudyError()
    failure = failure_of(error)
    # A release that breaks every stream must show in the success rate: a code rollback is its cure.
    return Verdict(failure, told, ours=failure.code != INTERNAL.code)


def verdict_of_stop(reason: Stop | None, *, heard: bool, provider: str) -> Verdict:
    """The end of a stream that was stopped."""
    match reason:
        case Stop.CANCELLED:
            return Verdict(CANCELLED, StreamCancelledError(), ours=True)
        case Stop.DEADLINE if heard:
            return Verdict(_truncated(TOO_SLOW), StreamTruncatedError(), ours=False)
        case Stop.DEADLINE:
            told = ProviderTimeoutError(
                TOO_SLOW.sentence, failure_class=FailureClass.TRANSPORT, provider=provider
            )
            return Verdict(TOO_SLOW, told, ours=False)
        case Stop.RELEASED:
            return Verdict(INTERRUPTED, StreamInterruptedError(), ours=True)
        case _:
            return Verdict(None, StreamInterruptedError(), ours=True)


def count_what_was_bought(
    meter: CallMeter, casting: Casting, text: str, error: Exception | None, *, heard: bool
) -> None:
    """Note the cost of a call that did not finish, by our own count of the characters that were sent.

    A provider that streams bills the text it took, heard or not; one that said no, or was never reached, took
    none.
    """
    if meter.cost_microusd or not casting.provider.capabilities.streaming:
        return
    if not heard and not took_the_text(error):
        return
    meter.owe(text, casting.provider.estimate(Operation.SPEAK, text=text, kind=casting.binding.kind))


def _truncated(cause: Failure) -> Failure:
    return Failure(
        StreamTruncatedError().message,
        cause.category,
        cause.failure_class,
        StreamTruncatedError.code,
        cause.request_id,
    )
