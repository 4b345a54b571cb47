"""Reading what Modal answered: a job's state, its audio, and the failures that either can be."""

from __future__ import annotations

import json
from typing import Any

from understudy.audio.wav import Clip, is_silent, read_wav
from understudy.errors import (
    FailureClass,
    ProviderCancelledError,
    ProviderError,
    ProviderRejectedError,
    ProviderTimeoutError,
    ValidationError,
)
from understudy.logs import get_logger
from understudy.providers.base import SUBMIT_UNKNOWN
from understudy.providers.failures import protocol_failure, safe_code

NAME = "modal"
RUNNING = frozenset({"queued", "processing", "running"})

log = get_logger(__name__)


def job_named(body: bytes) -> str:
    """Return the job id of a submit's answer.

    Raises
    ------
    ProviderError
        ``protocol``: not JSON, or without an id.
    """
    job_id = parsed(body).get("job_id")
    if not isinstance(job_id, str) or not job_id:
        raise protocol_failure(NAME, "The speech provider accepted a job without naming it.")
    return job_id


def parsed(body: bytes) -> dict[str, Any]:
    """Return the JSON object of an answer; anything else is a ``protocol`` failure."""
    try:
        value = json.loads(body)
    except ValueError as error:
        raise protocol_failure(NAME, "The speech provider's answer is not JSON.", bytes=len(body)) from error
    if not isinstance(value, dict):
        raise protocol_failure(NAME, "The speech provider's answer is not a JSON object.", bytes=len(body))
    return value


def word(status: object) -> str:
    """A job's state as the provider says it; anything that is not one short word counts as running."""
    return safe_code(status) or "processing"


def seconds(value: object) -> float | None:
    """A number of seconds, or nothing."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def raise_if_ended(status: object) -> None:
    """Failed and cancelled end the job; any other word means that it still runs (facts/modal.md)."""
    facts: dict[str, Any] = {
        "failure_class": FailureClass.PROVIDER,
        "provider": NAME,
        "provider_code": "job_ended",
        "evidence": {"job_status": str(status)[:32]},
    }
    if status == "failed":
        raise ProviderRejectedError("The speech provider could not speak this text.", **facts)
    if status == "cancelled":
        raise ProviderCancelledError("The speech was cancelled at the provider.", **facts)
    if status not in RUNNING and status != "completed":
        log.warning("modal_unknown_status", status=str(status)[:32])


def valid_clip(body: bytes, what: str) -> Clip:
    """Decode audio; broken, empty and silent audio are ``protocol`` failures."""
    try:
        clip = read_wav(body)
    except ValidationError as error:
        raise protocol_failure(
            NAME, f"The speech provider sent broken {what} audio.", bytes=len(body)
        ) from error
    if not clip.samples.size or is_silent(clip):
        raise protocol_failure(NAME, f"The speech provider sent {what} without sound.", bytes=len(body))
    return clip


def result_withheld(deadline_s: float) -> ProviderTimeoutError:
    """A job said that its result is ready, and the result said 202 until our deadline: they disagree."""
    return ProviderTimeoutError(
        f"The speech provider did not hand over finished speech within {deadline_s:g} s.",
        failure_class=FailureClass.PROTOCOL,
        provider=NAME,
        evidence={"stage": "result", "deadline_s": round(deadline_s, 3), "status": 202},
    )


def mark_unknown(error: ProviderError) -> None:
    """Give a submit whose answer was lost its code: the job may run, and nobody knows its id."""
    if error.failure_class is FailureClass.TRANSPORT and error.evidence.get("sent", True):
        error.provider_code = SUBMIT_UNKNOWN
