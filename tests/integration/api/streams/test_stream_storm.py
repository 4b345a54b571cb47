"""Everything at once: whoever reads, hangs up or cancels, each stream has one end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import aiohttp
import pytest

from tests.integration.api.conftest import SignUp, User
from tests.integration.api.streams.stage import TEXT, Stage

pytestmark = pytest.mark.integration

USERS, STREAMS_EACH = 4, 12


async def read_out(stage: Stage, user: User, voice_id: str, _: random.Random) -> str:
    heard = await stage.speak(user, voice_id)
    return "refused" if heard.status == 409 else "cut" if heard.cut else "whole"


async def hang_up(stage: Stage, user: User, voice_id: str, dice: random.Random) -> str:
    asking = asyncio.create_task(stage.speak(user, voice_id))
    await asyncio.wait({asking}, timeout=dice.uniform(0.0, 0.3))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    return "hung up"


async def cancel(stage: Stage, user: User, voice_id: str, dice: random.Random) -> str:
    body = {"voice_id": voice_id, "text": TEXT}
    async with user.client.post("/api/generate/stream", json=body) as answer:
        if answer.status != 200:
            return "refused"
        await asyncio.sleep(dice.uniform(0.0, 0.1))
        async with user.client.post(f"/api/tasks/{answer.headers['X-Task-Id']}/cancel"):
            pass
        try:
            await answer.read()
        except aiohttp.ClientError:
            return "cut"
        return "whole"


async def test_each_stream_has_one_end_and_leaves_nothing_behind(stage: Stage, sign_up: SignUp) -> None:
    dice = random.Random(20261126)
    # A third of them stop in the middle for as long as the rest takes.
    await stage.faults(gap=0.3, gap_s=0.5, slow_first_delta=0.3, slow_first_delta_s=0.2)
    users = [await sign_up() for _ in range(USERS)]
    voices = [await stage.voice(user) for user in users]
    outcomes = Counter(
        await asyncio.gather(
            *(
                dice.choice((read_out, hang_up, cancel))(stage, users[n % USERS], voices[n % USERS], dice)
                for n in range(USERS * STREAMS_EACH)
            )
        )
    )
    assert outcomes["whole"] > 0

    async def all_ended() -> bool:
        left = await stage.rows("SELECT FROM public.tasks WHERE status IN ('pending', 'processing')")
        return not left and not len(stage.api.ctx.streams)

    await stage.eventually(all_ended, what="every stream ended")
    tasks = await stage.rows("SELECT id, status, generation_id FROM public.tasks")
    generations = await stage.rows("SELECT id, status, audio_object_key FROM public.generations")
    assert {row["id"]: row["status"] for row in generations} == {
        row["generation_id"]: row["status"] for row in tasks
    }
    # One call each, and only whole speech is paid for.
    calls = {call["task_id"]: call for call in await stage.calls()}
    assert len(calls) == len(await stage.calls()) == len(tasks)
    assert {row["id"] for row in tasks if row["status"] == "completed"} == {
        task_id for task_id, call in calls.items() if call["billable"]
    }
    assert not await stage.rows("SELECT FROM understudy.ledger WHERE state = 'reserved'")
    kept = {row["audio_object_key"] for row in generations if row["status"] == "completed"}
    assert set(await stage.stored()) == kept
    assert sum(row["status"] == "completed" for row in tasks) >= outcomes["whole"]
