"""The operations console's pages, served by the guard: open, guarded by headers, and holding no data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
import pytest_asyncio

from tests.clocks import HandClock
from tests.small_frontend import SCRIPT, small_build
from understudy.frontend import Frontend
from understudy.restoration.guard.console import Console
from understudy.restoration.guard.pages import Pages
from understudy.store.guard import GuardStore

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def client(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    clock = HandClock()
    store = GuardStore(tmp_path / "guard.sqlite3", clock)
    guard = cast("Any", SimpleNamespace(book=SimpleNamespace(store=store), leads=True))
    console = Console(guard, clock, parts=[Pages(Frontend(tmp_path / "dist"))])
    url = await console.start("127.0.0.1", 0)
    async with aiohttp.ClientSession(url) as session:
        yield session
    await console.stop()
    store.close()


async def test_pages_and_files_are_open_and_nothing_else_is(
    client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with client.get("/operations/") as answer:
        assert answer.status == 404
        assert "The operations console is not built. Run `make frontend`" in (await answer.json())["detail"]
    small_build(tmp_path / "dist")
    async with client.get("/", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (307, "/operations/")
    for path in ("/operations", "/operations/", "/operations/incidents/INC-1?tab=2"):
        async with client.head(path) as answer:
            assert (answer.status, answer.content_type) == (200, "text/html"), path
        async with client.get(path) as answer:
            assert "'nonce-" in answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert "operations-Ab1_c.js" in await answer.text()
    async with client.get("/assets/operations-Ab1_c.js") as answer:
        assert (answer.headers["Content-Encoding"], await answer.read()) == ("gzip", SCRIPT)
        assert "immutable" in answer.headers["Cache-Control"]
        tag = answer.headers["ETag"]
    async with client.get("/assets/operations-Ab1_c.js", headers={"If-None-Match": tag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    for path, status in (
        ("/assets/none.js", 404), ("/assets/..%2fsecret.txt", 404), ("/favicon.ico", 404), ("/status", 401),
        ("/operations.html", 401), ("/studio.html", 401), ("/voices", 401),
    ):  # fmt: skip
        async with client.get(path) as answer:
            assert (answer.status, list(await answer.json())) == (status, ["detail"]), path
            assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert "Server" not in answer.headers
            assert answer.headers["Cache-Control"] == "no-store"
    async with client.post("/operations/", json={}) as answer:
        assert answer.status in (401, 405)
