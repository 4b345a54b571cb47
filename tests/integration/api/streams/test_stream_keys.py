"""Idempotency-Key on a stream: finished once, answered from storage; broken off, spoken anew."""

from __future__ import annotations

import pytest

from tests.integration.api.conftest import User
from tests.integration.api.streams.stage import TEXT, Heard, Stage

pytestmark = pytest.mark.integration


async def keyed(stage: Stage, user: User, voice_id: str, key: str = "k", text: str = TEXT) -> Heard:
    return await stage.speak(user, voice_id, text, **{"Idempotency-Key": key})


async def test_a_finished_stream_is_answered_again_from_storage(stage: Stage, user: User) -> None:
    voice_id = await stage.voice(user)
    first = await keyed(stage, user, voice_id)
    again = await keyed(stage, user, voice_id)
    assert (first.status, again.status) == (200, 200), again.detail
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.audio == first.audio
    for name in ("Content-Type", "X-Provider", "X-Generation-Id", "X-Task-Id"):
        assert again.headers[name] == first.headers[name]
    assert len(await stage.calls()) == 1
    assert (await stage.only_task(user)).id == first.task_id
    other = await keyed(stage, user, voice_id, text="9 9")
    assert (other.status, "another request" in other.detail) == (400, True)


async def test_while_it_is_spoken_its_key_is_409(stage: Stage, user: User) -> None:
    voice_id = await stage.voice(user)
    await stage.faults(gap=1.0, gap_s=1.5)
    body = {"voice_id": voice_id, "text": TEXT, "language": "English"}
    async with user.client.post(
        "/api/generate/stream", json=body, headers={"Idempotency-Key": "k"}
    ) as speaking:
        assert speaking.status == 200
        meanwhile = await keyed(stage, user, voice_id)
        assert meanwhile.status == 409
        assert int(meanwhile.headers["Retry-After"]) > 0
        audio = await speaking.read()
    again = await keyed(stage, user, voice_id)
    assert (again.status, again.audio) == (200, audio)


async def test_a_stream_that_broke_off_is_spoken_anew(stage: Stage, user: User) -> None:
    voice_id = await stage.voice(user)
    await stage.faults(reset_mid_audio=1.0)
    broken = await keyed(stage, user, voice_id)
    assert broken.cut
    await stage.faults(reset_mid_audio=0.0)
    await stage.ended(broken.task_id)
    again = await keyed(stage, user, voice_id)
    assert (again.status, again.cut) == (200, False)
    assert again.task_id != broken.task_id
    assert "Idempotency-Replayed" not in again.headers
    assert [call["billable"] for call in await stage.calls()] == [False, True]
    ledger = await stage.rows("SELECT state, settled_microusd FROM understudy.ledger ORDER BY at")
    assert [entry["state"] for entry in ledger] == ["settled", "settled"]
    assert all(entry["settled_microusd"] > 0 for entry in ledger)


@pytest.mark.parametrize("name", ["wav", "pcm", "mp3"])
async def test_the_other_dialect_answers_the_same_audio_again(stage: Stage, user: User, name: str) -> None:
    body = {"model": "tts-1", "input": TEXT, "voice": await stage.voice(user), "response_format": name}
    heard = []
    for _ in range(2):
        async with user.client.post(
            "/v1/audio/speech", json=body, headers={"Idempotency-Key": "k"}
        ) as answer:
            assert answer.status == 200, await answer.text()
            heard.append((await answer.read(), answer.headers))
    (first, _), (again, headers) = heard
    assert headers["Idempotency-Replayed"] == "true"
    assert again == first
    assert len(await stage.calls()) == 1
