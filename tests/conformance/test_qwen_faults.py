"""Every fault of DashScope's panel, through the real adapter: category, class, status, words, evidence."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conformance.conftest import StandIns, Subject, subject_of
from tests.conformance.qwen_faults import (
    CONNECT_S,
    CREATE_S,
    EXPECTED,
    FIRST_AUDIO_S,
    FROM,
    GAP_S,
    NEVER_MET,
    TO,
    TOTAL_S,
    Expected,
    table,
)
from understudy.audio.wav import is_silent, read_wav
from understudy.errors import FailureCategory, FailureClass, ProviderError
from understudy.providers.base import CREATE_UNKNOWN, AudioFormat, DesignBrief, VoiceBinding
from understudy.speech.failures import failure_of
from understudy.standins.faults import DASHSCOPE_FAULTS

pytestmark = [pytest.mark.conformance, pytest.mark.xdist_group("standins")]

BRIEF = DesignBrief(text="One two three four.", language="English", instruct="a calm low male voice")
DEADLINES = {
    "provider_connect_timeout_s": CONNECT_S,
    "provider_first_audio_timeout_s": FIRST_AUDIO_S,
    "provider_chunk_gap_timeout_s": GAP_S,
    "provider_total_timeout_s": TOTAL_S,
    "qwen_create_timeout_s": CREATE_S,
}


def fresh_label() -> str:
    return f"u{uuid.uuid4().hex[:15]}"


@pytest_asyncio.fixture
async def hasty(standins: StandIns, recording: bytes, spoken_for: VoiceBinding) -> AsyncIterator[Subject]:
    """Qwen with deadlines short enough to meet, and a voice that was made before any fault."""
    async with subject_of("qwen", standins, recording, deadlines=DEADLINES) as subject:
        subject.voice = spoken_for
        yield subject


@pytest_asyncio.fixture
async def patient(standins: StandIns, recording: bytes, spoken_for: VoiceBinding) -> AsyncIterator[Subject]:
    """Qwen with the suite's ordinary deadlines."""
    async with subject_of("qwen", standins, recording) as subject:
        subject.voice = spoken_for
        yield subject


#: One enrolled voice for the module: the stand-ins outlive a test.
_VOICES: list[VoiceBinding] = []


@pytest_asyncio.fixture
async def spoken_for(standins: StandIns, recording: bytes) -> VoiceBinding:
    if not _VOICES:
        async with subject_of("qwen", standins, recording) as subject:
            _VOICES.append((await subject.provider.enroll(subject.reference, label=fresh_label())).binding)
    return _VOICES[0]


async def act(subject: Subject, expected: Expected) -> None:
    """Ask for what the fault strikes; what is done all the same must be whole."""
    match expected.operation:
        case "check":
            await subject.provider.check()
        case "enroll":
            enrolled = await subject.provider.enroll(subject.reference, label=fresh_label())
            assert enrolled.binding.target_model == "qwen3-tts-vc-realtime-2026-01-15"
            assert enrolled.cost_microusd == 10_000
            degraded = expected.fault == "fallback_mode"
            assert enrolled.binding.metadata.get("degraded", False) is degraded
            assert enrolled.binding.metadata.get("recovered", False) is not degraded
        case "design":
            designed = await subject.provider.design(BRIEF, label=fresh_label())
            assert not is_silent(read_wav(designed.preview))
            assert designed.binding.metadata == {"recovered": True}
            assert designed.cost_microusd > 200_000
        case "speak":
            request = await subject.request("One two three four five. " * 3)
            async for _ in subject.provider.speak(request):
                pass


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda item: f"{item.fault}-{item.operation}")
async def test_each_fault_is_what_the_table_says(
    hasty: Subject, patient: Subject, expected: Expected
) -> None:
    # Only what has to meet a deadline is given short ones: a busy machine must not meet them first.
    meets_one = expected.category is FailureCategory.TIMEOUT or expected.fault == "create_hang"
    qwen = hasty if meets_one else patient
    before = await qwen.stats()
    async with qwen.fault(expected.fault):
        if expected.category is None:
            await act(qwen, expected)
            after = await qwen.stats()
            made = "design_creates" if expected.operation == "design" else "clone_creates"
            assert after[made] == before[made] + 1
            return
        with pytest.raises(ProviderError) as caught:
            await act(qwen, expected)
    error = caught.value
    assert (error.category, error.failure_class) == (expected.category, expected.failure_class)
    assert (error.status, error.retryable) == (expected.status, expected.retryable)
    assert error.provider_code == expected.code
    # What a task's owner reads is the sentence of the error.
    assert failure_of(error).sentence == expected.told
    assert dict(expected.evidence).items() <= error.evidence.items()
    assert (await qwen.stats())["faults_injected"][expected.fault] > 0  # type: ignore[index]


@pytest.mark.parametrize("audio_format", list(AudioFormat))
async def test_silence_is_no_speech_in_any_format(patient: Subject, audio_format: AudioFormat) -> None:
    request = await patient.request("One two three four five.", audio_format=audio_format)
    async with patient.fault("silent_audio"):
        with pytest.raises(ProviderError) as caught:
            async for _ in patient.provider.speak(request):
                pass
    assert caught.value.provider_code == "audio_silent"
    assert caught.value.failure_class is FailureClass.PROTOCOL


def test_the_table_has_every_fault_of_the_panel() -> None:
    assert {item.fault for item in EXPECTED} | NEVER_MET == set(DASHSCOPE_FAULTS)


def test_the_documented_table_is_this_one() -> None:
    text = (Path(__file__).parents[2] / "docs/qwen.md").read_text()
    documented = text.partition(FROM)[2].partition(TO)[0].strip()
    assert documented == table().strip(), "paste `python -m tests.conformance.qwen_faults` into docs/qwen.md"


async def test_what_was_lost_and_not_found_is_found_later(patient: Subject) -> None:
    label = fresh_label()
    before = await patient.stats()
    async with patient.fault("customization_garbage"):
        with pytest.raises(ProviderError) as caught:
            await patient.provider.enroll(patient.reference, label=label)
    assert caught.value.provider_code == CREATE_UNKNOWN
    found = await patient.provider.find_enrolled(label)
    assert found is not None
    assert found.binding.metadata == {"recovered": True}
    assert (await patient.stats())["clone_creates"] == before["clone_creates"] + 1
    assert await patient.provider.find_enrolled(fresh_label()) is None


async def test_a_label_is_found_on_any_page_of_the_list(
    patient: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("understudy.providers.qwen.customization.LIST_PAGE_SIZE", 1)
    first, second = fresh_label(), fresh_label()
    for label in (first, second):
        await patient.provider.design(BRIEF, label=label)
    listed = [voice.label for voice in await patient.provider.made_voices()]
    assert listed.index(second) < listed.index(first)
    found = await patient.provider.find_designed(BRIEF, label=first)
    assert found is not None
    assert not is_silent(read_wav(found.preview))


async def test_several_responses_are_one_utterance_in_every_format(patient: Subject) -> None:
    """The text is cut into responses of a few words; nothing ends at the first ``response.done``."""
    async with patient.panel(response_chars=12.0):
        for audio_format in patient.provider.capabilities.formats:
            request = await patient.request("One two three four five six.", audio_format=audio_format)
            events = [event async for event in patient.provider.speak(request)]
            finished = events[-1]
            assert finished.characters == len(request.text.rstrip())  # type: ignore[union-attr]
