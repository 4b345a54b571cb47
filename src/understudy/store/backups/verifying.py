"""Proving a backup: checksums, full decode, a trial restore, the catalog that its migrations give."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import SecretStr

from understudy.clock import Clock
from understudy.errors import BackupError, MigrationError
from understudy.logs import get_logger
from understudy.store import catalog, drift
from understudy.store.backups.manifest import (
    DUMP,
    EVIDENCE,
    PROOF,
    Manifest,
    Proof,
    describe_file,
    write_proof,
)
from understudy.store.backups.restoring import compare, decode, listed, load, read_catalog
from understudy.store.backups.shelf import Shelf, Shelved, StoredCopy
from understudy.store.drift import ScratchRefusedError
from understudy.store.migrations import Migration, connect_owner, load_migrations

log = get_logger(__name__)


async def verify_backup(shelf: Shelf, url: SecretStr, backup_id: str, clock: Clock) -> Shelved:
    """Prove one backup on the server at ``url`` (an owner's) and record the proof.

    Raises
    ------
    BackupError
        It cannot be restored from; says why. An earlier proof is taken back.
    StoreUnavailableError
        The server cannot be reached: nothing is proven, nothing is taken back.
    """
    shelved = await asyncio.to_thread(shelf.find, backup_id)
    started_s = clock.monotonic_s()
    try:
        manifest = await check_files(shelf, shelved)
        async with drift.scratch_database(url) as scratch:
            version = await _server_version(scratch)
            await decode(shelved.folder, version)
            await load(scratch, shelved.folder)
            tables = await compare(scratch, shelved.folder, manifest)
        if manifest.purpose != EVIDENCE:
            await _check_catalog(shelved, url, manifest)
    except BackupError:
        (shelved.folder / PROOF).unlink(missing_ok=True)
        raise
    except ScratchRefusedError as error:
        raise BackupError(
            f"Backup {backup_id} cannot be proven here: no scratch database can be made ({error}). Give "
            "the role of MIGRATION_DATABASE_URL the right: ALTER ROLE ... CREATEDB."
        ) from None
    proof = Proof(
        at=clock.now(),
        dump_sha256=manifest.files[DUMP].sha256,
        seconds=round(clock.monotonic_s() - started_s, 3),
        rows=sum(table.rows for table in tables.values()),
        server_version=version,
    )
    await asyncio.to_thread(write_proof, shelved.folder, proof)
    log.info("backup_proven", backup=backup_id, seconds=proof.seconds, rows=proof.rows)
    return await asyncio.to_thread(shelf.find, backup_id)


async def check_files(shelf: Shelf, shelved: Shelved) -> Manifest:
    """See that every file, and all stored audio, is there with its recorded size and digest.

    Raises
    ------
    BackupError
        Names the first thing that is not.
    """
    manifest = shelved.manifest
    if manifest is None:
        raise BackupError(shelved.problem or f"The manifest of {shelved.id} is damaged.")
    for name, recorded in manifest.files.items():
        try:
            found = await asyncio.to_thread(describe_file, shelved.folder / name)
        except OSError as error:
            raise BackupError(f"{name} of backup {shelved.id} cannot be read: {error.strerror}.") from None
        if found.size != recorded.size:
            what = "cut short" if found.size < recorded.size else "longer than recorded"
            raise BackupError(
                f"{name} of backup {shelved.id} is {what}: {found.size} bytes instead of {recorded.size}."
            )
        if found.sha256 != recorded.sha256:
            raise BackupError(
                f"{name} of backup {shelved.id} was damaged: its SHA-256 is not the recorded one."
            )
    await asyncio.to_thread(_check_audio, shelf, shelved, manifest)
    return manifest


def problem_of(
    shelved: Shelved, now: datetime, *, max_age_s: float, known_good: Mapping[str, str] | None
) -> str | None:
    """Say why a backup must not be restored from, as far as that shows without reading it; or None.

    Parameters
    ----------
    max_age_s
        Asked last, so that 0 tells whether the age is all that speaks against it.
    known_good
        Migrations of the known-good record, SHA-256 by version: a backup's history must begin that sequence.
    """
    manifest = shelved.manifest
    if manifest is None:
        return shelved.problem
    if manifest.purpose == EVIDENCE:
        return "It is the evidence of a broken state, kept and never restored from."
    if known_good is not None:
        departures = history_departures(manifest.history, known_good)
        if departures:
            return f"Its migration history does not begin the known-good sequence: {listed(departures)}."
    age = now - manifest.created_at
    if max_age_s and age > timedelta(seconds=max_age_s):
        hours = age.total_seconds() / 3600
        return f"It is {hours:.1f} h old, older than BACKUP_MAX_AGE_S allows ({max_age_s / 3600:.1f} h)."
    return None


def history_departures(history: Mapping[str, str], known_good: Mapping[str, str]) -> list[str]:
    """How a history is no prefix of a known sequence: ahead of it, edited, or with holes."""
    sequence = sorted(known_good)
    ran = sorted(history)
    said = [f"{version} is not in it" for version in ran if version not in known_good]
    said += [
        f"{version} ran with another content"
        for version in ran
        if version in known_good and history[version] and history[version] != known_good[version]
    ]
    head = max((version for version in ran if version in known_good), default="")
    said += [f"{version} never ran" for version in sequence if version < head and version not in history]
    return said


def _check_audio(shelf: Shelf, shelved: Shelved, manifest: Manifest) -> None:
    if manifest.objects is None:
        return
    count = 0
    for copy in shelf.copies(shelved):
        count += 1
        _check_copy(shelf, shelved, copy)
    if count != manifest.objects:
        raise BackupError(f"Backup {shelved.id} lists {count} stored objects instead of {manifest.objects}.")


def _check_copy(shelf: Shelf, shelved: Shelved, copy: StoredCopy) -> None:
    name = f"The stored object {copy.bucket}/{copy.key} of backup {shelved.id}"
    try:
        found = describe_file(shelf.audio(copy.sha256))
    except OSError:
        raise BackupError(f"{name} is missing.") from None
    if (found.size, found.sha256) != (copy.size, copy.sha256):
        raise BackupError(f"{name} was damaged: its bytes changed.")


async def _check_catalog(shelved: Shelved, url: SecretStr, manifest: Manifest) -> None:
    """A backup of a database that had lost something already must not count: it would restore the loss."""
    recorded = await asyncio.to_thread(read_catalog, shelved.folder)
    files = _files_of(manifest.history)
    if files is None:
        return  # made by newer code, whose files this version does not have
    try:
        expected = await drift.expected_catalog(url, files)
    except MigrationError as error:
        raise BackupError(f"What backup {shelved.id} should hold cannot be told: {error.message}") from None
    if expected.server_version != recorded.server_version:
        return
    kept = [schema for schema in recorded.schemas if schema in expected.schemas]
    lost = [one for one in catalog.compare(expected.only(kept), recorded.only(kept)) if one.change != "extra"]
    if lost:
        raise BackupError(
            f"Backup {shelved.id} holds a database that was damaged already: "
            f"{listed([one.what for one in lost])}."
        )


def _files_of(history: Mapping[str, str]) -> Sequence[Migration] | None:
    """Files of the versions that ran, or None where this version lacks one."""
    files = {migration.version: migration for migration in load_migrations()}
    if not history or any(version not in files for version in history):
        return None
    return [files[version] for version in sorted(history)]


async def _server_version(url: SecretStr) -> int:
    async with await connect_owner(url) as conn:
        return conn.info.server_version // 10000
