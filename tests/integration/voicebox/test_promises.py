"""What docs/standins.md promises of the voices: ten languages that are ten, descriptions that are heard."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from tests.integration.voicebox.test_voicebox import GREETINGS, SENTENCE
from understudy.audio.wav import Clip, duration_ms, is_silent, loudness, write_wav
from understudy.providers.languages import QWEN_LANGUAGES
from understudy.voicebox.client import Voicebox
from understudy.voicebox.languages import ESPEAK_VOICES
from understudy.voicebox.shape import VoiceShape, shape_from_description

pytestmark = pytest.mark.integration

NUMBERS = "1 2 3 4 5"
DOCUMENT = Path(__file__).parents[3] / "docs/standins.md"


def differs(one: Clip, other: Clip) -> bool:
    """Whether two recordings differ by more than rounding, over what both have."""
    shared = min(one.samples.size, other.samples.size)
    gap = one.samples[:shared].astype(np.float64) - other.samples[:shared].astype(np.float64)
    return bool(np.sqrt(np.mean(gap**2)) > 500)


def pitch_range(clip: Clip) -> float:
    """Spread of the pitch in octaves (10th to 90th percentile), by autocorrelation of voiced frames."""
    size, pitches = clip.rate // 25, []
    shortest, longest = clip.rate // 400, clip.rate // 100
    for start in range(0, clip.samples.size - size, size // 2):
        frame = clip.samples[start : start + size].astype(np.float64)
        alike = np.correlate(frame, frame, "full")[size - 1 :]
        lag = shortest + int(np.argmax(alike[shortest:longest]))
        if alike[0] > 1e6 * size and alike[lag] > 0.6 * alike[0]:
            pitches.append(np.log2(clip.rate / lag))
    assert len(pitches) > 30
    return float(np.percentile(pitches, 90) - np.percentile(pitches, 10))


async def test_ten_languages_say_ten_different_things(voicebox: Voicebox) -> None:
    assert set(ESPEAK_VOICES) >= set(QWEN_LANGUAGES) - {"Auto"}
    assert len(ESPEAK_VOICES) >= 10
    greetings = {name: await voicebox.speak(text, name, VoiceShape()) for name, text in GREETINGS.items()}
    assert set(greetings) == set(ESPEAK_VOICES)
    for name, clip in greetings.items():
        assert not is_silent(clip), name
        assert loudness(clip) > 0.02, name
        # A Han character or a Korean or Japanese syllable is two or three letters of the others.
        signs = sum(sign.isalpha() for sign in GREETINGS[name])
        per_sign_ms = duration_ms(clip) / signs
        low, high = (80, 400) if name in {"Chinese", "Japanese", "Korean"} else (40, 160)
        assert low < per_sign_ms < high, (name, per_sign_ms)
    for one, other in itertools.combinations(greetings.values(), 2):
        assert differs(one, other)


async def test_the_language_is_heard_where_the_text_is_the_same(voicebox: Voicebox) -> None:
    numbers = {name: await voicebox.speak(NUMBERS, name, VoiceShape()) for name in ESPEAK_VOICES}
    for (name, one), (other_name, other) in itertools.combinations(numbers.items(), 2):
        assert differs(one, other), (name, other_name)


@pytest.mark.parametrize(
    ("description", "low_hz", "high_hz"),
    [
        ("a deep, gruff old man", 70, 105),
        ("a male narrator", 95, 130),
        ("a bright young man", 125, 160),
        ("a calm woman with a warm voice", 180, 225),
        ("a cheerful young woman", 205, 260),
        ("a little girl", 240, 320),
        ("一位低沉的男人", 75, 110),
        ("一位年轻的女人", 195, 245),
    ],
)
async def test_a_described_speaker_is_heard(
    voicebox: Voicebox, description: str, low_hz: float, high_hz: float
) -> None:
    clip = await voicebox.speak(SENTENCE, "English", shape_from_description(description))
    assert low_hz < (await voicebox.measure(write_wav(clip))).pitch_hz < high_hz


async def test_a_described_pace_and_temper_are_heard(voicebox: Voicebox) -> None:
    async def spoken(description: str) -> Clip:
        return await voicebox.speak(SENTENCE, "English", shape_from_description(description))

    slow, fast = await spoken("a slow woman"), await spoken("a fast woman")
    assert duration_ms(slow) > duration_ms(fast) * 1.1
    calm, excited = await spoken("a calm, monotone woman"), await spoken("an excited, lively woman")
    assert pitch_range(excited) > pitch_range(calm) * 1.3


async def test_words_that_are_not_on_the_list_change_next_to_nothing(voicebox: Voicebox) -> None:
    plain, other = [
        await voicebox.measure(
            write_wav(await voicebox.speak(SENTENCE, "English", shape_from_description(text)))
        )
        for text in ("a woman", "a woman who sounds like velvet and rain")
    ]
    assert other.pitch_hz == pytest.approx(plain.pitch_hz, rel=0.12)


def test_the_document_names_every_language_and_claims_no_cloning() -> None:
    text = " ".join(DOCUMENT.read_text().split())
    assert all(language in text for language in ESPEAK_VOICES)
    assert "**not neural voice cloning**" in text
