"""A function call's end, as Modal's own package tells it, becomes the state of a job."""

from __future__ import annotations

import asyncio

import modal.exception
import pytest
from modal._serialization import serialize
from modal._utils.function_utils import _process_result
from modal_proto import api_pb2

from deploy.modal_jobs import (
    OUT_OF_TIME,
    PENDING,
    CallState,
    JobRecord,
    UnreadableCallError,
    state_of_error,
    state_of_value,
    view_of,
)
from understudy.jobserver.answers import JobStatus, status_answer, unready_answer
from understudy.jobserver.engine import Outcome, outcome_of

pytestmark = pytest.mark.unit

GenericResult = api_pb2.GenericResult
SPOKEN = Outcome(b"RIFF", None, 3.25)
REFUSED = Outcome(None, "Unknown language 'Klingon'.", 0.1, refused=True)


async def told(result: GenericResult) -> CallState | None:
    """What we make of a result that Modal's own code has turned into a value or an exception."""
    try:
        value = await _process_result(result, api_pb2.DATA_FORMAT_PICKLE, None)
    except BaseException as error:
        return state_of_error(error)
    return state_of_value(value)


def returned(value: object) -> GenericResult:
    return GenericResult(status=GenericResult.GENERIC_STATUS_SUCCESS, data=serialize(value))


def raised(error: BaseException) -> GenericResult:
    return GenericResult(status=GenericResult.GENERIC_STATUS_FAILURE, data=serialize(error))


@pytest.mark.parametrize(
    ("result", "status", "error"),
    [
        (returned(SPOKEN), JobStatus.COMPLETED, None),
        (returned(REFUSED), JobStatus.FAILED, "Unknown language 'Klingon'."),
        (returned("a string"), JobStatus.FAILED, "The job returned str."),
        (raised(ValueError("of the engine")), JobStatus.FAILED, "The job failed (ValueError)."),
        (raised(modal.exception.InputCancellation()), JobStatus.CANCELLED, None),
        (raised(asyncio.CancelledError()), JobStatus.CANCELLED, None),
        (GenericResult(status=GenericResult.GENERIC_STATUS_TIMEOUT), JobStatus.FAILED, OUT_OF_TIME),
        (
            GenericResult(status=GenericResult.GENERIC_STATUS_INTERNAL_FAILURE),
            JobStatus.FAILED,
            "The job failed (InternalFailure).",
        ),
        (
            GenericResult(status=GenericResult.GENERIC_STATUS_TERMINATED),
            JobStatus.FAILED,
            "The job failed (RemoteError).",
        ),
        (
            GenericResult(status=GenericResult.GENERIC_STATUS_INIT_FAILURE),
            JobStatus.FAILED,
            "The job failed (RemoteError).",
        ),
    ],
)
async def test_each_end_of_a_call(result: GenericResult, status: JobStatus, error: str | None) -> None:
    state = await told(result)
    assert state is not None
    assert (state.status, state.error, state.expired) == (status, error, False)


def test_only_the_builtin_timeout_is_pending() -> None:
    assert state_of_error(TimeoutError()) is PENDING
    assert not issubclass(modal.exception.TimeoutError, TimeoutError)
    state = state_of_error(modal.exception.FunctionTimeoutError())
    assert state is not None
    assert state.status is JobStatus.FAILED


async def test_a_job_that_times_out_inside_never_looks_pending() -> None:
    """The worker catches everything: its own ``TimeoutError`` would otherwise be read as pending for ever."""

    async def engine() -> bytes:
        raise TimeoutError

    outcome = await outcome_of(engine())
    state = await told(returned(outcome))
    assert state is not None
    assert (state.status, state.error) == (JobStatus.FAILED, "The speech engine failed. (TimeoutError)")
    assert await told(raised(TimeoutError())) is PENDING  # what it would have been


@pytest.mark.parametrize("error", [modal.exception.NotFoundError(), modal.exception.InvalidError("bad id")])
def test_an_unknown_call_is_no_job(error: Exception) -> None:
    assert state_of_error(error) is None


@pytest.mark.parametrize(
    "error",
    [
        modal.exception.ConnectionError("no network"),
        modal.exception.ServiceError("try later"),
        modal.exception.InternalError("oops"),
        modal.exception.ResourceExhaustedError("slow down"),
        modal.exception.ClientClosed("closed"),
    ],
)
def test_a_question_that_failed_is_not_the_jobs_end(error: Exception) -> None:
    with pytest.raises(UnreadableCallError) as caught:
        state_of_error(error)
    assert (caught.value.status, caught.value.retryable) == (503, True)


RECORD, CANCELLED = JobRecord(100.0), JobRecord(100.0, cancelled=True)
DONE, FAILED = state_of_value(SPOKEN), state_of_value(REFUSED)
EXPIRED = state_of_error(modal.exception.OutputExpiredError())
assert EXPIRED is not None


@pytest.mark.parametrize(
    ("record", "state", "word", "ready", "elapsed_s", "result"),
    [
        (RECORD, PENDING, "processing", False, 7.5, 202),
        (RECORD, DONE, "completed", True, 3.25, 200),
        (RECORD, FAILED, "failed", False, 0.1, 500),
        (RECORD, EXPIRED, "failed", False, 7.5, 410),
        (CANCELLED, PENDING, "cancelled", False, 7.5, 410),
        (CANCELLED, state_of_error(modal.exception.RemoteError("x")), "cancelled", False, 7.5, 410),
        (CANCELLED, DONE, "completed", True, 3.25, 200),
    ],
)
def test_what_the_client_of_a_call_sees(
    record: JobRecord, state: CallState, word: str, ready: bool, elapsed_s: float, result: int
) -> None:
    view = view_of("fc-1", record, state, now_s=107.5)
    assert view.result_ready is ready
    answer = status_answer(view).with_fields()
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert f'"status": "{word}"'.encode() in answer.body
    assert view.elapsed_s == elapsed_s
    if not ready:
        assert unready_answer(view).status == result
