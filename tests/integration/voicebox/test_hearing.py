"""Digits that the voicebox says are heard, in a matched voice and in designed ones; silence says nothing."""

from __future__ import annotations

import asyncio
import random

import numpy as np
import pytest

from understudy.audio.wav import Clip, resample, write_wav
from understudy.errors import ValidationError
from understudy.voicebox.client import Voicebox
from understudy.voicebox.hearing import digit_error_rate, hear_digits
from understudy.voicebox.shape import VoiceShape, shape_from_description

pytestmark = pytest.mark.integration

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
DESCRIPTIONS = (
    "a calm woman with a gentle voice",
    "a deep slow male narrator",
    "an energetic young woman, fast",
)


def strings(seed: int, count: int) -> list[str]:
    """Strings of six digits, as words, that were not used to tune the recogniser."""
    dice = random.Random(seed)
    return [" ".join(dice.choice(WORDS) for _ in range(6)) for _ in range(count)]


async def error_rate(voicebox: Voicebox, text: str, shape: VoiceShape) -> float:
    heard = await hear_digits(write_wav(await voicebox.speak(text, "English", shape)))
    return digit_error_rate(text, heard)


async def test_digits_in_the_voice_of_a_reference_are_heard(voicebox: Voicebox, austen: bytes) -> None:
    shape = await voicebox.shape_from_reference(austen)
    rates = [await error_rate(voicebox, text, shape) for text in strings(2026, 6)]
    assert max(rates) <= 0.2
    assert sum(rates) / len(rates) <= 0.1


@pytest.mark.parametrize("description", DESCRIPTIONS)
async def test_digits_in_a_designed_voice_are_heard(voicebox: Voicebox, description: str) -> None:
    shape = shape_from_description(description)
    rates = [await error_rate(voicebox, text, shape) for text in strings(1124, 4)]
    assert max(rates) <= 0.2
    assert sum(rates) / len(rates) <= 0.1


@pytest.mark.parametrize("written", ["4 7 1 9 3 0", "4, 7, 1, 9, 3, 0", "four seven one nine three zero"])
async def test_however_digits_are_written(voicebox: Voicebox, written: str) -> None:
    assert await error_rate(voicebox, written, VoiceShape()) <= 0.2


async def test_the_same_recording_is_heard_the_same(voicebox: Voicebox) -> None:
    wav = write_wav(await voicebox.speak("6 6 5 0 2 8", "English", VoiceShape(pitch_hz=190.0)))
    first, second = await asyncio.gather(hear_digits(wav), hear_digits(wav))
    assert first == second != []


async def test_other_digits_are_not_heard_as_the_ones_wanted(voicebox: Voicebox) -> None:
    wav = write_wav(await voicebox.speak("1 2 3 4 5 6", "English", VoiceShape()))
    assert digit_error_rate("9 8 7 0 8 9", await hear_digits(wav)) > 0.5


async def test_half_of_the_speech_is_noticed(voicebox: Voicebox) -> None:
    clip = await voicebox.speak("3 1 4 1 5 9", "English", VoiceShape())
    half = Clip(clip.samples[: len(clip.samples) // 2], clip.rate)
    assert digit_error_rate("3 1 4 1 5 9", await hear_digits(write_wav(half))) >= 1 / 3


async def test_silence_says_nothing() -> None:
    assert await hear_digits(write_wav(Clip(np.zeros(24_000, np.int16), 24_000))) == []


async def test_a_narrow_band_is_still_heard(voicebox: Voicebox) -> None:
    clip = await voicebox.speak("2 4 6 8 0 1", "English", VoiceShape(), rate=8_000)
    assert digit_error_rate("246801", await hear_digits(write_wav(resample(clip, 24_000)))) <= 1 / 3


async def test_what_is_no_recording_or_too_long_is_refused() -> None:
    with pytest.raises(ValidationError):
        await hear_digits(b"no wav")
    with pytest.raises(ValidationError, match="longer"):
        await hear_digits(write_wav(Clip(np.zeros(8_000 * 61, np.int16), 8_000)))
