"""A process killed between the commit of a task and its answer: the retry, elsewhere, is that task's."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import psycopg
import pytest

from tests.integration.api.conftest import Api, User
from tests.integration.api.processes import start_on
from tests.integration.api.test_idempotency import PREVIEW, let_the_lease_run_out, post, tasks_of
from tests.integration.conftest import DatabaseUrls
from understudy.api.idempotency import HEADER
from understudy.settings import Settings

pytestmark = pytest.mark.integration

PATH = "/api/voices/design/preview"
#: Holds whoever stores an answer, for as long as the test takes.
HELD = (
    "create function public.hold() returns trigger language plpgsql as"
    " 'begin perform pg_sleep(120); return new; end';"
    " create trigger hold before update of status on understudy.idempotency_keys"
    " for each row when (new.status is not null) execute function public.hold()"
)
HOLDING = "select pid from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'"


async def test_a_process_killed_before_its_answer_leaves_one_task(
    api: Api, user: User, settings: Settings, database_urls: DatabaseUrls, tmp_path: Path, eventually: Any
) -> None:
    owner = await psycopg.AsyncConnection.connect(database_urls.owner.get_secret_value(), autocommit=True)
    # Whoever is not the api's own role does not see what its sessions wait for.
    app = await psycopg.AsyncConnection.connect(database_urls.app.get_secret_value(), autocommit=True)
    async with owner, app:
        await owner.execute(HELD.encode())
        with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
            process = await start_on(settings, tmp_path / "api.log", listener, uuid4())
            host, port = listener.getsockname()
            headers = {HEADER: "k", "Authorization": user.client.headers["Authorization"]}
            async with aiohttp.ClientSession(f"http://{host}:{port}", headers=headers) as client:
                asked = asyncio.create_task(client.post(PATH, json=PREVIEW))

                async def is_held() -> bool:
                    cursor = await app.execute(HOLDING)
                    return await cursor.fetchone() is not None

                await eventually(is_held, what="the task committed and its answer held", within_s=30)
                process.process.kill()
                await process.process.wait()
                with pytest.raises(aiohttp.ClientError):
                    await asked
        await app.execute(f"select pg_terminate_backend(pid) from ({HOLDING}) h".encode())
        await owner.execute("drop function public.hold() cascade")
    [task] = await tasks_of(api, user)
    assert (await post(user, PATH, "k", json=PREVIEW)).status == 409
    await let_the_lease_run_out(api, "k")
    again = await post(user, PATH, "k", json=PREVIEW)
    assert (again.status, again.body["task_id"], again.replayed) == (200, str(task), True)
    assert await tasks_of(api, user) == [task]
