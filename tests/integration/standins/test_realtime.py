"""The realtime protocol event by event: both modes, formats, limits, refusals, faults."""

from __future__ import annotations

from typing import Any

import aiohttp
import numpy as np
import pytest

from tests.integration.standins.account import (
    CLONE_MODEL,
    DESIGN_MODEL,
    OTHER_CLONE_MODEL,
    Account,
    Conversation,
    audio_of,
    kinds,
)
from understudy.audio.wav import duration_ms, from_pcm, is_silent, write_wav
from understudy.voicebox.hearing import digit_error_rate, hear_digits

pytestmark = pytest.mark.integration

RESPONSE = [
    "response.created",
    "response.output_item.added",
    "response.content_part.added",
    "response.audio.delta",
    "response.audio.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.done",
]
LONG = "One two three four five six seven eight nine. " * 40


async def test_server_commit_sends_every_event_in_order(account: Account, voice: str) -> None:
    async with account.realtime() as conversation:
        created = await conversation.receive()
        await conversation.update(voice=voice, language_type="English", unknown_field=1)
        await conversation.append("4 7 1 ")
        await conversation.append("9 3 0")
        await conversation.send("session.finish")
        events = await conversation.rest()
    assert created["type"] == "session.created"
    assert created["session"]["model"] == CLONE_MODEL
    assert (created["session"]["voice"], created["session"]["mode"]) == ("Cherry", "server_commit")
    assert kinds(events) == ["session.updated", *RESPONSE, "session.finished"]
    assert conversation.socket.close_code == 1000
    assert len({event["event_id"] for event in events}) == len(events)
    updated, done = events[0]["session"], events[-2]["response"]
    assert updated == {
        "id": created["session"]["id"],
        "object": "realtime.session",
        "model": CLONE_MODEL,
        "voice": voice,
        "language_type": "English",
        "mode": "server_commit",
        "response_format": "pcm",
        "sample_rate": 24000,
    }
    assert (done["status"], done["voice"], done["usage"]) == ("completed", voice, {"characters": 11})
    assert done["output"][0]["status"] == "completed"
    ids = {event["response_id"] for event in events if "response_id" in event}
    assert ids == {done["id"]}
    clip = from_pcm(audio_of(events), 24000)
    assert 1_500 < duration_ms(clip) < 5_000
    assert digit_error_rate("471930", await hear_digits(write_wav(clip))) <= 0.2


async def test_server_commit_speaks_finished_sentences_before_the_end(account: Account, voice: str) -> None:
    async with account.realtime() as conversation:
        await conversation.update(voice=voice)
        await conversation.append("First sentence. Second is not")
        early = await conversation.until("response.done")
        assert early[-1]["response"]["usage"] == {"characters": len("First sentence. ")}
        await conversation.append(" finished yet.")
        await conversation.send("session.finish")
        late = await conversation.rest()
    assert kinds(late) == [*RESPONSE, "session.finished"]
    assert late[-2]["response"]["usage"] == {"characters": len("Second is not finished yet.")}


async def test_commit_mode_speaks_only_what_is_committed(account: Account, voice: str) -> None:
    async with account.realtime() as conversation:
        await conversation.update(voice=voice, mode="commit")
        await conversation.append("This sentence is thrown away. ")
        await conversation.send("input_text_buffer.clear")
        assert kinds(await conversation.until("input_text_buffer.cleared"))[-1] == "input_text_buffer.cleared"
        for text in ("Two.", "Three. Four."):
            await conversation.append(text)
            await conversation.send("input_text_buffer.commit")
            events = await conversation.until("response.done")
            assert kinds(events) == ["input_text_buffer.committed", *RESPONSE]
            assert events[-1]["response"]["usage"] == {"characters": len(text)}
        await conversation.send("session.finish")
        assert kinds(await conversation.rest()) == ["session.finished"]
    stats = await account.stats(account.dashscope)
    assert (stats["responses"], stats["billed_characters"]) == (2, len("Two.Three. Four."))


async def test_commit_in_server_commit_mode_speaks_now(account: Account, voice: str) -> None:
    async with account.realtime() as conversation:
        await conversation.update(voice=voice)
        await conversation.append("No full stop")
        await conversation.send("input_text_buffer.commit")
        events = await conversation.until("response.done")
    assert kinds(events) == ["session.created", "session.updated", "input_text_buffer.committed", *RESPONSE]


