"""Redeployment: start the new process, see it ready, only then drain the old one; once for each key."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from understudy.clock import Clock
from understudy.errors import ConflictError, NotFoundError, ProcessError, UnderstudyError, ValidationError
from understudy.logs import get_logger
from understudy.processes.child import Child
from understudy.processes.home import read_json, write_private
from understudy.processes.service import Service, SpecOf

log = get_logger(__name__)

RUNNING, DONE, FAILED = "running", "done", "failed"
#: Deployments remembered; older ones are forgotten, and their ids could be used anew.
REMEMBERED = 500
#: The supervisor kills a draining process this long after its own drain deadline: a worker then still gives
#: back what it could not finish (ten seconds), so that it is taken over at once.
DRAIN_GRACE_S = 15.0


class Releases(Protocol):
    """Which release processes are started from."""

    @property
    def in_force(self) -> str:
        """Name of the release in force."""
        ...

    def check(self, name: str) -> None:
        """Raise :class:`ConfigurationError` unless processes can be started from that release."""
        ...

    def spec_of(self, kind: str, name: str) -> SpecOf:
        """How a process of ``kind`` is started from release ``name``."""
        ...

    def put_in_force(self, name: str) -> None:
        """From now on every process is started from it, by a later supervisor too."""
        ...


@dataclass(slots=True)
class Deployment:
    """One replacement of processes, as the control socket shows it.

    Parameters
    ----------
    release
        The release to start from; None leaves the one in force.
    """

    id: str
    kinds: list[str]
    requested_at: str
    state: str = RUNNING
    error: str | None = None
    finished_at: str | None = None
    release: str | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)


class Deployments:
    """Every deployment of this home, on disk before it begins and after each step.

    Parameters
    ----------
    check
        Reads the environment file and raises where a new process could not start with it; returns the
        seconds a process may drain.
    releases
        Where the code of a deployment can be chosen; without it each starts from what it was started from.
    """

    def __init__(
        self,
        path: Path,
        services: Mapping[str, Service],
        *,
        deployable: Sequence[str],
        check: Callable[[], float],
        clock: Clock,
        releases: Releases | None = None,
    ) -> None:
        self._path = path
        self._services = services
        self._deployable = tuple(deployable)
        self._check = check
        self._clock = clock
        self._releases = releases
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        remembered = read_json(path) or []
        self._known = {item["id"]: Deployment(**item) for item in remembered}

    def request(self, key: str, kinds: Sequence[str], *, release: str | None = None) -> Deployment:
        """The deployment ``key``: begun now when it is new, as it stands when it is not.

        Raises
        ------
        ValidationError
            The key is empty or long, or a kind cannot be deployed here; a release was named without naming
            every kind.
        ConfigurationError
            Processes cannot be started from that release.
        ConflictError
            The key already means other kinds, or another release.
        """
        if not 1 <= len(key) <= 200:
            raise ValidationError("id must have 1 to 200 characters.")
        wanted = list(dict.fromkeys(kinds))
        unknown = [kind for kind in wanted if kind not in self._deployable or kind not in self._services]
        if unknown or not wanted:
            raise ValidationError(
                f"kinds must be some of {', '.join(self._deployable)}; got {unknown or 'none'}."
            )
        known = self._known.get(key)
        if known is not None:
            if (known.kinds, known.release) != (wanted, release):
                of = f" of release {known.release}" if known.release else ""
                raise ConflictError(f"Deployment {key} already means {', '.join(known.kinds)}{of}.")
            return known
        if release is not None:
            self._check_release(release, wanted)
        deployment = Deployment(key, wanted, requested_at=self._clock.now().isoformat(), release=release)
        self._known[key] = deployment
        try:
            self._save()
        except OSError as error:  # not on disk: a restarted supervisor could run it twice, so it is not begun
            del self._known[key]
            raise ProcessError(f"The deployment cannot be recorded: {error.strerror}.") from error
        task = asyncio.create_task(self._run(deployment), name=f"deployment-{key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return deployment

    def get(self, key: str) -> Deployment:
        """The deployment ``key``; raises :class:`NotFoundError`."""
        if key not in self._known:
            raise NotFoundError("There is no such deployment.")
        return self._known[key]

    def settle_interrupted(self) -> None:
        """Close deployments that an earlier supervisor left running.

        Called when every process of this supervisor is ready: each was started from the file as it is now,
        which is what the deployment was for, and the old ones ended with the old supervisor. One that had not
        put its release in force failed: every process runs the release from before.
        """
        for deployment in self._known.values():
            if deployment.state != RUNNING:
                continue
            in_force = self._releases.in_force if self._releases is not None else None
            if deployment.release not in {None, in_force}:
                said = f"The supervisor restarted before release {deployment.release} was in force."
                self._finish(deployment, FAILED, said)
            else:
                self._step(deployment, "superseded", detail="the supervisor restarted; every process is new")
                self._finish(deployment, DONE)

    async def stop(self) -> None:
        """Cut running deployments short; a later supervisor settles them."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, deployment: Deployment) -> None:
        async with self._one_at_a_time:
            try:
                drain_s = self._check()
                self._step(deployment, "environment_read")
                if deployment.release is not None:
                    self._check_release(deployment.release, deployment.kinds)
                replaced = await self._start_new(deployment)
            except UnderstudyError as error:
                self._finish(deployment, FAILED, error.message)
                return
            await asyncio.gather(
                *(self._drain(deployment, kind, old, drain_s) for kind, old in replaced if old is not None)
            )
            self._finish(deployment, DONE)

    async def _start_new(self, deployment: Deployment) -> list[tuple[str, Child | None]]:
        """All new processes ready and in place, or none of them: then the old ones never noticed."""
        services = [self._services[kind] for kind in deployment.kinds]
        async with AsyncExitStack() as held:
            for service in services:
                await held.enter_async_context(service.changing)
            starting = [
                asyncio.create_task(service.spawn(self._spec_of(deployment, service.name)))
                for service in services
            ]
            try:
                fresh = await _all_or_cancel(starting)
                self._put_in_force(deployment)
            except BaseException:
                for service, task in zip(services, starting, strict=True):
                    if not task.cancelled() and task.exception() is None:
                        await service.discard(task.result())
                raise
            replaced: list[tuple[str, Child | None]] = []
            for service, child in zip(services, fresh, strict=True):
                before = service.promote(child)
                self._step(
                    deployment, "new_ready", kind=service.name, instance=str(child.instance), pid=child.pid
                )
                replaced.append((service.name, before if before and before.exit_code is None else None))
            return replaced

    def _check_release(self, release: str, kinds: Sequence[str]) -> None:
        if self._releases is None:
            raise ValidationError("No release can be chosen here.")
        left_out = sorted(set(self._deployable) & self._services.keys() - set(kinds))
        if left_out:
            raise ValidationError(f"A release replaces every kind; {', '.join(left_out)} is left out.")
        self._releases.check(release)

    def _spec_of(self, deployment: Deployment, kind: str) -> SpecOf | None:
        if deployment.release is None or self._releases is None:
            return None
        return self._releases.spec_of(kind, deployment.release)

    def _put_in_force(self, deployment: Deployment) -> None:
        """Between ready and taking over: a supervisor that restarts after it starts the new one."""
        if deployment.release is None or self._releases is None:
            return
        try:
            self._releases.put_in_force(deployment.release)
        except OSError as error:  # a restarted supervisor would start the old code again, with no word
            raise ProcessError(f"The release cannot be recorded: {error.strerror}.") from error
        self._step(deployment, "release_in_force", release=deployment.release)

    async def _drain(self, deployment: Deployment, kind: str, old: Child, drain_s: float) -> None:
        facts = {"kind": kind, "instance": str(old.instance), "pid": old.pid}
        self._step(deployment, "old_draining", **facts)
        finished = await self._services[kind].retire(old, within_s=drain_s + DRAIN_GRACE_S)
        self._step(deployment, "old_stopped" if finished else "old_killed", **facts)

    def _step(self, deployment: Deployment, step: str, **facts: Any) -> None:
        deployment.steps.append({"at": self._clock.now().isoformat(), "step": step, **facts})
        self._save_if_possible()

    def _finish(self, deployment: Deployment, state: str, error: str | None = None) -> None:
        deployment.state = state
        deployment.error = error
        deployment.finished_at = self._clock.now().isoformat()
        self._save_if_possible()

    def _save_if_possible(self) -> None:
        try:
            self._save()
        except OSError as error:  # a full disk must not stop a rollback: memory still answers for this run
            log.warning("deployments_not_saved", error=error.strerror)

    def _save(self) -> None:
        surplus = list(self._known)[:-REMEMBERED]
        for key in surplus:
            del self._known[key]
        write_private(self._path, json.dumps([asdict(item) for item in self._known.values()]))


async def _all_or_cancel(starting: Sequence[asyncio.Task[Child]]) -> list[Child]:
    """Every result, or the first failure once the others have ended too."""
    try:
        await asyncio.wait(starting, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
    failures = [task.exception() for task in starting if not task.cancelled() and task.exception()]
    if failures and failures[0] is not None:
        raise failures[0]
    if any(task.cancelled() for task in starting):
        raise ProcessError("The deployment was cut short.")
    return [task.result() for task in starting]
