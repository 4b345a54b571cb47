"""A column lost in a running service: two persons approve, the guard restores, a restart keeps it so."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest

from tests.journey.test_up import Eventually, fresh_home, running
from understudy.cli.guard_home import KEY_VARIABLE
from understudy.clock import SystemClock
from understudy.envfile import read_env_file
from understudy.store.guard import GUARD_FILE, GuardStore

__all__ = ["fresh_home"]

pytestmark = [pytest.mark.journey, pytest.mark.long, pytest.mark.timeout(1500)]

#: Everything on two slow cores: a backup proven twice, a restore, new processes, the checklist.
WITHIN_S = 900.0


def understudy(home: Path, *arguments: str, key: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "understudy.cli.app", *arguments, "--home", str(home)]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("UNDERSTUDY_", "TTS_"))}
    return subprocess.run(
        command, env=clean | {KEY_VARIABLE: key}, capture_output=True, text=True, check=False
    )


def shown(home: Path) -> dict[str, Any]:
    done = understudy(home, "incident", "show", "latest", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def columns(home: Path) -> set[str]:
    url = read_env_file(home / "understudy.env")["MIGRATION_DATABASE_URL"]
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        rows = await (
            await conn.execute(
                "select column_name from information_schema.columns where table_name = 'voices'"
            )
        ).fetchall()
    return {row[0] for row in rows}


async def test_a_lost_column_is_restored_with_two_approvals_and_stays_after_a_restart(
    fresh_home: Path, eventually: Eventually
) -> None:
    home = fresh_home
    async with running(home) as up:
        made = await asyncio.to_thread(understudy, home, "backup", "create", "--json")
        assert made.returncode == 0, made.stderr
        backup = json.loads(made.stdout)["backups"][0]["id"]
        url = read_env_file(home / "understudy.env")["MIGRATION_DATABASE_URL"]
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
            await conn.execute("alter table public.voices drop column description")

        with GuardStore(home / GUARD_FILE, SystemClock()) as store:
            keys = {name: store.operators.create(name)[1] for name in ("ann", "bob", "cleo")}
        asked = await asyncio.to_thread(
            understudy, home, "restore", "--live", "--action", "database_restore", "--backup", backup,
            "--reason", "a column is lost", "--json", key=keys["ann"],
        )  # fmt: skip
        assert asked.returncode == 3, asked.stderr  # it waits for persons
        plan = next(
            json.loads(line) for line in asked.stdout.splitlines() if json.loads(line).get("kind") == "plan"
        )
        sha = (plan.get("body") or plan)["plan_sha256"]
        own = await asyncio.to_thread(
            understudy, home, "incident", "approve", "latest", "--plan", sha[:12], key=keys["ann"]
        )
        assert own.returncode == 1  # who asked for it cannot agree to it
        for person in ("bob", "cleo"):
            agreed = await asyncio.to_thread(
                understudy, home, "incident", "approve", "latest", "--plan", sha[:12], key=keys[person]
            )
            assert agreed.returncode == 0, agreed.stderr

        async def restored() -> bool:
            state = (await asyncio.to_thread(shown, home))["state"]
            assert state not in {"FROZEN", "ABORTED"}, state
            return state in {"MITIGATED", "RECOVERED", "CLOSED"}

        await eventually(restored, what="the incident is mitigated", within_s=WITHIN_S)
        assert read_env_file(home / "understudy.env")["DATABASE_URL"].endswith("/understudy_r1")
        assert "description" in await columns(home)
        async with aiohttp.ClientSession() as http, http.get(f"{up.addresses['api']}/api/health") as answer:
            assert answer.status == 200
        await up.stop()

    async with running(home):
        assert read_env_file(home / "understudy.env")["DATABASE_URL"].endswith("/understudy_r1")
        assert "description" in await columns(home)
