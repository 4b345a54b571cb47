"""A service small enough to be guarded for minutes: real database and mode, effects that are counted."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.integration.broken_deployment import BrokenDeployment
from tests.integration.conftest import DatabaseUrls
from understudy.clock import SystemClock
from understudy.envfile import set_in_env_file
from understudy.resources import playbook_file
from understudy.rollout.mode import ModeReader, set_mode
from understudy.settings import settings_from
from understudy.standins.app import running_standins
from understudy.standins.configuration import StandInSettings
from understudy.store.calls import CallRecord, insert_calls
from understudy.store.database import Database
from understudy.store.guard import GUARD_FILE, GuardStore

WINDOW_S = 5
TENANTS = 6
#: Users' calls a second: enough for the guarded rule in each window.
CALLS_A_SECOND = 8
BATCH_S = 0.25
CLASSES = ("transport", "protocol", "provider")


class Api(BrokenDeployment):
    """Keeps the contract, and names the provider that its process holds."""

    def __init__(self, reader: ModeReader) -> None:
        super().__init__()
        self._reader = reader

    async def languages(self, request: web.Request) -> web.Response:
        answer = await super().languages(request)
        body = json.loads(answer.body)  # type: ignore[arg-type]  # it is bytes
        return web.json_response({**body, "provider": self._reader.view().value})


@dataclass
class Supervisor:
    """Speaks the control protocol; a deployment takes half a second and is counted."""

    api: str = ""
    begun: Counter[str] = field(default_factory=Counter)
    done: set[str] = field(default_factory=set)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/status", self.status)
        app.router.add_post("/v1/deployments", self.begin)
        app.router.add_get("/v1/deployments/{id}", self.deployment)
        return app

    async def status(self, _: web.Request) -> web.Response:
        return web.json_response({"processes": [], "addresses": {"api": self.api}})

    async def begin(self, request: web.Request) -> web.Response:
        identifier = (await request.json())["id"]
        self.begun[identifier] += 1
        asyncio.get_running_loop().call_later(0.5, self.done.add, identifier)
        return web.json_response(self._document(identifier), status=202)

    async def deployment(self, request: web.Request) -> web.Response:
        identifier = request.match_info["id"]
        if identifier not in self.begun:
            return web.json_response({"detail": "There is no such deployment."}, status=404)
        return web.json_response(self._document(identifier))

    def _document(self, identifier: str) -> dict[str, Any]:
        return {"id": identifier, "state": "done" if identifier in self.done else "running", "steps": []}


class GuardedService:
    """Database, mode readers, API, supervisor, traffic; the guard itself is a process.

    Parameters
    ----------
    random
        Chooses tenants and failures.
    """

    def __init__(self, home: Path, database: Database, readers: list[ModeReader], random: Random) -> None:
        self.home = home
        self.database = database
        self.readers = readers
        self.supervisor = Supervisor()
        self.failing = 0.0
        self.blips = 0
        self.guard: asyncio.subprocess.Process | None = None
        self._random = random
        self._tenants = [uuid4() for _ in range(TENANTS)]
        self._classes = itertools.cycle(CLASSES)

    async def start_guard(self) -> None:
        """Start the guard as a user would."""
        with (self.home / "guard.log").open("ab") as log:
            self.guard = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "understudy.cli.app", "guard", "--home", str(self.home)),
                *("--policy", str(self.home / "policy.yaml"), "--window-s", str(WINDOW_S)),
                env={"PATH": "", "UNDERSTUDY_ENV_FILE": str(self.home / "understudy.env")},
                stdout=asyncio.subprocess.DEVNULL,
                stderr=log,
            )

    async def end_guard(self, *, kill: bool) -> None:
        """End it: as an operator would, or as the machine might."""
        if self.guard is None:
            return
        with suppress(ProcessLookupError):
            self.guard.kill() if kill else self.guard.terminate()
        await self.guard.wait()

    def journal(self) -> GuardStore:
        """The guard's store, beside the guard."""
        return GuardStore(self.home / GUARD_FILE, SystemClock())

    async def go_forward(self) -> int:
        """Cut over to Qwen again, as a person does; return the epoch."""
        set_in_env_file(self.home / "understudy.env", {"TTS_PROVIDER_MODE": "qwen"})
        return (await set_mode(self.database, "qwen", actor="test", reason="cut over again")).epoch

    async def speak(self) -> None:
        """Users' calls, for ever: failing at Qwen as told, never at Modal."""
        carried = 0.0
        while True:
            carried += CALLS_A_SECOND * BATCH_S
            calls, carried = int(carried), carried % 1
            view = self.readers[0].view()
            records = [self._call(view.value, view.epoch) for _ in range(calls)]
            async with self.database.service() as conn:
                await insert_calls(conn, records)
            await asyncio.sleep(BATCH_S)

    def _call(self, provider: str, epoch: int) -> CallRecord:
        fails = provider == "qwen" and self._random.random() < self.failing
        if self.blips and provider == "qwen":
            self.blips, fails = self.blips - 1, True
        user: UUID = self._random.choice(self._tenants)
        return CallRecord(
            at=SystemClock().now(),
            operation="speak",
            provider=provider,
            model="any",
            outcome="failed" if fails else "ok",
            category="provider_unavailable" if fails else None,
            failure_class=next(self._classes) if fails else None,
            code="broken" if fails else None,
            latency_ms=100,
            mode_epoch=epoch,
            user_id=user,
        )


