"""Encoders: pieces that join to one file, formats that are not there."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import soundfile

from understudy.audio.wav import from_pcm, read_wav
from understudy.errors import ValidationError
from understudy.standins.encoders import encode_whole, make_encoder

pytestmark = pytest.mark.unit


def tone(seconds: float, rate: int) -> bytes:
    t = np.arange(int(seconds * rate)) / rate
    return (np.sin(2 * np.pi * 440 * t) * 8000).astype("<i2").tobytes()


def pieces(name: str, pcm: bytes, rate: int, **options: Any) -> list[bytes]:
    """What an encoder gives for each 100 ms, and at its end."""
    encoder, size = make_encoder(name, rate, **options), rate // 10 * 2
    encoded = [encoder.encode(pcm[at : at + size]) for at in range(0, len(pcm), size)]
    return [*encoded, encoder.finish()]


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_opus_pages_come_as_the_speech_does(rate: int) -> None:
    encoded = pieces("opus", tone(2.0, rate), rate)
    assert sum(not piece for piece in encoded) <= 2
    samples, read_rate = soundfile.read(io.BytesIO(b"".join(encoded)))
    assert len(samples) / read_rate == pytest.approx(2.0, abs=0.01)
    assert float(np.abs(samples).max()) == pytest.approx(8000 / 32768, rel=0.2)


@pytest.mark.parametrize("kbps", [6, 128, 510])
def test_opus_takes_every_bit_rate(kbps: int) -> None:
    size = len(b"".join(pieces("opus", tone(2.0, 24000), 24000, bit_rate_kbps=kbps)))
    assert 0.5 * min(kbps, 256) < size * 8 / 2000 < 1.3 * min(kbps, 256) + 10  # headers weigh 870 bytes


def test_a_continued_wav_has_one_header() -> None:
    first, second = tone(0.5, 16000), tone(0.25, 16000)
    joined = pieces("wav", first, 16000) + pieces("wav", second, 16000, continues=True)
    clip = read_wav(b"".join(joined))
    assert clip.rate == 16000
    assert clip.samples.tolist() == from_pcm(first + second, 16000).samples.tolist()


def test_a_wav_without_audio_is_a_header() -> None:
    assert read_wav(b"".join(pieces("wav", b"", 8000))).samples.size == 0
    assert pieces("wav", b"", 8000, continues=True) == [b""]


def test_a_whole_wav_says_how_long_it_is() -> None:
    data = encode_whole("wav", tone(0.5, 8000), 8000)
    assert int.from_bytes(data[4:8], "little") == len(data) - 8


def test_there_is_no_other_format() -> None:
    with pytest.raises(ValidationError, match="flac"):
        make_encoder("flac", 24000)