async def speech(
    account: Account, voice: str, text: str = "One two three four.", **session: Any
) -> np.ndarray:
    async with account.realtime() as conversation:
        await conversation.update(voice=voice, **session)
        await conversation.append(text)
        await conversation.send("session.finish")
        return from_pcm(audio_of(await conversation.rest()), 24000).samples.astype(np.float64)


async def test_rate_and_volume_are_heard(account: Account, voice: str) -> None:
    usual = await speech(account, voice)
    assert len(await speech(account, voice, speech_rate=1.5)) < len(usual) * 0.85
    quiet = await speech(account, voice, volume=25)
    assert np.sqrt(np.mean(quiet**2)) == pytest.approx(np.sqrt(np.mean(usual**2)) / 2, rel=0.05)
    assert not np.array_equal(await speech(account, voice, pitch_rate=1.4), usual)


async def test_han_characters_are_billed_twice(account: Account, voice: str) -> None:
    async with account.realtime() as conversation:
        await conversation.update(voice=voice, language_type="Chinese")
        await conversation.append("你好ab")
        await conversation.send("session.finish")
        events = await conversation.rest()
    assert events[-2]["response"]["usage"] == {"characters": 6}


async def test_a_session_without_text_finishes_without_a_response(account: Account, voice: str) -> None:
    async with account.realtime() as conversation:
        await conversation.update(voice=voice)
        await conversation.append("  ")
        await conversation.send("session.finish")
        assert kinds(await conversation.rest()) == ["session.created", "session.updated", "session.finished"]


async def test_a_cancelled_response_is_incomplete_and_the_session_goes_on(open_account) -> None:
    async with open_account(dashscope_real_time_factor=0.2) as account:
        voice = (await account.clone())[1]["output"]["voice"]
        async with account.realtime() as conversation:
            await conversation.update(voice=voice, mode="commit")
            await conversation.append(LONG)
            await conversation.send("input_text_buffer.commit")
            await conversation.until("response.audio.delta")
            await conversation.send("response.cancel")
            assert (await conversation.until("response.done"))[-1]["response"]["status"] == "incomplete"
            await conversation.append("Again.")
            await conversation.send("input_text_buffer.commit")
            assert (await conversation.until("response.done"))[-1]["response"]["status"] == "completed"


async def expect_error(conversation: Conversation, *, code: str, ends: bool) -> str:
    error = (await conversation.until("error"))[-1]["error"]
    assert error["code"] == code
    if ends:
        assert await conversation.rest() == []
        assert conversation.socket.close_code == 1011
    else:
        assert not conversation.socket.closed
    return str(error["message"])


async def test_a_late_session_update_is_fatal(account: Account, voice: str) -> None:
    async with account.realtime() as conversation:
        await conversation.update(voice=voice)
        await conversation.append("Begun")
        await conversation.update(voice=voice)
        message = await expect_error(conversation, code="invalid_value", ends=True)
    assert message == "Session update error: session already started or finished or failed."


async def test_clear_belongs_to_commit_mode(account: Account, voice: str) -> None:
    async with account.realtime() as conversation:
        await conversation.update(voice=voice)
        await conversation.send("input_text_buffer.clear")
        message = await expect_error(conversation, code="invalid_value", ends=False)
        assert message == "only client commit mode supports clear operation"
        await conversation.send("session.finish")
        assert kinds(await conversation.rest()) == ["session.finished"]


@pytest.mark.parametrize("mode", ["commit", "server_commit"])
async def test_an_empty_commit_is_an_error(account: Account, voice: str, mode: str) -> None:
    async with account.realtime() as conversation:
        await conversation.update(voice=voice, mode=mode)
        await conversation.send("input_text_buffer.commit")
        await expect_error(conversation, code="invalid_value", ends=False)


@pytest.mark.parametrize(
    "raw",
    [
        "{",
        "[]",
        '"x"',
        '{"type": "session.rename"}',
        '{"type": "input_text_buffer.append"}',
        '{"type": "session.update"}',
    ],
)
async def test_a_bad_message_is_an_error_not_the_end(account: Account, raw: str) -> None:
    async with account.realtime() as conversation:
        await conversation.socket.send_str(raw)
        await expect_error(conversation, code="invalid_value", ends=False)