@asynccontextmanager
async def guarded_service(home: Path, urls: DatabaseUrls, random: Random) -> AsyncIterator[GuardedService]:
    """Everything but the guard, under traffic."""
    database = await Database.connect(urls.app, application_name="understudy-test")
    settings = settings_from({"TTS_PROVIDER_MODE": "qwen"})
    readers = [ModeReader(database, settings, kind=kind, clock=SystemClock()) for kind in ("api", "worker")]
    service = GuardedService(home, database, readers, random)
    for reader in readers:
        await reader.start()
    try:
        async with (
            TestServer(Api(readers[0]).app(), host="127.0.0.1") as api,
            TestServer(service.supervisor.app(), host="127.0.0.1") as control,
            running_standins(home / "standins", StandInSettings()) as addresses,
        ):
            service.supervisor.api = _url(api)
            (home / "run").mkdir(mode=0o700)
            (home / "run" / "control.json").write_text(json.dumps({"url": _url(control), "token": "t" * 32}))
            (home / "policy.yaml").write_text(yaml.safe_dump(quick_policy()))
            _write_environment(home, urls, addresses.modal)
            traffic = asyncio.create_task(service.speak())
            try:
                yield service
            finally:
                await service.end_guard(kill=True)
                traffic.cancel()
                with suppress(asyncio.CancelledError):
                    await traffic
    finally:
        for reader in readers:
            await reader.stop()
        await database.close()


def quick_policy() -> dict[str, Any]:
    """The playbook that ships, with a short lease and only the families that watch calls in force."""
    policy: dict[str, Any] = yaml.safe_load(playbook_file().read_text())
    for family in ("playback", "cost", "data_integrity", "security"):
        for check in policy["triggers"][family].values():
            if isinstance(check, dict) and "mode" in check:
                check["mode"] = "shadow"
    policy["limits"] |= {"lease_s": 3, "hold_retry_s": 1, "attempts": 20}
    return policy


def _write_environment(home: Path, urls: DatabaseUrls, modal: str) -> None:
    names = ("JOB_SUBMIT", "JOB_STATUS", "JOB_RESULT", "JOB_CANCEL")
    values = {
        "TTS_PROVIDER_MODE": "qwen",
        "DATABASE_URL": urls.app.get_secret_value(),
        "UNDERSTUDY_HOME": str(home),
        "GUARD_POLL_INTERVAL_S": "0.25",
        "PROBES": "off",  # what is counted here is what the guard does about users' calls
        **{f"MODAL_{name}": f"{modal}/{name.lower().replace('_', '-')}" for name in names},
        "MODAL_ENDPOINT_VOICE_DESIGN": f"{modal}/voice-design",
    }
    (home / "understudy.env").touch(mode=0o600)
    set_in_env_file(home / "understudy.env", dict(values))


def _url(server: TestServer) -> str:
    return str(server.make_url("")).rstrip("/")
