"""The folder of backups: what is there, what counts, what goes.

``<id>/`` holds one backup, ``audio/ab/abcd...`` the stored audio of all of them by digest, so that what did
not change is kept once. A folder whose name begins with a dot is not finished and never counts.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from understudy.clock import Clock
from understudy.errors import BackupError
from understudy.logs import get_logger
from understudy.store.backups.manifest import (
    EVIDENCE,
    OBJECTS,
    Manifest,
    Proof,
    read_manifest,
    read_proof,
)

AUDIO = "audio"
_UNFINISHED = ".making-"
#: The moment it was begun (UTC) and the beginning of its key's digest.
_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
#: An unfinished folder this old belongs to a process that died.
_ABANDONED_AFTER = timedelta(hours=6)

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Shelved:
    """One backup as it lies in the folder.

    Parameters
    ----------
    manifest
        None where it cannot be read; ``problem`` says why.
    """

    id: str
    folder: Path
    manifest: Manifest | None
    proof: Proof | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class StoredCopy:
    """One stored object of a backup: where it was, and the digest under which its bytes are kept."""

    bucket: str
    key: str
    size: int
    content_type: str
    sha256: str


class Shelf:
    """The backups of one installation.

    Parameters
    ----------
    folder
        Made (0700) when it is not there.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self._clock = clock

    def all(self) -> list[Shelved]:
        """Every finished backup, newest first, unusable ones with their problem; blocks."""
        try:
            names = sorted((entry.name for entry in os.scandir(self.folder)), reverse=True)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BackupError(f"The backups in {self.folder} cannot be listed: {error.strerror}.") from error
        return [self._read(name) for name in names if _ID.fullmatch(name)]

    def find(self, backup_id: str) -> Shelved:
        """Return one backup; blocks.

        Raises
        ------
        BackupError
            There is none of that id.
        """
        if not _ID.fullmatch(backup_id) or not (self.folder / backup_id).is_dir():
            raise BackupError(f"There is no backup {backup_id}. `understudy backup list` names them.")
        return self._read(backup_id)

    def of_key(self, key: str) -> Shelved | None:
        """Return the backup that was asked for under ``key``; blocks."""
        return next((one for one in self.all() if one.manifest is not None and one.manifest.key == key), None)

    def begin(self, backup_id: str) -> Path:
        """Make the folder in which a backup is put together, and remove what dead processes left; blocks."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep()
            draft = self.folder / f"{_UNFINISHED}{backup_id}"
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(mode=0o700)
        except OSError as error:
            raise BackupError(f"No backup can be written to {self.folder}: {error.strerror}.") from error
        return draft

    def finish(self, draft: Path) -> Path:
        """Let a backup count from now on, durably; blocks."""
        final = draft.with_name(draft.name.removeprefix(_UNFINISHED))
        _sync(draft)
        draft.rename(final)
        _sync(self.folder)
        return final

    def audio(self, sha256: str) -> Path:
        """Where the bytes of a digest are kept."""
        return self.folder / AUDIO / sha256[:2] / sha256

    def copies(self, shelved: Shelved) -> Iterator[StoredCopy]:
        """Read the stored objects of a backup; none where it was made without; blocks."""
        path = shelved.folder / OBJECTS
        if not path.exists():
            return
        try:
            with path.open(encoding="utf-8") as stream:
                for line in stream:
                    yield StoredCopy(**json.loads(line))
        except (OSError, ValueError, TypeError):
            raise BackupError(f"The list of stored audio of backup {shelved.id} is damaged.") from None

    def prune(self, keep: int) -> list[str]:
        """Remove what is older than the newest ``keep``, and audio that none holds any more; blocks.

        Evidence is not counted and stays; so does the newest backup that was proven, however old.
        """
        backups = [one for one in self.all() if one.manifest is None or one.manifest.purpose != EVIDENCE]
        proven = next((one.id for one in backups if one.proof is not None), None)
        gone = [one for one in backups[max(keep, 1) :] if one.id != proven]
        for one in gone:
            self._remove(one.folder)
        self._forget_audio()
        return [one.id for one in gone]

    def remove_evidence(self) -> list[str]:
        """Remove every dump of a broken state; blocks."""
        found = [one for one in self.all() if one.manifest is not None and one.manifest.purpose == EVIDENCE]
        for one in found:
            self._remove(one.folder)
        return [one.id for one in found]

    def _read(self, name: str) -> Shelved:
        folder = self.folder / name
        try:
            manifest = read_manifest(folder)
        except BackupError as error:
            return Shelved(name, folder, None, None, error.message)
        return Shelved(name, folder, manifest, read_proof(folder, manifest))

    def _remove(self, folder: Path) -> None:
        # Renamed first: a half-removed backup must not look like one.
        hidden = folder.with_name(f"{_UNFINISHED}{folder.name}.gone")
        folder.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)
        log.info("backup_removed", backup=folder.name)

    def _forget_audio(self) -> None:
        """Remove audio of no backup; not while one is being made, which may count on what is here."""
        if any(entry.name.startswith(_UNFINISHED) for entry in os.scandir(self.folder)):
            return
        held: set[str] = set()
        for one in self.all():
            if one.manifest is None:
                return  # its list may be the one that names them
            held |= {copy.sha256 for copy in self.copies(one)}
        for path in (self.folder / AUDIO).glob("??/*"):
            if path.name not in held:
                path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        for entry in os.scandir(self.folder):
            if not entry.name.startswith(_UNFINISHED):
                continue
            age_s = self._clock.now().timestamp() - entry.stat().st_mtime
            if age_s > _ABANDONED_AFTER.total_seconds():
                shutil.rmtree(entry.path, ignore_errors=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
