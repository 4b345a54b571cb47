"""Modal's function calls as the jobs of the five URLs.

``FunctionCall.get(timeout=0)`` tells everything by value or exception (modal 1.6): the builtin TimeoutError
is pending, ``modal.exception`` names the rest, and its own TimeoutError is no subclass of the builtin.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import modal
import modal.exception

from understudy.errors import UnderstudyError
from understudy.jobserver.answers import JobStatus, JobView
from understudy.jobserver.engine import Outcome
from understudy.jobserver.orders import DesignOrder, SpeechOrder

OUT_OF_TIME = "The job took longer than it may."
#: What says that Modal could not be asked; the job itself may be well.
_UNREADABLE = (
    modal.exception.ConnectionError,
    modal.exception.ServiceError,
    modal.exception.InternalError,
    modal.exception.ResourceExhaustedError,
    modal.exception.ClientClosed,
)


class UnreadableCallError(UnderstudyError):
    """Modal could not be asked for the job; ask again."""

    code = "unreadable_call"
    status = 503
    retryable = True


@dataclass(frozen=True, slots=True)
class CallState:
    """What a function call said of itself."""

    status: JobStatus
    error: str | None = None
    expired: bool = False
    outcome: Outcome | None = None


PENDING = CallState(JobStatus.PROCESSING)


def state_of_value(value: object) -> CallState:
    """The state of a call that returned."""
    if not isinstance(value, Outcome):
        return CallState(JobStatus.FAILED, f"The job returned {type(value).__name__}.")
    if value.wav is None:
        return CallState(JobStatus.FAILED, value.error, outcome=value)
    return CallState(JobStatus.COMPLETED, outcome=value)


def state_of_error(error: BaseException) -> CallState | None:
    """The state of a call whose ``get`` raised; ``None`` when there is no such call.

    Raises
    ------
    UnreadableCallError
        The question failed, not the job.
    """
    if isinstance(error, TimeoutError):
        return PENDING
    if isinstance(error, (asyncio.CancelledError, modal.exception.InputCancellation)):
        return CallState(JobStatus.CANCELLED)
    if isinstance(error, modal.exception.OutputExpiredError):
        return CallState(JobStatus.COMPLETED, expired=True)
    if isinstance(error, modal.exception.FunctionTimeoutError):
        return CallState(JobStatus.FAILED, OUT_OF_TIME)
    if isinstance(error, (modal.exception.NotFoundError, modal.exception.InvalidError)):
        return None
    if isinstance(error, _UNREADABLE):
        raise UnreadableCallError from error
    return CallState(JobStatus.FAILED, f"The job failed ({type(error).__name__}).")


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What is kept beside a call, because the call does not tell it: times of the epoch, and a cancel."""

    submitted_at_s: float
    cancelled: bool = False


def view_of(job_id: str, record: JobRecord, state: CallState, now_s: float) -> JobView:
    """The job as its client may see it.

    A cancelled call raises one of several errors: the record decides, unless the call had completed before.
    ``elapsed_s`` of a job that ended is the engine's own time, which is what a GPU second costs.
    """
    status, error = state.status, state.error
    if record.cancelled and status is not JobStatus.COMPLETED:
        status, error = JobStatus.CANCELLED, None
    elapsed_s = state.outcome.elapsed_s if state.outcome else max(0.0, now_s - record.submitted_at_s)
    return JobView(job_id, status, elapsed_s, error, expired=state.expired)


class ModalJobs:
    """The :class:`understudy.jobserver.server.Jobs` of a Modal app.

    Parameters
    ----------
    speak, design
        The GPU functions; each takes an order and returns an :class:`Outcome`.
    records
        ``job:<id>`` to :class:`JobRecord`, ``request:<id>`` to a job's id. A job without a record is unknown,
        so that nobody reads another function's call by its id.
    """

    def __init__(self, speak: Any, design: Any, records: modal.Dict) -> None:
        self._speak = speak
        self._design = design
        self._records = records

    async def submit(self, order: SpeechOrder) -> str:
        """Spawn the GPU function; of two submits with one ``request_id`` the first stays."""
        request = f"request:{order.request_id}"
        if order.request_id and (known := await self._records.get.aio(request)):
            return str(known)
        call = await self._speak.spawn.aio(order)
        job_id = str(call.object_id)
        await self._records.put.aio(f"job:{job_id}", JobRecord(time.time()))
        if order.request_id and not await self._records.put.aio(request, job_id, skip_if_exists=True):
            await call.cancel.aio()
            return str(await self._records.get.aio(request))
        return job_id

    async def look_up(self, job_id: str) -> JobView | None:
        """Ask the record and the call."""
        record = await self._records.get.aio(f"job:{job_id}")
        if record is None:
            return None
        state = await self._state(job_id)
        return view_of(job_id, record, state, time.time()) if state else None

    async def audio(self, job_id: str) -> bytes:
        """Read the WAV of a call that completed; reading is repeatable."""
        state = await self._state(job_id)
        if state is None or state.outcome is None or state.outcome.wav is None:
            raise UnreadableCallError
        return state.outcome.wav

    async def cancel(self, job_id: str) -> None:
        """Cancel a call that has not ended, and remember it."""
        record = await self._records.get.aio(f"job:{job_id}")
        if record is None or await self._state(job_id) is not PENDING:
            return
        await self._records.put.aio(f"job:{job_id}", JobRecord(record.submitted_at_s, cancelled=True))
        await modal.FunctionCall.from_id(job_id).cancel.aio()

    async def design(self, order: DesignOrder) -> Outcome:
        """Call the GPU function and wait; past 150 s Modal's proxy answers 303 by itself."""
        try:
            outcome: Outcome = await self._design.remote.aio(order)
        except modal.exception.Error as error:
            return Outcome(None, f"The design failed ({type(error).__name__}).", 0.0)
        return outcome

    async def _state(self, job_id: str) -> CallState | None:
        try:
            value = await modal.FunctionCall.from_id(job_id).get.aio(timeout=0)
        except (Exception, asyncio.CancelledError, modal.exception.InputCancellation) as error:
            # What the job raised is raised again here, a cancellation of the job too; ours is another matter.
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            return state_of_error(error)
        return state_of_value(value)
