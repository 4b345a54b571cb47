"""A cutover of whole processes: a share of tenants at the candidate, everybody back, the guard killed."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import jwt
import psycopg
import pytest
import yaml
from psycopg.rows import dict_row

from tests.journey.test_up import Up, fresh_home, running
from understudy.clock import SystemClock
from understudy.demo.tenant import RefusedError, Tenant
from understudy.envfile import read_env_file
from understudy.resources import playbook_file, samples_dir
from understudy.restoration.drills.history import DrillRow, append_row
from understudy.rollout.cutover import in_cohort
from understudy.store.guard import GUARD_FILE, GuardStore

__all__ = ["fresh_home"]

pytestmark = [pytest.mark.journey, pytest.mark.long, pytest.mark.timeout(900)]

SHARE = 50
#: A guard that is killed is started again by `up` long before; only one that stays away lets it lapse.
WATCHED_S = 60
TEXT = "four seven one"


def policy_file(folder: Path) -> Path:
    """The shipped policy with stages that a handful of calls decide, and moves without limit."""
    document = yaml.safe_load(playbook_file().read_text())
    stages = [{"percent": each, "hold_s": 0.0, "exclude_percent": 45.0} for each in (SHARE, 90, 100)]
    document["cutover"] |= {"stages": stages, "watched_s": WATCHED_S}
    document["cutover"]["guardrails"] |= {"minimum_calls": 3}
    document["cutover"]["limits"] |= {"spacing_s": 0, "moves": 100}
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


@dataclass
class Member:
    """A tenant with a voice of the provider that serves it."""

    tenant: Tenant
    user_id: UUID
    voice: str = ""


@dataclass
class Stage:
    """A running service and its tenants."""

    up: Up
    home: Path
    http: aiohttp.ClientSession
    members: dict[bool, list[Member]] = field(default_factory=lambda: {True: [], False: []})

    async def command(self, *words: str, fails: bool = False) -> dict[str, Any]:
        """Run `understudy ... --json`; its document, or what it said where it must fail."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "understudy.cli.app", *words, "--json", "--home", str(self.home)),
            env={"PATH": os.environ["PATH"], "USER": "ada", "COLUMNS": "200"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 120)
        assert (process.returncode != 0) is fails, f"{words}: {out.decode()} {err.decode()}"
        return {"said": err.decode()} if fails else dict(json.loads(out))

    async def member(self, *, inside: bool) -> Member:
        """A new tenant, in the share or outside of every share below everybody."""
        for number in itertools.count():
            tenant = Tenant(self.http, self.up.addresses["api"], f"tenant{number}")
            await tenant.sign_up()
            claims = jwt.decode(tenant.access_token, options={"verify_signature": False})
            user_id = UUID(claims["sub"])
            if in_cohort(user_id, SHARE if inside else 90) is inside:
                member = Member(tenant, user_id)
                self.members[inside].append(member)
                return member
        raise AssertionError

    async def give_voice(self, member: Member) -> None:
        recording = (samples_dir() / "austen-0890.wav").read_bytes()
        member.voice = await member.tenant.clone("Austen", recording, "what she said")

    async def rows(self, statement: str) -> list[dict[str, Any]]:
        url = read_env_file(self.home / "understudy.env")["MIGRATION_DATABASE_URL"]
        async with await psycopg.AsyncConnection.connect(url, row_factory=dict_row) as conn:
            cursor = await conn.execute(statement.encode())
            return await cursor.fetchall()

    async def until(self, condition: Callable[[], Awaitable[Any]], what: str, within_s: float = 90) -> Any:
        deadline = asyncio.get_running_loop().time() + within_s
        while True:
            found = await condition()
            if found:
                return found
            assert asyncio.get_running_loop().time() < deadline, f"after {within_s} s still not: {what}"
            await asyncio.sleep(0.05)

    async def state(self) -> str:
        return str((await self.rows("select state from understudy.cutover"))[0]["state"])

    async def fault(self, **faults: float) -> None:
        async with self.http.post(self.up.addresses["dashscope"] + "/_faults", json=faults) as answer:
            assert answer.status == 200

    async def lag_s(self) -> float:
        """Wait until every process holds the newest epoch; seconds since it was written, by the database."""

        async def held() -> float | None:
            (row,) = await self.rows(
                "select extract(epoch from clock_timestamp() - m.changed_at)::float8 as age_s,"
                " (select bool_and(greatest(p.mode_epoch, p.cutover_epoch) >= m.epoch)"
                "  from understudy.processes p where p.kind in ('api', 'worker')"
                "  and p.seen_at > clock_timestamp() - interval '5 s') as held"
                " from understudy.provider_mode m"
            )
            return float(row["age_s"]) if row["held"] else None

        return float(await self.until(held, "every process holds it"))


