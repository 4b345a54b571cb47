"""What the provider breaks: before the commit point a JSON error, after it never a clean end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import uvicorn

from tests.integration.api.conftest import Api, User
from tests.integration.api.streams.stage import TEXT, Stage
from understudy.api.app import create_app

pytestmark = pytest.mark.integration

#: Deadlines that a loaded machine keeps when nothing is wrong.
SHORT = {"provider_first_audio_timeout_s": 3.0, "provider_chunk_gap_timeout_s": 3.0}
LONG_TEXT = " ".join([TEXT] * 6)


@pytest.mark.parametrize("changes", [SHORT], indirect=True)
@pytest.mark.parametrize(
    ("faults", "status", "failure_class"),
    [
        ({"handshake_401": 1.0}, 502, "provider"),
        ({"handshake_429": 1.0}, 503, "provider"),
        ({"silence_after_accept": 1.0}, 504, "transport"),
        ({"slow_first_delta": 1.0, "slow_first_delta_s": 60.0}, 504, "transport"),
        ({"error_event": 1.0}, 503, "provider"),
        ({"failed_response": 1.0}, 503, "provider"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_a_failure_before_any_audio_is_json(
    stage: Stage, user: User, faults: dict[str, Any], status: int, failure_class: str
) -> None:
    voice_id = await stage.voice(user)
    await stage.faults(**faults)
    heard = await stage.speak(user, voice_id)
    assert heard.status == status, heard.detail
    assert heard.headers["Content-Type"] == "application/json"
    task = await stage.only_task(user)
    assert task.status == "failed"
    assert task.error == heard.detail
    assert task.generation_id is not None
    row = await stage.generation(user, task.generation_id)
    assert (row.status, row.error_message) == ("failed", heard.detail)
    [call] = await stage.calls()
    assert (call["outcome"], call["failure_class"]) == ("failed", failure_class)
    assert not call["billable"]
    assert not await stage.stored()
    # The next one is fine.
    await stage.faults(**dict.fromkeys(faults, 0.0))
    assert (await stage.speak(user, voice_id)).status == 200


@pytest.mark.parametrize("changes", [SHORT], indirect=True)
@pytest.mark.parametrize(
    ("faults", "failure_class"),
    [
        ({"reset_mid_audio": 1.0}, "transport"),
        ({"drop_mid_audio": 1.0}, "transport"),
        ({"gap": 1.0, "gap_s": 60.0}, "transport"),
        ({"garbage_frame": 1.0}, "protocol"),
        ({"error_after_audio": 1.0}, "provider"),
        ({"truncated_audio": 1.0}, "protocol"),
        ({"silent_audio": 1.0}, "protocol"),
        ({"never_finished": 1.0}, "transport"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_speech_that_breaks_off_never_ends_cleanly(
    stage: Stage, user: User, faults: dict[str, Any], failure_class: str
) -> None:
    voice_id = await stage.voice(user)
    await stage.faults(**faults)
    heard = await stage.speak(user, voice_id, LONG_TEXT)
    assert (heard.status, heard.cut) == (200, True)
    assert heard.audio
    task = await stage.task(heard.task_id)
    assert (task.status, task.metadata["failure"]["code"]) == ("failed", "truncated")
    row = await stage.generation(user, heard.generation_id)
    assert (row.status, row.audio_object_key) == ("failed", None)
    [call] = await stage.calls()
    assert (call["outcome"], call["code"], call["failure_class"]) == ("failed", "truncated", failure_class)
    # What was sent was bought, and its tenant does not pay for it.
    assert (call["characters"], call["billable"]) == (len(LONG_TEXT), False)
    assert call["cost_microusd"] > 0
    # How much of it was heard.
    assert call["audio_ms"] > 0
    assert not await stage.stored()
    async with user.client.get(f"/api/generations/{heard.generation_id}/audio") as answer:
        assert answer.status == 404


@asynccontextmanager
async def running_h11(api: Api) -> AsyncIterator[str]:
    """The same app on uvicorn's other HTTP implementation."""
    app = create_app(api.ctx)
    server = uvicorn.Server(
        uvicorn.Config(app, http="h11", loop="none", log_config=None, lifespan="on", port=0)
    )
    running = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await running


async def test_every_server_cuts_the_connection(stage: Stage, user: User) -> None:
    """h11 as well as httptools: the body must not look whole to a client of either."""
    voice_id = await stage.voice(user)
    await stage.faults(reset_mid_audio=1.0)
    async with running_h11(stage.api) as base:
        headers = {"Authorization": user.client.headers["Authorization"]}
        async with aiohttp.ClientSession(base, headers=headers) as client:
            body = {"voice_id": voice_id, "text": LONG_TEXT}
            async with client.post("/api/generate/stream", json=body) as answer:
                assert answer.status == 200
                with pytest.raises(aiohttp.ClientPayloadError):
                    await answer.read()


@pytest.mark.parametrize("changes", [SHORT], indirect=True)
async def test_what_was_stored_of_speech_that_broke_off_is_removed(stage: Stage, user: User) -> None:
    voice_id = await stage.voice(user)
    await stage.faults(never_finished=1.0)
    # 2 MB: parts of it are on disk before it breaks off.
    heard = await stage.speak(user, voice_id, " ".join([TEXT] * 60))
    assert (heard.status, heard.cut) == (200, True)
    assert len(heard.audio) > 2**20
    assert (await stage.ended(heard.task_id)).status == "failed"
    scratch = stage.api.ctx.settings.objects_path / ".unfinished"
    await stage.eventually(lambda: not list(scratch.iterdir()), what="nothing unfinished is left")
    assert not await stage.stored()


async def test_audio_that_cannot_be_stored_never_ends_cleanly(stage: Stage, user: User) -> None:
    voice_id = await stage.voice(user)
    root = stage.api.ctx.settings.objects_path / ".unfinished"
    root.rmdir()
    root.write_text("a file where the storage keeps its folder")
    heard = await stage.speak(user, voice_id)
    assert (heard.status, heard.cut) == (200, True)
    task = await stage.task(heard.task_id)
    assert (task.status, task.metadata["failure"]["code"]) == ("failed", "storage")
    [call] = await stage.calls()
    # The provider did its part: no success rate counts it against it.
    assert (call["outcome"], call["billable"]) == ("cancelled", False)
    assert call["cost_microusd"] > 0
