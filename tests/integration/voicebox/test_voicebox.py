"""The voicebox speaks, matches pitch, streams early, shares fairly and outlives its worker."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from understudy.audio.wav import Clip, duration_ms, is_silent, loudness, write_wav
from understudy.errors import ValidationError, VoiceboxError
from understudy.voicebox.client import Voicebox
from understudy.voicebox.languages import ESPEAK_VOICES
from understudy.voicebox.shape import VoiceShape, shape_from_description

pytestmark = pytest.mark.integration

SENTENCE = "It is a truth universally acknowledged, that a single man must be in want of a wife. "
GREETINGS = {
    "Chinese": "你好，我今天很高兴。",
    "English": "Good day, how are you?",
    "German": "Guten Tag, wie geht es Ihnen?",
    "Italian": "Buongiorno, come va oggi?",
    "Portuguese": "Bom dia, tudo bem?",
    "Spanish": "Buenos días, ¿qué tal?",
    "Japanese": "こんにちは、おげんきですか。",
    "Korean": "안녕하세요, 반갑습니다.",
    "French": "Bonjour, comment allez-vous?",
    "Russian": "Добрый день, как дела?",
}


def alive(pid: int) -> bool:
    """Whether the process runs; a dead one that nobody has reaped yet counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_reference_is_matched_in_pitch(voicebox: Voicebox, austen: bytes) -> None:
    reference = await voicebox.measure(austen)
    assert 85 < reference.pitch_hz < 115  # one male reader
    spoken = await voicebox.measure(write_wav(await voicebox.speak(SENTENCE, "English", reference.shape)))
    assert spoken.pitch_hz == pytest.approx(reference.pitch_hz, rel=0.15)


@pytest.mark.parametrize("pitch_hz", [80.0, 150.0, 220.0, 300.0])
async def test_any_pitch_in_range_is_reached(voicebox: Voicebox, pitch_hz: float) -> None:
    clip = await voicebox.speak(SENTENCE, "English", VoiceShape(pitch_hz=pitch_hz))
    assert (await voicebox.measure(write_wav(clip))).pitch_hz == pytest.approx(pitch_hz, rel=0.15)


async def test_two_designed_voices_differ_as_described(voicebox: Voicebox) -> None:
    woman, man = [
        await voicebox.measure(
            write_wav(await voicebox.speak(SENTENCE, "English", shape_from_description(text)))
        )
        for text in ("a cheerful young woman", "a deep, calm man")
    ]
    assert woman.pitch_hz > man.pitch_hz * 1.5
    assert woman.shape.formant_ratio > man.shape.formant_ratio


@pytest.mark.parametrize("language", list(ESPEAK_VOICES))
async def test_every_language_is_spoken(voicebox: Voicebox, language: str) -> None:
    clip = await voicebox.speak(GREETINGS[language], language, VoiceShape())
    assert clip.rate == 24_000
    assert 800 < duration_ms(clip) < 8_000
    assert loudness(clip) > 0.02
    guessed = await voicebox.speak(GREETINGS[language], "Auto", VoiceShape())
    if not GREETINGS[language].isascii() and language in {"Chinese", "Japanese", "Korean", "Russian"}:
        assert np.array_equal(guessed.samples, clip.samples)


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
async def test_other_rates_have_the_same_length(voicebox: Voicebox, rate: int) -> None:
    usual = await voicebox.speak(SENTENCE, "English")
    other = await voicebox.speak(SENTENCE, "English", rate=rate)
    assert other.rate == rate
    assert duration_ms(other) == pytest.approx(duration_ms(usual), abs=20)


async def test_pace_shortens_the_speech(voicebox: Voicebox) -> None:
    usual, fast = [duration_ms(await voicebox.speak(SENTENCE, "English", pace=pace)) for pace in (1.0, 1.5)]
    assert fast < usual * 0.8


async def test_the_same_request_is_the_same_audio(voicebox: Voicebox) -> None:
    shape = VoiceShape(pitch_hz=180.0, formant_ratio=1.05)
    first = await voicebox.speak(SENTENCE, "English", shape)
    await voicebox.speak("Something else.", "German")
    assert np.array_equal((await voicebox.speak(SENTENCE, "English", shape)).samples, first.samples)