@asynccontextmanager
async def stage(home: Path) -> AsyncIterator[Stage]:
    home.mkdir(mode=0o700)
    policy = policy_file(home.parent)
    (home / "understudy.env").write_text(f"PLAYBOOK_FILE={policy}\nPROBES=off\n")
    async with (
        running(home, "--mode", "modal", "--window-s", "5") as up,
        aiohttp.ClientSession() as http,
    ):
        yield Stage(up, home, http)
        assert await up.stop() == 0


def drilled(home: Path) -> None:
    """As a drill leaves it; what one does is its own test."""
    now = SystemClock().now().isoformat()
    append_row(home, DrillRow(now, "success_rate", "local", True, "env_switch", True, True, 0, 0))


async def test_a_cutover_from_its_plan_to_everybody_back(fresh_home: Path) -> None:
    async with stage(fresh_home) as world:
        inside, outside = await world.member(inside=True), await world.member(inside=False)
        stays, carried = await world.member(inside=True), await world.member(inside=True)
        for member in (outside, stays, carried):
            await world.give_voice(member)
            await member.tenant.speak(member.voice, TEXT)
        await world.command(
            *("voices", "carry-over", "--to", "qwen", "--max-cost", "1", "--user", str(carried.user_id))
        )

        # Nobody has drilled a restoration: nothing begins.
        refused = await world.command("cutover", "start", "--reason", "too early", fails=True)
        assert "restoration drilled" in refused["said"]
        drilled(world.home)
        plan = await world.command(*("cutover", "plan", "--probe", "--max-cost", "5", "--owner", "ada"))
        assert plan["problems"] == []
        another = await world.command(
            *("cutover", "start", "--plan", "0" * 12, "--reason", "another plan"), fails=True
        )
        assert "The plan is" in another["said"]
        begun = await world.command(
            *("cutover", "start", "--reason", "release 14", "--max-cost", "5", "--owner", "ada")
        )
        assert begun["not_in_force_on"] == []
        assert [one["user_id"] for one in begun["stays"]] == [str(stays.user_id)]
        assert begun["cutover"]["owner"] == "ada"

        # Languages and speech answer for the caller's cohort, and for the mode without a token.
        assert (await inside.tenant.languages())["provider"] == "qwen"
        assert (await stays.tenant.languages())["provider"] == "modal"
        api = world.up.addresses["api"]
        async with world.http.get(api + "/api/languages") as answer:
            assert (await answer.json())["provider"] == "modal"
        await world.give_voice(inside)
        served = ((inside, "qwen"), (carried, "qwen"), (outside, "modal"), (stays, "modal"))
        for member, provider in served:
            spoken = await member.tenant.speak(member.voice, TEXT)
            assert spoken.provider == provider
        streamed = {"voice_id": outside.voice, "text": TEXT, "language": "English"}
        bearer = {"Authorization": f"Bearer {outside.tenant.access_token}"}
        async with world.http.post(api + "/api/generate/stream", json=streamed, headers=bearer) as answer:
            assert answer.status == 409  # Modal's rule for who is served by Modal

        # A sample that is too small goes nowhere; one that is large enough does.
        early = await world.command("cutover", "next", fails=True)
        assert "is not done" in early["said"] or "judged" in early["said"]
        for _ in range(6):
            await inside.tenant.speak(inside.voice, TEXT)
            await outside.tenant.speak(outside.voice, TEXT)

        async def ready() -> bool:
            judged = (await world.command("cutover", "status"))["judgement"]
            return bool(judged and not judged["waiting"] and not judged["failing"])

        await world.until(ready, "the guard says that the stage is done")
        wider = await world.command("cutover", "next")
        assert (wider["cutover"]["percent"], wider["not_in_force_on"]) == (90, [])

        # The candidate breaks: the guard brings everybody back, and an incident tells why.
        await world.fault(error_event=1.0)

        async def returned() -> bool:
            with suppress(RefusedError, aiohttp.ClientError):  # what fails is what brings it
                await inside.tenant.speak(inside.voice, TEXT)
            return await world.state() == "returned"

        await world.until(returned, "everybody is back", within_s=180)
        assert (await inside.tenant.languages())["provider"] == "modal"
        (row,) = await world.rows("select actor, reason, percent from understudy.cutover")
        assert (row["actor"], row["percent"]) == ("guard", 0)
        assert (await inside.tenant.speak(inside.voice, TEXT)).provider == "modal"
        with GuardStore(world.home / GUARD_FILE, SystemClock()) as store:
            assert [one.environment for one in store.incidents("local")] == ["local"]


