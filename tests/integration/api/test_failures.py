"""What a client sees when the inside fails, and what the log keeps to itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import psycopg
import pytest
from psycopg import sql

from tests.integration.api.conftest import Api, User
from tests.integration.api.processes import start_on
from tests.integration.conftest import DatabaseUrls
from understudy.settings import Settings
from understudy.store.embedded.server import EmbeddedPostgres
from understudy.store.migrations import connect_owner

pytestmark = pytest.mark.integration

Eventually = Callable[..., Awaitable[None]]


async def allow_connections(server: EmbeddedPostgres, urls: DatabaseUrls, *, allow: bool) -> None:
    """Open or close one database to everybody; closing ends the connections there are."""
    name = urlsplit(urls.app.get_secret_value()).path.lstrip("/")
    url = server.superuser_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        statement = sql.SQL("alter database {} with allow_connections {}")
        await conn.execute(statement.format(sql.Identifier(name), sql.Literal(allow)))
        if not allow:
            await conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,)
            )


async def ask(user: User, method: str, path: str, **sent: Any) -> tuple[int, dict[str, Any], int]:
    """Status, body and Retry-After of an answer."""
    async with user.client.request(method, path, **sent) as answer:
        return answer.status, await answer.json(), int(answer.headers.get("Retry-After", 0))


async def test_without_the_database_everything_says_so_and_comes_back(
    api: Api,
    user: User,
    postgres_server: EmbeddedPostgres,
    database_urls: DatabaseUrls,
    eventually: Eventually,
) -> None:
    credentials = {"email": user.email, "password": user.password}
    await allow_connections(postgres_server, database_urls, allow=False)
    try:
        answers = await asyncio.gather(
            ask(user, "GET", "/api/voices"),
            ask(user, "POST", "/api/generate", json={"voice_id": str(uuid4()), "text": "one"}),
            ask(user, "GET", "/api/me"),
            ask(user, "POST", "/auth/v1/token?grant_type=password", json=credentials),
            ask(user, "GET", "/api/ready"),
            ask(user, "GET", "/api/health"),
        )
        assert [status for status, _, _ in answers] == [503, 503, 503, 503, 503, 200]
        assert all(set(body) == {"detail"} for _, body, _ in answers[:3])
        assert set(answers[3][1]) == {"code", "error_code", "msg"}
        assert all(retry_after_s > 0 for _, _, retry_after_s in answers[:4])
        assert answers[4][1]["ready"] is False
    finally:
        await allow_connections(postgres_server, database_urls, allow=True)

    async def ready() -> bool:
        async with user.client.get("/api/ready") as answer:
            return answer.status == 200

    await eventually(ready, what="the api is ready again", within_s=20)
    async with user.client.get("/api/voices") as answer:
        assert answer.status == 200


async def test_a_failure_nobody_foresaw_tells_nothing_and_is_logged_without_secrets(
    settings: Settings, database_urls: DatabaseUrls, tmp_path: Path, eventually: Eventually
) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        process = await start_on(settings, tmp_path / "api.log", listener, uuid4())
        base = "http://{}:{}".format(*listener.getsockname())
        try:
            async with aiohttp.ClientSession(base) as client:
                body = {"email": "ann@example.org", "password": "secret-password"}
                async with client.post("/auth/v1/signup", json=body) as answer:
                    assert answer.status == 200, await answer.text()
                    token = (await answer.json())["access_token"]
                async with await connect_owner(database_urls.owner) as conn:
                    await conn.execute("alter table public.voices rename to voices_gone")
                headers = {"Authorization": f"Bearer {token}", "X-Request-Id": "find-me"}
                async with client.get("/api/voices", headers=headers) as answer:
                    found = (answer.status, await answer.json())
                    assert found == (500, {"detail": "Something went wrong on our side."})
                    assert answer.headers["X-Request-Id"] == "find-me"
                async with client.get("/objects/references/a/b.wav?signature=tell-nobody") as answer:
                    assert answer.status == 403
                async with client.get("/api/health") as answer:
                    assert answer.status == 200
            lines = [json.loads(line) for line in process.text().splitlines()]
            crashes = [line for line in lines if line["event"] == "request_crashed"]
            assert [line["request_id"] for line in crashes] == ["find-me"]
            assert "UndefinedTable" in crashes[0]["exception"]
            secrets = [settings.jwt_secret, settings.object_url_secret, settings.database_url]
            for secret in [token, "secret-password", "tell-nobody", *(s.get_secret_value() for s in secrets)]:
                assert secret not in process.text()
        finally:
            process.terminate()
            assert await process.exit_code() == 0
