"""Clone and design over REST: shapes, bills, refusals, and what survives a restart."""

from __future__ import annotations

import base64
import re
from typing import Any

import numpy as np
import pytest

from tests.integration.standins.account import (
    CLONE_MODEL,
    DESIGN_MODEL,
    WRONG_LANE_KEY,
    Account,
    austen,
    data_url,
)
from understudy.audio.decode import decode_upload
from understudy.audio.wav import Clip, duration_ms, read_wav, write_wav
from understudy.standins.encoders import encode_whole
from understudy.voicebox.hearing import digit_error_rate, hear_digits

pytestmark = pytest.mark.integration

CLONES, DESIGNS = "qwen-voice-enrollment", "qwen-voice-design"


def quiet(seconds: float, rate: int = 24_000) -> str:
    return data_url(write_wav(Clip(np.zeros(int(seconds * rate), np.int16), rate)))


async def test_a_clone_is_created_listed_and_deleted(account: Account) -> None:
    status, created = await account.clone()
    assert status == 200
    assert created["usage"] == {"count": 1}
    assert created["output"]["target_model"] == CLONE_MODEL
    assert created["output"]["fallback_mode"] is False
    voice = created["output"]["voice"]
    assert re.fullmatch(r"qwen-tts-vc-austen-voice-\d{17}-[0-9a-f]{4}", voice)
    status, listed = await account.customize(CLONES, "list", page_size=10, page_index=0)
    assert status == 200
    assert [(item["voice"], item["target_model"]) for item in listed["output"]["voice_list"]] == [
        (voice, CLONE_MODEL)
    ]
    assert (await account.customize(CLONES, "delete", voice=voice))[0] == 200
    status, gone = await account.customize(CLONES, "delete", voice=voice)
    assert (status, gone["code"]) == (400, "BadRequest.VoiceNotFound")
    assert len({created["request_id"], listed["request_id"], gone["request_id"]}) == 3


async def test_lists_come_in_pages_newest_first(account: Account) -> None:
    voices = [(await account.clone(preferred_name=f"v{n}"))[1]["output"]["voice"] for n in range(3)]
    pages = [
        [
            item["voice"]
            for item in (await account.customize(CLONES, "list", page_size=2, page_index=i))[1]["output"][
                "voice_list"
            ]
        ]
        for i in range(3)
    ]
    assert pages == [[voices[2], voices[1]], [voices[0]], []]


async def test_a_design_answers_an_audible_preview_once(account: Account) -> None:
    status, created = await account.design()
    assert status == 200
    output = created["output"]
    assert (created["usage"], output["target_model"]) == ({"count": 1}, DESIGN_MODEL)
    preview = base64.b64decode(output["preview_audio"]["data"])
    assert (output["preview_audio"]["sample_rate"], output["preview_audio"]["response_format"]) == (
        24000,
        "wav",
    )
    assert read_wav(preview).rate == 24000
    assert digit_error_rate("471930", await hear_digits(preview)) <= 0.2
    status, found = await account.customize(DESIGNS, "query", voice=output["voice"])
    assert status == 200
    assert found["output"] == {
        **found["output"],
        "voice": output["voice"],
        "voice_prompt": "a calm, deep male narrator",
        "preview_text": "4 7 1 9 3 0",
        "language": "en",
        "target_model": DESIGN_MODEL,
    }
    assert "preview_audio" not in found["output"]
    _, listed = await account.customize(DESIGNS, "list")
    assert listed["output"]["total_count"] == 1
    assert listed["output"]["voice_list"] == [found["output"]]
    assert (await account.customize(DESIGNS, "delete", voice=output["voice"]))[1]["output"] == {
        "voice": output["voice"]
    }
    status, gone = await account.customize(DESIGNS, "query", voice=output["voice"])
    assert (status, gone["code"]) == (400, "VoiceNotFound")
    assert output["voice"] in gone["message"]


@pytest.mark.parametrize(("audio_format", "rate"), [("pcm", 8000), ("mp3", 16000), ("wav", 48000)])
async def test_previews_in_other_formats_hold_the_same_speech(
    account: Account, audio_format: str, rate: int
) -> None:
    _, created = await account.design({"sample_rate": rate, "response_format": audio_format})
    data = base64.b64decode(created["output"]["preview_audio"]["data"])
    if audio_format == "pcm":
        clip = Clip(np.frombuffer(data, "<i2"), rate)
    else:
        clip = await decode_upload(data)
    assert 1_500 < duration_ms(clip) < 6_000
    assert digit_error_rate("471930", await hear_digits(write_wav(clip))) <= 1 / 3


async def test_a_compressed_reference_is_taken(account: Account) -> None:
    mp3 = encode_whole("mp3", read_wav(austen()).samples.tobytes(), 24_000)
    status, created = await account.clone(audio={"data": data_url(mp3, "audio/mpeg")})
    assert status == 200, created


