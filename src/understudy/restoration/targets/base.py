"""What a restoration acts on: a deployment whose environment can be changed and which can be started anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from pydantic import SecretStr

#: The variable of the playbook's first response.
MODE_VARIABLE = "TTS_PROVIDER_MODE"


@dataclass(frozen=True, slots=True)
class TargetCapabilities:
    """What a target can do beyond the least.

    Parameters
    ----------
    live_switch
        Its processes follow the mode row in the database, so a switch is in force before any redeploy.
    restore_beside
        A backup can be restored into another database, checked there, and then swapped in.
    """

    live_switch: bool
    restore_beside: bool


class DeploymentState(StrEnum):
    """Where a deployment stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment, known by the id that whoever ordered it gave (its idempotency key)."""

    id: str
    state: DeploymentState
    error: str | None = None
    steps: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup that can be restored.

    Parameters
    ----------
    id
        Its name at the target.
    created_at
        The moment it holds, UTC.
    size_bytes
        Of everything in it; None where the target does not say.
    verified_at
        When a restore of it was last proven; None before the first proof.
    problem
        Why it cannot be used, in one sentence; None while nothing speaks against it.
    only_old
        Whether ``problem`` is its age and nothing else: a person may name it all the same.
    """

    id: str
    created_at: datetime
    size_bytes: int | None = None
    verified_at: datetime | None = None
    problem: str | None = None
    only_old: bool = False

    def document(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "id": self.id,
            "created_at": self.created_at.isoformat(),
            "size_bytes": self.size_bytes,
            "verified_at": self.verified_at.isoformat() if self.verified_at else None,
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True)
class AppliedMigration:
    """One entry of the database's migration history; the digest is None where none was recorded."""

    version: str
    name: str
    sha256: str | None = None


class RestorableDatabase(Protocol):
    """The database of a target; each method raises :class:`understudy.errors.TargetError` when it cannot."""

    async def backups(self) -> tuple[Backup, ...]:
        """Backups, newest first."""
        ...

    async def take_backup(self, key: str, *, reason: str) -> Backup:
        """Take one now; the same key is answered with the same backup."""
        ...

    async def verify_backup(self, backup_id: str) -> Backup:
        """Prove it: checksums, full decode, a restore into a scratch database; the proof is recorded."""
        ...

    async def begin_restore(self, key: str, backup_id: str) -> Deployment:
        """Begin to restore it, beside the present database or in its place; one key never begins twice."""
        ...

    async def restoration(self, key: str) -> Deployment | None:
        """Return how far the restore of that key is, or None when it was never begun."""
        ...

    async def restored(self, key: str) -> SecretStr | None:
        """Return the owner's URL of the database beside; None where the restore is in place."""
        ...

    async def swap(self, key: str) -> None:
        """Name the restored database as the one to start from; in force with the next deployment."""
        ...


@runtime_checkable
class WorksHere(Protocol):
    """A database whose restores are work of this process."""

    async def close(self) -> None:
        """End what runs; whoever asks for the restore next begins it again."""
        ...


class Target(Protocol):
    """A deployment target; each method raises :class:`understudy.errors.TargetError` when it cannot do it."""

    @property
    def name(self) -> str:
        """``local``, ...; for records."""
        ...

    @property
    def capabilities(self) -> TargetCapabilities:
        """What this target can do."""
        ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of process that a redeploy replaces and that must be read back."""
        ...

    async def base_url(self) -> str:
        """Where the API answers."""
        ...

    async def read_env(self, names: Sequence[str]) -> dict[str, str]:
        """Durable values of ``names``; a name without a value is left out. Nothing else is read out."""
        ...

    async def write_env(self, changes: Mapping[str, str]) -> None:
        """Change durable values; in force with the next deployment."""
        ...

    async def redeploy(self, deployment_id: str) -> Deployment:
        """Begin to start everything anew from the durable environment; one id never starts twice."""
        ...

    async def deployment(self, deployment_id: str) -> Deployment | None:
        """Return the deployment of that id, or None when it was never begun."""
        ...

    async def deploy_revision(self, deployment_id: str, revision: str) -> Deployment:
        """Begin to replace the running code by that of ``revision``; one id never starts twice.

        Migrations and secrets stay as they are.
        """
        ...

    async def revision(self) -> str | None:
        """Return the revision that serves now, or None where nobody knows."""
        ...

    async def applied_migrations(self) -> tuple[AppliedMigration, ...]:
        """Return the migration history of the database, oldest first."""
        ...

    @property
    def database(self) -> RestorableDatabase | None:
        """The database's backups and restores, or None where this target has no way to them."""
        ...


async def let_go(target: Target) -> None:
    """End what this process does for ``target``: it leads no more, and another may do it from now on."""
    database = target.database
    if database is not None and isinstance(database, WorksHere):
        await database.close()
