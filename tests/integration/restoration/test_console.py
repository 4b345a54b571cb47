"""The guard as a process: ready file, its own port, SIGTERM; and the commands that read its store."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.integration.conftest import DatabaseUrls
from understudy.clock import SystemClock
from understudy.restoration.guard.process import GUARD_FILE
from understudy.rollout.mode import set_mode
from understudy.store.database import Database
from understudy.store.guard import GuardStore

pytestmark = pytest.mark.integration


async def understudy(home: Path, *arguments: str, ok: bool = True, entry: str = "understudy.cli.app") -> Any:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        entry,
        *arguments,
        "--home",
        str(home),
        "--json",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=clean(home),
    )
    out, err = await process.communicate()
    assert (process.returncode == 0) == ok, err.decode()
    return json.loads(out) if out.strip() else err.decode()


def clean(home: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return kept | {"UNDERSTUDY_HOME": str(home), "UNDERSTUDY_GUARD_WINDOW_S": "5"}


@dataclass
class RunningGuard:
    home: Path
    url: str
    process: asyncio.subprocess.Process

    async def get(self, path: str, token: str | None = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with (
            aiohttp.ClientSession() as session,
            session.get(self.url + path, headers=headers) as answer,
        ):
            return answer.status, await answer.json()

    @property
    def token(self) -> str:
        return (self.home / "run" / "operator.token").read_text().strip()


@pytest_asyncio.fixture
async def guard(
    database: Database, database_urls: DatabaseUrls, tmp_path: Path, eventually: Callable[..., Any]
) -> AsyncIterator[RunningGuard]:
    await set_mode(database, "qwen", actor="test", reason="start")
    url = database_urls.app.get_secret_value()
    (tmp_path / "understudy.env").write_text(f"TTS_PROVIDER_MODE=modal\nDATABASE_URL={url}\n")
    ready = tmp_path / "ready"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "understudy.cli.app", "guard", "--home", str(tmp_path),
        "--ready-file", str(ready), env=clean(tmp_path), stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    await eventually(ready.exists, what="a ready guard", within_s=20)
    yield RunningGuard(tmp_path, json.loads(ready.read_text())["guard"], process)
    if process.returncode is None:
        process.kill()
    await process.communicate()


async def test_the_guard_serves_operators_and_nobody_else(guard: RunningGuard) -> None:
    status, health = await guard.get("/health")
    assert (status, health["ok"], health["leads"]) == (200, True, True)
    for path in ("/status", "/incidents", "/incidents/x", "/incidents/x/report", "/nowhere"):
        status, answer = await guard.get(path)
        assert (status, list(answer)) == (401, ["detail"])
        assert (await guard.get(path, "wrong-token"))[0] == 401
    status, found = await guard.get("/status", guard.token)
    assert status == 200
    assert found["mode"]["value"] == "qwen"
    assert found["verdict"] == "BLIND"  # no api, no worker here
    assert found["rule"]["window_s"] == 5
    assert found["drift"]["drifting"] is True
    assert found["guard"]["leads"] is True
    assert found["incident"] is None
    assert await guard.get("/incidents", guard.token) == (200, {"incidents": [], "next_offset": None})
    assert (await guard.get("/incidents/x", guard.token))[0] == 404
    assert (await guard.get("/nowhere", guard.token))[0] == 404


async def test_sigterm_ends_it_cleanly_and_frees_the_lease(guard: RunningGuard) -> None:
    guard.process.send_signal(signal.SIGTERM)
    out, _ = await asyncio.wait_for(guard.process.communicate(), 10)
    assert guard.process.returncode == 0
    assert json.loads(out)["guard"] == guard.url  # one line of JSON, nothing else
    with GuardStore(guard.home / GUARD_FILE, SystemClock(), must_exist=True) as store:
        assert store.acquire("local", "next", lifetime_s=5) is not None


async def test_the_commands_read_store_and_database_beside_the_guard(guard: RunningGuard) -> None:
    home = guard.home
    assert await understudy(home, "incident", "list") == {"incidents": []}
    assert (await understudy(home, "incident", "verify"))["ok"] is True
    shown = await understudy(home, "mode", "show")
    assert (shown["mode"]["value"], shown["env_value"], shown["drifting"]) == ("qwen", "modal", True)
    row = (await understudy(home, "mode", "set", "modal", "--reason", "drill"))["mode"]
    assert (row["value"], row["actor"].split(":")[0]) == ("modal", "person")
    history = (await understudy(home, "mode", "history"))["history"]
    assert [change["value"] for change in history] == ["modal", "qwen"]
    assert (await understudy(home, "mode", "show"))["drifting"] is False


async def test_a_home_without_a_guard_is_said(tmp_path: Path) -> None:
    assert "no guard has run here" in await understudy(tmp_path, "incident", "list", ok=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--window-s", "7"), "window_s"),
        (("--policy", "/nowhere.yaml"), "cannot be read"),
    ],
)
async def test_a_guard_that_cannot_start_says_why(
    tmp_path: Path, arguments: tuple[str, str], said: str
) -> None:
    (tmp_path / "understudy.env").write_text("DATABASE_URL=postgresql://u:p@127.0.0.1:1/none\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "understudy.cli.app", "guard", "--home", str(tmp_path), *arguments,
        env=clean(tmp_path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert said in err.decode()
    assert "Traceback" not in err.decode()