BAD_CLONES: list[tuple[dict[str, Any], str]] = [
    ({"target_model": DESIGN_MODEL}, "InvalidParameter"),
    ({"target_model": None}, "InvalidParameter"),
    ({"preferred_name": "has space"}, "InvalidParameter"),
    ({"preferred_name": "x" * 17}, "InvalidParameter"),
    ({"language": "English"}, "InvalidParameter"),
    ({"audio": {"data": "https://example.org/a.wav"}}, "InvalidParameter"),
    ({"audio": {"data": "data:audio/wav;base64,###"}}, "InvalidParameter"),
    ({"audio": {"data": data_url(b"no", "audio/ogg")}}, "InvalidParameter"),
    ({"audio": None}, "InvalidParameter"),
    ({"audio": {"data": data_url(b"RIFFnot really a wave file")}}, "Audio.DecoderError"),
    ({"audio": {"data": data_url(austen(16_000))}}, "Audio.AudioRateError"),
    ({"audio": {"data": quiet(61)}}, "Audio.DurationLimitError"),
    ({"audio": {"data": quiet(2)}}, "Audio.PreprocessError"),
    ({"audio": {"data": quiet(5)}}, "Audio.PreprocessError"),
]


@pytest.mark.parametrize(("changes", "code"), BAD_CLONES)
async def test_a_refused_clone_is_flat_named_and_free(
    account: Account, changes: dict[str, Any], code: str
) -> None:
    status, body = await account.clone(**changes)
    assert (status, body["code"]) == (400, code)
    assert body.keys() == {"request_id", "code", "message"}
    stats = await account.stats(account.dashscope)
    assert (stats["clone_creates"], stats["voices"]) == (0, 0)


async def test_a_file_over_ten_megabytes_is_refused(account: Account) -> None:
    status, body = await account.clone(audio={"data": "data:audio/wav;base64," + "A" * (10 * 1024 * 1024)})
    assert (status, body["code"]) == (400, "InvalidParameter")
    assert "10 MB" in body["message"]


@pytest.mark.parametrize(
    ("changes", "parameters"),
    [
        ({"target_model": CLONE_MODEL}, None),
        ({"voice_prompt": ""}, None),
        ({"voice_prompt": "x" * 2049}, None),
        ({"preview_text": "x" * 1025}, None),
        ({"language": "xx"}, None),
        ({}, {"sample_rate": 22050}),
        ({}, {"response_format": "flac"}),
    ],
)
async def test_a_refused_design_is_free(
    account: Account, changes: dict[str, Any], parameters: dict[str, Any] | None
) -> None:
    status, body = await account.design(parameters, **changes)
    assert (status, body["code"]) == (400, "InvalidParameter")
    assert (await account.stats(account.dashscope))["design_creates"] == 0


async def test_the_envelope_is_checked(account: Account) -> None:
    assert (await account.customize("qwen-voice-magic", "create"))[1]["code"] == "ModelNotFound"
    assert (await account.customize(CLONES, "query", voice="x"))[1]["code"] == "InvalidParameter"
    assert (await account.customize(CLONES, "list", page_size=0))[1]["code"] == "InvalidParameter"
    url = account.dashscope + "/api/v1/services/audio/tts/customization"
    for body in (b"{", b"[]", b"\xff", b'{"model": "qwen-voice-design"}'):
        async with account.session.post(url, data=body, headers=account.headers) as answer:
            assert (answer.status, (await answer.json())["code"]) == (400, "InvalidParameter")


async def test_keys_of_no_lane_or_the_other_are_refused_alike(account: Account) -> None:
    for key in (WRONG_LANE_KEY, "sk-unknown-0001"):
        account.headers = {"Authorization": f"Bearer {key}"}
        status, body = await account.customize(CLONES, "list")
        assert (status, body["code"], body["message"]) == (401, "InvalidApiKey", "Invalid API-key provided.")
    stats = await account.stats(account.dashscope)
    assert (stats["refused_keys"], stats["wrong_lane_keys"]) == (2, 1)


async def test_the_account_is_full_at_its_cap(open_account) -> None:
    async with open_account(voices_per_account=1) as account:
        assert (await account.clone())[0] == 200
        status, body = await account.design()
        assert (status, body["code"]) == (429, "Throttling.AllocationQuota")


async def test_voices_survive_a_restart(open_account) -> None:
    async with open_account() as account:
        voice = (await account.clone())[1]["output"]["voice"]
        designed = (await account.design())[1]["output"]["voice"]
    async with open_account() as account:
        async with account.realtime() as conversation:
            await conversation.update(voice=voice)
            assert (await conversation.until("session.updated"))[-1]["session"]["voice"] == voice
        assert (await account.customize(DESIGNS, "query", voice=designed))[0] == 200
        assert (await account.stats(account.dashscope))["voices"] == 2
