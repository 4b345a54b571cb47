"""A backup's manifest: what is in it, as it was when it was made; and the proof that it restores."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from understudy.errors import BackupError
from understudy.store.backups.tallies import Tally
from understudy.store.journal import digest

FORMAT = 1
MANIFEST = "manifest.json"
PROOF = "verified.json"
DUMP = "database.dump"
CATALOG = "catalog.json"
OBJECTS = "objects.jsonl"

#: What a backup is for. Evidence is a broken state: it is kept, and never restored from.
SCHEDULED, MANUAL, EVIDENCE = "scheduled", "manual", "evidence"

_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of a backup."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds.

    Parameters
    ----------
    key
        Whoever asks again under it gets this backup.
    tables
        Every table of the dump's own snapshot.
    fingerprint
        Of the catalog in ``catalog.json``.
    history
        Migrations that ran, SHA-256 by version; empty text where another tool applied it.
    mode
        The provider mode's row, or None.
    objects
        How many stored objects, and their bytes; None where they were left out.
    lacking
        Objects that rows named and the storage did not have, at most a hundred, when it was made.
    """

    id: str
    key: str
    purpose: str
    reason: str
    created_at: datetime
    app_version: str
    server_version: int
    database: str
    files: Mapping[str, FileRecord]
    tables: Mapping[str, Tally]
    fingerprint: str
    history: Mapping[str, str]
    mode: Mapping[str, Any] | None
    highest_epoch: int
    money_microusd: int
    objects: int | None = None
    object_bytes: int = 0
    lacking: tuple[str, ...] = ()
    format: int = field(default=FORMAT)

    @property
    def size_bytes(self) -> int:
        """Bytes of the files and of the stored audio."""
        return sum(file.size for file in self.files.values()) + self.object_bytes

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(tally.rows for tally in self.tables.values())

    def as_json(self) -> dict[str, Any]:
        """Return what :func:`read_manifest` reads, sealed by its own digest."""
        body = asdict(self) | {"created_at": self.created_at.isoformat(), "lacking": list(self.lacking)}
        return {"manifest": body, "sha256": digest(body)}


@dataclass(frozen=True, slots=True)
class Proof:
    """When a backup was last restored as a trial, and how long that took."""

    at: datetime
    dump_sha256: str
    seconds: float
    rows: int
    server_version: int


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of the backup in ``folder``.

    Raises
    ------
    BackupError
        It is missing, cut short, was changed, or is of another format.
    """
    try:
        document = json.loads((folder / MANIFEST).read_text("utf-8"))
        body = document["manifest"]
        if document["sha256"] != digest(body):
            raise BackupError(f"The manifest of {folder.name} was changed after it was written.")
        if body["format"] != FORMAT:
            raise BackupError(f"The manifest of {folder.name} has format {body['format']}, not {FORMAT}.")
        return Manifest(
            **{
                **body,
                "created_at": datetime.fromisoformat(body["created_at"]),
                "files": {name: FileRecord(**file) for name, file in body["files"].items()},
                "tables": {name: Tally(**table) for name, table in body["tables"].items()},
                "lacking": tuple(body["lacking"]),
            }
        )
    except OSError as error:
        raise BackupError(f"The manifest of {folder.name} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BackupError(f"The manifest of {folder.name} is damaged.") from None


def read_proof(folder: Path, manifest: Manifest) -> Proof | None:
    """Return the proof of this very dump, or None: another dump's, or a damaged one, proves nothing."""
    try:
        found = json.loads((folder / PROOF).read_text("utf-8"))
        proof = Proof(**{**found, "at": datetime.fromisoformat(found["at"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return proof if proof.dump_sha256 == manifest.files[DUMP].sha256 else None


def write_proof(folder: Path, proof: Proof) -> None:
    """Keep the proof beside the backup."""
    write_durably(folder / PROOF, json.dumps(asdict(proof) | {"at": proof.at.isoformat()}))


def write_durably(path: Path, text: str) -> None:
    """Write the file whole and on disk, or not at all; readable by its owner only."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def describe_file(path: Path) -> FileRecord:
    """Size and digest of a file as it is on disk."""
    seen, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            seen.update(block)
            size += len(block)
    return FileRecord(size, seen.hexdigest())
