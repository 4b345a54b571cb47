"""The database of one machine's deployment: its backups, and restores into a database beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import SecretStr

from understudy.clock import Clock
from understudy.envfile import read_env_file, set_in_env_file
from understudy.errors import (
    BackupError,
    ConfigurationError,
    StoreUnavailableError,
    TargetError,
    UnderstudyError,
)
from understudy.logs import get_logger
from understudy.restoration.targets.base import Backup, Deployment, DeploymentState
from understudy.settings import Settings, settings_from
from understudy.store.addresses import database_of, with_database
from understudy.store.backups.creating import Request, create_backup
from understudy.store.backups.manifest import EVIDENCE, MANUAL, SCHEDULED, write_durably
from understudy.store.backups.putting_back import put_back
from understudy.store.backups.restoring import next_name, restore_into, server_of
from understudy.store.backups.shelf import Shelf, Shelved
from understudy.store.backups.verifying import check_files, problem_of, verify_backup
from understudy.store.guard import open_guard_store
from understudy.store.migrations import load_migrations
from understudy.store.object_choice import open_objects

#: The reason under which a dump is evidence: kept, never restored from, made without the stored audio.
BROKEN_STATE = "the broken state before a restore"
#: A key that begins so is the schedule's.
SCHEDULE_KEY = "schedule:"
ENV_FILE = "understudy.env"
_STATE = "restores.json"
_URLS = ("DATABASE_URL", "MIGRATION_DATABASE_URL")
#: Where the guard sees calls, when that is set: moved with the others where it names the same database.
_SIGNAL_URL = "GUARD_SIGNAL_DATABASE_URL"

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Restore:
    """One restore, as the folder of backups remembers it; ``runner`` names the try that is under way."""

    key: str
    backup: str
    database: str
    state: str
    runner: str = ""
    finished_at: str | None = None
    rows: int | None = None
    error: str | None = None
    swapped_from: str | None = None
    objects_put_back: int | None = None


class LocalDatabase:
    """Backups in a folder, restores beside, a swap by the name in the durable environment file.

    Parameters
    ----------
    home
        The installation; its ``understudy.env`` says where the database is.
    settings
        As this process was started with; for an installation without that file.
    """

    def __init__(self, home: Path, settings: Settings, clock: Clock, *, env_file: Path | None = None) -> None:
        self._home = home
        self._env_file = env_file or home / ENV_FILE
        self._at_start = settings
        self._clock = clock
        self._taking = asyncio.Lock()
        self._restoring: dict[str, asyncio.Task[None]] = {}

    # --- backups --------------------------------------------------------------------------------------------

    async def backups(self) -> tuple[Backup, ...]:
        """Every backup, newest first."""
        with _told():
            settings = self.settings()
            known_good = await asyncio.to_thread(self._known_good_files, settings)
            found = await asyncio.to_thread(self.shelf(settings).all)
            return tuple(self._described(one, settings, known_good) for one in found)

    async def take_backup(self, key: str, *, reason: str) -> Backup:
        """Take one now; the same key is answered with the same backup."""
        with _told():
            settings = self.settings()
            purpose = (
                EVIDENCE if reason == BROKEN_STATE else SCHEDULED if key.startswith(SCHEDULE_KEY) else MANUAL
            )
            async with self._taking:
                made = await create_backup(
                    self.shelf(settings),
                    owner_url(settings),
                    None if purpose == EVIDENCE else open_objects(settings, self._clock),
                    self._clock,
                    Request(key, purpose, reason),
                )
            return self._described(made, settings, await asyncio.to_thread(self._known_good_files, settings))

    async def verify_backup(self, backup_id: str) -> Backup:
        """Prove it by checksums, full decode and a restore into a scratch database."""
        with _told():
            settings = self.settings()
            server = await server_of(owner_url(settings))
            proven = await verify_backup(self.shelf(settings), server, backup_id, self._clock)
            return self._described(
                proven, settings, await asyncio.to_thread(self._known_good_files, settings)
            )

    async def prune(self) -> list[str]:
        """Remove backups beyond ``BACKUP_KEEP``; never the newest one that was proven, and no evidence."""
        with _told():
            settings = self.settings()
            return await asyncio.to_thread(self.shelf(settings).prune, settings.backup_keep)

    async def remove_evidence(self) -> list[str]:
        """Remove the dumps of broken states."""
        with _told():
            return await asyncio.to_thread(self.shelf(self.settings()).remove_evidence)

    # --- restores -------------------------------------------------------------------------------------------

    async def begin_restore(self, key: str, backup_id: str) -> Deployment:
        """Begin to restore it into a database of its own; one key never begins twice."""
        with _told():
            known = await asyncio.to_thread(self._read)
            if key not in known:
                settings = self.settings()
                await asyncio.to_thread(self.shelf(settings).find, backup_id)
                server = await server_of(owner_url(settings))
                name = await next_name(server, [one.database for one in known.values()])
                begun = _Restore(key, backup_id, name, DeploymentState.RUNNING)
                await asyncio.to_thread(self._write, begun)
        return await self.restoration(key) or Deployment(key, DeploymentState.RUNNING)

    async def restoration(self, key: str) -> Deployment | None:
        """Return how far it is; one that a killed process left is begun again, in the same place."""
        with _told():
            found = (await asyncio.to_thread(self._read)).get(key)
        if found is None:
            return None
        if found.state == DeploymentState.RUNNING and key not in self._restoring:
            found = replace(found, runner=uuid4().hex)
            task = asyncio.create_task(self._restore(found), name=f"restore-{found.database}")
            self._restoring[key] = task
            task.add_done_callback(lambda _: self._restoring.pop(key, None))
        hidden = {"key", "runner"}
        facts = {
            name: value for name, value in asdict(found).items() if value is not None and name not in hidden
        }
        return Deployment(key, DeploymentState(found.state), error=found.error, steps=(facts,))

    async def restored(self, key: str) -> SecretStr | None:
        """Return the owner's URL of the restored database."""
        with _told():
            found = self._done(await asyncio.to_thread(self._read), key)
            return with_database(owner_url(self.settings()), found.database)

    async def swap(self, key: str) -> None:
        """Put stored audio back that the restored rows name, then write the database's name into the file."""
        with _told():
            found = self._done(await asyncio.to_thread(self._read), key)
            settings = self.settings()
            owner = owner_url(settings)
            present = database_of(settings.database_url)
            if present == found.database and found.swapped_from is not None:
                return
            shelf = self.shelf(settings)
            backup = await asyncio.to_thread(shelf.find, found.backup)
            count = await put_back(
                shelf, backup, with_database(owner, found.database), open_objects(settings, self._clock)
            )
            # Remembered first: after a crash in between, the file says whether it was changed.
            before = found.swapped_from or present
            await asyncio.to_thread(self._write, replace(found, swapped_from=before, objects_put_back=count))
            await asyncio.to_thread(self._name_database, before, found.database)
            log.warning("database_swapped", database=found.database, before=before, objects_put_back=count)

    async def close(self) -> None:
        """End a restore that still runs; the next process begins it again."""
        tasks = list(self._restoring.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- inside ---------------------------------------------------------------------------------------------

    def settings(self) -> Settings:
        """Settings as a process would be started with now."""
        return settings_from(read_env_file(self._env_file)) if self._env_file.is_file() else self._at_start

    def shelf(self, settings: Settings) -> Shelf:
        """Where the backups are."""
        return Shelf(settings.backup_dir or self._home / "backups", self._clock)

    async def _restore(self, begun: _Restore) -> None:
        try:
            await asyncio.to_thread(self._write, begun)
            settings = self.settings()
            shelf, server = self.shelf(settings), await server_of(owner_url(settings))
            backup = await asyncio.to_thread(shelf.find, begun.backup)
            manifest = await check_files(shelf, backup)
            rows = await restore_into(
                server, begun.database, backup.folder, manifest, app_url=settings.database_url
            )
            ended = replace(begun, state=DeploymentState.DONE, rows=rows)
        except UnderstudyError as error:
            ended = replace(begun, state=DeploymentState.FAILED, error=error.message)
        except Exception as error:  # a defect here must end the step, not leave it running for ever
            log.exception("restore_broke", database=begun.database)
            ended = replace(begun, state=DeploymentState.FAILED, error=f"unexpected {type(error).__name__}")
        log.info("restore_ended", database=begun.database, state=ended.state, error=ended.error)
        await asyncio.to_thread(self._end, replace(ended, finished_at=self._clock.now().isoformat()))

    def _end(self, ended: _Restore) -> None:
        """Write how it ended, unless another process has begun it again: this one's end is not that one's."""
        known = self._read().get(ended.key)
        if known is not None and known.runner == ended.runner:
            self._write(ended)

    def _name_database(self, before: str, name: str) -> None:
        values = read_env_file(self._env_file)
        signals = SecretStr(values.get(_SIGNAL_URL, ""))
        follows = bool(signals.get_secret_value()) and database_of(signals) == before
        changes = {
            variable: with_database(SecretStr(values[variable]), name).get_secret_value()
            for variable in (*_URLS, *([_SIGNAL_URL] if follows else []))
            if values.get(variable)
        }
        if "DATABASE_URL" not in changes:
            raise ConfigurationError(
                f"{self._env_file} has no DATABASE_URL to name the restored database in; set it there, so "
                "that processes start from it."
            )
        set_in_env_file(self._env_file, changes)

    def _described(self, one: Shelved, settings: Settings, known_good: Mapping[str, str] | None) -> Backup:
        manifest = one.manifest
        if manifest is None:
            created_at = self._clock.now().fromtimestamp(one.folder.stat().st_mtime, self._clock.now().tzinfo)
            return Backup(one.id, created_at, problem=one.problem)
        now, max_age_s = self._clock.now(), settings.backup_max_age_s
        problem = problem_of(one, now, max_age_s=max_age_s, known_good=known_good)
        only_old = problem is not None and problem_of(one, now, max_age_s=0, known_good=known_good) is None
        proven = one.proof.at if one.proof is not None else None
        return Backup(one.id, manifest.created_at, manifest.size_bytes, proven, problem, only_old)

    def _known_good_files(self, settings: Settings) -> Mapping[str, str]:
        """The known-good sequence of migrations; without a record, what this version brings."""
        with (
            suppress(ConfigurationError, StoreUnavailableError),
            open_guard_store(self._home, settings, self._clock, must_exist=True) as store,
        ):
            record = store.known_good()
            files = (record.document.get("migrations") or {}).get("files") if record is not None else None
            if files:
                return dict(files)
        return {migration.version: migration.sha256 for migration in load_migrations()}

    def _state_file(self) -> Path:
        return self.shelf(self.settings()).folder / _STATE

    def _read(self) -> dict[str, _Restore]:
        path = self._state_file()
        try:
            document: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
            return {item["key"]: _Restore(**item) for item in document}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError):
            raise BackupError(
                f"{path} is damaged: nobody knows which restores were begun. Move it away, and look at the "
                "databases understudy_r... of the server before another restore."
            ) from None

    def _write(self, changed: _Restore) -> None:
        known = self._read() | {changed.key: changed}
        path = self._state_file()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, json.dumps([asdict(one) for one in known.values()], indent=1))

    def _done(self, known: Mapping[str, _Restore], key: str) -> _Restore:
        found = known.get(key)
        if found is None or found.state != DeploymentState.DONE:
            raise BackupError("That restore is not done; there is no database to swap in.")
        return found


def owner_url(settings: Settings) -> SecretStr:
    """Return the address of the schema's owner: the migrating role's, where one is set."""
    owner = settings.migration_database_url
    return owner if owner.get_secret_value() else settings.database_url


@contextmanager
def _told() -> Iterator[None]:
    """What goes wrong below is the target's failure above, with the same words."""
    try:
        yield
    except TargetError:
        raise
    except UnderstudyError as error:
        raise TargetError(error.message) from error
    except OSError as error:
        raise TargetError(f"{error.filename or 'A file'} cannot be used: {error.strerror}.") from error
