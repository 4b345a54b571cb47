"""Two guards on two machines, on one Postgres of their own: one acts, the other takes over."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
import pytest_asyncio
from psycopg.conninfo import conninfo_to_dict

from tests.integration.conftest import DatabaseUrls
from understudy.store.database import Database
from understudy.store.embedded.server import EmbeddedPostgres
from understudy.store.security_signals import HitRow, secret_hits

pytestmark = [pytest.mark.integration, pytest.mark.long]

#: Stands in the log line by which a guard says that it leads.
PLANTED = "understudy.restoration.guard.loop"


class Machine:
    """One machine's home with one guard."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "understudy.cli.app", "guard", "--home", str(self.home),
            "--ready-file", str(self.home / "ready"), env=kept | {"UNDERSTUDY_HOME": str(self.home)},
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

    @property
    def ready(self) -> bool:
        return (self.home / "ready").exists()

    async def ask(self, path: str) -> Any:
        url = json.loads((self.home / "ready").read_text())["guard"]
        token = (self.home / "run" / "operator.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession() as session, session.get(url + path, headers=headers) as answer:
            return await answer.json()

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@pytest_asyncio.fixture
async def machines(
    database: Database, database_urls: DatabaseUrls, empty_database_urls: DatabaseUrls, tmp_path: Path
) -> AsyncIterator[list[Machine]]:
    made = []
    for name in ("one", "two"):
        home = tmp_path / name
        home.mkdir()
        (home / "understudy.env").write_text(
            f"TTS_PROVIDER_MODE=modal\nPROBES=off\nDATABASE_URL={database_urls.app.get_secret_value()}\n"
            f"PLANTED_CANARIES={PLANTED}\n"
            f"GUARD_STORE_URL={empty_database_urls.owner.get_secret_value()}\n"
        )
        made.append(Machine(home))
    yield made
    for machine in made:
        await machine.kill()


async def test_one_leads_and_the_other_takes_over_when_it_dies(
    machines: list[Machine], eventually: Callable[..., Any], database: Database
) -> None:
    one, two = machines
    await asyncio.gather(one.start(), two.start())
    await eventually(lambda: one.ready and two.ready, what="two guards", within_s=60)
    found = [await machine.ask("/status") for machine in machines]
    assert sorted(status["guard"]["leads"] for status in found) == [False, True]
    assert {status["guard"]["lease"]["epoch"] for status in found} == {1}
    leader, follower = (one, two) if found[0]["guard"]["leads"] else (two, one)
    await leader.kill()
    for _ in range(300):
        if (await follower.ask("/health"))["leads"]:
            break
        await asyncio.sleep(0.1)
    after = await follower.ask("/status")
    assert (after["guard"]["leads"], after["guard"]["lease"]["epoch"]) == (True, 2)
    assert not (follower.home / "guard" / "guard.sqlite3").exists()
    hits: list[HitRow] = []  # what stood in the guards' own log lines
    for _ in range(100):
        async with database.service() as conn:
            hits = await secret_hits(conn, datetime.now(UTC) - timedelta(minutes=5))
        if hits:
            break
        await asyncio.sleep(0.1)
    assert {(hit.process, hit.where, hit.name) for hit in hits} == {("guard", "log", "canary-1")}


async def test_a_guard_whose_store_is_away_says_so_and_comes_back(
    machines: list[Machine],
    empty_database_urls: DatabaseUrls,
    postgres_server: EmbeddedPostgres,
    eventually: Callable[..., Any],
) -> None:
    machine, _ = machines
    await machine.start()
    await eventually(lambda: machine.ready, what="a guard", within_s=60)
    name = conninfo_to_dict(empty_database_urls.owner.get_secret_value())["dbname"]
    superuser = postgres_server.superuser_url.get_secret_value()

    async def admit(allowed: bool) -> None:
        async with await psycopg.AsyncConnection.connect(superuser, autocommit=True) as conn:
            await conn.execute(f"alter database {name} allow_connections {allowed}")
            await conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,)
            )

    async def until(ok: bool, within_s: float = 40) -> None:
        for _ in range(int(within_s * 5)):
            health = await machine.ask("/health")
            if health["ok"] is ok:
                return
            await asyncio.sleep(0.2)
        raise AssertionError(f"ok is not {ok} within {within_s} s: {health}")

    await admit(False)
    await until(False)
    assert "guard's store" in (await machine.ask("/status"))["detail"]
    assert machine.process is not None
    assert machine.process.returncode is None
    await admit(True)
    await until(True)
    assert (await machine.ask("/status"))["guard"]["leads"] is True
