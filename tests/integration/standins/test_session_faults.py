"""Each fault inside a realtime session, at the wire: what a client that knows nothing of us gets."""

from __future__ import annotations

import base64
import binascii
import json

import numpy as np
import pytest

from tests.integration.standins.account import Account, audio_of, kinds
from tests.integration.standins.struck import (
    DELTA,
    DONE,
    ERROR,
    TEXT,
    Seen,
    deltas,
    read_out,
    statuses,
    struck,
)
from understudy.audio.wav import from_pcm, is_silent
from understudy.standins.faults import DASHSCOPE_NUMBERS, DASHSCOPE_WORDS, SESSION_FAULTS

#: What each adapter makes of these is in tests/conformance, which `make test` runs.
pytestmark = [pytest.mark.integration, pytest.mark.long]


# --- errors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "code", "heard", "close_code"),
    [
        ("error_event", "InternalError", 0, 1011),
        ("throttled_event", "Throttling.RateQuota", 0, 1011),
        ("error_after_audio", "InternalError", 2, 1011),
        ("error_stays_open", "InternalError", 0, None),
    ],
)
async def test_an_error_event_comes_before_or_after_audio(
    account: Account, voice: str, fault: str, code: str, heard: int, close_code: int | None
) -> None:
    seen = await struck(account, voice, stays_open_after=None if close_code else (ERROR, 1), **{fault: 1})
    assert seen.events[-1]["type"] == "error"
    assert seen.events[-1]["error"]["code"] == code
    assert (deltas(seen), seen.close_code) == (heard, close_code)


async def test_a_failed_response_has_no_audio_and_costs_nothing(account: Account, voice: str) -> None:
    seen = await struck(account, voice, failed_response=1)
    assert statuses(seen) == ["failed"]
    assert seen.events[-2]["response"]["usage"] == {"characters": 0}
    assert (deltas(seen), seen.close_code) == (0, 1000)
    assert (await account.stats(account.dashscope))["billed_characters"] == 0


async def test_an_incomplete_response_breaks_off_and_says_so(account: Account, voice: str) -> None:
    seen = await struck(account, voice, incomplete_response=1)
    assert statuses(seen) == ["incomplete"]
    assert (deltas(seen), seen.close_code) == (2, 1000)
    assert seen.events[-1]["type"] == "session.finished"


async def test_the_panel_sets_the_code_of_an_error_event(account: Account, voice: str) -> None:
    seen = await struck(account, voice, error_event=1, error_code="DataInspectionFailed")
    assert seen.events[-1]["error"]["code"] == "DataInspectionFailed"


async def test_a_finished_session_may_be_left_open(account: Account, voice: str, eventually) -> None:
    seen = await struck(account, voice, stays_open_after=("session.finished", 1), finish_closes=0)
    assert (statuses(seen), seen.close_code) == (["completed"], None)

    async def closed() -> bool:
        stats = await account.stats(account.dashscope)
        return (stats["open_sessions"], stats["sessions_finished"], stats["sessions_dropped"]) == (0, 1, 0)

    await eventually(closed, what="the client's close ended the session", within_s=5)


async def test_a_late_update_closes_unless_it_is_told_not_to(account: Account, voice: str) -> None:
    await account.faults(account.dashscope, late_update_closes=0)
    async with account.realtime() as conversation:
        await conversation.update(voice=voice)
        await conversation.append("Begun")
        await conversation.update(voice=voice)
        assert (await conversation.until("error"))[-1]["error"]["code"] == "invalid_value"
        await conversation.send("session.finish")
        assert kinds(await conversation.rest())[-1] == "session.finished"


async def test_the_panel_sets_the_mismatch_code(account: Account) -> None:
    await account.faults(account.dashscope, voice_mismatch_code="BadRequest.VoiceModelMismatch")
    async with account.realtime() as conversation:
        await conversation.update(voice="qwen-tts-vc-unknown")
        assert (await conversation.until("error"))[-1]["error"]["code"] == "BadRequest.VoiceModelMismatch"


# --- broken content -------------------------------------------------------------------------------------


async def test_a_garbage_frame_is_a_text_frame_that_is_not_json(account: Account, voice: str) -> None:
    seen = await struck(account, voice, garbage_frame=1)
    broken = [text for text in seen.texts if not text.endswith("}")]
    assert len(broken) == 1
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken[0])
    assert '"response.audio.delta"' in seen.texts[seen.texts.index(broken[0]) - 1]
    assert "session.finished" in seen.texts[-1]
    assert seen.close_code == 1000


async def test_invalid_base64_is_one_delta_among_good_ones(account: Account, voice: str) -> None:
    seen = await struck(account, voice, invalid_base64=1)
    pieces = [event["delta"] for event in seen.events if event["type"] == "response.audio.delta"]
    for number, piece in enumerate(pieces):
        if number == 2:
            with pytest.raises(binascii.Error):
                base64.b64decode(piece, validate=True)
        else:
            base64.b64decode(piece, validate=True)
    assert len(pieces) > 4
    assert seen.events[-1]["type"] == "session.finished"


