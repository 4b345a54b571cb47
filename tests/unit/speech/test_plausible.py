from __future__ import annotations

import numpy as np
import pytest

from understudy.audio.pace import spoken_characters
from understudy.audio.wav import Clip
from understudy.errors import FailureClass, ProviderUnavailableError
from understudy.speech.plausible import check_speech

pytestmark = pytest.mark.unit

RATE = 24_000


def sound(milliseconds: int, amplitude: float = 0.3) -> Clip:
    times = np.arange(RATE * milliseconds // 1000) / RATE
    return Clip((np.sin(2 * np.pi * 200 * times) * amplitude * 32767).astype(np.int16), RATE)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Hello, world.", 10),
        ("aaaaaaah", 3),
        ("...!?", 0),
        ("你好世界", 4),
        ("4 7 1", 3),
        ("e\u0301te\u0301", 3),
        ("\N{GRINNING FACE}" * 50, 0),
    ],
)
def test_only_what_is_spoken_counts(text: str, count: int) -> None:
    assert spoken_characters(text) == count


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        # Measured paces: fast English about 70 ms a letter, Mandarin about 180 ms a character.
        ("The quick brown fox jumps over the lazy dog.", 35 * 70),
        ("你好，世界。今天天气很好。", 10 * 150),
        ("1,999,999", 4_500),
        ("Hi", 250),
        ("...", 300),
        ("hmmmmmmmmmmmmmmmmmmmmmm", 600),
        ("\N{GRINNING FACE}", 700),
    ],
)
def test_ordinary_speech_is_plausible(text: str, milliseconds: int) -> None:
    check_speech(sound(milliseconds), text, provider="qwen")


@pytest.mark.parametrize(
    ("text", "clip", "code"),
    [
        ("The quick brown fox jumps over the lazy dog.", sound(1_100), "audio_truncated"),
        ("你好世界" * 20, sound(900), "audio_truncated"),
        ("Hello.", sound(3_000, amplitude=0.0), "audio_silent"),
        ("Hello.", Clip(np.zeros(0, dtype=np.int16), RATE), "audio_silent"),
        ("Hello.", sound(25_000), "audio_overlong"),
    ],
)
def test_what_cannot_be_the_whole_speech_is_the_providers_fault(text: str, clip: Clip, code: str) -> None:
    with pytest.raises(ProviderUnavailableError) as caught:
        check_speech(clip, text, provider="qwen")
    assert (caught.value.provider_code, caught.value.failure_class) == (code, FailureClass.PROTOCOL)
    assert text not in caught.value.message