async def test_segments_meet_without_a_click(voicebox: Voicebox) -> None:
    clip = await voicebox.speak(SENTENCE * 3, "English", VoiceShape())
    steps = np.abs(np.diff(clip.samples.astype(np.int32)))
    assert steps.max() < 16_000  # a click between segments would jump most of the scale


async def test_a_long_text_starts_early_and_does_not_hold_up_a_short_one(voicebox: Voicebox) -> None:
    started_s = time.monotonic()
    long_stream = voicebox.stream(SENTENCE * 60, "English", VoiceShape())
    async with aclosing(long_stream):
        await anext(long_stream)
        first_audio_s = time.monotonic() - started_s

        async def drain() -> float:
            async for _ in long_stream:
                pass
            return time.monotonic()

        draining = asyncio.create_task(drain())
        await voicebox.speak("Short.", "English", VoiceShape())
        short_done_s = time.monotonic()
        long_done_s = await draining
    assert short_done_s < long_done_s
    assert first_audio_s < (long_done_s - started_s) / 4


async def test_a_stream_left_early_frees_the_worker(voicebox: Voicebox) -> None:
    started_s = time.monotonic()
    await voicebox.speak(SENTENCE * 60, "English", VoiceShape())
    whole_s = time.monotonic() - started_s
    stream = voicebox.stream(SENTENCE * 60, "English", VoiceShape())
    await anext(stream)
    await stream.aclose()
    started_s = time.monotonic()
    await voicebox.speak("Short.", "English", VoiceShape())
    assert time.monotonic() - started_s < whole_s / 3


async def test_many_at_once_all_get_their_own_words(voicebox: Voicebox) -> None:
    alone = [await voicebox.speak(f"Number {n}.", "English") for n in range(8)]
    together = await asyncio.gather(*(voicebox.speak(f"Number {n}.", "English") for n in range(8)))
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one.samples, other.samples)


async def test_a_dead_worker_is_replaced(voicebox: Voicebox, eventually) -> None:
    pid = voicebox.worker_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    clip = await voicebox.speak("Still here.", "English")
    assert not is_silent(clip)
    assert voicebox.worker_pid not in {None, pid}
    await eventually(lambda: not alive(pid), what="the old worker is gone")


async def test_a_worker_that_dies_mid_speech_fails_the_request_and_only_that(voicebox: Voicebox) -> None:
    stream = voicebox.stream(SENTENCE * 200, "English", VoiceShape())
    await anext(stream)
    assert voicebox.worker_pid is not None
    os.kill(voicebox.worker_pid, signal.SIGKILL)
    with pytest.raises(VoiceboxError, match="died"):
        async for _ in stream:
            pass
    assert not is_silent(await voicebox.speak("Still here.", "English"))


async def test_the_worker_dies_with_its_parent(eventually) -> None:
    program = (
        "import asyncio, sys\n"
        "from understudy.voicebox.client import Voicebox\n"
        "async def main():\n"
        "    box = Voicebox(); await box.start(); print(box.worker_pid, flush=True)\n"
        "    await box.speak('word ' * 20000, 'English')\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert parent.stdout is not None
    lines = parent.stdout.read().decode().splitlines() if parent.poll() is not None else None
    while lines is None or not lines[-1].isdigit():
        lines = [parent.stdout.readline().decode().strip()]
        assert lines[0], "the parent ended before it told the worker's pid"
    worker = int(lines[-1])
    assert alive(worker)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    await eventually(lambda: not alive(worker), what="the worker ends with its parent", within_s=60)


async def test_what_cannot_be_spoken_or_measured_is_refused(voicebox: Voicebox) -> None:
    with pytest.raises(ValidationError, match="Klingon"):
        await voicebox.speak("nuqneH", "Klingon")
    silence = Clip(np.zeros(48_000, np.int16), 24_000)
    noise = Clip(np.random.default_rng(1).integers(-300, 300, 48_000).astype(np.int16), 24_000)
    for nothing in (
        write_wav(silence),
        write_wav(noise),
        write_wav(Clip(np.zeros(3, np.int16), 24_000)),
        b"RIFF",
    ):
        with pytest.raises(ValidationError):
            await voicebox.measure(nothing)
    assert not (await voicebox.speak(" \n ", "English")).samples.size