async def test_a_value_out_of_range_changes_nothing(account: Account, voice: str) -> None:
    async with account.realtime() as conversation:
        await conversation.update(voice=voice, sample_rate=22050)
        assert "sample_rate" in await expect_error(conversation, code="invalid_value", ends=False)
        await conversation.update(voice=voice)
        assert (await conversation.receive())["type"] == "session.updated"


@pytest.mark.parametrize("model", [OTHER_CLONE_MODEL, DESIGN_MODEL, "qwen3-tts-flash-realtime"])
async def test_a_voice_speaks_with_no_other_model(account: Account, voice: str, model: str) -> None:
    async with account.realtime(model) as conversation:
        await conversation.update(voice=voice)
        await expect_error(conversation, code="InvalidParameter", ends=True)


async def test_a_system_voice_on_a_clone_model_is_engine_error_411(account: Account) -> None:
    async with account.realtime() as conversation:
        await conversation.append("No session.update, so the voice is Cherry. ")
        assert "411" in await expect_error(conversation, code="CLIENT_ERROR", ends=True)


async def test_the_mismatch_code_is_configurable(open_account) -> None:
    code = "BadRequest.VoiceModelMismatch"
    async with open_account(voice_mismatch_code=code) as account, account.realtime() as conversation:
        await conversation.update(voice="qwen-tts-vc-unknown")
        await expect_error(conversation, code=code, ends=True)


async def test_system_voices_speak_on_system_models(account: Account) -> None:
    async with account.realtime("qwen3-tts-flash-realtime") as conversation:
        await conversation.append("Hello. ")
        await conversation.send("session.finish")
        assert not is_silent(from_pcm(audio_of(await conversation.rest()), 24000))


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_both_spellings_of_bearer_are_taken(account: Account, scheme: str) -> None:
    account.headers = {"Authorization": account.headers["Authorization"].replace("Bearer", scheme)}
    async with account.realtime() as conversation:
        assert (await conversation.receive())["type"] == "session.created"


@pytest.mark.parametrize("key", ["sk-standin-cn-0001", "sk-unknown-0001"])
async def test_a_bad_key_fails_the_handshake(account: Account, key: str) -> None:
    account.headers = {"Authorization": f"Bearer {key}"}
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with account.realtime():
            pytest.fail("the handshake succeeded")
    assert caught.value.status == 401


async def test_a_missing_model_drops_and_an_unknown_one_is_not_found(account: Account) -> None:
    with pytest.raises(aiohttp.ClientConnectionError):
        async with account.realtime(""):
            pytest.fail("the handshake succeeded")
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with account.realtime("qwen3-tts-vc-2026-01-22"):
            pytest.fail("the handshake succeeded")
    assert caught.value.status == 404


async def test_an_idle_session_is_dropped(open_account) -> None:
    async with open_account(session_idle_s=0.2) as account, account.realtime() as conversation:
        assert (await conversation.receive())["type"] == "session.created"
        message = await conversation.socket.receive(timeout=5)
        assert message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
        assert conversation.socket.close_code != 1000


async def test_pacing_holds_audio_back(open_account) -> None:
    async with open_account(dashscope_real_time_factor=1.0) as account:
        voice = (await account.clone())[1]["output"]["voice"]
        async with account.realtime() as conversation:
            await conversation.update(voice=voice)
            await conversation.append(LONG)
            await conversation.until("response.audio.delta")
            stats = await account.stats(account.dashscope)
        assert (stats["open_sessions"], stats["responses"]) == (1, 0)


async def test_a_client_that_leaves_is_counted_and_stops_the_speech(
    account: Account, voice: str, eventually
) -> None:
    async with account.realtime() as conversation:
        await conversation.update(voice=voice)
        await conversation.append(LONG)
        await conversation.until("response.audio.delta")

    async def dropped() -> bool:
        stats = await account.stats(account.dashscope)
        return stats["sessions_dropped"] == 1 and stats["open_sessions"] == 0

    await eventually(dropped, what="the abandoned session is gone", within_s=5)
    assert (await account.stats(account.dashscope))["billed_characters"] == 0
