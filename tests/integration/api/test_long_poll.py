"""``GET /api/tasks/:id?wait=``: answers with the news, holds an event only, ends with client and process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import aiohttp
import psycopg
import pytest

from tests.integration.api.conftest import Api, SignUp, User
from understudy.speech import watching
from understudy.store.embedded.server import EmbeddedPostgres

pytestmark = pytest.mark.integration

#: Far below the 10 s after which a waiter looks by itself, far above what a busy machine adds to a notice.
AT_ONCE_S = 6.0

Eventually = Callable[..., Awaitable[None]]


async def admitted(api: Api, user: User) -> UUID:
    """A pending task; no worker runs here."""
    task_id = uuid4()
    async with api.ctx.database.service() as conn:
        await conn.execute(
            "insert into public.tasks (id, user_id, type, status) values (%s, %s, 'generate', 'pending')",
            (task_id, user.id),
        )
    return task_id


async def become(api: Api, task_id: UUID, status: str) -> None:
    async with api.ctx.database.service() as conn:
        await conn.execute("update public.tasks set status = %s where id = %s", (status, task_id))


async def listeners(api: Api, server: EmbeddedPostgres, what: str) -> list[object]:
    """Do something about the connections that listen for tasks, as the superuser: others see no queries."""
    async with await psycopg.AsyncConnection.connect(
        server.superuser_url.get_secret_value(), autocommit=True
    ) as conn:
        cursor = await conn.execute(
            f"select {what} from pg_stat_activity where datname = %s"
            " and query = 'listen \"understudy_task\"'",
            (api.ctx.settings.database_url.get_secret_value().rsplit("/", 1)[1],),
        )
        return [row[0] for row in await cursor.fetchall()]


async def ask(user: User, task_id: UUID, wait: object = 30) -> tuple[int, dict[str, object], float]:
    began = time.monotonic()
    async with user.client.get(f"/api/tasks/{task_id}", params={"wait": str(wait)}) as answer:
        return answer.status, await answer.json(), time.monotonic() - began


async def waits(api: Api, eventually: Eventually, count: int = 1) -> None:
    """Until ``count`` have read their task: what changes then is news to each of them."""
    await eventually(lambda: api.watch.asleep == count, what=f"{count} waiters asleep")


async def test_a_change_of_status_is_answered_when_it_happens(
    api: Api, user: User, eventually: Eventually
) -> None:
    task_id = await admitted(api, user)
    asking = [asyncio.create_task(ask(user, task_id)) for _ in range(5)]
    await waits(api, eventually, 5)
    changed = time.monotonic()
    await become(api, task_id, "processing")
    answers = await asyncio.gather(*asking)
    assert time.monotonic() - changed < AT_ONCE_S
    assert [(status, body["status"]) for status, body, _ in answers] == [(200, "processing")] * 5
    assert api.watch.waiters == 0


async def test_a_terminal_task_and_no_wait_are_answered_at_once(api: Api, user: User) -> None:
    task_id = await admitted(api, user)
    status, body, took = await ask(user, task_id, 0)
    assert (status, body["status"], took < AT_ONCE_S) == (200, "pending", True)
    await become(api, task_id, "failed")
    status, body, took = await ask(user, task_id)
    assert (status, body["status"], took < AT_ONCE_S) == (200, "failed", True)


async def test_without_news_the_state_is_answered_when_time_is_up(api: Api, user: User) -> None:
    status, body, took = await ask(user, await admitted(api, user), 1)
    assert (status, body["status"]) == (200, "pending")
    assert took >= 1


@pytest.mark.parametrize("wait", ["-1", "31", "1.5", "long", "1e9", ""])
async def test_other_waits_are_refused(api: Api, user: User, wait: str) -> None:
    status, body, _ = await ask(user, await admitted(api, user), wait)
    assert status == 400
    assert "wait" in str(body["detail"])


async def test_anothers_task_is_not_there_however_long_one_waits(
    api: Api, user: User, sign_up: SignUp
) -> None:
    stranger = await sign_up()
    status, body, took = await ask(stranger, await admitted(api, user))
    assert (status, body, took < AT_ONCE_S) == (404, {"detail": "Task not found."}, True)


async def test_a_hang_up_frees_its_waiter(api: Api, user: User, eventually: Eventually) -> None:
    task_id = await admitted(api, user)
    asking = asyncio.create_task(ask(user, task_id))
    await waits(api, eventually)
    asking.cancel()
    await eventually(lambda: api.watch.waiters == 0, what="the waiter is gone", within_s=AT_ONCE_S)


async def test_waiters_hold_no_connection_of_the_pool(
    api: Api, user: User, eventually: Eventually, postgres_server: EmbeddedPostgres
) -> None:
    task_id = await admitted(api, user)
    bearer = {"Authorization": f"Bearer {user.session['access_token']}"}
    async with aiohttp.ClientSession(
        api.base, headers=bearer, connector=aiohttp.TCPConnector(limit=0)
    ) as client:

        async def poll() -> str:
            async with client.get(f"/api/tasks/{task_id}?wait=30") as answer:
                return str((await answer.json())["status"])

        asking = [asyncio.create_task(poll()) for _ in range(50)]
        await waits(api, eventually, 50)
        status, _, took = await ask(user, task_id, 0)
        assert (status, took < AT_ONCE_S) == (200, True)
        assert await listeners(api, postgres_server, "count(*)") == [1]
        await become(api, task_id, "cancelled")
        assert await asyncio.gather(*asking) == ["cancelled"] * 50


async def test_a_drain_answers_waiters_at_once(api: Api, user: User, eventually: Eventually) -> None:
    asking = asyncio.create_task(ask(user, await admitted(api, user)))
    await waits(api, eventually)
    api.drain.begin()
    status, body, took = await asking
    assert (status, body["status"]) == (200, "pending")
    assert took < 10


async def test_news_come_by_polling_while_nothing_is_heard(
    api: Api,
    user: User,
    eventually: Eventually,
    postgres_server: EmbeddedPostgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The listening connection is cut and stays away."""
    task_id = await admitted(api, user)
    monkeypatch.setattr(watching, "RELISTEN_S", 60.0)
    asking = asyncio.create_task(ask(user, task_id))
    await waits(api, eventually)
    assert await listeners(api, postgres_server, "pg_terminate_backend(pid)") == [True]
    await eventually(lambda: not api.watch.hears, what="deaf")
    later = asyncio.create_task(ask(user, task_id))
    await waits(api, eventually, 2)
    await become(api, task_id, "processing")
    status, body, _ = await later
    assert (status, body["status"]) == (200, "processing")
    assert (await asking)[1]["status"] == "processing"
