"""What every provider must do, whatever its wire; run through the fault proxy, against the stand-ins."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import aclosing
from dataclasses import replace
from typing import Literal

import pytest

from tests.conformance.conftest import Subject
from understudy.audio.decode import decode_upload
from understudy.audio.duration import duration_ms_of
from understudy.audio.wav import Clip, duration_ms, from_pcm, is_silent, read_wav, write_wav
from understudy.errors import FailureCategory, FailureClass, ProviderError, ProviderTimeoutError
from understudy.providers.base import (
    CREATE_UNKNOWN,
    AudioChunk,
    AudioFormat,
    DesignBrief,
    JobAccepted,
    Operation,
    SpeakRequest,
    SpeechEvent,
    SpeechFinished,
)
from understudy.voicebox.hearing import digit_error_rate, hear_digits

pytestmark = [pytest.mark.conformance, pytest.mark.xdist_group("standins")]

DIGITS = "four seven one nine three eight"


async def spoken(subject: Subject, request: SpeakRequest) -> list[SpeechEvent]:
    return [event async for event in subject.provider.speak(request)]


def heard(events: list[SpeechEvent]) -> Clip:
    chunks = [event for event in events if isinstance(event, AudioChunk)]
    data = b"".join(chunk.data for chunk in chunks)
    return (
        read_wav(data) if chunks[0].audio_format is AudioFormat.WAV else from_pcm(data, chunks[0].sample_rate)
    )


async def failure(subject: Subject, request: SpeakRequest) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await spoken(subject, request)
    return caught.value


async def test_check_proves_key_and_endpoint(subject: Subject) -> None:
    result = await subject.provider.check()
    assert result.latency_ms >= 0
    assert result.detail


async def test_a_refused_key_is_rejected_as_the_providers_word(refused: Subject) -> None:
    with pytest.raises(ProviderError) as caught:
        await refused.provider.check()
    assert caught.value.category is FailureCategory.PROVIDER_REJECTED
    assert caught.value.failure_class is FailureClass.PROVIDER
    assert not caught.value.retryable


async def test_events_come_in_order_and_end_whole(subject: Subject) -> None:
    events = await spoken(subject, await subject.request(DIGITS))
    kinds = [type(event) for event in events]
    assert kinds[-1] is SpeechFinished
    assert kinds.count(SpeechFinished) == 1
    assert all(kind is not JobAccepted for kind in kinds[1:])
    assert AudioChunk in kinds
    finished = events[-1]
    assert isinstance(finished, SpeechFinished)
    assert finished.characters == len(DIGITS)
    assert finished.cost_microusd > 0
    assert finished.model


async def test_what_was_written_is_what_is_heard(subject: Subject) -> None:
    clip = heard(await spoken(subject, await subject.request(DIGITS)))
    assert not is_silent(clip)
    assert 1_500 < duration_ms(clip) < 9_000
    assert digit_error_rate(DIGITS.split(), await hear_digits(write_wav(clip))) <= 0.2


async def test_every_declared_format_decodes_and_is_understood(subject: Subject) -> None:
    for audio_format in subject.provider.capabilities.formats:
        request = await subject.request(DIGITS, audio_format=audio_format)
        chunks = [event for event in await spoken(subject, request) if isinstance(event, AudioChunk)]
        assert {chunk.audio_format for chunk in chunks} == {audio_format}
        data, rate = b"".join(chunk.data for chunk in chunks), chunks[0].sample_rate
        clip = from_pcm(data, rate) if audio_format is AudioFormat.PCM else await decode_upload(data)
        assert digit_error_rate(DIGITS.split(), await hear_digits(write_wav(clip))) <= 0.2, audio_format
        # What the framing alone tells is what the decoder finds.
        assert abs(duration_ms_of(data, audio_format, rate) - duration_ms(clip)) < 150, audio_format


async def test_an_estimate_covers_what_is_billed(subject: Subject) -> None:
    for text in ("One.", DIGITS):
        request = await subject.request(text)
        finished = (await spoken(subject, request))[-1]
        assert isinstance(finished, SpeechFinished)
        estimate = subject.provider.estimate(Operation.SPEAK, text=text, kind=request.voice.kind)
        assert finished.cost_microusd <= estimate
    able = subject.provider.capabilities
    assert (subject.provider.estimate(Operation.ENROLL) > 0) is able.bills_creates
    assert subject.provider.estimate(Operation.DESIGN, text=DIGITS) > 0
    assert subject.provider.estimate(Operation.CHECK) == 0


async def test_streaming_means_audio_before_the_end(subject: Subject) -> None:
    text = "One two three four five. Six seven eight nine ten. " * 4
    events = await spoken(subject, await subject.request(text))
    chunks = sum(isinstance(event, AudioChunk) for event in events)
    assert (chunks > 3) if subject.provider.capabilities.streaming else (chunks == 1)


async def test_a_designed_voice_has_an_audible_preview_and_speaks(subject: Subject) -> None:
    brief = DesignBrief(text="One two three four.", language="English", instruct="a calm low male voice")
    designed = await subject.provider.design(brief, label="conformance")
    assert designed.binding.provider == subject.provider.name
    assert not is_silent(read_wav(designed.preview))
    request = await subject.request(DIGITS, designed=designed, designed_text=brief.text)
    assert not is_silent(heard(await spoken(subject, request)))


async def test_closing_the_iterator_cancels_at_the_provider(subject: Subject, eventually) -> None:
    text = "One two three four five six seven eight nine. " * 30
    cancelled_before = await subject.cancelled()
    async with aclosing(subject.provider.speak(await subject.request(text))) as events:
        async for _ in events:
            break

    async def reached() -> bool:
        return await subject.cancelled() > cancelled_before

    await eventually(reached, what="the provider saw the cancel", within_s=3.0)


async def test_nothing_is_asked_for_before_the_go_ahead(subject: Subject) -> None:
    go, waited = asyncio.Event(), asyncio.Event()

    class Watched(asyncio.Event):
        async def wait(self) -> Literal[True]:
            waited.set()
            await go.wait()
            return True

    request = replace(await subject.request(DIGITS), go=Watched())
    billed_before = await subject.billed()
    speaking = asyncio.create_task(spoken(subject, request))
    await waited.wait()
    assert await subject.billed() == billed_before
    go.set()
    assert isinstance((await speaking)[-1], SpeechFinished)
    assert await subject.billed() > billed_before


async def test_a_dead_address_is_a_transport_failure(subject: Subject) -> None:
    request = await subject.request(DIGITS)
    await subject.proxy.stop()
    error = await failure(subject, request)
    assert error.failure_class is FailureClass.TRANSPORT
    assert error.category is FailureCategory.PROVIDER_UNAVAILABLE
    assert error.retryable


async def test_a_cut_in_the_audio_is_a_failure_never_a_clean_end(subject: Subject) -> None:
    request = await subject.request("One two three four five six seven eight nine. " * 6)
    subject.proxy.reset_after_bytes = 40_000
    await subject.fresh_connections()
    error = await failure(subject, request)
    assert error.failure_class is FailureClass.TRANSPORT


async def test_a_silent_peer_meets_our_own_deadline(subject: Subject) -> None:
    request = await subject.request(DIGITS)
    subject.proxy.black_hole = True
    await subject.fresh_connections()
    error = await failure(subject, request)
    assert isinstance(error, ProviderTimeoutError)
    assert error.category is FailureCategory.TIMEOUT
    assert error.failure_class is FailureClass.TRANSPORT


async def test_each_fault_of_the_panel_has_its_class(subject: Subject) -> None:
    for fault, expected in subject.faults.items():
        request = await subject.request("One two three four five six seven eight nine. " * 3)
        async with subject.fault(fault):
            error = await failure(subject, request)
        assert error.failure_class is expected, fault


async def test_an_error_tells_nothing_secret(subject: Subject) -> None:
    for fault in subject.faults:
        request = await subject.request("a private sentence of one tenant")
        async with subject.fault(fault):
            error = await failure(subject, request)
        told = f"{error} {error.evidence} {error.provider_code}"
        assert "private sentence" not in told
        assert subject.secret not in told
        assert "http" not in str(error).replace("HTTP", "")


async def test_a_connection_that_freezes_meets_our_own_deadline(subject: Subject) -> None:
    request = await subject.request("One two three four five six seven eight nine. " * 3)
    subject.proxy.freeze_after_bytes = 30_000
    await subject.fresh_connections()
    error = await failure(subject, request)
    assert isinstance(error, ProviderTimeoutError)
    assert error.failure_class is FailureClass.TRANSPORT
    assert error.evidence["stage"] in {"gap between chunks", "result"}


async def test_a_hang_up_is_quick_whatever_the_provider_does(subject: Subject) -> None:
    request = await subject.request("One two three four five six seven eight nine. " * 3)
    events = subject.provider.speak(request)
    first = await anext(events)
    if not isinstance(first, AudioChunk):
        # A job is cancelled by a request of its own, whose deadline bounds it.
        await events.aclose()
        return
    await subject.proxy.stop()
    async with asyncio.timeout(5.0):
        await events.aclose()


async def test_a_create_whose_answer_is_lost_is_made_once(subject: Subject) -> None:
    if not subject.provider.capabilities.bills_creates:
        assert await subject.provider.find_enrolled("conformance") is None
        assert await subject.provider.made_voices() == []
        return
    before = (await subject.stats())["clone_creates"]
    subject.proxy.reset_after_bytes, subject.proxy.resets_left = 0, 1
    await subject.fresh_connections()
    enrolled = await subject.provider.enroll(subject.reference, label=f"u{uuid.uuid4().hex[:15]}")
    assert enrolled.binding.metadata == {"recovered": True}
    assert (await subject.stats())["clone_creates"] == before + 1
    subject.proxy.heal()
    subject.voice = enrolled.binding
    assert isinstance((await spoken(subject, await subject.request(DIGITS)))[-1], SpeechFinished)


async def test_a_create_that_is_not_found_again_is_unknown_and_found_later(subject: Subject) -> None:
    if not subject.provider.capabilities.bills_creates:
        return
    label = f"u{uuid.uuid4().hex[:15]}"
    subject.proxy.reset_after_bytes = 0
    await subject.fresh_connections()
    with pytest.raises(ProviderError) as caught:
        await subject.provider.enroll(subject.reference, label=label)
    assert caught.value.provider_code == CREATE_UNKNOWN
    subject.proxy.heal()
    await subject.fresh_connections()
    found = await subject.provider.find_enrolled(label)
    assert found is not None
    assert found.binding.voice_id in {voice.voice_id for voice in await subject.provider.made_voices()}


async def test_an_accepted_job_is_resumed_not_submitted_again(subject: Subject) -> None:
    request = await subject.request("One two three four five six. " * 3)
    first = None
    iterator = subject.provider.speak(request)
    first = await anext(iterator)
    if not isinstance(first, JobAccepted):
        await iterator.aclose()
        assert subject.provider.capabilities.streaming
        return
    submitted = await subject.submitted()
    resumed = await subject.request(request.text, resume_job_id=first.job_id)
    events = await spoken(subject, resumed)
    assert isinstance(events[-1], SpeechFinished)
    assert await subject.submitted() == submitted
    await iterator.aclose()