async def test_a_return_is_in_force_within_a_second_and_a_dead_guard_lets_it_lapse(fresh_home: Path) -> None:
    async with stage(fresh_home) as world:
        drilled(world.home)
        inside = await world.member(inside=True)
        lags_s: list[float] = []
        for _ in range(4):  # a busy machine delays one of them, and not each
            await world.command("cutover", "start", "--reason", "one")
            assert (await inside.tenant.languages())["provider"] == "qwen"
            back, lag_s = await asyncio.gather(
                world.command("cutover", "return", "--reason", "enough"), lag_after_return(world)
            )
            assert back["returned"]
            assert (await inside.tenant.languages())["provider"] == "modal"
            lags_s.append(lag_s)
            if lag_s < 1.0:
                break
        assert min(lags_s) < 1.0, lags_s

        # Killed in the middle of a stage: the next guard takes over, and the cutover goes on.
        await world.command("cutover", "start", "--reason", "two")
        world.up.look()
        killed = await kill_guard(world)
        before = await watched_until(world)

        async def watched_again() -> bool:
            return await watched_until(world) > before

        await world.until(watched_again, "the next guard watches")
        assert (await inside.tenant.languages())["provider"] == "qwen"
        assert killed not in {process.pid for process in world.up.me.children(recursive=True)}
        assert await world.state() == "running"

        # Nobody can watch any more: everybody is back by themselves, without a guard.
        await stop_guard(world)

        async def lapsed() -> bool:
            return bool((await inside.tenant.languages())["provider"] == "modal")

        await world.until(lapsed, "nobody watches, so nobody is at the candidate", within_s=WATCHED_S + 60)
        await resume_guard(world)

        async def settled() -> bool:
            return await world.state() == "returned"

        await world.until(settled, "the guard that is back has written it down")


async def watched_until(world: Stage) -> datetime:
    (row,) = await world.rows("select watched_until from understudy.cutover")
    found: datetime = row["watched_until"]
    return found


async def lag_after_return(world: Stage) -> float:
    async def gone() -> bool:
        return await world.state() == "returned"

    await world.until(gone, "the return is written")
    return await world.lag_s()


def guard_of(world: Stage) -> int:
    for process in world.up.me.children(recursive=True):
        words = process.cmdline()
        if "guard" in words:
            return process.pid
    raise AssertionError("no guard runs")


async def kill_guard(world: Stage) -> int:
    pid = guard_of(world)
    os.kill(pid, signal.SIGKILL)
    return pid


async def stop_guard(world: Stage) -> None:
    """Hang it, as a machine that swaps does: `up` does not start another beside it."""
    os.kill(guard_of(world), signal.SIGSTOP)


async def resume_guard(world: Stage) -> None:
    os.kill(guard_of(world), signal.SIGCONT)
