"""Canaries at a deployment that keeps its promises but one, and at the stand-ins, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.integration.broken_deployment import BrokenDeployment
from tests.integration.promises import Break, RefusedError
from understudy.clock import SystemClock
from understudy.errors import StoreUnavailableError
from understudy.restoration.probes import PROBE_CANARIES_FILE, Lane, ProbePlan, ProbeRunner, Role, lane_of
from understudy.restoration.signals.readings import CanaryRead, ProbeResult
from understudy.restoration.verification.canaries import remembered_identities
from understudy.restoration.verification.client import Limits
from understudy.rollout.reads import set_reads
from understudy.settings import Settings
from understudy.standins.app import StandInAddresses, running_standins
from understudy.standins.configuration import StandInSettings
from understudy.store.database import Database
from understudy.store.guard import GUARD_FILE, GuardStore
from understudy.store.mode import ModeRow

pytestmark = pytest.mark.integration

QUICK = Limits(connect_s=2, request_s=5, task_s=0.5, suite_s=20, cleanup_s=5, poll_interval_s=0.005)
MODAL_PATHS = {
    "modal_job_submit": "/job-submit",
    "modal_job_status": "/job-status",
    "modal_job_result": "/job-result",
    "modal_job_cancel": "/job-cancel",
    "modal_endpoint_voice_design": "/voice-design",
}


class Deployment(BrokenDeployment):
    """One that also has a quota, and voices that the mode in force cannot speak."""

    def __init__(self) -> None:
        super().__init__()
        self.uncovered: set[str] = set()

    async def generate(self, request: web.Request) -> web.Response:
        if json.loads(await request.read())["voice_id"] in self.uncovered:
            raise RefusedError(409, "This voice cannot be spoken by the active speech provider yet.")
        if any(row.data.get("busy") for row in self.rows.values()):
            raise RefusedError(409, "You have 1 generation(s) in progress, and at most 1 at a time.")
        return await super().generate(request)

    def kept(self) -> list[str]:
        return sorted(row.kind for row in self.rows.values())


class Stage:
    """A runner of probes, which a test may restart."""

    def __init__(self, home: Path, url: str, database: Database) -> None:
        self.home, self.url, self.database = home, url, database
        self.store = GuardStore(home / GUARD_FILE, SystemClock())
        self.mode_row = mode("modal", 1)
        self.settings = settings_of(StandInAddresses("http://127.0.0.1:9", "http://127.0.0.1:9"))
        self.database_away = False
        self.limits = QUICK
        self.runner = self.restarted()

    def restarted(self, **plan: Any) -> ProbeRunner:
        self.runner = ProbeRunner(
            plan=ProbePlan(**plan),
            switched_on=True,
            base_url=self._base_url,
            identities=lambda url: remembered_identities(self.home / PROBE_CANARIES_FILE, url),
            connect=self._connect,
            mode=lambda: self.mode_row,
            lane=self._lane,
            memory=self.store,
            clock=SystemClock(),
            random=Random(7),
            limits=self.limits,
        )
        return self.runner

    async def _base_url(self) -> str:
        return self.url

    async def _connect(self) -> Database:
        if self.database_away:
            raise StoreUnavailableError
        return self.database

    def _lane(self, name: str) -> Lane:
        return lane_of(name, self.settings, SystemClock())

    async def active(self) -> ProbeResult:
        await self.runner.once(Role.ACTIVE)
        return self.runner.reading(SystemClock().now()).active[0]

    async def standby(self) -> ProbeResult:
        await self.runner.once(Role.STANDBY)
        return self.runner.reading(SystemClock().now()).standby[0]

    async def read(self) -> CanaryRead:
        await self.runner.once(Role.SECURITY)
        found = self.runner.canary_read()
        assert found is not None
        return found

    async def calls(self) -> list[dict[str, Any]]:
        async with self.database.service() as conn:
            cursor = await conn.execute("select * from understudy.provider_calls order by id")
            return await cursor.fetchall()


def mode(value: str, epoch: int) -> ModeRow:
    return ModeRow(value, epoch, "test", "test", None, value, SystemClock().now())


def settings_of(addresses: StandInAddresses) -> Settings:
    values: dict[str, Any] = {name: addresses.modal + path for name, path in MODAL_PATHS.items()}
    return Settings(
        _env_file=None,
        dashscope_base_url=addresses.dashscope,
        dashscope_api_key="sk-standin-intl-0001",  # type: ignore[arg-type]
        modal_poll_interval_s=0.05,
        **values,
    )


@asynccontextmanager
async def stage(home: Path, database: Database) -> AsyncIterator[tuple[Stage, Deployment]]:
    deployment = Deployment()
    async with TestServer(deployment.app(), host="127.0.0.1") as server:
        built = Stage(home, str(server.make_url("")).rstrip("/"), database)
        try:
            yield built, deployment
        finally:
            built.store.close()


async def test_a_canary_speaks_and_keeps_one_utterance_that_nobody_else_sees(
    tmp_path: Path, database: Database
) -> None:
    async with stage(tmp_path, database) as (built, deployment):
        await built.runner.once(Role.SECURITY)
        assert built.runner.canary_read() is None
        for _ in range(3):
            result = await built.active()
            assert result.ok, result
        # One voice, and the newest utterance as what canary B must not see.
        assert deployment.kept() == ["generation", "task", "voice"]
        read = await built.read()
        assert (read.leaks, read.blind) == ((), None)
        assert read.asked > 10
        async with database.service() as conn:
            cursor = await conn.execute("select user_id::text as id from understudy.synthetic_users")
            marked = {row["id"] for row in await cursor.fetchall()}
        assert {row.owner for row in deployment.rows.values()} < marked
        assert len(marked) == 2
        # A guard that starts again knows voice, utterance and results.
        built.restarted()
        assert len(built.runner.reading(SystemClock().now()).active) == 3
        assert (await built.active()).ok
        assert deployment.kept() == ["generation", "task", "voice"]
        assert await built.runner.tenants.clean() == []
        assert deployment.kept() == []


async def test_a_probe_says_what_went_wrong_and_leaves_nothing_of_it(
    tmp_path: Path, database: Database
) -> None:
    async with stage(tmp_path, database) as (built, deployment):
        assert (await built.active()).ok
        kept = set(deployment.rows)
        for broken, outcome in (
            (Break.AUDIO_SILENT, "bad_audio"),
            (Break.AUDIO_CUT, "bad_audio"),
            (Break.AUDIO_HEADER_LIES, "bad_audio"),
            (Break.AUDIO_HTML, "bad_audio"),
            (Break.SPEECH_FAILS, "provider_failed"),
            (Break.TASK_NEVER_ENDS, "product_unreachable"),
            (Break.GENERATE_REFUSED, "product_unreachable"),
            (Break.AUTH_DOWN, "product_unreachable"),
        ):
            deployment.breaks = {broken}
            result = await built.active()
            assert (result.ok, result.outcome) == (False, outcome), result
            assert result.detail
            assert set(deployment.rows) == kept, broken
        deployment.breaks = set()
        assert (await built.active()).ok


async def test_what_a_probe_meets_is_cleared_away(tmp_path: Path, database: Database) -> None:
    async with stage(tmp_path, database) as (built, deployment):
        assert (await built.active()).ok
        # A probe that was killed left a generation in progress.
        (owner,) = {row.owner for row in deployment.rows.values()}
        deployment._add(owner, "generation", busy=True, seconds=1.0)
        assert (await built.active()).ok
        assert deployment.kept() == ["generation", "task", "voice"]
        # The mode changed, and the voice does not speak there: cloned anew, once an epoch.
        (voice,) = [row.id for row in deployment.rows.values() if row.kind == "voice"]
        deployment.uncovered.add(voice)
        built.mode_row = mode("qwen", 2)
        deployment.breaks = {Break.SPEECH_FAILS}
        assert (await built.active()).outcome == "provider_failed"
        assert voice not in deployment.rows
        assert (await built.read()).blind is None
        deployment.breaks = set()
        assert (await built.active()).ok
        deployment.uncovered |= {row.id for row in deployment.rows.values() if row.kind == "voice"}
        refused = await built.active()
        assert (refused.outcome, refused.code) == ("refused", "refused")
        assert "cannot be spoken" in refused.detail
        voices = [row.id for row in deployment.rows.values() if row.kind == "voice"]
        assert len(voices) == 1
        # The money for a clone was reserved, as a Qwen create costs it.
        assert built.runner.reading(SystemClock().now()).spent_microusd >= 10_000


async def test_without_a_mark_or_money_nothing_is_asked(tmp_path: Path, database: Database) -> None:
    async with stage(tmp_path, database) as (built, deployment):
        built.database_away = True
        await built.runner.once(Role.ACTIVE)
        reading = built.runner.reading(SystemClock().now())
        assert (reading.active, reading.spent_microusd, deployment.rows) == ((), 0, {})
        assert "database" in str(reading.paused)
        built.database_away = False
        runner = built.restarted(budget_microusd_per_day=1)
        await runner.once(Role.ACTIVE)
        assert "budget" in str(runner.alarm())
        assert deployment.rows == {}
        built.restarted()
        assert (await built.active()).ok
        assert built.runner.alarm() is None


async def test_while_reads_are_closed_nothing_is_asked_and_nobody_is_judged(
    tmp_path: Path, database: Database
) -> None:
    async with stage(tmp_path, database) as (built, deployment):
        await set_reads(database, ["tasks", "audio"], closed=True, actor="ada", reason="a leak")
        for role in (Role.ACTIVE, Role.SECURITY):
            await built.runner.once(role)
            assert f"{role}: reads are closed: audio, tasks" in str(built.runner.alarm())
        reading = built.runner.reading(SystemClock().now())
        assert (reading.active, deployment.rows) == ((), {})
        await set_reads(database, ["tasks", "audio"], closed=False, actor="ada", reason="mended")
        assert (await built.active()).ok


async def test_canary_b_tells_what_it_saw_and_what_it_could_not_ask(
    tmp_path: Path, database: Database
) -> None:
    async with stage(tmp_path, database) as (built, deployment):
        assert (await built.active()).ok
        for broken, leaks in (
            (Break.LISTS_VOICES_OF_ALL, {"GET /api/voices"}),
            (Break.LISTS_GENERATIONS_OF_ALL, {"GET /api/generations"}),
            (Break.SHOWS_TASKS_OF_ALL, {"GET /api/tasks/:task"}),
            (Break.PLAYS_GENERATIONS_OF_ALL, {"GET /api/generations/:generation/audio"}),
        ):
            deployment.breaks = {broken}
            read = await built.read()
            assert (set(read.leaks), read.blind) == (leaks, None), broken
        for broken in (Break.FORBIDS_INSTEAD, Break.TELLS_EXISTENCE):
            deployment.breaks = {broken}
            assert len((await built.read()).leaks) == 4, broken
        deployment.breaks = set()
        assert ((await built.read()).leaks, (await built.read()).blind) == ((), None)
        built.restarted()
        deployment.breaks = {Break.AUTH_DOWN}
        blind = await built.read()
        assert blind.leaks == ()
        assert "canary account" in str(blind.blind)
        deployment.breaks = set()
        deployment.rows.clear()
        assert "gone" in str((await built.read()).blind)


async def test_the_standby_speaks_through_its_own_adapter(tmp_path: Path, database: Database) -> None:
    async with (
        running_standins(tmp_path / "standins", StandInSettings(dashscope_real_time_factor=0)) as addresses,
        aiohttp.ClientSession() as http,
    ):
        built = Stage(tmp_path, "http://127.0.0.1:9", database)
        built.settings, built.limits = settings_of(addresses), Limits(task_s=20)
        built.restarted()

        async def fault(**faults: float) -> None:
            async with http.post(addresses.dashscope + "/_faults", json=faults) as answer:
                assert answer.status == 200

        async def made() -> int:
            async with http.get(addresses.dashscope + "/_stats") as answer:
                return int((await answer.json())["clone_creates"])

        await fault(create_answer_lost=1.0)
        first = await built.standby()
        await fault(create_answer_lost=0.0)
        built.restarted()
        results = [await built.standby() for _ in range(2)]
        assert all(result.ok and result.provider == "qwen" for result in results), (first, results)
        assert await made() == 1
        await fault(error_event=1.0)
        broken = await built.standby()
        assert (broken.outcome, broken.failure_class) == ("provider_failed", "provider"), broken
        built.mode_row = mode("qwen", 2)
        modal = await built.standby()
        assert (modal.ok, modal.provider) == (True, "modal"), modal
        calls = await built.calls()
        assert all(call["synthetic"] and not call["billable"] for call in calls)
        spoken = [(call["provider"], call["outcome"]) for call in calls if call["operation"] == "speak"]
        assert spoken[-4:] == [("qwen", "ok"), ("qwen", "ok"), ("qwen", "failed"), ("modal", "ok")]
        built.store.close()
