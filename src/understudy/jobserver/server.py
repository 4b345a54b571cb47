"""The handlers of the five URLs, over whatever keeps the jobs."""

from __future__ import annotations

from typing import Protocol

from understudy.errors import ValidationError
from understudy.jobserver.answers import (
    Answer,
    JobView,
    json_answer,
    refusal,
    status_answer,
    unknown_job,
    unready_answer,
    wav_answer,
)
from understudy.jobserver.engine import Outcome
from understudy.jobserver.orders import DesignOrder, SpeechOrder, job_named_by


class Jobs(Protocol):
    """What keeps and runs the jobs."""

    async def submit(self, order: SpeechOrder) -> str:
        """Start a job and return its id; the same ``request_id`` again returns the same id."""
        ...

    async def look_up(self, job_id: str) -> JobView | None:
        """Return the job as it is now; ``None`` when it is not known."""
        ...

    async def audio(self, job_id: str) -> bytes:
        """Return the WAV of a job whose result is ready."""
        ...

    async def cancel(self, job_id: str) -> None:
        """Stop a job; one that ended stays as it ended."""
        ...

    async def design(self, order: DesignOrder) -> Outcome:
        """Design a voice, to the end."""
        ...


class JobServer:
    """One method a URL; each takes the raw request and never raises for what a client sent."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def submit(self, body: bytes) -> Answer:
        """``POST job-submit``: 200 with the job's id, or 422."""
        try:
            order = SpeechOrder.from_body(body)
        except ValidationError as error:
            return refusal(422, error.message)
        return json_answer(200, {"job_id": await self._jobs.submit(order)})

    async def status(self, job_id: str) -> Answer:
        """``GET job-status``: 200, or 404."""
        view = await self._jobs.look_up(job_id)
        return status_answer(view) if view is not None else unknown_job()

    async def result(self, job_id: str) -> Answer:
        """``GET job-result``: 200 with the WAV, 202 not yet, 404 unknown, 410 gone, 500 failed."""
        view = await self._jobs.look_up(job_id)
        if view is None:
            return unknown_job()
        return wav_answer(await self._jobs.audio(job_id)) if view.result_ready else unready_answer(view)

    async def cancel(self, body: bytes) -> Answer:
        """``POST job-cancel``: 200 with the status it now has, however often; 404 unknown."""
        try:
            job_id = job_named_by(body)
        except ValidationError as error:
            return refusal(422, error.message)
        if await self._jobs.look_up(job_id) is None:
            return unknown_job()
        await self._jobs.cancel(job_id)
        view = await self._jobs.look_up(job_id)
        return json_answer(200, {"job_id": job_id, "status": view.status}) if view else unknown_job()

    async def design(self, body: bytes) -> Answer:
        """``POST voice-design``: 200 with the WAV, or 422 for what cannot be designed."""
        try:
            order = DesignOrder.from_body(body)
        except ValidationError as error:
            return refusal(422, error.message)
        return design_answer(await self._jobs.design(order))


def design_answer(outcome: Outcome) -> Answer:
    """The answer of a design call that ended."""
    if outcome.wav is not None:
        return wav_answer(outcome.wav)
    return refusal(422 if outcome.refused else 500, outcome.error or "The design failed.")
