"""Deploying the edge function: one commit, once for one key, believed when the project lists it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from understudy.clock import Clock
from understudy.errors import TargetError
from understudy.logs import get_logger
from understudy.restoration.targets.base import Deployment, DeploymentState
from understudy.restoration.targets.supabase.cli import CliAnswer, SupabaseCli
from understudy.restoration.targets.supabase.management import FunctionRecord, ManagementApi
from understudy.restoration.targets.supabase.processes import is_alive
from understudy.restoration.targets.supabase.project import SupabaseProject
from understudy.restoration.targets.supabase.source import SourceRepository
from understudy.restoration.targets.supabase.state import ProjectState

#: Of a deployment's record these are evidence.
_SHOWN = (
    "function",
    "revision",
    "commit",
    "chosen",
    "fetched",
    "version_before",
    "version",
    "verify_jwt",
    "cli",
    "said",
)

log = get_logger(__name__)


class FunctionDeployments:
    """Deployments of one function, known by the keys their callers gave."""

    def __init__(
        self,
        project: SupabaseProject,
        cli: SupabaseCli,
        api: ManagementApi,
        state: ProjectState,
        clock: Clock,
    ) -> None:
        self._project = project
        self._cli = cli
        self._api = api
        self._state = state
        self._clock = clock
        self._source = SourceRepository(project.source)

    async def again(self, key: str) -> Deployment:
        """Deploy the code in force once more; isolates then start with the present secrets."""
        return await self._once(key, None)

    async def revision_of(self, key: str, revision: str) -> Deployment:
        """Deploy the code of ``revision``, after fetching every tag."""
        return await self._once(key, revision)

    async def find(self, key: str) -> Deployment | None:
        """Return the deployment of that key; one that was interrupted is looked up in the project.

        None where it never began, or where it is certain that nothing came of it.
        """
        entry = self._state.section("deployments").get(key)
        if entry is None:
            return None
        if entry["state"] != "begun":
            return _deployment(key, entry)
        now = await self._api.function()
        if now is not None and now.moved_since(entry["version_before"], entry["updated_before"]):
            return self._end(key, entry, now, said="interrupted; the list of functions shows it")
        age_s = (self._clock.now() - datetime.fromisoformat(entry["at"])).total_seconds()
        patience = self._project.patience
        if age_s < patience.settle_s or (age_s < 2 * patience.command_s and is_alive(entry.get("pid"))):
            return Deployment(key, DeploymentState.RUNNING)
        return None

    async def commit_in_force(self) -> str | None:
        """Return the commit of the version in force, or None where it was deployed by somebody else."""
        now, known = await self._api.function(), self._state.section("deployed").get(self._project.function)
        if now is None or known is None or known["version"] != now.version:
            return None
        return str(known["commit"])

    async def _once(self, key: str, revision: str | None) -> Deployment:
        found = await self.find(key)
        if found is not None:
            return found
        fetched = await self._source.fetch() if revision is not None else None
        wanted, chosen = await self._choose(revision)
        if wanted is None:
            return self._fail(key, {"function": self._project.function, "chosen": chosen}, chosen)
        commit = await self._source.commit(wanted)
        before = await self._api.function()
        entry: dict[str, Any] = {
            "state": "begun",
            "at": self._clock.now().isoformat(),
            "function": self._project.function,
            "revision": wanted,
            "commit": commit,
            "chosen": chosen,
            "fetched": fetched,
            "version_before": before.version if before else 0,
            "updated_before": before.updated_at if before else 0,
            "verify_jwt_before": before.verify_jwt if before else None,
            "cli": await self._cli.version(),
        }
        async with self._checked_out(commit) as folder:
            self._state.record("deployments", key, entry)

            def started(pid: int) -> None:
                entry["pid"] = pid
                self._state.record("deployments", key, entry)

            answer = await self._cli.run(
                "functions", "deploy", self._project.function, "--use-api", workdir=folder, started=started
            )
            now = await self._settled(entry, answer)
        if now is None:
            return self._fail(key, entry, _nothing_moved(answer, self._project.patience.settle_s))
        return self._end(key, entry, now, said=answer.message or "success")

    async def _choose(self, revision: str | None) -> tuple[str | None, str]:
        """What to deploy, and why that: the code in force, where it is known. None: a person must say."""
        if revision is not None:
            return revision, "asked for"
        in_force = await self.commit_in_force()
        if in_force is not None:
            return in_force, "the commit in force"
        if self._project.revision:
            return self._project.revision, "the configured revision: what is in force was deployed elsewhere"
        return None, (
            f"What {self._project.function} serves was deployed elsewhere, so which code to deploy again is "
            f"not known, and nothing was deployed. Set `revision` of this environment in understudy.toml to "
            f"the branch or tag in force; a code rollback deploys the known-good record's."
        )

    @asynccontextmanager
    async def _checked_out(self, commit: str) -> AsyncIterator[Path]:
        """A worktree that holds the function: without it the CLI uploads nothing, and calls that success."""
        async with self._source.worktree(commit) as folder:
            for needed in (self._project.entrypoint, Path("supabase") / "config.toml"):
                if not (folder / needed).is_file():
                    raise TargetError(f"Commit {commit[:12]} has no {needed}: it cannot be deployed.")
            yield folder

    async def _settled(self, entry: Mapping[str, Any], answer: CliAnswer) -> FunctionRecord | None:
        """Return the function once it moved; an outcome nobody told gets time to show."""
        until_s = self._clock.monotonic_s() + self._project.patience.settle_s
        while True:
            now = await self._api.function()
            if now is not None and now.moved_since(entry["version_before"], entry["updated_before"]):
                return now
            refused = not answer.ok and not answer.timed_out
            if refused or self._clock.monotonic_s() >= until_s:
                return None
            await self._clock.sleep(self._project.patience.look_every_s)

    def _end(self, key: str, entry: dict[str, Any], now: FunctionRecord, *, said: str) -> Deployment:
        """It moved: good, unless the gateway now treats callers differently, or it does not run."""
        entry |= {
            "version": now.version,
            "updated": now.updated_at,
            "verify_jwt": now.verify_jwt,
            "said": said,
        }
        deployed = {"commit": entry["commit"], "version": now.version, "at": self._clock.now().isoformat()}
        self._state.record("deployed", self._project.function, deployed)
        was = entry["verify_jwt_before"]
        if was is not None and now.verify_jwt != was:
            return self._fail(
                key,
                entry,
                f"verify_jwt of {self._project.function} went from {str(was).lower()} to "
                f"{str(now.verify_jwt).lower()}: the gateway now treats callers differently. Compare "
                f"[functions.{self._project.function}] in supabase/config.toml of {entry['commit'][:12]}.",
            )
        if now.status != "ACTIVE":
            return self._fail(key, entry, f"{self._project.function} is {now.status} after the deployment.")
        entry["state"] = DeploymentState.DONE.value
        self._state.record("deployments", key, entry)
        log.info("function_deployed", function=self._project.function, version=now.version, key=key)
        return _deployment(key, entry)

    def _fail(self, key: str, entry: dict[str, Any], error: str) -> Deployment:
        entry |= {"state": DeploymentState.FAILED.value, "error": error}
        self._state.record("deployments", key, entry)
        return _deployment(key, entry)


def _nothing_moved(answer: CliAnswer, settle_s: float) -> str:
    if answer.timed_out:
        return (
            f"The outcome of the deployment is unknown ({answer.message}), and {settle_s:g} s later the old "
            f"version is still in force."
        )
    if answer.ok:
        return (
            f"The CLI reported success, but {settle_s:g} s later the old version is still in force: nothing "
            f"was deployed."
        )
    return f"The CLI refused: {answer.message}. The old version is still in force."


def _deployment(key: str, entry: Mapping[str, Any]) -> Deployment:
    step = {name: entry[name] for name in _SHOWN if entry.get(name) is not None}
    return Deployment(key, DeploymentState(entry["state"]), error=entry.get("error"), steps=(step,))
