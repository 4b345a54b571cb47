"""Uploads are decoded, not believed."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from understudy.audio.decode import decode_upload
from understudy.audio.wav import Clip, duration_ms, is_silent, write_wav
from understudy.errors import ValidationError
from understudy.resources import samples_dir

pytestmark = pytest.mark.integration


def tone(seconds: float = 1.0, rate: int = 24_000) -> Clip:
    t = np.arange(int(seconds * rate)) / rate
    return Clip((np.sin(2 * np.pi * 220 * t) * 9000).astype(np.int16), rate)


def encoded(container: str, codec: str, clip: Clip) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=clip.rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(clip.samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = clip.rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("container", "codec"), [("mp3", "libmp3lame"), ("ipod", "aac"), ("adts", "aac"), ("flac", "flac")]
)
async def test_compressed_recordings_decode(container: str, codec: str) -> None:
    clip = await decode_upload(encoded(container, codec, tone()))
    assert clip.rate == 24_000
    assert 950 < duration_ms(clip) < 1_150
    assert not is_silent(clip)


async def test_wav_recordings_decode() -> None:
    clip = await decode_upload((samples_dir() / "austen-0870.wav").read_bytes())
    assert clip.rate == 16_000
    assert 7_000 < duration_ms(clip) < 7_300


async def test_wav_of_another_sample_width_decodes() -> None:
    samples = tone().samples.astype(np.float32) / 32768.0
    body = samples.tobytes()
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + len(body),
        b"WAVE",
        b"fmt ",
        16,
        3,
        1,
        24_000,
        96_000,
        4,
        32,
        b"data",
        len(body),
    )
    assert 950 < duration_ms(await decode_upload(header + body)) < 1_050


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 4_000,
        b"<svg xmlns='http://www.w3.org/2000/svg'></svg>",
        b"%PDF-1.7 not audio",
        b"RIFF\x00\x00\x00\x00WAVE",
        write_wav(tone())[:-100],
        write_wav(Clip(np.zeros(0, dtype=np.int16), 24_000)),
    ],
)
async def test_what_is_not_audio_is_refused(data: bytes) -> None:
    with pytest.raises(ValidationError):
        await decode_upload(data)


async def test_a_playlist_opens_no_file(tmp_path: Path) -> None:
    victim = tmp_path / "victim.wav"
    victim.write_bytes(write_wav(tone()))
    playlist = f"ffconcat version 1.0\nfile '{victim}'\n".encode()
    with pytest.raises(ValidationError):
        await decode_upload(playlist)


async def test_an_hour_is_too_long() -> None:
    minute = np.zeros(8_000 * 301, dtype=np.int16)
    minute[::100] = 900
    with pytest.raises(ValidationError, match="longer than 300 seconds"):
        await decode_upload(write_wav(Clip(minute, 8_000)))
    with pytest.raises(ValidationError, match="longer than 300 seconds"):
        await decode_upload(encoded("mp3", "libmp3lame", Clip(np.tile(minute, 2), 8_000)))
