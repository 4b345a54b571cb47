"""Making a backup: one snapshot for dump and tallies, then the stored audio, then the manifest."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import DictRow
from pydantic import SecretStr

import understudy
from understudy.clock import Clock
from understudy.errors import BackupError, NotFoundError, StoreUnavailableError, UnderstudyError
from understudy.logs import get_logger
from understudy.store import catalog, migrations
from understudy.store.addresses import database_of
from understudy.store.backups.manifest import (
    CATALOG,
    DUMP,
    EVIDENCE,
    MANIFEST,
    OBJECTS,
    FileRecord,
    Manifest,
    describe_file,
    write_durably,
)
from understudy.store.backups.programs import programs_for
from understudy.store.backups.shelf import Shelf, Shelved, StoredCopy
from understudy.store.backups.tallies import tally
from understudy.store.buckets import BUCKETS, GENERATIONS, REFERENCES
from understudy.store.objects import ObjectStore

Connection = psycopg.AsyncConnection[DictRow]

#: gzip's own 6 takes three times as long for a tenth less; uncompressed, a flipped bit would decode.
COMPRESSION = "gzip:1"
_OLD_COMPRESSION = "1"
_BLOCK = 1024 * 1024
_LACKING_LISTED = 100
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    Parameters
    ----------
    key
        The same key is answered with the same backup.
    purpose
        ``scheduled``, ``manual`` or ``evidence``; evidence is made without the stored audio.
    """

    key: str
    purpose: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Snapshot:
    files: dict[str, FileRecord]
    facts: dict[str, Any]
    named: dict[str, set[str]]


async def create_backup(
    shelf: Shelf, url: SecretStr, objects: ObjectStore | None, clock: Clock, request: Request
) -> Shelved:
    """Make a backup of the database at ``url`` (its owner's) and of the audio that its rows name.

    Raises
    ------
    BackupError
        It could not be made whole: nothing of it counts, and nothing of it is left.
    StoreUnavailableError
        The database, or the stored audio, cannot be reached.
    """
    known = await asyncio.to_thread(shelf.of_key, request.key)
    if known is not None:
        return known
    begun = clock.now()
    stamp = hashlib.sha256(request.key.encode()).hexdigest()[:8]
    backup_id = f"{begun:%Y%m%dT%H%M%SZ}-{stamp}"
    draft = await asyncio.to_thread(shelf.begin, backup_id)
    finished = False
    try:
        found = await _snapshot(url, draft)
        copied = None
        if objects is not None and request.purpose != EVIDENCE:
            copied = await _copy_objects(shelf, objects, draft, found)
        manifest = _manifest(backup_id, request, found, copied, created_at=begun, database=database_of(url))
        await asyncio.to_thread(write_durably, draft / MANIFEST, json.dumps(manifest.as_json(), indent=1))
        await asyncio.to_thread(shelf.finish, draft)
        finished = True
    except OSError as error:
        raise BackupError(_disk_words(shelf, error)) from error
    finally:
        if not finished:
            await asyncio.to_thread(_discard, draft)
    log.info("backup_made", backup=backup_id, rows=manifest.rows, bytes=manifest.size_bytes)
    return await asyncio.to_thread(shelf.find, backup_id)


