"""Durations told from framing alone, whatever the pieces, whole or cut off."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from understudy.audio.duration import DurationMeter, duration_meter, duration_ms_of, mp3_frame
from understudy.audio.wav import Clip, streaming_wav_header, to_pcm, write_wav
from understudy.standins.encoders import encode_whole, make_encoder

pytestmark = pytest.mark.unit

FORMATS = ["pcm", "wav", "mp3", "opus"]
#: A frame or two that an encoder adds in front and at the end.
PADDING_MS = {"pcm": 0, "wav": 0, "mp3": 120, "opus": 40}


def pcm(milliseconds: int, rate: int = 24_000) -> bytes:
    times = np.arange(rate * milliseconds // 1000) / rate
    return to_pcm(Clip((np.sin(2 * np.pi * 220 * times) * 9000).astype(np.int16), rate))


def fed(data: bytes, audio_format: str, size: int, rate: int = 24_000) -> DurationMeter:
    meter = duration_meter(audio_format, rate)
    for start in range(0, len(data), size):
        meter.feed(data[start : start + size])
    return meter


@pytest.mark.parametrize(("audio_format", "rate"), list(itertools.product(FORMATS, [16_000, 24_000, 48_000])))
def test_a_whole_clip_has_the_length_it_was_made_with(audio_format: str, rate: int) -> None:
    data = encode_whole(audio_format, pcm(3_210, rate), rate)
    assert 0 <= duration_ms_of(data, audio_format, rate) - 3_210 <= PADDING_MS[audio_format]


@pytest.mark.parametrize(("audio_format", "size"), list(itertools.product(FORMATS, [1, 7, 1000])))
def test_pieces_of_any_size_tell_the_same(audio_format: str, size: int) -> None:
    data = encode_whole(audio_format, pcm(900), 24_000)
    meter = fed(data, audio_format, size)
    assert meter.duration_ms == duration_ms_of(data, audio_format, 24_000)
    assert meter.frames > 0
    assert meter.stray_bytes == 0


@pytest.mark.parametrize("audio_format", FORMATS)
def test_half_the_bytes_are_about_half_the_speech(audio_format: str) -> None:
    data = encode_whole(audio_format, pcm(4_000), 24_000)
    assert 1_700 < duration_ms_of(data[: len(data) // 2], audio_format, 24_000) < 2_300


@pytest.mark.parametrize("audio_format", ["wav", "mp3", "opus"])
def test_streams_one_after_the_other_add_up(audio_format: str) -> None:
    first, second = make_encoder(audio_format, 24_000), make_encoder(audio_format, 24_000, continues=True)
    parts = [encoder.encode(pcm(1_500)) + encoder.finish() for encoder in (first, second)]
    length_ms = duration_ms_of(b"".join(parts), audio_format, 24_000)
    assert 0 <= length_ms - 3_000 <= 2 * PADDING_MS[audio_format]


def test_a_streamed_wav_header_promises_nothing() -> None:
    data = streaming_wav_header(24_000) + pcm(700)
    assert duration_ms_of(data, "wav", 24_000) == 700
    assert duration_ms_of(streaming_wav_header(24_000), "wav", 24_000) == 0


def test_a_wav_with_other_chunks_and_two_channels_is_read_past_them() -> None:
    plain = write_wav(Clip(np.ones(4_800, np.int16), 24_000))
    listed = plain[:36] + b"LIST" + (4).to_bytes(4, "little") + b"INFO" + plain[36:]
    assert fed(listed, "wav", 5).duration_ms == 200


@pytest.mark.parametrize("audio_format", ["wav", "mp3", "opus"])
def test_other_bytes_are_strays_and_no_audio(audio_format: str) -> None:
    meter = fed(b"<html>not audio at all</html>" * 40, audio_format, 33)
    assert meter.stray_bytes > 1_000
    assert (meter.frames, meter.duration_ms) == (0, 0)


@pytest.mark.parametrize("audio_format", ["mp3", "opus"])
def test_a_hole_in_the_stream_is_seen(audio_format: str) -> None:
    data = encode_whole(audio_format, pcm(3_000), 24_000)
    holed = data[: len(data) // 3] + data[len(data) // 3 + 500 :]
    assert fed(holed, audio_format, 256).stray_bytes > 0


def test_an_id3_tag_is_not_speech() -> None:
    data = encode_whole("mp3", pcm(1_000), 24_000)
    tagged = b"ID3\x04\x00\x00\x00\x00\x02\x00" + b"\xff\xfb\x90\x00" * 64 + data
    meter = fed(tagged, "mp3", 9)
    assert meter.duration_ms == duration_ms_of(data, "mp3", 24_000)
    assert meter.stray_bytes == 0


@pytest.mark.parametrize(
    ("header", "length", "milliseconds"),
    [
        (b"\xff\xfb\x90\x00", 417, 26),  # MPEG 1, 128 kbit/s, 44.1 kHz
        (b"\xff\xf3\x84\xc0", 192, 24),  # MPEG 2, 64 kbit/s, 24 kHz
    ],
)
def test_mp3_headers_are_read_as_the_standard_writes_them(
    header: bytes, length: int, milliseconds: int
) -> None:
    frame = mp3_frame(header)
    assert frame is not None
    assert frame[0] == length
    assert int(frame[1] * 1000) == milliseconds


@pytest.mark.parametrize("header", [b"\xff\xfb\xf0\x00", b"\xff\xfb\x9c\x00", b"\xff\xfd\x90\x00", b"ab"])
def test_what_is_no_mp3_header_starts_no_frame(header: bytes) -> None:
    assert mp3_frame(header) is None


def test_a_format_without_framing_rules_is_refused() -> None:
    with pytest.raises(ValueError, match="flac"):
        duration_meter("flac", 24_000)


@pytest.mark.parametrize(
    ("audio_format", "rate"), list(itertools.product(["mp3", "opus"], [8_000, 24_000, 48_000]))
)
def test_digital_silence_has_frames_and_no_sound(audio_format: str, rate: int) -> None:
    silent = encode_whole(audio_format, bytes(2 * rate), rate)
    for size in (7, len(silent)):
        meter = fed(silent, audio_format, size, rate)
        assert meter.frames > 0
        assert meter.sounding == 0
    spoken = fed(encode_whole(audio_format, pcm(300, rate), rate), audio_format, 7, rate)
    assert 0 < spoken.sounding <= spoken.frames


@pytest.mark.parametrize("audio_format", ["mp3", "opus"])
def test_a_word_in_a_long_silence_is_sound(audio_format: str) -> None:
    clip = bytes(48_000) + pcm(100) + bytes(48_000)
    meter = fed(encode_whole(audio_format, clip, 24_000), audio_format, 500)
    assert meter.sounding > 0
