"""``client.audio.speech`` of the official package, unmodified, on both providers."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from tests.integration.api.openai_dialect.conftest import (
    DIGITS,
    REAL_TIME,
    Program,
    decoded,
    digits_missed,
)
from understudy.audio.wav import duration_ms, is_silent
from understudy.standins.configuration import StandInSettings

pytestmark = pytest.mark.integration

FORMATS = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
BOTH = pytest.mark.parametrize("mode", ["qwen", "modal"])
ENGLISH = {"language": "English"}
SENTENCES = "One two three four five six seven eight nine. " * 8
Eventually = Callable[..., Awaitable[None]]


def speak(client: openai.OpenAI, voice: Any, **fields: Any) -> Any:
    wanted = {"model": "tts-1", "input": DIGITS, "extra_body": ENGLISH, **fields}
    return client.audio.speech.create(voice=voice, **wanted)


@BOTH
async def test_every_format_is_decoded_and_understood(
    program: Program, voice: str, mode: str, tmp_path: Path
) -> None:
    def to_file(name: str) -> Any:
        answer = speak(program.client, voice, response_format=name)
        answer.write_to_file(tmp_path / name)
        return answer.response.headers

    for name, kind in FORMATS.items():
        headers = await asyncio.to_thread(to_file, name)
        assert headers["content-type"] == kind
        assert headers["x-provider"] == mode
        assert await digits_missed((tmp_path / name).read_bytes(), name) <= 0.2, name
        assert await program.task_status(headers["x-task-id"]) == "completed"
        (row,) = await program.rows(
            b"select id::text, status, tts_provider from public.generations order by created_at desc limit 1"
        )
        assert row == {"id": headers["x-generation-id"], "status": "completed", "tts_provider": mode}


@BOTH
async def test_mp3_is_the_default(program: Program, voice: str, mode: str) -> None:
    data = await asyncio.to_thread(lambda: speak(program.client, voice).read())
    assert await digits_missed(data, "mp3") <= 0.2


@pytest.mark.parametrize("standin_settings", [REAL_TIME])
async def test_bytes_come_while_it_is_still_spoken(program: Program, voice: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{program.api.base}/v1/", api_key=program.key) as client:
        for name in FORMATS:
            wanted = client.audio.speech.with_streaming_response.create(
                model="gpt-4o-mini-tts",
                input=SENTENCES,
                voice=voice,
                response_format=name,
                extra_body=ENGLISH,
            )
            async with wanted as answer:
                pieces = answer.iter_bytes(1024)
                assert await anext(pieces)
                assert await program.task_status(answer.headers["x-task-id"]) == "processing", name
                await pieces.aclose()


@pytest.mark.parametrize("standin_settings", [StandInSettings(dashscope_real_time_factor=0.1)])
async def test_a_stream_is_whole_in_many_pieces(program: Program, voice: str) -> None:
    def pieces() -> list[bytes]:
        wanted = program.client.audio.speech.with_streaming_response.create(
            model="understudy", input=SENTENCES, voice=voice, response_format="flac", extra_body=ENGLISH
        )
        with wanted as answer:
            return list(answer.iter_bytes())

    found = await asyncio.to_thread(pieces)
    assert len(found) > 5
    whole = await decoded(b"".join(found), "flac")
    (row,) = await program.rows(b"select duration_seconds from public.generations")
    assert abs(duration_ms(whole) / 1000 - float(row["duration_seconds"])) < 0.15


@pytest.mark.parametrize("standin_settings", [REAL_TIME])
async def test_to_leave_is_to_cancel(program: Program, voice: str, eventually: Eventually) -> None:
    for name in ("mp3", "aac"):
        await leave(program, voice, name, eventually)


async def leave(program: Program, voice: str, name: str, eventually: Eventually) -> None:
    body = {"model": "tts-1", "input": SENTENCES, "voice": voice, "response_format": name, **ENGLISH}
    async with program.user.client.post("/v1/audio/speech", json=body) as answer:
        assert answer.status == 200
        await answer.content.readany()
        task_id = answer.headers["X-Task-Id"]
        answer.close()

    async def cancelled() -> bool:
        return await program.task_status(task_id) == "cancelled"

    await eventually(cancelled, what="the stream that nobody hears to be cancelled")


@pytest.mark.parametrize("standin_settings", [StandInSettings(dashscope_first_audio_delay_s=30.0)])
async def test_to_leave_before_the_first_byte_is_to_cancel(
    program: Program, voice: str, eventually: Eventually
) -> None:
    async def statuses() -> list[str]:
        return [
            row["status"]
            for row in await program.rows(b"select status from public.tasks where type = 'generate'")
        ]

    body = {"model": "tts-1", "input": DIGITS, "voice": voice, "response_format": "aac"}
    asking = asyncio.create_task(program.user.client.post("/v1/audio/speech", json=body).__aenter__())

    async def begun() -> bool:
        return await statuses() == ["processing"]

    async def cancelled() -> bool:
        return await statuses() == ["cancelled"]

    await eventually(begun, what="the stream to be admitted")
    asking.cancel()
    await asyncio.wait({asking})
    await eventually(cancelled, what="the stream that nobody waits for to be cancelled")


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
@pytest.mark.parametrize("name", ["mp3", "flac"])
async def test_speech_that_breaks_off_never_ends_cleanly(
    program: Program, voice: str, name: str, stream_format: str
) -> None:
    await program.fault(reset_mid_audio=1.0)
    body = {"model": "tts-1", "input": SENTENCES, "voice": voice, "response_format": name, **ENGLISH}
    received = bytearray()
    async with program.user.client.post(
        "/v1/audio/speech", json={**body, "stream_format": stream_format}
    ) as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await collect(answer.content, received)
    assert received
    if stream_format == "sse":
        last = events_of(bytes(received))[-1]
        assert last["type"] == "error"
        assert set(last["error"]) == {"message", "type", "param", "code"}
        assert last["error"]["type"] == "server_error"
    (row,) = await program.rows(b"select status from public.generations")
    assert row["status"] == "failed"


async def collect(content: aiohttp.StreamReader, received: bytearray) -> None:
    async for piece in content.iter_any():
        received += piece


def events_of(data: bytes) -> list[dict[str, Any]]:
    """What a reader of server-sent events makes of it."""
    blocks = data.decode().split("\n\n")
    return [json.loads(block.removeprefix("data: ")) for block in blocks if block]


@BOTH
async def test_server_sent_events(program: Program, voice: str, mode: str) -> None:
    def lines() -> tuple[str, bytes]:
        wanted = program.client.audio.speech.with_streaming_response.create(
            model="gpt-4o-mini-tts",
            input=DIGITS,
            voice=voice,
            response_format="wav",
            stream_format="sse",
            extra_body=ENGLISH,
        )
        with wanted as answer:
            return answer.headers["content-type"], b"".join(answer.iter_bytes())

    kind, data = await asyncio.to_thread(lines)
    assert kind.startswith("text/event-stream")
    *deltas, done = events_of(data)
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    assert done["type"] == "speech.audio.done"
    assert done["usage"]["characters"] == len(DIGITS)
    audio = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
    assert await digits_missed(audio, "wav") <= 0.2


@BOTH
async def test_the_async_client(program: Program, voice: str, mode: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{program.api.base}/v1", api_key=program.key) as client:
        answer = await client.audio.speech.create(
            model="tts-1-hd", input=DIGITS, voice="Jane", response_format="opus", extra_body=ENGLISH
        )
        assert await digits_missed(await answer.aread(), "opus") <= 0.2


async def test_an_access_token_is_as_good_as_a_key(program: Program, voice: str) -> None:
    token = program.user.session["access_token"]
    async with openai.AsyncOpenAI(base_url=f"{program.api.base}/v1", api_key=token) as client:
        answer = await client.audio.speech.create(model="tts-1", input=DIGITS, voice=voice)
        assert not is_silent(await decoded(await answer.aread(), "mp3"))


async def test_a_voice_is_named_by_its_id_its_name_or_an_object(program: Program, voice: str) -> None:
    for named in (voice, voice.upper(), "Jane", "jANE", " jane ", {"id": voice}):
        answer = await asyncio.to_thread(speak, program.client, named)
        assert answer.response.status_code == 200, named


async def test_a_retry_with_the_same_idempotency_key_speaks_once(program: Program, voice: str) -> None:
    once = {"extra_headers": {"Idempotency-Key": "speech-1"}, "response_format": "flac"}
    first = await asyncio.to_thread(lambda: speak(program.client, voice, **once))
    again = await asyncio.to_thread(lambda: speak(program.client, voice, **once))
    assert again.response.headers["x-task-id"] == first.response.headers["x-task-id"]
    one, other = await decoded(first.read(), "flac"), await decoded(again.read(), "flac")
    assert one.samples.tobytes() == other.samples.tobytes()
    assert len(await program.rows(b"select id from public.generations")) == 1