async def _snapshot(url: SecretStr, draft: Path) -> _Snapshot:
    """Dump and count in one snapshot, so that the numbers are those of the dump."""
    async with await migrations.connect_owner(url) as conn:
        programs = await programs_for(conn.info.server_version // 10000)
        try:
            ran, hashes = await migrations.read_history(conn)
            async with conn.transaction():
                await conn.execute("set transaction isolation level repeatable read, read only")
                row = await (await conn.execute("select pg_export_snapshot() as id")).fetchone()
                assert row is not None  # noqa: S101  (a function call gives one row)
                compression = COMPRESSION if programs.major >= 16 else _OLD_COMPRESSION
                arguments = ["--format=custom", f"--compress={compression}", f"--snapshot={row['id']}"]
                dumping = asyncio.create_task(
                    programs.run("pg_dump", [*arguments, f"--file={draft / DUMP}"], url=url), name="pg_dump"
                )
                try:
                    named = await _named_objects(conn)
                    facts = await _facts(conn)
                    tables = await tally(conn)
                    await dumping
                finally:
                    dumping.cancel()
                    await asyncio.gather(dumping, return_exceptions=True)
            live = await catalog.snapshot(conn, await catalog.schemas_of_ours(conn))
        except psycopg.OperationalError as error:
            if conn.broken:
                raise StoreUnavailableError("The database was lost while it was backed up.") from error
            raise BackupError(f"The database cannot be backed up: {_first_line(error)}") from error
        except psycopg.Error as error:
            raise BackupError(f"The database cannot be backed up: {_first_line(error)}") from error
    await asyncio.to_thread(write_durably, draft / CATALOG, json.dumps(live.as_json()))
    facts |= {
        "tables": tables,
        "fingerprint": live.fingerprint,
        "server_version": live.server_version,
        "history": {version: hashes.get(version, "") for version in sorted(ran)},
    }
    await asyncio.to_thread((draft / DUMP).chmod, 0o600)  # pg_dump goes by the umask
    files = {name: await asyncio.to_thread(describe_file, draft / name) for name in (DUMP, CATALOG)}
    return _Snapshot(files, facts, named)


async def _facts(conn: Connection) -> dict[str, Any]:
    """Mode, epochs and money; empty where a broken catalog lacks their tables."""
    mode: dict[str, Any] | None = None
    epoch = money = 0
    if await _has(conn, "understudy.provider_mode"):
        row = await (await conn.execute("select * from understudy.provider_mode")).fetchone()
        if row is not None:
            mode = {
                name: value.isoformat() if isinstance(value, datetime) else value
                for name, value in row.items()
            }
    if await _has(conn, "understudy.provider_mode_history"):
        counted = await conn.execute("select max(epoch) as epoch from understudy.provider_mode_history")
        row = await counted.fetchone()
        epoch = int(row["epoch"] or 0) if row else 0
    if await _has(conn, "understudy.provider_calls"):
        counted = await conn.execute(
            "select coalesce(sum(cost_microusd), 0)::bigint as money from understudy.provider_calls"
        )
        row = await counted.fetchone()
        money = int(row["money"]) if row else 0
    return {"mode": mode, "highest_epoch": epoch, "money_microusd": money}


async def _named_objects(conn: Connection) -> dict[str, set[str]]:
    """Keys that rows of this snapshot name, by bucket."""
    queries = {
        REFERENCES: (
            (
                "public.voices",
                "reference_object_key",
                "select reference_object_key as key from public.voices",
            ),
            (
                "public.tasks",
                "metadata",
                "select metadata #>> '{preview,object_key}' as key from public.tasks",
            ),
        ),
        GENERATIONS: (
            (
                "public.generations",
                "audio_object_key",
                "select audio_object_key as key from public.generations",
            ),
        ),
    }
    named: dict[str, set[str]] = {bucket: set() for bucket in BUCKETS}
    for bucket, sources in queries.items():
        for table, column, query in sources:
            if not await _has(conn, table, column):
                continue
            async for row in await conn.execute(query.encode()):
                if row["key"]:
                    named[bucket].add(row["key"])
    return named


async def _has(conn: Connection, table: str, column: str | None = None) -> bool:
    """Whether a table (and a column of it) is there: a dump of a broken state must still be made."""
    row = await (
        await conn.execute(
            "select to_regclass(%(table)s) is not null and (%(column)s::text is null or exists ("
            " select from pg_catalog.pg_attribute a where a.attrelid = to_regclass(%(table)s)"
            " and a.attname = %(column)s and not a.attisdropped)) as found",
            {"table": table, "column": column},
        )
    ).fetchone()
    return bool(row and row["found"])


@dataclass(frozen=True, slots=True)
class _Copied:
    count: int
    size: int
    lacking: tuple[str, ...]
    record: FileRecord


async def _copy_objects(shelf: Shelf, objects: ObjectStore, draft: Path, found: _Snapshot) -> _Copied:
    """Copy what is stored, once for each content; a recording's untouched original goes along."""
    path = draft / OBJECTS
    count = size = 0
    with path.open("w", encoding="utf-8") as listing:
        path.chmod(0o600)
        seen: dict[str, set[str]] = {bucket: set() for bucket in BUCKETS}
        for bucket in BUCKETS:
            async for item in objects.list(bucket):
                copy = await _copy(shelf, objects, bucket, item.key)
                if copy is None:
                    continue
                seen[bucket].add(item.key)
                count, size = count + 1, size + copy.size
                listing.write(json.dumps(asdict(copy)) + "\n")
        listing.flush()
        await asyncio.to_thread(os.fsync, listing.fileno())
    missing = tuple(
        f"{bucket}/{key}"
        for bucket in sorted(found.named)
        for key in sorted(found.named[bucket] - seen[bucket])
    )
    if missing:
        log.warning("backup_lacks_objects", missing=len(missing))
    record = await asyncio.to_thread(describe_file, path)
    return _Copied(count, size, missing[:_LACKING_LISTED], record)


async def _copy(shelf: Shelf, objects: ObjectStore, bucket: str, key: str) -> StoredCopy | None:
    """Keep one object's bytes under their digest; None where it went meanwhile or is damaged in the store."""
    try:
        opened = await objects.open(bucket, key)
    except NotFoundError:
        return None
    try:
        stat = opened.stat
        place = shelf.audio(stat.sha256)
        if not stat.sha256:
            return None  # put there by hand, larger than its bucket allows: nobody's audio
        if not await asyncio.to_thread(_is_kept, place, stat.size):
            await _keep(place, stat.sha256, _blocks(opened.read, stat.size))
    except NotFoundError:
        return None
    except BackupError as error:
        log.warning("object_damaged", bucket=bucket, key=key, reason=error.message)
        return None
    finally:
        await opened.close()
    return StoredCopy(bucket, key, stat.size, stat.content_type, stat.sha256)


async def _blocks(read: Any, size: int) -> AsyncIterator[bytes]:
    offset = 0
    while offset < size:
        block: bytes = await read(offset, min(_BLOCK, size - offset))
        offset += len(block)
        yield block


def _is_kept(place: Path, size: int) -> bool:
    try:
        return place.stat().st_size == size
    except FileNotFoundError:
        return False


async def _keep(place: Path, sha256: str, blocks: AsyncIterator[bytes]) -> None:
    """Write the bytes, durably, and only when they are those of the digest."""
    for folder in (place.parent.parent, place.parent):
        await asyncio.to_thread(folder.mkdir, mode=0o700, exist_ok=True)
    draft = place.with_name(f".{sha256[:16]}.{os.getpid()}")
    seen = hashlib.sha256()
    try:
        with draft.open("wb") as stream:
            draft.chmod(0o600)
            async for block in blocks:
                await asyncio.to_thread(stream.write, block)
                seen.update(block)
            stream.flush()
            await asyncio.to_thread(os.fsync, stream.fileno())
        if seen.hexdigest() != sha256:
            raise BackupError("its bytes are not those of its recorded digest")
        draft.rename(place)
    finally:
        draft.unlink(missing_ok=True)


def _manifest(
    backup_id: str,
    request: Request,
    found: _Snapshot,
    copied: _Copied | None,
    *,
    created_at: datetime,
    database: str,
) -> Manifest:
    files = dict(found.files)
    if copied is not None:
        files[OBJECTS] = copied.record
    return Manifest(
        id=backup_id,
        key=request.key,
        purpose=request.purpose,
        reason=request.reason,
        created_at=created_at,
        app_version=understudy.__version__,
        database=database,
        files=files,
        objects=copied.count if copied else None,
        object_bytes=copied.size if copied else 0,
        lacking=copied.lacking if copied else (),
        **found.facts,
    )


def _discard(draft: Path) -> None:
    for path in draft.glob("*"):
        path.unlink(missing_ok=True)
    if draft.is_dir():
        draft.rmdir()


def _disk_words(shelf: Shelf, error: OSError) -> str:
    if error.errno in _FULL:
        return (
            f"The disk of {shelf.folder} is full: no backup was made, and nothing of it is left. Make room, "
            "or set BACKUP_DIR to another disk."
        )
    return f"The backup cannot be written to {shelf.folder}: {error.strerror}."


def _first_line(error: UnderstudyError | psycopg.Error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
