"""The project's database: point-in-time recovery in place, for there is none beside it to swap in."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from understudy.clock import Clock
from understudy.errors import TargetError, UnderstudyError
from understudy.logs import get_logger
from understudy.restoration.targets.base import Backup, Deployment, DeploymentState
from understudy.restoration.targets.supabase.cli import SupabaseCli
from understudy.restoration.targets.supabase.management import BackupsRecord, ManagementApi
from understudy.restoration.targets.supabase.processes import is_alive
from understudy.restoration.targets.supabase.project import SupabaseProject
from understudy.restoration.targets.supabase.state import ProjectState
from understudy.store.backups.programs import programs_for
from understudy.store.migrations import connect_owner

#: Points offered: every so often within the last day, and before that. Any second between may be named.
_CLOSE, _FAR, _CLOSE_FOR = timedelta(minutes=5), timedelta(hours=1), timedelta(days=1)
_POINT = re.compile(r"pitr:(\d{1,12})\Z")
#: Schemas of the platform that a project's own role cannot read, or that a new project brings along.
_PLATFORM_SCHEMAS = (
    "_analytics",
    "_realtime",
    "_supavisor",
    "extensions",
    "graphql",
    "graphql_public",
    "net",
    "pgbouncer",
    "pgsodium",
    "pgsodium_masks",
    "realtime",
    "supabase_functions",
    "vault",
)
NO_PITR = (
    "Point-in-time recovery is not enabled for this project, and the Management API applies no daily backup: "
    "make a fresh project, restore the newest good dump there, and move the service to it (docs/supabase.md)."
)

log = get_logger(__name__)


class ProjectDatabase:
    """Backups and restores of the project's database.

    Parameters
    ----------
    url
        The owner's address of it, on the session port; only for the dump before a restore.
    folder
        Where such dumps are kept.
    """

    def __init__(
        self,
        project: SupabaseProject,
        cli: SupabaseCli,
        api: ManagementApi,
        state: ProjectState,
        clock: Clock,
        *,
        url: SecretStr | None,
        folder: Path,
    ) -> None:
        self._project = project
        self._cli = cli
        self._api = api
        self._state = state
        self._clock = clock
        self._url = url
        self._folder = folder

    async def backups(self) -> tuple[Backup, ...]:
        """Points in time, newest first; without recovery the daily backups, each with why it is of no use."""
        told = await self._api.backups()
        points = [Backup(f"pitr:{int(at.timestamp())}", at) for at in restorable_points(told)]
        why = (
            "a daily backup; a project with point-in-time recovery is restored by that" if points else NO_PITR
        )
        daily = [
            Backup(f"daily:{number}", at, problem=why if status == "COMPLETED" else f"its state is {status}")
            for number, at, status in told.daily
        ]
        return tuple(sorted([*points, *daily], key=lambda backup: backup.created_at, reverse=True))

    async def take_backup(self, key: str, *, reason: str) -> Backup:
        """Dump the database as it is, into a file with its checksum beside it."""
        name = hashlib.sha256(key.encode()).hexdigest()[:16]
        manifest = self._folder / f"{name}.json"
        if manifest.exists():
            return _dump(json.loads(manifest.read_text()))
        if self._url is None:
            raise TargetError(
                "Nothing can dump this project's database: name its owner's URL (session port 5432) as "
                "MIGRATION_DATABASE_URL among the secrets of the environment."
            )
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file, at = self._folder / f"{name}.dump", self._clock.now()
        arguments = ["--format", "custom", "--file", str(file)]
        arguments += [f"--exclude-schema={schema}" for schema in _PLATFORM_SCHEMAS]
        try:
            async with await connect_owner(self._url) as connection:
                programs = await programs_for(connection.info.server_version // 10_000)
            await programs.run("pg_dump", arguments, url=self._url)
            # Reads every block: a truncated or damaged dump does not pass (its table of contents would).
            await programs.run("pg_restore", ["--file", os.devnull, str(file)])
        except UnderstudyError as error:
            file.unlink(missing_ok=True)
            raise TargetError(f"The dump failed: {error.message}") from error
        file.chmod(0o600)
        document = {
            "id": f"dump:{name}",
            "key": key,
            "reason": reason,
            "at": at.isoformat(),
            "size": file.stat().st_size,
            "sha256": _file_sha256(file),
        }
        whole = manifest.with_suffix(".new")
        whole.write_text(json.dumps(document, indent=1))
        whole.replace(manifest)
        return _dump(document)

    async def verify_backup(self, backup_id: str) -> Backup:
        """Check that the point lies in the window; that it restores only the restore itself can prove."""
        told = await self._api.backups()
        at = _point(backup_id)
        self._check_window(at, told)
        return Backup(backup_id, at)

    async def begin_restore(self, key: str, backup_id: str) -> Deployment:
        """Ask for the recovery, once for one key; accepted is not finished."""
        found = await self.restoration(key)
        if found is not None:
            return found
        at = _point(backup_id)
        self._check_window(at, await self._api.backups())
        entry: dict[str, Any] = {
            "state": "begun",
            "at": self._clock.now().isoformat(),
            "point": int(at.timestamp()),
            "seen_restoring": False,
        }
        self._state.record("restores", key, entry)

        def started(pid: int) -> None:
            entry["pid"] = pid
            self._state.record("restores", key, entry)

        with tempfile.TemporaryDirectory(prefix="understudy-restore-") as empty:
            answer = await self._cli.run(
                "backups",
                "restore",
                "--timestamp",
                str(entry["point"]),
                workdir=Path(empty),
                started=started,
            )
        if not answer.ok and not answer.timed_out:
            advice = f" {NO_PITR}" if "PITR is not enabled" in answer.message else ""
            return self._fail(key, entry, f"The restore was refused: {answer.message}.{advice}")
        entry["state"] = "accepted" if answer.ok else "unknown"
        self._state.record("restores", key, entry)
        return await self._progress(key, entry)

    async def restoration(self, key: str) -> Deployment | None:
        """Return how far the restore is."""
        entry = self._state.section("restores").get(key)
        return None if entry is None else await self._progress(key, entry)

    async def restored(self, key: str) -> SecretStr | None:  # noqa: ARG002  # there is nothing beside
        """Return None: the restore is in place."""
        return None

    async def swap(self, key: str) -> None:
        """Nothing to do once the restore in place is done.

        Raises
        ------
        TargetError
            It is not.
        """
        found = await self.restoration(key)
        if found is None or found.state is not DeploymentState.DONE:
            raise TargetError(
                "The restore of this project has not ended well: there is nothing to go over to."
            )

    async def _progress(self, key: str, entry: dict[str, Any]) -> Deployment:
        if entry["state"] in {DeploymentState.DONE.value, DeploymentState.FAILED.value}:
            return _restoration(key, entry)
        status = await self._api.status()
        if status == "RESTORING":
            if not entry["seen_restoring"]:
                entry["seen_restoring"] = True
                self._state.record("restores", key, entry)
            return Deployment(key, DeploymentState.RUNNING)
        if entry["seen_restoring"]:
            return await self._after(key, entry, status)
        age_s = (self._clock.now() - datetime.fromisoformat(entry["at"])).total_seconds()
        patience = self._project.patience
        asking = entry["state"] == "begun" and age_s < 2 * patience.command_s and is_alive(entry.get("pid"))
        if asking or age_s < patience.settle_s:
            return Deployment(key, DeploymentState.RUNNING)
        return self._fail(
            key,
            entry,
            f"Nobody has seen this project restoring (it is {status}), though the restore was asked for: a "
            f"person must look in the dashboard whether it happened before it is asked for again.",
        )

    async def _after(self, key: str, entry: dict[str, Any], status: str) -> Deployment:
        if status in {"RESTORE_FAILED", "REMOVED", "INACTIVE", "INIT_FAILED"}:
            return self._fail(key, entry, f"The restore ended with the project {status}.")
        if status != "ACTIVE_HEALTHY" or not await self._api.database_healthy():
            return Deployment(key, DeploymentState.RUNNING)
        entry |= {"state": DeploymentState.DONE.value, "ended": self._clock.now().isoformat()}
        self._state.record("restores", key, entry)
        log.info("project_restored", key=key, point=entry["point"])
        return _restoration(key, entry)

    def _fail(self, key: str, entry: dict[str, Any], error: str) -> Deployment:
        entry |= {"state": DeploymentState.FAILED.value, "error": error}
        self._state.record("restores", key, entry)
        return _restoration(key, entry)

    def _check_window(self, at: datetime, told: BackupsRecord) -> None:
        if not told.pitr_enabled or told.earliest is None or told.latest is None:
            raise TargetError(NO_PITR)
        if not told.earliest <= at <= told.latest:
            raise TargetError(
                f"{at.isoformat()} lies outside what can be restored: from {told.earliest.isoformat()} to "
                f"{told.latest.isoformat()}."
            )


def restorable_points(told: BackupsRecord) -> list[datetime]:
    """The newest second, then a grid that gets coarser with age, then the oldest."""
    if not told.pitr_enabled or told.earliest is None or told.latest is None:
        return []
    points, step = [told.latest], _CLOSE
    at = told.latest.replace(second=0) - timedelta(minutes=told.latest.minute % 5)
    while at > told.earliest:
        if at < points[-1]:
            points.append(at)
        if told.latest - at >= _CLOSE_FOR:
            step, at = _FAR, at.replace(minute=0)
        at -= step
    if told.earliest < points[-1]:
        points.append(told.earliest)
    return points


def _point(backup_id: str) -> datetime:
    found = _POINT.match(backup_id)
    if found is None:
        raise TargetError(
            f"{backup_id!r} cannot be restored here: only a point in time can, named pitr:<unix seconds>."
        )
    return datetime.fromtimestamp(int(found[1]), UTC)


def _restoration(key: str, entry: dict[str, Any]) -> Deployment:
    shown = ("point", "at", "ended", "seen_restoring")
    step = {name: entry[name] for name in shown if name in entry}
    return Deployment(key, DeploymentState(entry["state"]), error=entry.get("error"), steps=(step,))


def _dump(document: dict[str, Any]) -> Backup:
    at = datetime.fromisoformat(document["at"])
    return Backup(document["id"], at, size_bytes=document["size"])


def _file_sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
