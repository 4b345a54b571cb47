"""How a stream ends in words, on record and in money."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.clocks import HandClock
from tests.integration.scripted_provider import ScriptedProvider
from understudy.errors import (
    FailureClass,
    NotFoundError,
    ProviderError,
    ProviderRejectedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    StoreUnavailableError,
)
from understudy.providers.base import AudioFormat, Operation, VoiceBinding
from understudy.speech.calls import CallMeter
from understudy.speech.holding import Stop
from understudy.speech.stream_endings import count_what_was_bought, verdict_of_error, verdict_of_stop
from understudy.speech.stream_orders import Casting

pytestmark = pytest.mark.unit


def broken(failure_class: FailureClass = FailureClass.TRANSPORT, **evidence: Any) -> ProviderError:
    return ProviderUnavailableError(
        "It broke.", failure_class=failure_class, provider="qwen", evidence=evidence
    )


def test_a_provider_error_is_told_as_it_is_until_something_was_heard() -> None:
    error = ProviderRejectedError("No.", failure_class=FailureClass.PROVIDER, provider="qwen")
    before, after = verdict_of_error(error, heard=False), verdict_of_error(error, heard=True)
    assert before.told is error
    assert (after.told.code, after.told.status) == ("truncated", 502)
    assert before.failure is not None
    assert after.failure is not None
    assert (before.failure.code, after.failure.code) == ("provider_rejected", "truncated")
    assert before.failure.failure_class == after.failure.failure_class == FailureClass.PROVIDER
    assert not before.ours
    assert not after.ours


@pytest.mark.parametrize(
    ("error", "code", "status", "ours"),
    [
        (StoreUnavailableError(), "storage", 503, True),
        (NotFoundError("The stored recording of this voice is missing."), "not_found", 404, True),
        # A release that breaks every stream must be seen by the success rate.
        (RuntimeError("a payload"), "internal", 500, False),
    ],
)
def test_what_is_not_the_providers_fault_counts_against_nobody_but_a_broken_release(
    error: Exception, code: str, status: int, ours: bool
) -> None:
    verdict = verdict_of_error(error, heard=False)
    assert verdict.failure is not None
    assert (verdict.failure.code, verdict.told.status, verdict.ours) == (code, status, ours)
    assert "payload" not in verdict.told.message + verdict.failure.sentence


@pytest.mark.parametrize(
    ("reason", "heard", "code", "told"),
    [
        (Stop.CANCELLED, False, "cancelled", "cancelled"),
        (Stop.CANCELLED, True, "cancelled", "cancelled"),
        (Stop.DEADLINE, False, "deadline", "provider_timeout"),
        (Stop.DEADLINE, True, "truncated", "truncated"),
        (Stop.RELEASED, True, "interrupted", "interrupted"),
        (Stop.LOST, True, None, "interrupted"),
    ],
)
def test_each_reason_to_stop_has_its_end(reason: Stop, heard: bool, code: str | None, told: str) -> None:
    verdict = verdict_of_stop(reason, heard=heard, provider="qwen")
    assert (verdict.failure.code if verdict.failure else None) == code
    assert verdict.told.code == told


@pytest.mark.parametrize(
    ("error", "heard", "bought"),
    [
        # We hung up: the text was sent, as far as anybody knows.
        (None, False, True),
        (broken(), False, True),
        (broken(sent=False), False, False),
        (broken(text_sent=False), False, False),
        (broken(text_sent=True), False, True),
        (broken(FailureClass.PROVIDER), False, False),
        # It had begun to speak before it said no.
        (broken(FailureClass.PROVIDER), True, True),
        (ProviderTimeoutError(failure_class=FailureClass.TRANSPORT, provider="qwen"), False, True),
    ],
)
def test_what_was_sent_is_bought(error: Exception | None, heard: bool, bought: bool, tmp_path: Path) -> None:
    provider = ScriptedProvider("qwen", True, tmp_path)
    binding = VoiceBinding("qwen", "v", "m", "vc")
    meter = CallMeter(
        operation=Operation.SPEAK,
        provider="qwen",
        model="m",
        user_id=uuid4(),
        task_id=None,
        mode_epoch=1,
        started_at=datetime.now(UTC),
        clock=HandClock(),
    )
    count_what_was_bought(meter, Casting(provider, binding, AudioFormat.MP3), "eins 二", error, heard=heard)
    # A Han character counts two.
    assert (meter.characters, meter.cost_microusd > 0) == ((7, True) if bought else (0, False))
