"""Every fault of Modal's panel, through the real adapter: its category, class, status and words."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.conformance.conftest import StandIns, Subject, settings_for, subject_of
from tests.conformance.modal_faults import (
    DESIGN_S,
    EXPECTED,
    FROM,
    RESULT_S,
    STATUS_S,
    SUBMIT_S,
    TO,
    TOTAL_S,
    Expected,
    table,
)
from understudy.audio.wav import is_silent, read_wav
from understudy.clock import SystemClock
from understudy.errors import FailureClass, ProviderError, ProviderTimeoutError
from understudy.providers.base import SUBMIT_UNKNOWN, DesignBrief, JobProgress, SpeechEvent, SpeechFinished
from understudy.providers.modal import ModalProvider
from understudy.speech.failures import failure_of
from understudy.standins.app import running_standins
from understudy.standins.configuration import StandInSettings
from understudy.standins.faults import MODAL_FAULTS

pytestmark = [pytest.mark.conformance, pytest.mark.xdist_group("standins")]

BRIEF = DesignBrief(text="One two three four.", language="English", instruct="a calm low male voice")
#: What a fault may take beyond the deadline that ends it.
GRACE_S = 3.0


DEADLINES = {
    "modal_submit_timeout_s": SUBMIT_S,
    "modal_status_timeout_s": STATUS_S,
    "modal_result_timeout_s": RESULT_S,
    "modal_design_timeout_s": DESIGN_S,
    "provider_total_timeout_s": TOTAL_S,
}


@pytest_asyncio.fixture
async def modal(standins: StandIns, recording: bytes) -> AsyncIterator[Subject]:
    """Modal with deadlines short enough to meet."""
    async with subject_of("modal", standins, recording, deadlines=DEADLINES) as subject:
        yield subject


@pytest_asyncio.fixture
async def patient(standins: StandIns, recording: bytes) -> AsyncIterator[Subject]:
    """Modal with time to ride out what passes."""
    async with subject_of("modal", standins, recording) as subject:
        yield subject


async def act(subject: Subject, operation: str) -> list[SpeechEvent]:
    if operation == "design":
        await subject.provider.design(BRIEF, label="conformance")
        return []
    request = await subject.request("One two three.")
    return [event async for event in subject.provider.speak(request)]


def named(expected: Expected) -> str:
    return f"{expected.fault}-{expected.operation}"


@pytest.mark.parametrize("expected", [item for item in EXPECTED if item.category is None], ids=named)
async def test_what_is_no_failure_in_the_table_ends_well(patient: Subject, expected: Expected) -> None:
    async with patient.fault(expected.fault):
        events = await act(patient, expected.operation)
    assert isinstance(events[-1], SpeechFinished)
    said = [event.status for event in events if isinstance(event, JobProgress)]
    assert said[:3] == ["warming_up"] * 3
    assert said[-1] == "completed"
    assert (await patient.stats())["faults_injected"][expected.fault] > 0  # type: ignore[index]


@pytest.mark.parametrize("expected", [item for item in EXPECTED if item.category is not None], ids=named)
async def test_each_fault_is_what_the_table_says(modal: Subject, expected: Expected) -> None:
    started_s = time.monotonic()
    async with modal.fault(expected.fault):
        with pytest.raises(ProviderError) as caught:
            await act(modal, expected.operation)
    error = caught.value
    assert (error.category, error.failure_class) == (expected.category, expected.failure_class)
    assert (error.status, error.retryable) == (expected.status, expected.retryable)
    assert error.provider_code == expected.code
    # What a task's owner reads is the sentence of the error.
    assert failure_of(error).sentence == expected.told
    longest_s = DESIGN_S if expected.operation == "design" else SUBMIT_S + TOTAL_S + RESULT_S
    assert time.monotonic() - started_s < longest_s + GRACE_S
    assert (await modal.stats())["faults_injected"][expected.fault] > 0  # type: ignore[index]


def test_the_table_has_every_fault_of_the_panel() -> None:
    assert {item.fault for item in EXPECTED} == set(MODAL_FAULTS)


def test_the_documented_table_is_this_one() -> None:
    text = (Path(__file__).parents[2] / "docs/standins.md").read_text()
    documented = text.partition(FROM)[2].partition(TO)[0].strip()
    assert documented == table().strip(), (
        "paste `python -m tests.conformance.modal_faults` into docs/standins.md"
    )


async def test_a_fault_of_a_while_is_ridden_out(patient: Subject) -> None:
    """One poll in three answers 500: no task fails of it."""
    async with patient.fault("status_500", 0.34):
        for _ in range(3):
            assert isinstance((await act(patient, "speak"))[-1], SpeechFinished)


@pytest.mark.parametrize("fault", ["submit_hang", "submit_reset"])
async def test_a_lost_submit_sent_again_is_the_same_job(modal: Subject, fault: str) -> None:
    request = await modal.request("One two three four.")
    before = await modal.stats()
    async with modal.fault(fault):
        with pytest.raises(ProviderError) as caught:
            [event async for event in modal.provider.speak(request)]
    assert caught.value.provider_code == SUBMIT_UNKNOWN
    assert isinstance([event async for event in modal.provider.speak(request)][-1], SpeechFinished)
    after = await modal.stats()
    ended = ("jobs_completed", "jobs_cancelled", "jobs_running", "jobs_queued", "jobs_failed")
    assert sum(after[name] for name in ended) == sum(before[name] for name in ended) + 1


async def test_an_address_that_refuses_was_sent_nothing(modal: Subject) -> None:
    request = await modal.request("One two three.")
    await modal.proxy.stop()
    with pytest.raises(ProviderError) as caught:
        [event async for event in modal.provider.speak(request)]
    assert caught.value.failure_class is FailureClass.TRANSPORT
    assert caught.value.evidence["sent"] is False
    assert caught.value.provider_code is None


async def test_a_design_may_wait_longer_than_redirects_last(tmp_path: Path) -> None:
    """303 and 202 in turn, over forty answers: only redirects are counted, the deadline ends waits."""
    slow = StandInSettings(modal_design_overhead_s=2.5, modal_redirect_after_s=0.02)
    async with running_standins(tmp_path, slow) as addresses:
        settings = settings_for(addresses.modal).model_copy(update={"modal_design_timeout_s": 10.0})
        provider = ModalProvider(settings, SystemClock())
        impatient = ModalProvider(settings.model_copy(update={"modal_design_timeout_s": 0.5}), SystemClock())
        try:
            with pytest.raises(ProviderTimeoutError):
                await impatient.design(BRIEF, label="conformance")
            designed = await provider.design(BRIEF, label="conformance")
        finally:
            await provider.close()
            await impatient.close()
    assert not is_silent(read_wav(designed.preview))


async def test_failed_jobs_are_not_cancelled_and_given_up_ones_are(modal: Subject) -> None:
    before = (await modal.stats())["jobs_cancelled"]
    async with modal.fault("job_failed"):
        with pytest.raises(ProviderError) as failed:
            await act(modal, "speak")
    # The GPU seconds until then are billed, and told by the job's last status.
    assert failed.value.cost_microusd > 0
    assert (await modal.stats())["jobs_cancelled"] == before
    async with modal.fault("slow"):
        with pytest.raises(ProviderError):
            await act(modal, "speak")
    assert (await modal.stats())["jobs_cancelled"] == before + 1


async def test_the_panel_is_reset(modal: Subject) -> None:
    async with aiohttp.ClientSession() as http, http.get(modal.standin + "/_faults") as answer:
        assert {name: value for name, value in (await answer.json()).items() if value} == {"slow_s": 10.0}
