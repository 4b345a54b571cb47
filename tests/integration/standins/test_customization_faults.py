"""Each fault of the management calls at the wire: what was billed, and what the client was told."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from typing import Any

import aiohttp
import numpy as np
import pytest

from tests.integration.standins.account import CLONE_MODEL, DESIGN_MODEL, Account, Json
from understudy.audio.wav import read_wav

#: What each adapter makes of these is in tests/conformance, which `make test` runs.
pytestmark = [pytest.mark.integration, pytest.mark.long]

CLONES, DESIGNS = "qwen-voice-enrollment", "qwen-voice-design"
DEADLINE_S, QUIET_S = 20.0, 0.3


async def creates(account: Account) -> tuple[int, int]:
    """Clones and designs that were billed."""
    stats = await account.stats(account.dashscope)
    return stats["clone_creates"], stats["design_creates"]


async def listed(account: Account, kind: str) -> list[str]:
    status, body = await account.customize(kind, "list")
    assert status == 200
    return [voice["voice"] for voice in body["output"]["voice_list"]]


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("customization_401", 401, "InvalidApiKey"),
        ("customization_403", 403, "Model.AccessDenied"),
        ("customization_429", 429, "Throttling.RateQuota"),
        ("customization_500", 500, "InternalError"),
    ],
)
async def test_a_refused_call_bills_nothing(account: Account, fault: str, status: int, code: str) -> None:
    await account.faults(account.dashscope, **{fault: 1})
    answers = [
        await account.clone(),
        await account.design(),
        await account.customize(CLONES, "list"),
        await account.customize(DESIGNS, "query", voice="x"),
        await account.customize(DESIGNS, "delete", voice="x"),
    ]
    assert [(answered, body["code"]) for answered, body in answers] == [(status, code)] * 5
    assert len({body["request_id"] for _, body in answers}) == 5
    assert await creates(account) == (0, 0)
    await account.faults(account.dashscope, **{fault: 0})
    assert await listed(account, CLONES) == []


async def test_a_hanging_call_does_nothing_and_answers_nothing(account: Account, eventually) -> None:
    await account.faults(account.dashscope, customization_hang=1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(account.design(), QUIET_S)

    async def arrived() -> bool:
        return (await account.stats(account.dashscope))["faults_injected"]["customization_hang"] == 1

    await eventually(arrived, what="the call arrived", within_s=DEADLINE_S)
    await account.faults(account.dashscope, customization_hang=0)
    assert (await listed(account, DESIGNS), await creates(account)) == ([], (0, 0))


async def body_of(account: Account, model: str, **fields: Any) -> bytes:
    url = account.dashscope + "/api/v1/services/audio/tts/customization"
    order = {"model": model, "input": fields}
    async with account.session.post(url, json=order, headers=account.headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "application/json"
        return await answer.read()


async def test_garbage_is_a_200_that_is_not_json(account: Account) -> None:
    await account.faults(account.dashscope, customization_garbage=1)
    body = await body_of(account, CLONES, action="list")
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    # A refusal stays one: only an answer is garbled.
    assert (await account.customize(DESIGNS, "query", voice="x"))[0] == 400


@pytest.mark.parametrize("kind", ["clone", "design"])
async def test_a_create_whose_answer_is_lost_is_billed_and_listed(account: Account, kind: str) -> None:
    await account.faults(account.dashscope, create_answer_lost=1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await getattr(account, kind)(preferred_name="lost")
    assert await creates(account) == ((1, 0) if kind == "clone" else (0, 1))
    voices = await listed(account, CLONES if kind == "clone" else DESIGNS)
    assert ["-lost-voice-" in voice for voice in voices] == [True]


async def test_a_create_that_hangs_is_billed_and_listed(account: Account, eventually) -> None:
    await account.faults(account.dashscope, create_hang=1)
    call = asyncio.create_task(account.design(preferred_name="late"))

    async def billed() -> bool:
        return await creates(account) == (0, 1)

    try:
        await eventually(billed, what="the create is billed", within_s=DEADLINE_S)
        done, _ = await asyncio.wait({call}, timeout=QUIET_S)
        assert not done
    finally:
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    assert len(await listed(account, DESIGNS)) == 1


async def test_a_refused_create_bills_nothing(account: Account) -> None:
    await account.faults(account.dashscope, create_refused=1)
    for status, body in (await account.clone(), await account.design()):
        assert (status, body["code"]) == (400, "DataInspectionFailed")
    await account.faults(account.dashscope, create_refused_code="Arrearage")
    assert (await account.design())[1]["code"] == "Arrearage"
    assert await creates(account) == (0, 0)


async def test_a_create_that_is_refused_is_not_lost(account: Account) -> None:
    await account.faults(account.dashscope, create_answer_lost=1, create_hang=1)
    assert (await account.design(preview_text=""))[0] == 400
    assert await creates(account) == (0, 0)


@pytest.mark.parametrize("reason", ["no_valid_asr_segments", "no_merged_segments"])
async def test_a_degraded_clone_says_so_in_a_200(account: Account, reason: str) -> None:
    await account.faults(account.dashscope, fallback_mode=1, fallback_reason=reason)
    status, body = await account.clone()
    assert status == 200
    assert (body["output"]["fallback_mode"], body["output"]["fallback_reason"]) == (True, reason)
    assert (await creates(account), len(await listed(account, CLONES))) == ((1, 0), 1)


async def test_the_wrong_target_model_is_said_of_a_voice_of_the_right_one(account: Account) -> None:
    await account.faults(account.dashscope, wrong_target_model=1)
    said = [(await account.clone())[1]["output"], (await account.design())[1]["output"]]
    assert said[0]["target_model"].startswith("qwen3-tts-vc")
    assert said[0]["target_model"] != CLONE_MODEL
    assert said[1]["target_model"].startswith("qwen3-tts-vd")
    assert said[1]["target_model"] != DESIGN_MODEL
    status, found = await account.customize(DESIGNS, "query", voice=said[1]["voice"])
    assert (status, found["output"]["target_model"]) == (200, DESIGN_MODEL)


async def preview(account: Account) -> str:
    status, body = await account.design()
    assert status == 200
    return str(body["output"]["preview_audio"]["data"])


async def test_a_preview_is_silent_or_not_base64(account: Account) -> None:
    await account.faults(account.dashscope, preview_silent=1)
    silence = read_wav(base64.b64decode(await preview(account)))
    assert silence.samples.size > 24_000
    assert not np.any(silence.samples)
    await account.faults(account.dashscope, preview_silent=0, preview_garbage=1)
    with pytest.raises(binascii.Error):
        base64.b64decode(await preview(account), validate=True)
    assert await creates(account) == (0, 2)


async def not_found(account: Account, kind: str, action: str) -> tuple[int, Json]:
    return await account.customize(kind, action, voice="qwen-tts-unknown")


@pytest.mark.parametrize("code", ["VoiceNotFound", "BadRequest.VoiceNotFound"])
async def test_a_voice_is_not_found_in_either_spelling_and_status(account: Account, code: str) -> None:
    calls = [(CLONES, "delete"), (DESIGNS, "query"), (DESIGNS, "delete")]
    await account.faults(account.dashscope, voice_not_found_code=code)
    for call in calls:
        status, body = await not_found(account, *call)
        assert (status, body["code"]) == (400, code)
    await account.faults(account.dashscope, not_found_in_200=1)
    for call in calls:
        status, body = await not_found(account, *call)
        assert (status, body["code"]) == (200, code)
        assert body["request_id"]


async def test_an_account_at_its_cap_refuses_and_evicts_nothing(account: Account) -> None:
    await account.faults(account.dashscope, voices_per_account=2)
    assert (await account.clone())[0] == (await account.design())[0] == 200
    for refused in (await account.clone(), await account.design()):
        assert (refused[0], refused[1]["code"]) == (429, "Throttling.AllocationQuota")
    assert (await creates(account), (await account.stats(account.dashscope))["voices"]) == ((1, 1), 2)
    await account.faults(account.dashscope, voices_per_account=0)
    assert (await account.clone())[0] == 200


async def test_management_calls_are_limited_by_the_minute(account: Account) -> None:
    await account.faults(account.dashscope, requests_per_minute=2)
    answers = [await account.customize(CLONES, "list") for _ in range(3)]
    assert [status for status, _ in answers] == [200, 200, 429]
    assert answers[-1][1]["code"] == "Throttling.RateQuota"
    assert (await account.customize(DESIGNS, "list"))[0] == 200


@pytest.mark.parametrize(
    ("kind", "fields", "status"),
    [
        (DESIGNS, {"page_index": 200}, 200),
        (DESIGNS, {"page_index": 201}, 400),
        (CLONES, {"page_index": 201}, 200),
        (CLONES, {"page_index": -1}, 400),
        (CLONES, {"page_size": 0}, 400),
        (DESIGNS, {"page_size": 1001}, 400),
    ],
)
async def test_the_limits_of_a_page(account: Account, kind: str, fields: Json, status: int) -> None:
    assert (await account.customize(kind, "list", **fields))[0] == status
