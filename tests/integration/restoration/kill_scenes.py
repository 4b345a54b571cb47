"""A world for each rung to be killed in: broken anew each time, with a target that says when it has acted."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.integration.api.conftest import NOWHERE, serving
from tests.integration.conftest import DatabaseUrls
from tests.integration.planting import NOW, Planter
from tests.integration.restoration.deployment import CountingTarget, env_file, reopened, running
from tests.integration.restoration.engine_setting import PLAYBOOK, Setting
from tests.integration.restoration.killing import KillBench, Scene, Writes
from tests.integration.restoration.test_code_rollback_steps import BAD, CodeTarget
from tests.small_release import small_release
from tests.unit.findings import finding_of
from understudy.clock import SystemClock
from understudy.envfile import read_env_file, set_in_env_file
from understudy.releases.kept_environment import environment_digest, keep_environment
from understudy.restoration.playbook.policy import Playbook
from understudy.restoration.targets.base import Deployment
from understudy.restoration.triggers.verdict import Finding
from understudy.rollout.mode import ModeReader, set_mode
from understudy.rollout.reads import KINDS, set_reads
from understudy.settings import Settings, settings_from
from understudy.standins.app import running_standins
from understudy.standins.configuration import StandInSettings
from understudy.store.database import Database
from understudy.store.migrations import load_migrations
from understudy.store.valves import DESIGN_CREATES, set_valve

Broken = tuple[Finding, Sequence[str]]
#: Writes a broken row; gives the ids of all that it wrote, the broken one's first.
Breaking = Callable[[Planter], Awaitable[Sequence[str]]]
GOOD = "a" * 40
_MODAL = ("JOB_SUBMIT", "JOB_STATUS", "JOB_RESULT", "JOB_CANCEL", "ENDPOINT_VOICE_DESIGN")


@dataclass
class Stage:
    database: Database
    urls: DatabaseUrls
    home: Path

    async def scene(
        self,
        name: str,
        target: CountingTarget,
        begin: Callable[[], Awaitable[Broken]],
        *,
        playbook: Playbook = PLAYBOOK,
        **given: Any,
    ) -> Scene:
        bench = KillBench(self.home, self.database, target)
        bench.given = {"home": self.home} | given
        target.bench = bench  # type: ignore[attr-defined]
        book = reopened(self.home, bench.clock)
        bench.store = book.store
        writes = Writes(self.urls.owner.get_secret_value())
        await writes.watch()
        return Scene(name, Setting(self.database, self.home, bench, book, playbook), bench, writes, begin)

    async def sql(self, statement: str, *values: Any) -> None:
        async with self.database.service() as conn:
            await conn.execute(statement.encode(), values)

    async def back_to_qwen(self) -> None:
        """Row and environment name the provider that fails, and no effect has happened yet."""
        env_file(self.home, "qwen")
        await set_mode(self.database, "qwen", actor="test", reason="again")
        self.forget()

    def forget(self) -> None:
        (self.home / "effects.jsonl").unlink(missing_ok=True)


class SayingTarget(CountingTarget):
    """Says when an effect has happened, and nobody else knows of it yet."""

    bench: KillBench

    async def write_env(self, changes: Mapping[str, str]) -> None:
        await super().write_env(changes)
        self.bench.reached("an effect on the environment")

    async def redeploy(self, deployment_id: str) -> Deployment:
        begun = await super().redeploy(deployment_id)
        self.bench.reached("an effect on the processes")
        return begun


class SayingCodeTarget(SayingTarget, CodeTarget):
    """The same, with processes of one revision or another."""

    async def deploy_revision(self, deployment_id: str, revision: str) -> Deployment:
        begun = await super().deploy_revision(deployment_id, revision)
        self.bench.reached("an effect on the processes")
        return begun


class SettingsTarget(CountingTarget):
    """Its processes read their settings from the environment file when they start."""

    def __init__(self, home: Path, database: Database) -> None:
        super().__init__(home, NOWHERE)
        self.home, self.database = home, database
        self.processes: list[ModeReader] = []

    async def start(self) -> None:
        await self.stop()
        settings = settings_from(read_env_file(self.home / "understudy.env"))
        for kind in self.kinds:
            process = ModeReader(self.database, settings, kind=kind, clock=SystemClock())
            await process.start()
            self.processes.append(process)

    async def stop(self) -> None:
        while self.processes:
            await self.processes.pop().stop()

    async def redeploy(self, deployment_id: str) -> Deployment:
        begun = await super().redeploy(deployment_id)
        await self.start()
        return begun


class SayingSettingsTarget(SayingTarget, SettingsTarget):
    """The same, and it says what it did."""


async def _user(stage: Stage) -> str:
    user = str(uuid4())
    await stage.sql("insert into auth.users (id, email) values (%s, %s)", user, f"{user}@example.org")
    return user


def _nowhere(home: Path) -> Settings:
    """Settings of a whole api whose providers do not answer."""
    return settings_from(
        {
            "UNDERSTUDY_HOME": str(home),
            "JWT_SECRET": secrets.token_hex(32),
            "OBJECT_URL_SECRET": secrets.token_hex(32),
            "DASHSCOPE_API_KEY": "sk-not-a-key-0000",
            "DASHSCOPE_BASE_URL": NOWHERE,
            **{f"MODAL_{name}": NOWHERE for name in _MODAL},
        }
    )


@asynccontextmanager
async def close_valve(stage: Stage) -> AsyncIterator[Scene]:
    env_file(stage.home, "qwen")

    async def begin() -> Broken:
        async with stage.database.service() as conn:
            for closed in (True, False):
                await set_valve(conn, DESIGN_CREATES, closed=closed, actor="test", reason="again")
        return finding_of("cost/design_repeats", subject="ada"), ()

    yield await stage.scene("close_valve", SayingTarget(stage.home, NOWHERE), begin)


@asynccontextmanager
async def throttle_tenant(stage: Stage) -> AsyncIterator[Scene]:
    env_file(stage.home, "qwen")

    async def begin() -> Broken:
        tenant = await _user(stage)
        finding = finding_of(
            "cost/runaway_characters",
            mode="pause",
            cures=("throttle_tenant",),
            subject=tenant,
            n=600_000,
            bounds={"hard_limit": 500_000, "floor": 50_000},
            evidence={"cost_microusd": 6_000_000, "usual_characters": None},
        )
        return finding, (tenant,)

    yield await stage.scene("throttle_tenant", SayingTarget(stage.home, NOWHERE), begin)


async def _unbound_voice(plant: Planter) -> Sequence[str]:
    """A voice without its id at the provider; our record of its create still has it."""
    born = NOW - timedelta(hours=1)
    voice = await plant.voice(provider_voice_id=None, provider_target_model=None, created_at=born)
    made = {"provider": "qwen", "voice_id": "v-1", "target_model": "m-1", "kind": "vc", "region": "intl"}
    told = json.dumps({"voice_id": str(voice), "label": "u1", "binding": made})
    task = await plant.task(type="clone", metadata=told)
    return str(voice), str(task)


async def _overdue_task(plant: Planter) -> Sequence[str]:
    """A task that nobody works on any more, and that still holds money."""
    none = {"audio_object_key": None, "completed_at": None, "audio_sha256": None}
    generation = await plant.generation(status="pending", **none)
    overdue = NOW - timedelta(hours=2)
    task = await plant.task(generation, status="processing", completed_at=None, deadline_at=overdue)
    await plant.entry(task, state="reserved", ended_at=None, settled_microusd=0, calls=0)
    return str(task), str(generation)


@asynccontextmanager
async def _with_broken_rows(
    stage: Stage, name: str, invariant: str, kind: str, breaking: Breaking
) -> AsyncIterator[Scene]:
    """Two broken rows, repaired one after the other."""
    env_file(stage.home, "qwen")
    user, settings = await _user(stage), _nowhere(stage.home)

    async def begin() -> Broken:
        async with stage.database.service() as conn:
            planted = [await breaking(Planter(conn, UUID(user))) for _ in range(2)]
        finding = finding_of(
            f"data_integrity/{invariant}",
            subject=invariant,
            n=2,
            bounds={"older_than_s": 120.0, "looks": 1},
            evidence={"sample": [f"{kind} {own[0]}" for own in planted]},
        )
        return finding, [word for own in planted for word in own]

    target = SayingTarget(stage.home, NOWHERE)
    yield await stage.scene(name, target, begin, settings=lambda: settings)


def quarantine_voices(stage: Stage) -> AbstractAsyncContextManager[Scene]:
    name, invariant = "quarantine_and_repair, voices", "missing_provider_metadata"
    return _with_broken_rows(stage, name, invariant, "voice", _unbound_voice)


def quarantine_money(stage: Stage) -> AbstractAsyncContextManager[Scene]:
    name = "quarantine_and_repair, tasks and their money"
    return _with_broken_rows(stage, name, "orphaned_tasks", "task", _overdue_task)


@asynccontextmanager
async def close_reads(stage: Stage) -> AsyncIterator[Scene]:
    env_file(stage.home, "qwen")

    async def begin() -> Broken:
        for closed in (True, False):
            await set_reads(stage.database, KINDS, closed=closed, actor="test", reason="again")
        leak = {"routes": ["GET /api/voices/:voice/preview"]}
        return finding_of("security/cross_tenant_read", evidence=leak), ()

    async with serving(_nowhere(stage.home).model_copy(update={"database_url": stage.urls.app})) as api:
        yield await stage.scene("close_reads", SayingTarget(stage.home, api.base), begin)


@asynccontextmanager
async def env_switch(stage: Stage) -> AsyncIterator[Scene]:
    async def begin() -> Broken:
        await stage.back_to_qwen()
        return finding_of("playback/stalls"), ()

    async with running(stage.database, stage.home) as base_url:
        yield await stage.scene("env_switch", SayingTarget(stage.home, base_url), begin)


@asynccontextmanager
async def reapply_settings(stage: Stage) -> AsyncIterator[Scene]:
    """One secret is not as recorded, in the environment file and so in every process."""
    env_path = stage.home / "understudy.env"
    async with running_standins(stage.home / "standins", StandInSettings()) as addresses:
        kept = {
            "TTS_PROVIDER_MODE": "modal",
            "UNDERSTUDY_HOME": str(stage.home),
            "JWT_SECRET": "j" * 48,
            "OBJECT_URL_SECRET": "o" * 48,
            "DASHSCOPE_API_KEY": "sk-standin-intl-0001",
            "DASHSCOPE_BASE_URL": addresses.dashscope,
            **{f"MODAL_{name}": f"{addresses.modal}/{name.lower().replace('_', '-')}" for name in _MODAL[:4]},
            "MODAL_ENDPOINT_VOICE_DESIGN": f"{addresses.modal}/voice-design",
        }
        set_in_env_file(env_path, kept)
        target = SayingSettingsTarget(stage.home, stage.database)

        async def begin() -> Broken:
            set_in_env_file(env_path, {"JWT_SECRET": "x" * 48})
            await target.start()
            stage.forget()
            return finding_of("security/secret_mismatch", cures=("reapply_settings",)), ()

        scene = await stage.scene("reapply_settings", target, begin)
        record = scene.setting.book.store.record_known_good(
            {
                "environment_sha256": environment_digest(kept),
                "secret_digests": settings_from(kept).secret_digests(),
                "settings": {},
            },
            actor="ada",
        )
        keep_environment(stage.home, record.seq, env_path.read_bytes())
        scene.bench.given["known_good_record"] = record
        try:
            yield scene
        finally:
            await target.stop()


def _impatient(playbook: Playbook) -> Playbook:
    """The env switch does not wait long for a checklist that stays red while the bad code serves."""
    ladder = []
    for rung in playbook.ladder:
        quick = rung.steps.model_copy(update={"verification": 0.5} if rung.action == "env_switch" else {})
        ladder.append(rung.model_copy(update={"steps": quick}))
    return playbook.model_copy(update={"ladder": ladder})


@asynccontextmanager
async def _with_two_revisions(
    stage: Stage, name: str, finding: Finding, *, playbook: Playbook = PLAYBOOK
) -> AsyncIterator[Scene]:
    async def languages(_: web.Request) -> web.Response:
        return web.json_response({"provider": target.readers["api"].view().value})

    app = web.Application()
    app.router.add_get("/api/languages", languages)
    async with TestServer(app) as server:
        target = SayingCodeTarget(stage.home, str(server.make_url("")).rstrip("/"), stage.database)
        release = small_release(stage.home, GOOD)

        async def begin() -> Broken:
            await stage.back_to_qwen()
            urls = {"DATABASE_URL": stage.urls.app, "MIGRATION_DATABASE_URL": stage.urls.owner}
            told = {name: url.get_secret_value() for name, url in urls.items()}
            set_in_env_file(stage.home / "understudy.env", told)
            await target.start(BAD)
            return finding, ()

        scene = await stage.scene(name, target, begin, playbook=playbook)
        scene.bench.healthy = lambda: set(target.runs.values()) == {GOOD}
        scene.setting.book.store.record_known_good(
            {
                "git": {"revision": GOOD, "tag": None, "changed": False, "checkout": None},
                "release": release.document(),
                "migrations": {"files": {one.version: one.sha256 for one in load_migrations()}},
            },
            actor="person:test",
        )
        try:
            yield scene
        finally:
            await target.stop()


def code_rollback(stage: Stage) -> AbstractAsyncContextManager[Scene]:
    finding = finding_of("playback/beacons", cures=("code_rollback",))
    return _with_two_revisions(stage, "code_rollback", finding)


def escalation(stage: Stage) -> AbstractAsyncContextManager[Scene]:
    """The env switch succeeds and does not help, because the code is at fault."""
    name, finding = "env_switch, then code_rollback", finding_of("success_rate/rate")
    return _with_two_revisions(stage, name, finding, playbook=_impatient(PLAYBOOK))


SCENES: Mapping[str, Callable[[Stage], AbstractAsyncContextManager[Scene]]] = {
    one.__name__: one
    for one in (
        *(close_valve, throttle_tenant, quarantine_voices, quarantine_money, close_reads),
        *(env_switch, reapply_settings, code_rollback, escalation),
    )
}
