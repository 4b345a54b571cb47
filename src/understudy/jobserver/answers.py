"""What the five URLs answer: a job's state as JSON, its audio as WAV, and every refusal."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

EXPIRED = "The result has expired."


class JobStatus(StrEnum):
    """The words of ``GET job-status`` (facts/modal.md)."""

    QUEUED = "queued"
    PROCESSING = "processing"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as its client may see it.

    Parameters
    ----------
    elapsed_s
        Seconds from the submit to the end, or to now.
    error
        Why it failed, in one sentence.
    expired
        Its result is no longer kept; the job then counts as failed.
    """

    job_id: str
    status: JobStatus
    elapsed_s: float
    error: str | None = None
    expired: bool = False

    @property
    def result_ready(self) -> bool:
        """Whether the WAV can be fetched."""
        return self.status is JobStatus.COMPLETED and not self.expired


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, for any framework."""

    status: int
    body: bytes
    content_type: str = "application/json"

    def with_fields(self, **fields: Any) -> Answer:
        """Return this JSON answer with some fields replaced."""
        return replace(self, body=_json({**json.loads(self.body), **fields}))


def json_answer(status: int, value: dict[str, Any]) -> Answer:
    """An answer of JSON."""
    return Answer(status, _json(value))


def wav_answer(wav: bytes) -> Answer:
    """The audio itself."""
    return Answer(200, wav, "audio/wav")


def refusal(status: int, detail: str) -> Answer:
    """Anything but success, as ``{detail}``."""
    return json_answer(status, {"detail": detail})


def unknown_job() -> Answer:
    """No such job, or not any more."""
    return refusal(404, "There is no such job.")


def status_answer(view: JobView) -> Answer:
    """``GET job-status`` of a job that is known."""
    value: dict[str, Any] = {
        "job_id": view.job_id,
        "status": JobStatus.FAILED if view.expired else view.status,
        "result_ready": view.result_ready,
        "elapsed_seconds": round(view.elapsed_s, 3),
    }
    if view.expired or view.error:
        value["error"] = EXPIRED if view.expired else view.error
    return json_answer(200, value)


def unready_answer(view: JobView) -> Answer:
    """``GET job-result`` of a job without a result: not yet, never, or not any more."""
    if view.status not in TERMINAL:
        return json_answer(202, {"job_id": view.job_id, "status": view.status})
    if view.expired:
        return refusal(410, EXPIRED)
    if view.status is JobStatus.CANCELLED:
        return refusal(410, "The job was cancelled.")
    return refusal(500, view.error or "The job failed.")


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()
