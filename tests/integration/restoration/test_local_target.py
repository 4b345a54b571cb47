"""The local target against the supervisor's real control server, real processes behind it."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from understudy.clock import SystemClock
from understudy.errors import TargetError
from understudy.processes.child import ChildSpec, LogFile
from understudy.processes.control import ControlServer
from understudy.processes.deployments import Deployments
from understudy.processes.home import Home
from understudy.processes.service import Service
from understudy.restoration.targets.base import DeploymentState
from understudy.restoration.targets.local import LocalTarget

pytestmark = pytest.mark.integration

#: Ready at once, ends on SIGTERM; writes where it is told that it started.
PROGRAM = (
    "import pathlib, signal, sys\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    "open(sys.argv[2], 'a').write('x')\n"
    "pathlib.Path(sys.argv[1]).write_text('ready')\n"
    "signal.pause()\n"
)


@dataclass
class Machine:
    home: Home
    target: LocalTarget
    broken: list[str]

    def starts(self, name: str) -> int:
        return len((self.home.root / f"{name}.starts").read_text())


@pytest_asyncio.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    home = Home.at(tmp_path / "home")
    home.create()
    home.env_file.write_text("# mine\nTTS_PROVIDER_MODE=qwen\nSECRET=keep\n")
    broken: list[str] = []

    def spec(name: str, instance: uuid.UUID) -> ChildSpec:
        ready = home.ready / f"{name}-{instance}"
        program = "raise SystemExit('cannot start')" if broken else PROGRAM
        argv = (sys.executable, "-c", program, str(ready), str(home.root / f"{name}.starts"))
        return ChildSpec(name=name, argv=argv, environment={"PATH": "/usr/bin:/bin"}, ready_file=ready)

    logs = {name: LogFile(home.logs / f"{name}.log") for name in ("api", "worker")}
    services = {
        name: Service(
            name,
            lambda instance, name=name: spec(name, instance),  # type: ignore[misc]
            log=log,
            clock=SystemClock(),
            notify=lambda _: None,
        )
        for name, log in logs.items()
    }
    deployments = Deployments(
        home.deployments_file,
        services,
        deployable=("api", "worker"),
        check=lambda: 5.0,
        clock=SystemClock(),
    )
    control = ControlServer(
        home,
        status=lambda: {"processes": [], "addresses": {"api": "http://127.0.0.1:1234/"}},
        deployments=deployments,
        request_stop=lambda: None,
    )
    await asyncio.gather(*(service.start() for service in services.values()))
    await control.start()
    try:
        yield Machine(home, LocalTarget(home.root), broken)
    finally:
        await control.stop()
        await deployments.stop()
        await asyncio.gather(*(service.stop() for service in services.values()))
        for log in logs.values():
            log.close()


async def settled(machine: Machine, name: str, eventually: Callable[..., Any]) -> DeploymentState:
    async def done() -> bool:
        deployment = await machine.target.deployment(name)
        return deployment is not None and deployment.state is not DeploymentState.RUNNING

    await eventually(done, what="a settled deployment", within_s=20)
    deployment = await machine.target.deployment(name)
    assert deployment is not None
    return deployment.state


async def test_one_id_replaces_the_processes_once(machine: Machine, eventually: Callable[..., Any]) -> None:
    assert await machine.target.deployment("inc-1:redeploy") is None
    begun = await machine.target.redeploy("inc-1:redeploy")
    assert begun.id == "inc-1:redeploy"
    assert await settled(machine, "inc-1:redeploy", eventually) is DeploymentState.DONE
    assert (await machine.target.redeploy("inc-1:redeploy")).state is DeploymentState.DONE
    assert (machine.starts("api"), machine.starts("worker")) == (2, 2)


async def test_a_deployment_that_cannot_start_fails_with_its_reason(
    machine: Machine, eventually: Callable[..., Any]
) -> None:
    machine.broken.append("yes")
    await machine.target.redeploy("inc-2:redeploy")
    assert await settled(machine, "inc-2:redeploy", eventually) is DeploymentState.FAILED
    deployment = await machine.target.deployment("inc-2:redeploy")
    assert deployment is not None
    assert deployment.error


async def test_the_environment_file_is_edited_and_the_rest_stays(machine: Machine) -> None:
    assert await machine.target.read_env(["TTS_PROVIDER_MODE", "ABSENT"]) == {"TTS_PROVIDER_MODE": "qwen"}
    await machine.target.write_env({"TTS_PROVIDER_MODE": "modal"})
    assert machine.home.env_file.read_text() == "# mine\nTTS_PROVIDER_MODE=modal\nSECRET=keep\n"


async def test_the_supervisor_says_where_the_api_is(machine: Machine) -> None:
    assert await machine.target.base_url() == "http://127.0.0.1:1234"


async def test_without_a_supervisor_the_target_says_so(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path)
    with pytest.raises(TargetError, match="understudy up"):
        await target.redeploy("x")
    with pytest.raises(TargetError, match="cannot be read"):
        await target.read_env(["TTS_PROVIDER_MODE"])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "control.json").write_text('{"url": "http://127.0.0.1:1", "token": "t"}')
    with pytest.raises(TargetError, match="does not answer"):
        await target.deployment("x")
