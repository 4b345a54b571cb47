"""The database of a deployment behind programs: backups are listed, taken, proven and restored by them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, SecretStr, ValidationError

from understudy.clock import Clock
from understudy.environments import CommandSet, DatabaseCommands
from understudy.errors import TargetError
from understudy.restoration.targets.base import Backup, Deployment, DeploymentState
from understudy.restoration.targets.command_job import JOBS_DIR, Job, Jobs, JobState

PROOFS_FILE = JOBS_DIR / "verified.json"


class Runner(Protocol):
    """Runs commands of the environment."""

    async def ask(
        self, argv: tuple[str, ...], *, given: Any = None, timeout_s: float | None = None, **words: str
    ) -> Any:
        """Run one to its end and return the JSON it prints."""
        ...

    def job(self, job_id: str, what: str, argv: tuple[str, ...], clock: Clock, **words: str) -> Job:
        """Return the job that runs ``argv``."""
        ...

    def variables(self) -> dict[str, str]:
        """What a program sees."""
        ...


class _Listed(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str
    created_at: AwareDatetime
    size_bytes: int | None = None
    problem: str | None = None


class CommandDatabase:
    """Backups by command. A restore is in place: nothing here can hold a second database beside."""

    def __init__(self, commands: CommandSet, runner: Runner, jobs: Jobs, home: Path, clock: Clock) -> None:
        self._timeout_s = commands.timeout_s
        self._commands = _present(commands.database)
        self._runner = runner
        self._jobs = jobs
        self._proofs = home / PROOFS_FILE
        self._clock = clock

    async def backups(self) -> tuple[Backup, ...]:
        """Backups, newest first, each with the proof that was made of it from here."""
        answer = await self._runner.ask(self._commands.backups)
        if not isinstance(answer, list):
            raise TargetError("The command backups must print a list.")
        proofs = await asyncio.to_thread(self._read_proofs)
        found = [_backup(item, proofs) for item in answer]
        return tuple(sorted(found, key=lambda each: each.created_at, reverse=True))

    async def take_backup(self, key: str, *, reason: str) -> Backup:  # noqa: ARG002  # the key names it there
        """Take one now; the command answers the same key with the same backup."""
        answer = await self._runner.ask(self._commands.take, timeout_s=self._timeout_s, key=key)
        return _backup(answer, {})

    async def verify_backup(self, backup_id: str) -> Backup:
        """Let the command prove it, and remember when it did."""
        known = {each.id: each for each in await self.backups()}
        if backup_id not in known:
            raise TargetError(f"There is no backup {backup_id}.")
        await self._runner.ask(self._commands.verify, timeout_s=self._timeout_s, backup_id=backup_id)
        now = self._clock.now()
        await asyncio.to_thread(self._write_proof, backup_id, now)
        return replace(known[backup_id], verified_at=now)

    async def begin_restore(self, key: str, backup_id: str) -> Deployment:
        """Begin to restore it in place, once for a key."""
        job = self._runner.job(
            f"restore:{key}", "restore", self._commands.restore, self._clock, key=key, backup_id=backup_id
        )
        await asyncio.to_thread(self._jobs.begin, job, self._runner.variables())
        return await self.restoration(key) or Deployment(key, DeploymentState.RUNNING)

    async def restoration(self, key: str) -> Deployment | None:
        """Return how far the restore of that key is."""
        job = await asyncio.to_thread(self._jobs.look, f"restore:{key}")
        return replace(deployment_of(job), id=key) if job is not None else None

    async def restored(self, key: str) -> SecretStr | None:  # noqa: ARG002
        """Nothing stands beside: the restore is in place."""
        return None

    async def swap(self, key: str) -> None:
        """Nothing to swap: the restore is in place."""

    def _read_proofs(self) -> dict[str, datetime]:
        try:
            document = json.loads(self._proofs.read_text("utf-8"))
            return {name: datetime.fromisoformat(at) for name, at in document.items()}
        except (OSError, ValueError, AttributeError):
            return {}

    def _write_proof(self, backup_id: str, at: datetime) -> None:
        proofs = {name: each.isoformat() for name, each in self._read_proofs().items()}
        scratch = self._proofs.with_suffix(".new")
        try:
            self._proofs.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            scratch.write_text(json.dumps(proofs | {backup_id: at.isoformat()}), encoding="utf-8")
            scratch.replace(self._proofs)
        except OSError as error:
            raise TargetError(f"{self._proofs} cannot be written: {error.strerror}.") from error


def deployment_of(job: Job) -> Deployment:
    """Return the job as a deployment; an unknown outcome is a failure that says so."""
    match job.state:
        case JobState.BEGUN | JobState.STARTED:
            return Deployment(job.id, DeploymentState.RUNNING)
        case JobState.DONE:
            return Deployment(job.id, DeploymentState.DONE)
        case JobState.FAILED:
            return Deployment(job.id, DeploymentState.FAILED, error=job.error)
    return Deployment(
        job.id,
        DeploymentState.FAILED,
        error=f"its outcome is unknown: {job.error}. Look at the deployment before anything is begun again",
    )


def _present(commands: DatabaseCommands | None) -> DatabaseCommands:
    if commands is None:
        raise TargetError("The environment has no commands for its database.")
    return commands


def _backup(item: Any, proofs: dict[str, datetime]) -> Backup:
    try:
        listed = _Listed.model_validate(item)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise TargetError(
            f"A backup must have an id and created_at with a zone: {where} {problem['msg']}."
        ) from None
    return Backup(
        id=listed.id,
        created_at=listed.created_at,
        size_bytes=listed.size_bytes,
        verified_at=proofs.get(listed.id),
        problem=listed.problem,
    )
