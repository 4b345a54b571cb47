"""Who hangs up, cancels or switches the mode in the middle: one end each, and nothing bought twice."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.integration.api.conftest import User
from tests.integration.api.streams.stage import TEXT, Stage
from understudy.providers.base import AudioFormat
from understudy.rollout.mode import set_mode
from understudy.speech import spending
from understudy.speech.context import Caller
from understudy.speech.stream_driving import StreamDriver
from understudy.speech.streaming import StreamOrder, open_stream
from understudy.store.tasks import TaskRow

pytestmark = pytest.mark.integration

LONG_TEXT = " ".join([TEXT] * 6)
#: The provider says nothing for a minute: whoever stops the stream does it before anything was heard.
BEFORE = {"slow_first_delta": 1.0, "slow_first_delta_s": 60.0}
#: It stops after the first audio.
AFTER = {"gap": 1.0, "gap_s": 60.0}


async def flip(stage: Stage, value: str) -> None:
    """Switch the mode and wait until it is in force here."""
    row = await set_mode(stage.api.ctx.database, value, actor="test", reason="test")
    await stage.eventually(lambda: stage.api.ctx.mode.view().epoch >= row.epoch, what="the mode in force")


async def waiting_task(stage: Stage, user: User) -> TaskRow:
    """The user's stream, once the provider has its text."""

    async def asked() -> bool:
        return bool((await stage.stats())["faults_injected"].get("slow_first_delta"))

    await stage.eventually(asked, what="the provider asked")
    return await stage.only_task(user)


@pytest.mark.parametrize("faults", [BEFORE, AFTER], ids=["before", "after"])
async def test_to_hang_up_is_to_cancel(stage: Stage, user: User, faults: dict[str, float]) -> None:
    voice_id = await stage.voice(user)
    await stage.faults(**faults)
    body = {"voice_id": voice_id, "text": LONG_TEXT}
    if faults is AFTER:
        answer = await stage.begin(user, voice_id, LONG_TEXT)
        await answer.content.readany()
        task = await stage.only_task(user)
        answer.close()
    else:
        asking = asyncio.create_task(user.client.post("/api/generate/stream", json=body))
        task = await waiting_task(stage, user)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await stage.provider_left(dropped=1)
    ended = await stage.ended(task.id)
    assert (ended.status, ended.metadata["failure"]["category"]) == ("cancelled", "cancelled")
    assert ended.generation_id is not None
    assert (await stage.generation(user, ended.generation_id)).status == "cancelled"
    [call] = await stage.calls()
    assert (call["outcome"], call["billable"], call["characters"]) == ("cancelled", False, len(LONG_TEXT))
    assert call["cost_microusd"] > 0
    assert not await stage.stored()
    assert len(stage.api.ctx.streams) == 0


async def test_a_stream_can_be_cancelled_by_its_task(stage: Stage, user: User) -> None:
    voice_id = await stage.voice(user)
    await stage.faults(**AFTER)
    answer = await stage.begin(user, voice_id, LONG_TEXT)
    task_id = answer.headers["X-Task-Id"]
    async with user.client.post(f"/api/tasks/{task_id}/cancel") as cancelled:
        assert cancelled.status == 200
    with pytest.raises(aiohttp.ClientPayloadError):
        await answer.read()
    await stage.provider_left(dropped=1)
    assert (await stage.ended((await stage.only_task(user)).id)).status == "cancelled"


async def test_deleting_the_generation_ends_the_stream(stage: Stage, user: User) -> None:
    voice_id = await stage.voice(user)
    await stage.faults(**AFTER)
    answer = await stage.begin(user, voice_id, LONG_TEXT)
    async with user.client.delete(f"/api/generations/{answer.headers['X-Generation-Id']}") as deleted:
        assert deleted.status == 200
    with pytest.raises(aiohttp.ClientPayloadError):
        await answer.read()
    assert (await stage.ended((await stage.only_task(user)).id)).status == "cancelled"
    assert not await stage.stored()


async def test_a_flip_before_any_audio_is_a_409(stage: Stage, user: User) -> None:
    voice_id = await stage.voice(user)
    await stage.faults(**BEFORE)
    asking = asyncio.create_task(stage.speak(user, voice_id))
    task = await waiting_task(stage, user)
    await flip(stage, "modal")
    heard = await asking
    assert heard.status == 409
    assert "does not stream" in heard.detail
    await stage.provider_left(dropped=1)
    assert (await stage.ended(task.id)).status == "failed"
    [call] = await stage.calls()
    assert (call["provider"], call["outcome"], call["billable"]) == ("qwen", "cancelled", False)


