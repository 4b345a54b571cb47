"""Speech over ``/api/generate/stream``, before the real stand-in: what is heard, stored, refused."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.integration.api.conftest import SignUp, User
from tests.integration.api.streams.stage import TEXT, Stage
from understudy.api import streaming_response
from understudy.audio.decode import decode_upload
from understudy.audio.wav import write_wav
from understudy.store.buckets import GENERATIONS
from understudy.store.synthetic import mark_synthetic
from understudy.voicebox.hearing import digit_error_rate, hear_digits

pytestmark = pytest.mark.integration


async def test_what_is_streamed_is_understood_and_stored(stage: Stage, user: User) -> None:
    heard = await stage.speak(user, await stage.voice(user))
    assert (heard.status, heard.cut) == (200, False), heard.detail
    assert heard.headers["Content-Type"] == "audio/mpeg"
    assert heard.headers["Transfer-Encoding"] == "chunked"
    assert heard.headers["X-Provider"] == "qwen"
    assert heard.headers["X-Accel-Buffering"] == "no"
    assert heard.headers["Cache-Control"] == "no-store"
    # A clean end means that all of this is so already.
    task = await stage.task(heard.task_id)
    row = await stage.generation(user, heard.generation_id)
    assert (task.status, task.delivery, task.provider) == ("completed", "stream", "qwen")
    assert (row.status, row.output_format, row.audio_content_type) == ("completed", "mp3", "audio/mpeg")
    assert (row.tts_provider, row.mode_epoch) == ("qwen", task.mode_epoch)
    assert row.audio_sha256 == hashlib.sha256(heard.audio).hexdigest()
    clip = await decode_upload(heard.audio)
    assert row.duration_seconds == pytest.approx(len(clip.samples) / clip.rate, abs=0.1)
    assert row.generation_time_seconds is not None
    assert digit_error_rate(TEXT, await hear_digits(write_wav(clip))) <= 0.2
    [call] = await stage.calls()
    assert (call["outcome"], call["operation"], call["task_id"]) == ("ok", "speak", task.id)
    assert (call["characters"], call["billable"]) == (len(TEXT), True)
    assert 0 <= call["first_audio_ms"] <= call["latency_ms"]
    assert len(stage.api.ctx.streams) == 0


async def test_it_is_a_generation_like_any_other(stage: Stage, user: User) -> None:
    heard = await stage.speak(user, await stage.voice(user))
    async with user.client.get("/api/generations") as answer:
        [listed] = (await answer.json())["generations"]
    assert (listed["id"], listed["status"]) == (str(heard.generation_id), "completed")
    async with user.client.get(listed["audio_path"]) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "audio/mpeg"
        assert await answer.read() == heard.audio
    async with user.client.get(f"/api/tasks/{heard.task_id}") as answer:
        assert (await answer.json())["result"]["audio_url"] == listed["audio_path"]


async def test_two_listeners_hear_their_own_speech(stage: Stage, user: User) -> None:
    voice_id = await stage.voice(user)
    first, second = await asyncio.gather(
        stage.speak(user, voice_id, "1 2 3"), stage.speak(user, voice_id, "9 8 7 6 5 4")
    )
    assert first.generation_id != second.generation_id
    for heard, text in ((first, "1 2 3"), (second, "9 8 7 6 5 4")):
        row = await stage.generation(user, heard.generation_id)
        assert (row.text, row.audio_sha256) == (text, hashlib.sha256(heard.audio).hexdigest())


#: 5 MB: more than the sockets between us and the api hold (tcp_wmem ends at 4 MB), so it cannot all leave.
LARGE_TEXT = " ".join([TEXT] * 165)


@asynccontextmanager
async def unread(stage: Stage, user: User) -> AsyncIterator[asyncio.StreamReader]:
    """A stream of which only the head is read."""
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, stage.api.address)
    reader, writer = await asyncio.open_connection(sock=small, limit=1024)
    try:
        body = json.dumps({"voice_id": await stage.voice(user), "text": LARGE_TEXT}).encode()
        head = (
            "POST /api/generate/stream HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
            f"Authorization: {user.client.headers['Authorization']}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + body)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        yield reader
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What still comes."""
    received = bytearray()
    while data := await reader.read(65536):
        received += data
    return bytes(received)


async def test_a_slow_reader_does_not_make_the_provider_wait(stage: Stage, user: User) -> None:
    async with unread(stage, user) as reader:
        task = await stage.only_task(user)
        # Nothing more is read, and yet it is spoken, stored and settled.
        ended = await stage.ended(task.id)
        assert (ended.status, ended.generation_id is not None) == ("completed", True)
        assert (await rest(reader)).endswith(b"\r\n0\r\n\r\n")
        [key] = await stage.stored()
        stored = await stage.api.ctx.objects.stat(GENERATIONS, key)
        assert stored is not None
        assert stored.size > 4 * 2**20


