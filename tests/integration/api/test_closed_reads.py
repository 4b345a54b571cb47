"""Closed reads answer 503 within a second: lists, links, answers that wait, downloads under way."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from tests.integration.api.conftest import Api, User
from tests.integration.api.test_long_poll import admitted, ask, become, waits
from tests.integration.api.test_routes import clone
from understudy.clock import SystemClock
from understudy.rollout.reads import KINDS, RETRY_AFTER_S, ReadsReader, concerned_by, kinds_of, set_reads
from understudy.store import closed_reads
from understudy.store.closed_reads import holders
from understudy.store.database import Database

pytestmark = pytest.mark.integration

#: Routes that read, and read nothing of a tenant's: they stay open whatever is closed.
NOBODYS = {
    ("GET", "/api/health"),
    ("GET", "/api/ready"),
    ("GET", "/api/languages"),
    ("GET", "/api/config"),
    ("GET", "/api/notice"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{model}"),
    ("GET", "/auth/v1/settings"),
    ("GET", "/auth/v1/health"),
    # An operator's, who has to see what happens; of the service, not of a tenant.
    ("GET", "/api/operator/mode"),
    ("GET", "/api/operator/mode/history"),
}


async def close(api: Api, *kinds: str, eventually: Any) -> None:
    """Close them, and wait until this process says that it holds it."""
    rows, _ = await set_reads(api.ctx.database, kinds, closed=True, actor="ada", reason="a leak")
    await held(api, max(row.epoch for row in rows.values()), eventually)


async def held(api: Api, epoch: int, eventually: Any) -> None:
    async def says_so() -> bool:
        async with api.ctx.database.service() as conn:
            apis = await holders(conn, 5)
        return [one.reads_epoch for one in apis] == [epoch]

    await eventually(says_so, what=f"epoch {epoch} held")


async def test_every_route_that_reads_is_of_a_kind_or_reads_nobodys(api: Api) -> None:
    async with api.client.get("/openapi.json") as answer:
        paths = (await answer.json())["paths"]
    reading = {("GET", path) for path, verbs in paths.items() if "get" in verbs}
    unkind = {route for route in reading if not kinds_of(*route)}
    assert unkind == NOBODYS
    assert {kind for route in reading for kind in kinds_of(*route)} == set(KINDS)


async def test_closed_kinds_answer_503_and_the_rest_goes_on(api: Api, user: User, eventually: Any) -> None:
    voice = await clone(api, user)
    async with user.client.get(f"/api/voices/{voice}/preview", allow_redirects=False) as answer:
        link = answer.headers["Location"]
    async with user.client.get(link) as answer:
        assert answer.status == 200
        recording = await answer.read()
    await close(api, "voices", "audio", eventually=eventually)
    for method, path in (
        ("GET", "/api/voices"),
        ("GET", "/api/voices?page=2"),
        ("GET", f"/api/voices/{voice}/preview"),
        ("GET", f"/api/generations/{uuid4()}/audio"),
        ("GET", "/v1/audio/voices"),
        # The link was signed before, and is good for minutes yet.
        ("GET", link),
        ("HEAD", link),
        # A path that the router takes although something follows.
        ("GET", "/api/voices%0A"),
    ):
        async with user.client.request(method, path, allow_redirects=False) as answer:
            assert (answer.status, answer.headers.get("Retry-After")) == (503, str(RETRY_AFTER_S)), path
            if method == "GET":
                body = await answer.json()
                assert "paused" in (body.get("detail") or body["error"]["message"])
                assert recording[:64] not in await answer.read()
    for path, status in (("/api/generations", 200), ("/api/me", 200), ("/api/languages", 200)):
        async with user.client.get(path) as answer:
            assert answer.status == status, path
    # Nobody is told apart either: a closed read asks for no token.
    async with api.client.get("/api/voices") as answer:
        assert answer.status == 503
    rows, changed = await set_reads(api.ctx.database, KINDS, closed=False, actor="ada", reason="mended")
    assert changed == ["audio", "voices"]
    await held(api, max(row.epoch for row in rows.values()), eventually)
    async with user.client.get(link) as answer:
        assert (answer.status, await answer.read()) == (200, recording)


async def test_an_answer_that_waits_does_not_come_after_the_closing(
    api: Api, user: User, eventually: Any
) -> None:
    task = await admitted(api, user)
    waiting = asyncio.create_task(ask(user, task))
    await waits(api, eventually)
    await close(api, "tasks", eventually=eventually)
    await become(api, task, "cancelled")
    status, body, _ = await waiting
    assert status == 503
    assert set(body) == {"detail"}


async def test_a_download_under_way_is_cut(api: Api, user: User, eventually: Any) -> None:
    # More than the sockets hold: its end is not sent before it is read.
    audio = b"RIFF" + bytes(24 * 1024 * 1024)
    key = f"{user.id}/{uuid4()}.wav"
    await api.objects.put("generations", key, audio, "audio/wav")
    async with api.client.get(await api.objects.sign_get("generations", key)) as answer:
        assert answer.status == 200
        await answer.content.readexactly(1024)
        await close(api, "audio", eventually=eventually)
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_a_lost_notification_is_made_good_by_the_poll_and_an_older_answer_opens_nothing(
    database: Database, eventually: Any
) -> None:
    reader = ReadsReader(database, SystemClock(), instance=uuid4())
    await reader.start()
    try:
        async with database.service() as conn:
            await conn.execute(
                "insert into understudy.closed_reads (name, closed, epoch, actor, reason)"
                " values ('voices', true, 7, 'hand', 'no notice')"
            )
        await eventually(lambda: reader.closed == {"voices"}, what="closed by the poll")
    finally:
        await reader.stop()
    async with database.service() as conn:
        # As an answer read before the closing, and come after it.
        await conn.execute("update understudy.closed_reads set closed = false, epoch = 6")
    await reader._refresh()
    assert reader.closed == {"voices"}


async def test_asking_again_keeps_the_first_word_and_epochs_grow_over_all_kinds(database: Database) -> None:
    async with database.service() as conn:
        assert await closed_reads.set_closed(conn, ["tasks"], closed=False, actor="a", reason="r") == ({}, [])
        first, changed = await closed_reads.set_closed(
            conn, ["tasks", "audio"], closed=True, actor="ada", reason="leak"
        )
        assert changed == ["audio", "tasks"]
        again, changed = await closed_reads.set_closed(
            conn, ["tasks", "voices"], closed=True, actor="bob", reason="other"
        )
    assert changed == ["voices"]
    assert again["tasks"] == first["tasks"]
    assert (again["tasks"].epoch, again["voices"].epoch) == (1, 2)
    async with database.service() as conn:
        assert [row.name for row in await closed_reads.closed_history(conn)] == ["voices", "tasks", "audio"]


@pytest.mark.parametrize(
    ("route", "kinds"),
    [
        ("GET /api/voices", {"voices"}),
        ("GET /api/voices/:voice/preview", {"voices", "audio"}),
        ("GET /api/generations/{id}/audio", {"generations", "audio"}),
        ("POST /api/generations/:generation/regenerate", {"generations"}),
        ("GET /api/tasks/:task", {"tasks", "audio"}),
        ("GET /objects/{bucket}/{key:path}", {"audio"}),
        ("GET /api/usage", {"account"}),
        ("DELETE /api/voices/:voice", set()),
        ("POST /api/generate", set()),
        ("", set()),
    ],
)
def test_what_a_leaking_route_closes(route: str, kinds: set[str]) -> None:
    assert concerned_by(route) == kinds