async def test_a_flip_after_the_first_audio_changes_nothing(stage: Stage, user: User) -> None:
    voice_id = await stage.voice(user)
    await stage.faults(gap=1.0, gap_s=1.0)
    answer = await stage.begin(user, voice_id, LONG_TEXT)
    await flip(stage, "modal")
    audio = await answer.read()
    task = await stage.only_task(user)
    assert (task.status, task.provider) == ("completed", "qwen")
    assert audio
    assert [call["outcome"] for call in await stage.calls()] == ["ok"]


async def test_speech_that_need_not_stream_fails_over_once(stage: Stage, user: User) -> None:
    voice = await stage.speakable_voice(user)
    await stage.faults(**BEFORE)
    order = StreamOrder(voice, TEXT, "English", (AudioFormat.PCM, AudioFormat.WAV), must_stream=False)
    opening = asyncio.create_task(open_stream(stage.api.ctx, Caller(user.id), order))
    task = await waiting_task(stage, user)
    await flip(stage, "modal")
    stream = await opening
    assert (stream.task_id, stream.provider, stream.audio_format) == (task.id, "modal", AudioFormat.WAV)
    audio = b"".join([data async for data in stream.chunks()])
    assert audio.startswith(b"RIFF")
    await stage.provider_left(dropped=1)
    ended = await stage.task(task.id)
    assert (ended.status, ended.provider, ended.mode_epoch) == ("completed", "modal", stream.mode_epoch)
    row = await stage.generation(user, stream.generation_id)
    assert (row.status, row.tts_provider) == ("completed", "modal")
    first, second = await stage.calls()
    assert (first["provider"], first["outcome"], first["code"]) == ("qwen", "cancelled", "mode_changed")
    assert (second["provider"], second["outcome"], second["billable"]) == ("modal", "ok", True)
    assert first["mode_epoch"] < second["mode_epoch"]


async def test_what_the_new_provider_cannot_give_stays_where_it_is(stage: Stage, user: User) -> None:
    voice = await stage.speakable_voice(user)
    await stage.faults(slow_first_delta=1.0, slow_first_delta_s=2.0)
    # Modal speaks WAV only.
    order = StreamOrder(voice, TEXT, "English", (AudioFormat.MP3,), must_stream=False)
    opening = asyncio.create_task(open_stream(stage.api.ctx, Caller(user.id), order))
    await waiting_task(stage, user)
    await flip(stage, "modal")
    stream = await opening
    assert stream.provider == "qwen"
    assert [data async for data in stream.chunks()]
    assert [(call["provider"], call["outcome"]) for call in await stage.calls()] == [("qwen", "ok")]


async def test_to_hang_up_while_it_moves_is_to_cancel(
    stage: Stage, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = await stage.speakable_voice(user)
    await stage.faults(**BEFORE)
    order = StreamOrder(voice, TEXT, "English", (AudioFormat.WAV,), must_stream=False)
    opening = asyncio.create_task(open_stream(stage.api.ctx, Caller(user.id), order))
    task = await waiting_task(stage, user)
    begun, may_go_on = asyncio.Event(), asyncio.Event()

    async def slowly(*arguments: Any, **named: Any) -> None:
        begun.set()
        await may_go_on.wait()
        await move(*arguments, **named)

    move = spending.move
    monkeypatch.setattr(spending, "move", slowly)
    await flip(stage, "modal")
    await begun.wait()
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    may_go_on.set()
    assert (await stage.ended(task.id)).status == "cancelled"
    # The one that was left, and the one that was not begun.
    assert {call["outcome"] for call in await stage.calls()} == {"cancelled"}
    assert (await stage.account.stats(stage.account.modal))["jobs_submitted"] == 0


@pytest.mark.parametrize("changes", [{"provider_first_audio_timeout_s": 2.0}], indirect=True)
async def test_a_provider_that_fails_once_the_mode_left_it_costs_nobody_their_speech(
    stage: Stage, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The failure comes first: the stream has not been told of the change yet.
    monkeypatch.setattr(StreamDriver, "mode_changed", lambda _: None)
    voice = await stage.speakable_voice(user)
    await stage.faults(**BEFORE)
    order = StreamOrder(voice, TEXT, "English", (AudioFormat.WAV,), must_stream=False)
    opening = asyncio.create_task(open_stream(stage.api.ctx, Caller(user.id), order))
    await waiting_task(stage, user)
    await flip(stage, "modal")
    stream = await opening
    assert [data async for data in stream.chunks()]
    first, second = await stage.calls()
    assert (first["provider"], first["outcome"], first["category"]) == ("qwen", "failed", "timeout")
    assert (second["provider"], second["outcome"]) == ("modal", "ok")
