"""A deployment that names a release: in force when it is ready, not before, and over a restart."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.small_release import small_release
from understudy.clock import SystemClock
from understudy.errors import ConfigurationError, ConflictError, ValidationError
from understudy.processes.child import ChildSpec, LogFile
from understudy.processes.control import ControlServer
from understudy.processes.deployments import Deployments
from understudy.processes.home import Home
from understudy.processes.service import Service
from understudy.processes.serving import OWN_CODE, ServingRelease
from understudy.releases.release import Release
from understudy.restoration.targets.base import DeploymentState
from understudy.restoration.targets.local import LocalTarget

pytestmark = pytest.mark.integration

ONE, TWO = "1" * 40, "2" * 40
#: Ready at once with what it says it runs, ends on SIGTERM.
PROGRAM = (
    "import pathlib, signal, sys\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    "pathlib.Path(sys.argv[1]).write_text(sys.argv[2])\n"
    "signal.pause()\n"
)


@dataclass
class Machine:
    """One home; a restart makes a supervisor anew from what lies there."""

    home: Home
    says: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        clock = SystemClock()
        kinds = {name: self._spec_of(name) for name in ("api", "worker")}
        self.serving = ServingRelease(self.home, kinds, clock=clock)
        self.serving.load()
        self.logs = {name: LogFile(self.home.logs / f"{name}.log") for name in kinds}
        self.services = {
            name: Service(name, self.serving.spec_in_force(name), log=log, clock=clock, notify=lambda _: None)
            for name, log in self.logs.items()
        }
        self.deployments = Deployments(
            self.home.deployments_file,
            self.services,
            deployable=("api", "worker"),
            check=lambda: 5.0,
            clock=clock,
            releases=self.serving,
        )
        self.control = ControlServer(
            self.home,
            status=lambda: {"processes": [row for s in self.services.values() for row in s.rows()]},
            deployments=self.deployments,
            request_stop=lambda: None,
        )
        self.target = LocalTarget(self.home.root)

    def _spec_of(self, kind: str) -> Any:
        def spec(instance: Any, release: Release | None) -> ChildSpec:
            ready = self.home.ready / f"{kind}-{instance}"
            name = release.name if release else OWN_CODE
            program = "raise SystemExit('a broken release')" if name in self.broken else PROGRAM
            interpreter = str(release.interpreter) if release else sys.executable
            said = f"{instance}\n" + self.says.get(name, f"{release.revision if release else 'own'}\n")
            return ChildSpec(
                name=kind,
                argv=(interpreter, "-c", program, str(ready), said),
                environment={"PATH": "/usr/bin:/bin"},
                ready_file=ready,
                release=release.name if release else None,
            )

        return spec

    async def start(self) -> None:
        for service in self.services.values():
            await service.start()
        self.deployments.settle_interrupted()
        await self.control.start()

    async def stop(self) -> None:
        await self.control.stop()
        await self.deployments.stop()
        for service in self.services.values():
            await service.stop()
        for log in self.logs.values():
            log.close()

    def running(self) -> set[tuple[str | None, str | None]]:
        return {
            (row["release"], row["revision"])
            for service in self.services.values()
            for row in service.rows()
            if row["state"] == "ready"
        }


@pytest_asyncio.fixture
async def machines(tmp_path: Path) -> AsyncIterator[list[Machine]]:
    """The newest is the one that runs."""
    home = Home.at(tmp_path / "home")
    home.create()
    running = [Machine(home)]
    await running[0].start()
    yield running
    await running[-1].stop()


@pytest.fixture
def machine(machines: list[Machine]) -> Machine:
    return machines[0]


async def restarted(machines: list[Machine]) -> Machine:
    await machines[-1].stop()
    machines.append(replace(machines[-1]))
    await machines[-1].start()
    return machines[-1]


async def settled(machine: Machine, key: str, eventually: Any) -> Any:
    await eventually(lambda: machine.deployments.get(key).state != "running", what=f"{key} ends", within_s=60)
    return machine.deployments.get(key)


async def test_a_release_replaces_every_kind_and_stays_in_force(machine: Machine, eventually: Any) -> None:
    assert (machine.running(), await machine.target.revision()) == ({(None, "own")}, "own")
    release = small_release(machine.home.root, ONE)
    await machine.target.deploy_revision("d1", ONE)
    done = await settled(machine, "d1", eventually)
    assert (done.state, done.release) == ("done", release.name)
    steps = [step["step"] for step in done.steps]
    assert steps.index("release_in_force") < steps.index("new_ready")
    assert machine.running() == {(release.name, ONE)}
    assert await machine.target.revision() == ONE
    kept = json.loads(machine.home.release_file.read_text())
    assert (kept["name"], kept["revision"]) == (release.name, ONE)

    # A redeploy that names none keeps it, and so does the restart of a process that died.
    await machine.target.redeploy("d2")
    assert (await settled(machine, "d2", eventually)).state == "done"
    assert machine.running() == {(release.name, ONE)}
    api = machine.services["api"]
    assert api.current is not None
    api.current.kill_now()
    await eventually(lambda: api.restarts == 1, what="the api is restarted", within_s=60)
    assert machine.running() == {(release.name, ONE)}

    machine.deployments.request("d3", ["api", "worker"], release=OWN_CODE)
    assert (await settled(machine, "d3", eventually)).state == "done"
    assert machine.running() == {(None, "own")}
    assert not machine.home.release_file.exists()


async def test_one_that_does_not_start_changes_nothing(machine: Machine, eventually: Any) -> None:
    release = small_release(machine.home.root, ONE)
    before = {service.current for service in machine.services.values()}
    machine.broken.add(release.name)
    await machine.target.deploy_revision("d1", ONE)
    failed = await settled(machine, "d1", eventually)
    assert failed.state == "failed"
    assert "a broken release" in str(failed.error)
    assert {service.current for service in machine.services.values()} == before
    assert not machine.home.release_file.exists()
    deployment = await machine.target.deployment("d1")
    assert deployment is not None
    assert deployment.state is DeploymentState.FAILED


async def test_a_restarted_supervisor_goes_on_with_the_release(
    machines: list[Machine], eventually: Any
) -> None:
    home = machines[0].home
    release = small_release(home.root, ONE)
    await machines[0].target.deploy_revision("d1", ONE)
    await settled(machines[0], "d1", eventually)
    again = await restarted(machines)
    assert again.running() == {(release.name, ONE)}
    assert (await again.target.deploy_revision("d1", ONE)).state is DeploymentState.DONE
    release.interpreter.unlink()
    with pytest.raises(ConfigurationError, match="remove that file"):
        ServingRelease(home, {}, clock=SystemClock()).load()


@pytest.mark.parametrize(("in_force", "state"), [(ONE, "done"), (TWO, "failed")])
async def test_a_deployment_cut_short_ended_as_what_is_in_force_says(
    machines: list[Machine], in_force: str, state: str
) -> None:
    names = {revision: small_release(machines[0].home.root, revision).name for revision in (ONE, TWO)}
    begun = machines[0].deployments.request("d1", ["api", "worker"], release=names[ONE])
    assert begun.state == "running"  # its task has not had a turn yet: the supervisor dies first
    machines[0].serving.put_in_force(names[in_force])
    again = await restarted(machines)
    ended = again.deployments.get("d1")
    assert (ended.state, again.running()) == (state, {(names[in_force], in_force)})
    assert ("was in force" in str(ended.error)) is (state == "failed")


async def test_what_cannot_be_deployed_is_refused_before_anything_begins(machine: Machine) -> None:
    name = small_release(machine.home.root, ONE).name
    for wrong in ("../releases", "333333333333", ".hidden"):
        with pytest.raises(ConfigurationError):
            machine.deployments.request("d1", ["api", "worker"], release=wrong)
    with pytest.raises(ValidationError, match="worker is left out"):
        machine.deployments.request("d1", ["api"], release=name)
    assert not machine.home.deployments_file.exists()
    machine.deployments.request("d1", ["api", "worker"], release=name)
    with pytest.raises(ConflictError, match="of release 111111111111"):
        machine.deployments.request("d1", ["api", "worker"])


async def test_code_that_says_nothing_is_known_by_the_release_it_was_started_from(
    machine: Machine, eventually: Any
) -> None:
    release = small_release(machine.home.root, ONE)
    machine.says |= {release.name: "", OWN_CODE: ""}
    await machine.target.deploy_revision("d1", ONE)
    await settled(machine, "d1", eventually)
    assert machine.running() == {(release.name, None)}
    assert await machine.target.revision() == ONE
    # Of the checkout's own silent code nobody knows anything.
    machine.deployments.request("d2", ["api", "worker"], release=OWN_CODE)
    await settled(machine, "d2", eventually)
    assert await machine.target.revision() is None
