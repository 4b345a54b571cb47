"""Audio on the wire: every format at every rate, encoded as it is spoken, one file when joined."""

from __future__ import annotations

import base64
from itertools import pairwise

import pytest

from tests.integration.standins.account import Account, Json, audio_of
from understudy.audio.decode import decode_upload
from understudy.audio.wav import Clip, duration_ms, from_pcm, read_wav, resample, write_wav
from understudy.standins.encoders import STREAM_FORMATS
from understudy.standins.sessions import SAMPLE_RATES
from understudy.voicebox.hearing import digit_error_rate, hear_digits

#: Formats are decoded by the conformance suite as well, which `make test` runs.
pytestmark = [pytest.mark.integration, pytest.mark.long]

#: A finished sentence and another: two responses.
DIGITS = "4 7 1. 9 3 0"
LONG = "One two three four five six seven eight nine ten. One two three four five six seven eight nine ten"
#: What the first bytes of each format are; PCM has none of its own.
FIRST_BYTES = {"wav": b"RIFF\xff\xff\xff\xffWAVEfmt ", "mp3": b"\xff", "opus": b"OggS"}


async def spoken(account: Account, voice: str, text: str, **session: object) -> list[Json]:
    """Every event of a session that speaks ``text``."""
    async with account.realtime() as conversation:
        await conversation.update(voice=voice, language_type="English", **session)
        await conversation.append(text)
        await conversation.send("session.finish")
        return await conversation.rest()


async def decoded(audio: bytes, audio_format: str, rate: int) -> Clip:
    return from_pcm(audio, rate) if audio_format == "pcm" else await decode_upload(audio)


@pytest.mark.parametrize("rate", SAMPLE_RATES)
@pytest.mark.parametrize("audio_format", STREAM_FORMATS)
async def test_the_deltas_of_a_session_are_one_file_that_is_understood(
    account: Account, voice: str, audio_format: str, rate: int
) -> None:
    plain = from_pcm(audio_of(await spoken(account, voice, DIGITS)), 24_000)
    events = await spoken(account, voice, DIGITS, response_format=audio_format, sample_rate=rate)
    assert sum(event["type"] == "response.done" for event in events) == 2
    audio = audio_of(events)
    assert audio.startswith(FIRST_BYTES.get(audio_format, b""))
    clip = await decoded(audio, audio_format, rate)
    # An MP3 frame of 8 kHz is 72 ms, and each response ends with two that are partly padding.
    assert duration_ms(clip) == pytest.approx(duration_ms(plain), abs=350)
    assert digit_error_rate(DIGITS, await hear_digits(write_wav(resample(clip, 16_000)))) <= 0.2


@pytest.mark.parametrize("audio_format", STREAM_FORMATS)
async def test_each_delta_carries_the_speech_of_its_moment(
    account: Account, voice: str, audio_format: str
) -> None:
    events = await spoken(account, voice, LONG, response_format=audio_format)
    pieces = [base64.b64decode(event["delta"]) for event in events if event["type"] == "response.audio.delta"]
    seconds = duration_ms(await decoded(b"".join(pieces), audio_format, 24_000)) / 1000
    assert len(pieces) == pytest.approx(seconds * 10, rel=0.2)  # 100 ms each
    counts = (len(pieces) // 4, len(pieces) // 2, len(pieces))
    parts = [await decoded(b"".join(pieces[:count]), audio_format, 24_000) for count in counts]
    reached = [0, *map(duration_ms, parts)]
    steps = [later - earlier for earlier, later in pairwise(reached)]
    assert min(steps) > 1000 * seconds / 8, reached


async def test_a_wav_is_read_by_our_own_reader_too(account: Account, voice: str) -> None:
    events = await spoken(account, voice, LONG, response_format="wav", sample_rate=16000)
    clip = read_wav(audio_of(events))
    assert clip.rate == 16000
    assert audio_of(events).count(b"RIFF") == 1


@pytest.mark.parametrize("audio_format", ["mp3", "opus"])
async def test_the_bit_rate_is_heeded(account: Account, voice: str, audio_format: str) -> None:
    sizes = [
        len(audio_of(await spoken(account, voice, LONG, response_format=audio_format, bit_rate=kbps)))
        for kbps in (16, 64)
    ]
    assert sizes[1] > 2 * sizes[0]


@pytest.mark.parametrize(("audio_format", "rate"), [*zip(STREAM_FORMATS, SAMPLE_RATES, strict=True)])
async def test_a_design_preview_comes_in_each_format(account: Account, audio_format: str, rate: int) -> None:
    status, body = await account.design({"response_format": audio_format, "sample_rate": rate})
    assert status == 200, body
    preview = body["output"]["preview_audio"]
    assert (preview["response_format"], preview["sample_rate"]) == (audio_format, rate)
    clip = await decoded(base64.b64decode(preview["data"]), audio_format, rate)
    assert digit_error_rate(DIGITS, await hear_digits(write_wav(resample(clip, 16_000)))) <= 0.2
