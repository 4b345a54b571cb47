"""Waveforms: nothing lost on the way through WAV, nothing believed that is not there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.audio.wav import (
    Clip,
    duration_ms,
    from_pcm,
    is_silent,
    join,
    loudness,
    read_wav,
    resample,
    streaming_wav_header,
    write_wav,
)
from understudy.errors import ValidationError

pytestmark = pytest.mark.unit


def tone(seconds: float, rate: int = 24_000, amplitude: float = 0.3) -> Clip:
    t = np.arange(int(seconds * rate)) / rate
    return Clip((np.sin(2 * np.pi * 220 * t) * amplitude * 32767).astype(np.int16), rate)


@given(st.lists(st.integers(-32768, 32767), max_size=400), st.sampled_from([8_000, 16_000, 24_000, 48_000]))
def test_wav_round_trip_is_exact(samples: list[int], rate: int) -> None:
    clip = Clip(np.array(samples, dtype=np.int16), rate)
    back = read_wav(write_wav(clip))
    assert back.rate == rate
    assert back.samples.tolist() == samples


@given(st.integers(1, 2_000))
def test_a_truncated_wav_is_refused(cut: int) -> None:
    data = write_wav(tone(0.2))
    with pytest.raises(ValidationError):
        read_wav(data[:-cut])


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_crash_the_reader(data: bytes) -> None:
    with pytest.raises(ValidationError):
        read_wav(data)


@given(st.lists(st.integers(-32768, 32767), max_size=400), st.sampled_from([8_000, 48_000]))
def test_a_streamed_wav_is_what_it_holds(samples: list[int], rate: int) -> None:
    data = streaming_wav_header(rate) + np.array(samples, "<i2").tobytes()
    back = read_wav(data)
    assert (back.rate, back.samples.tolist()) == (rate, samples)
    # Half a sample at its end is not one.
    assert read_wav(data + b"x").samples.tolist() == samples


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF])
def test_each_open_length_is_read_and_a_mere_lie_is_not(size: int) -> None:
    data = bytearray(streaming_wav_header(16_000) + bytes(320))
    data[4:8] = data[40:44] = size.to_bytes(4, "little")
    assert read_wav(bytes(data)).samples.size == 160
    data[4:8] = data[40:44] = (1_000_000).to_bytes(4, "little")
    with pytest.raises(ValidationError):
        read_wav(bytes(data))


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValidationError):
        from_pcm(b"\x00\x01\x02", 24_000)


def test_resampling_keeps_time_and_adds_no_band() -> None:
    clip = tone(1.0, rate=16_000)
    up = resample(clip, 24_000)
    assert abs(duration_ms(up) - 1000) <= 2
    spectrum = np.abs(np.fft.rfft(up.samples.astype(float)))
    above_8k = spectrum[int(len(spectrum) * 8_200 / 12_000) :].max()
    assert above_8k < spectrum.max() / 1000


def test_silence_and_sound_are_told_apart() -> None:
    assert is_silent(Clip(np.zeros(24_000, dtype=np.int16), 24_000))
    assert is_silent(Clip(np.zeros(0, dtype=np.int16), 24_000))
    assert not is_silent(tone(0.5, amplitude=0.01))
    assert loudness(tone(0.5, amplitude=1.0)) == pytest.approx(0.707, abs=0.01)


def test_joined_clips_last_as_long_as_their_parts() -> None:
    joined = join([tone(0.5, rate=16_000), tone(0.25, rate=24_000)])
    assert joined.rate == 16_000
    assert abs(duration_ms(joined) - 750) <= 2