async def test_a_reader_that_takes_nothing_is_cut_off(
    stage: Stage, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than the rest of the speech takes to be made: a reader who is cut off before that cancels it.
    monkeypatch.setattr(streaming_response, "STALLED_READER_S", 2.0)
    gave_up = asyncio.Event()

    class Noted(streaming_response.StreamCutError):
        def __init__(self, cause: str) -> None:
            super().__init__(cause)
            gave_up.set()

    monkeypatch.setattr(streaming_response, "StreamCutError", Noted)
    async with unread(stage, user) as reader:
        ended = await stage.ended((await stage.only_task(user)).id)
        await asyncio.wait_for(gave_up.wait(), 30)
        # The speech is kept all the same.
        assert ended.status == "completed"
        assert not (await rest(reader)).endswith(b"\r\n0\r\n\r\n")


@pytest.mark.parametrize("changes", [{"max_active_streams": 3}], indirect=True)
async def test_many_at_once_get_no_more_than_the_limit(stage: Stage, user: User) -> None:
    voice_id = await stage.voice(user)
    # Each that is admitted stays until it is cancelled.
    await stage.faults(slow_first_delta=1.0, slow_first_delta_s=60.0)
    body = {"voice_id": voice_id, "text": TEXT}
    statuses: list[int] = []

    async def ask() -> None:
        async with user.client.post("/api/generate/stream", json=body) as answer:
            statuses.append(answer.status)

    asking = [asyncio.create_task(ask()) for _ in range(24)]
    try:
        await stage.eventually(lambda: len(statuses) == 21, what="21 of 24 refused")
        assert set(statuses) == {409}
        rows = await stage.rows("SELECT status FROM public.tasks WHERE delivery = 'stream'")
        assert [row["status"] for row in rows] == ["processing"] * 3
    finally:
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    async def none_left() -> bool:
        return not await stage.rows("SELECT FROM public.tasks WHERE status = 'processing'")

    await stage.eventually(none_left, what="those that hung up are cancelled")
    await stage.faults(slow_first_delta=0.0)
    assert (await stage.speak(user, voice_id)).status == 200


async def test_streams_and_tasks_are_counted_apart(stage: Stage, user: User) -> None:
    voice_id = await stage.voice(user)
    await stage.faults(gap=1.0, gap_s=60.0)
    answer = await stage.begin(user, voice_id)
    async with user.client.post("/api/generate", json={"voice_id": voice_id, "text": TEXT}) as started:
        assert started.status == 200
    answer.close()


@pytest.mark.parametrize("changes", [{"tts_provider_mode": "modal"}], indirect=True)
async def test_no_stream_from_a_provider_that_does_not(stage: Stage, user: User) -> None:
    heard = await stage.speak(user, await stage.voice(user))
    assert heard.status == 409
    assert heard.detail == "The active provider does not stream. Use /api/generate and /api/tasks/{id}."
    assert not await stage.rows("SELECT FROM public.tasks")


async def test_what_is_refused_before_it_costs_anything(stage: Stage, user: User, sign_up: SignUp) -> None:
    voice_id = await stage.voice(user)
    other = await sign_up()
    foreign = await stage.voice(other)
    assert (await stage.speak(user, voice_id, "")).detail == "Text is required."
    long = await stage.speak(user, voice_id, "x" * 2001)
    assert (long.status, long.detail) == (400, "Text cannot exceed 2000 characters")
    assert (await stage.speak(user, "no-uuid")).status == 400
    missing, others = await stage.speak(user, str(other.id)), await stage.speak(user, foreign)
    assert (missing.status, missing.detail) == (others.status, others.detail) == (404, "Voice not found.")
    async with stage.api.ctx.database.service() as conn:
        await conn.execute("UPDATE public.voices SET provider_target_model = 'of-last-year'")
    unspeakable = await stage.speak(user, voice_id)
    assert unspeakable.status == 409
    assert "carry it over" in unspeakable.detail
    async with stage.api.client.post("/api/generate/stream", json={}) as answer:
        assert answer.status == 401
    assert not await stage.rows("SELECT FROM public.tasks")
    assert (await stage.stats())["billed_characters"] == 0


async def test_a_key_that_is_sent_again_hears_the_stored_speech(stage: Stage, user: User) -> None:
    voice_id = await stage.voice(user)
    first = await stage.speak(user, voice_id, **{"Idempotency-Key": "k-1"})
    again = await stage.speak(user, voice_id, **{"Idempotency-Key": "k-1"})
    assert (first.status, again.status) == (200, 200), again.detail
    assert again.audio == first.audio
    assert again.task_id == first.task_id
    assert len(await stage.calls()) == 1


async def test_a_canary_is_one_even_where_the_process_does_not_know_it_yet(stage: Stage, user: User) -> None:
    voice_id = await stage.voice(user)
    assert (await stage.speak(user, voice_id)).status == 200
    async with stage.api.ctx.database.service() as conn:
        await mark_synthetic(conn, user.id, "guard")
    # Within the seconds for which it is remembered as an ordinary user.
    assert (await stage.speak(user, voice_id)).status == 200
    assert [call["synthetic"] for call in await stage.calls()] == [False, True]
    entries = await stage.rows("SELECT synthetic FROM understudy.ledger ORDER BY at")
    assert [entry["synthetic"] for entry in entries] == [False, True]
