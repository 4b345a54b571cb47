"""Whoever hangs up while a stream is admitted leaves nothing open, and the pool whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import structlog

from tests.integration.api.conftest import User
from tests.integration.api.streams.stage import TEXT, Stage
from understudy.store.usage import unbalanced

pytestmark = pytest.mark.integration

#: Turns of the loop in which the api sees that its client is gone, while the statement is still in flight.
TURNS = 50


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], object]]:
    """Called, by request id, each time that request has asked the database something."""
    called: dict[str, Callable[[], object]] = {}
    wait = psycopg.AsyncConnection.wait

    async def noticed(self: Any, generator: Any, **rest: Any) -> Any:
        notice = called.get(structlog.contextvars.get_contextvars().get("request_id", ""))
        if notice is not None:
            notice()
            for _ in range(TURNS):
                await asyncio.sleep(0)
        return await wait(self, generator, **rest)

    monkeypatch.setattr(psycopg.AsyncConnection, "wait", noticed)
    return called


@pytest.mark.parametrize("keyed", [False, True], ids=["", "keyed"])
@pytest.mark.parametrize("path", ["/api/generate/stream", "/v1/audio/speech"])
async def test_to_hang_up_at_any_question_leaves_nothing_open(
    stage: Stage, user: User, waits: dict[str, Callable[[], object]], path: str, keyed: bool
) -> None:
    voice_id = await stage.voice(user)
    body = {"voice_id": voice_id, "text": TEXT, "model": "tts-1", "voice": voice_id, "input": TEXT}

    async def ask(name: str, at: int) -> int:
        """Hang up at the ``at``-th question; return how many there were before the head."""
        asked = 0

        def notice() -> None:
            nonlocal asked
            asked += 1
            if asked == at:
                asking.cancel()

        async def post() -> int:
            headers = {"X-Request-Id": name, **({"Idempotency-Key": name} if keyed else {})}
            async with user.client.post(path, json=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
                before_head = asked
                await answer.read()
                return before_head

        waits[name] = notice
        asking = asyncio.create_task(post())
        await asyncio.wait({asking})
        return 0 if asking.cancelled() else asking.result()

    async def all_ended() -> bool:
        if any(_is_of_a_request(task) for task in asyncio.all_tasks()):
            return False
        open_tasks = await stage.rows("SELECT FROM public.tasks WHERE status IN ('pending', 'processing')")
        return not open_tasks and not len(stage.api.ctx.streams)

    questions = await ask("whole", 0)
    # Begun, admitted, committed.
    assert questions >= 3
    for at in range(1, questions + 1):
        await ask(f"left-at-{at}", at)
        await stage.eventually(all_ended, what=f"the stream that was left at question {at} ended")
    async with stage.api.ctx.database.service() as conn:
        assert await unbalanced(conn) == []
    assert not await stage.rows("SELECT FROM understudy.ledger WHERE state = 'reserved'")
    ended = await stage.rows("SELECT status, count(*) AS tasks FROM public.tasks GROUP BY status")
    assert {row["status"] for row in ended} == {"cancelled", "completed"}
    stats = stage.api.ctx.database._pool.get_stats()
    assert (stats.get("returns_bad", 0), stats.get("connections_lost", 0)) == (0, 0)
    assert (await stage.speak(user, voice_id)).status == 200


def _is_of_a_request(task: asyncio.Task[Any]) -> bool:
    """Whether the api still handles a request in it, or admits the stream of one that has gone."""
    return "run_asgi" in repr(task.get_coro()) or task.get_name() == "admit-stream"
