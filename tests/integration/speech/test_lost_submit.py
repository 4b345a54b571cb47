"""A submit whose answer never came: sent once more at our cost, counted, and on no tenant's bill."""

from __future__ import annotations

import pytest

from tests.integration.scripted_provider import Cue
from tests.integration.speech.conftest import Studio
from understudy.errors import FailureClass, ProviderError, ProviderTimeoutError, ProviderUnavailableError
from understudy.providers.base import SUBMIT_UNKNOWN

pytestmark = pytest.mark.integration


def lost_answer() -> ProviderError:
    return ProviderTimeoutError(
        "The speech provider took longer than 15 s (submit).",
        failure_class=FailureClass.TRANSPORT,
        provider="modal",
        provider_code=SUBMIT_UNKNOWN,
    )


def refused_connection() -> ProviderError:
    return ProviderUnavailableError(failure_class=FailureClass.TRANSPORT, provider="modal")


async def test_a_lost_submit_is_sent_once_more_under_the_same_id(studio: Studio) -> None:
    studio.modal.cues.append(Cue(error=lost_answer))
    caller = await studio.caller()
    admitted = await studio.speak(caller, await studio.voice(caller))
    async with studio.working():
        task = await studio.ended(admitted.id)
    assert (task.status, task.attempts) == ("completed", 1)
    assert task.metadata[SUBMIT_UNKNOWN] is True
    assert [request.request_id for request in studio.modal.spoken] == [str(task.id)] * 2
    calls = [row for row in await studio.calls() if row["operation"] == "speak"]
    assert [(row["outcome"], row["code"]) for row in calls] == [("failed", SUBMIT_UNKNOWN), ("ok", None)]
    assert calls[0]["failure_class"] == "transport"
    # Run again at our cost: the tenant pays for neither.
    assert [row["billable"] for row in calls] == [False, False]


async def test_a_submit_lost_twice_ends_the_task(studio: Studio) -> None:
    studio.modal.cues.extend([Cue(error=lost_answer), Cue(error=lost_answer)])
    caller = await studio.caller()
    admitted = await studio.speak(caller, await studio.voice(caller))
    async with studio.working():
        task = await studio.ended(admitted.id)
    assert task.status == "failed"
    assert task.error == "The speech provider took longer than 15 s (submit)."
    assert task.metadata["failure"] == {
        "category": "timeout",
        "failure_class": "transport",
        "code": SUBMIT_UNKNOWN,
    }
    assert len(studio.modal.spoken) == 2


async def test_what_was_certainly_not_sent_is_an_ordinary_failure(studio: Studio) -> None:
    studio.modal.cues.append(Cue(error=refused_connection))
    caller = await studio.caller()
    admitted = await studio.speak(caller, await studio.voice(caller))
    async with studio.working():
        task = await studio.ended(admitted.id)
    assert task.status == "failed"
    assert SUBMIT_UNKNOWN not in task.metadata
    assert len(studio.modal.spoken) == 1


async def test_a_provider_that_bills_each_request_is_never_sent_twice(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    voice = await studio.voice(caller)
    studio.qwen.cues.append(Cue(error=lost_answer))
    admitted = await studio.speak(caller, voice)
    async with studio.working():
        task = await studio.ended(admitted.id)
    assert task.status == "failed"
    assert len(studio.qwen.spoken) == 1