async def test_out_of_order_has_audio_before_and_after_its_response(account: Account, voice: str) -> None:
    whole = await struck(account, voice)
    seen = await struck(account, voice, out_of_order=1)
    order = kinds(seen.events)
    assert order[2:4] == ["response.audio.delta", "response.created"]
    assert order[-3:] == ["response.done", "response.audio.delta", "session.finished"]
    assert audio_of(seen.events) == audio_of(whole.events)


async def test_truncated_audio_ends_inside_a_sample_and_claims_to_be_whole(
    account: Account, voice: str
) -> None:
    seen = await struck(account, voice, truncated_audio=1)
    audio = audio_of(seen.events)
    assert (deltas(seen), len(audio) % 2) == (2, 1)
    assert statuses(seen) == ["completed"]
    assert seen.close_code == 1000


async def test_silent_audio_is_as_long_as_the_speech(account: Account, voice: str) -> None:
    whole = audio_of((await struck(account, voice, "First. Second")).events)
    seen = await struck(account, voice, "First. Second", silent_audio=1)
    assert statuses(seen) == ["completed", "completed"]
    assert len(audio_of(seen.events)) == len(whole)
    assert not is_silent(from_pcm(whole, 24_000))
    assert not np.any(from_pcm(audio_of(seen.events), 24_000).samples)


# --- time -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "number", "heard"), [("slow_first_delta", "slow_first_delta_s", 0), ("gap", "gap_s", 2)]
)
async def test_a_pause_before_or_amid_the_audio(
    account: Account, voice: str, fault: str, number: str, heard: int
) -> None:
    last = (DELTA, heard) if heard else ("response.content_part.added", 1)
    seen = await struck(account, voice, stays_open_after=last, **{fault: 1, number: 3600})
    assert (deltas(seen), seen.close_code) == (heard, None)
    seen = await struck(account, voice, **{fault: 1, number: 0.05})
    assert (statuses(seen), seen.close_code) == (["completed"], 1000)


async def test_never_finished_has_all_the_audio_and_no_end(account: Account, voice: str) -> None:
    whole = await struck(account, voice)
    seen = await struck(account, voice, stays_open_after=(DONE, 1), never_finished=1)
    assert seen.events[-1]["type"] == "response.done"
    assert audio_of(seen.events) == audio_of(whole.events)
    assert seen.close_code is None


async def test_an_idle_session_is_dropped_unless_that_is_off(account: Account) -> None:
    await account.faults(account.dashscope, session_idle_s=0.2)
    async with account.realtime() as conversation:
        assert (await conversation.receive())["type"] == "session.created"
        assert await read_out(conversation) == Seen([], 1006)
    await account.faults(account.dashscope, session_idle_s=0)
    async with account.realtime() as conversation:
        assert len((await read_out(conversation, ("session.created", 1))).texts) == 1


# --- several responses, probabilities -------------------------------------------------------------------


async def test_response_chars_makes_several_responses_of_one_sentence(account: Account, voice: str) -> None:
    seen = await struck(account, voice, response_chars=15)
    usages = [e["response"]["usage"]["characters"] for e in seen.events if e["type"] == "response.done"]
    assert len(usages) == 4
    assert max(usages) <= 15
    assert sum(usages) == len(TEXT)
    assert kinds(seen.events)[-1] == "session.finished"


async def test_a_fault_strikes_one_response_of_a_session(account: Account, voice: str) -> None:
    seen = await struck(account, voice, failed_response=1, response_chars=15)
    assert statuses(seen) == ["failed", "completed", "completed", "completed"]


async def test_faults_are_counted_and_end_when_the_panel_is_calmed(account: Account, voice: str) -> None:
    await struck(account, voice, error_event=1)
    async with account.session.get(account.dashscope + "/_faults") as answer:
        settings = await answer.json()
    assert settings["error_event"] == 1.0
    assert settings.keys() >= {*SESSION_FAULTS, *DASHSCOPE_NUMBERS, *DASHSCOPE_WORDS}
    async with account.session.delete(account.dashscope + "/_faults") as answer:
        calm = await answer.json()
    assert {calm[name] for name in SESSION_FAULTS} == {0.0}
    assert statuses(await struck(account, voice)) == ["completed"]
    injected = (await account.stats(account.dashscope))["faults_injected"]
    assert {name: count for name, count in injected.items() if count} == {"error_event": 1}


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"meteor": 1}', b'{"error_event": 2}', b"[]", b'{"voice_mismatch_code": 3}', b'{"gap_s": "x"}'],
)
async def test_a_bad_fault_request_is_refused(account: Account, body: bytes) -> None:
    async with account.session.post(account.dashscope + "/_faults", data=body) as answer:
        assert answer.status == 400
        assert (await answer.json()).keys() == {"detail"}
