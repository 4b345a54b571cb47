"""A deployment small enough for a test: a real environment file, real mode readers, a target that counts."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from understudy.clock import SystemClock
from understudy.providers.base import CheckResult
from understudy.restoration.actions.step import Restoration, Verified
from understudy.restoration.incidents import IncidentBook
from understudy.restoration.signals.calls import Connect
from understudy.restoration.targets.base import Deployment, DeploymentState, TargetCapabilities
from understudy.restoration.targets.local import LocalTarget
from understudy.rollout.mode import ModeReader
from understudy.settings import settings_from
from understudy.store.database import Database
from understudy.store.guard import GuardStore, IncidentRow


class ShiftedClock(SystemClock):
    """The machine's clock, moved forward by a test; sleeping is real."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


class CountingTarget:
    """Writes a real environment file and notes every effect in a file: effects outlive a killed process.

    Deployments are done the moment they begin; the mode readers follow the row by themselves.
    """

    name = "counting"
    capabilities = TargetCapabilities(live_switch=True, restore_beside=False)
    kinds = ("api", "worker")
    database = None

    def __init__(self, home: Path, base_url: str) -> None:
        self._effects_file = home / "effects.jsonl"
        self._env = LocalTarget(home)
        self._base_url = base_url
        self.fails: str | None = None

    def effects(self, kind: str) -> list[Any]:
        if not self._effects_file.exists():
            return []
        lines = map(json.loads, self._effects_file.read_text().splitlines())
        return [value for name, value in lines if name == kind]

    def note(self, kind: str, value: Any) -> None:
        with self._effects_file.open("a") as stream:
            stream.write(json.dumps([kind, value]) + "\n")
            stream.flush()
            os.fsync(stream.fileno())

    async def base_url(self) -> str:
        return self._base_url

    async def read_env(self, names: Sequence[str]) -> dict[str, str]:
        return await self._env.read_env(names)

    async def write_env(self, changes: Mapping[str, str]) -> None:
        await self._env.write_env(changes)
        self.note("env", dict(changes))

    async def redeploy(self, deployment_id: str) -> Deployment:
        self.note("deploy", deployment_id)
        return self._deployment(deployment_id)

    async def deployment(self, deployment_id: str) -> Deployment | None:
        return self._deployment(deployment_id) if deployment_id in self.effects("deploy") else None

    def _deployment(self, deployment_id: str) -> Deployment:
        if self.fails is not None:
            return Deployment(deployment_id, DeploymentState.FAILED, error=self.fails)
        return Deployment(deployment_id, DeploymentState.DONE)


class Bench:
    """What an engine needs, over the target; counts checks and verifications too."""

    def __init__(self, home: Path, target: CountingTarget, connect: Connect, store: GuardStore) -> None:
        self.home = home
        self.target = target
        self.connect = connect
        self.store = store
        self.clock = ShiftedClock()
        self.known_good_error: Exception | None = None
        self.red = 0

    def prepare(self, row: IncidentRow, attempt: int, finding: Mapping[str, Any]) -> Restoration:
        return Restoration(
            incident=row.id,
            attempt=attempt,
            title=row.title,
            finding=finding,
            known_good="modal",
            target=self.target,
            connect=self.connect,
            store=self.store,
            clock=self.clock,
            check_known_good=self._check,
            verify=self._verify,
            stale_after_s=5,
        )

    async def _check(self) -> CheckResult:
        self.target.note("check", "modal")
        if self.known_good_error is not None:
            raise self.known_good_error
        return CheckResult(latency_ms=3, detail="job list answered")

    async def _verify(self, base_url: str) -> Verified:
        self.target.note("verify", base_url)
        if self.red:
            self.red -= 1
            return Verified(ok=False, detail="checklist 7 of 8", evidence={"detail": "clone failed"})
        return Verified(ok=True, detail="checklist 8 of 8", evidence={"detail": "checklist 8 of 8"})


def env_file(home: Path, mode: str) -> None:
    (home / "understudy.env").write_text(f"# by hand\nTTS_PROVIDER_MODE={mode}\nLOG_LEVEL=info\n")


def reopened(home: Path, clock: ShiftedClock, **more: Any) -> IncidentBook:
    """The guard's file as a process that has just started opens it."""
    store = GuardStore(home / "guard.sqlite3", clock)
    book = IncidentBook(store, "local", clock, **more)
    book.lease = store.acquire("local", "guard-under-test", lifetime_s=600)
    return book


@asynccontextmanager
async def running(database: Database, home: Path) -> AsyncIterator[str]:
    """One api and one worker that hold the mode, and the address where the api names its provider."""
    env_file(home, "qwen")
    settings = settings_from({"TTS_PROVIDER_MODE": "qwen"})
    readers = [ModeReader(database, settings, kind=kind, clock=SystemClock()) for kind in ("api", "worker")]

    async def languages(_: web.Request) -> web.Response:
        return web.json_response({"provider": readers[0].view().value})

    app = web.Application()
    app.router.add_get("/api/languages", languages)
    runner = web.AppRunner(app, access_log=None)
    for reader in readers:
        await reader.start()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
        for reader in readers:
            await reader.stop()
