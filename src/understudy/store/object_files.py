"""One object as files.

On disk an object ``a/b.wav`` is ``a/<random>-b.wav``, which never changes once written, and
``a/b.wav.object``, a small record that names it with size, type and digest. Renaming the record into place is
the one commit point, so bytes and record cannot disagree, and a download under way survives a replacement.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import json
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from understudy.errors import ConflictError, NotFoundError, StoreUnavailableError, UnderstudyError
from understudy.logs import get_logger
from understudy.store.buckets import ListedObject, ObjectStat

RECORD_SUFFIX = ".object"

#: An upload that made no progress for this long belongs to a process that died.
ABANDONED_AFTER_S = 3600

#: What a file system says when it has no room: full, over quota, over a size limit.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_log = get_logger(__name__)


class ObjectReader:
    """One open object: ``stat`` and positioned reads that block a thread, not the loop."""

    stat: ObjectStat

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._lock = threading.Lock()

    def open(self) -> None:
        """Find and open the object; blocks."""
        with self._lock, _storage_errors():
            self.stat, self._descriptor = _open(self._path)

    async def read(self, offset: int, length: int) -> bytes:
        """Return exactly ``length`` bytes from ``offset``; raise when the file ends before that."""
        return await asyncio.to_thread(self._read, offset, length)

    async def close(self) -> None:
        """Give the descriptor back; waits for a read under way."""
        await asyncio.shield(asyncio.to_thread(self._close))

    def _read(self, offset: int, length: int) -> bytes:
        parts = []
        # The lock: a descriptor closed under a read in another thread may already be someone else's file.
        with self._lock, _storage_errors():
            if self._descriptor < 0:
                raise StoreUnavailableError("The audio was closed while it was read.")
            while length:
                part = os.pread(self._descriptor, length, offset)
                if not part:
                    raise UnderstudyError("The stored audio is shorter than its record says.")
                parts.append(part)
                offset += len(part)
                length -= len(part)
        return b"".join(parts)

    def _close(self) -> None:
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1


@dataclass(frozen=True, slots=True)
class _Record:
    """What ``<name>.object`` holds."""

    data: str
    size: int
    content_type: str
    sha256: str

    @property
    def stat(self) -> ObjectStat:
        return ObjectStat(size=self.size, content_type=self.content_type, sha256=self.sha256)


class ObjectWriter:
    """A body on its way to disk. ``close`` removes whatever was not committed.

    Parameters
    ----------
    scratch
        A folder of the same file system, for what is not finished.
    """

    def __init__(self, path: Path, scratch: Path) -> None:
        self._path = path
        self._scratch = scratch
        self._digest = hashlib.sha256()
        self._lock = threading.Lock()
        self._unfinished: set[Path] = set()
        self._token = secrets.token_hex(8)
        self._temporary = scratch / self._token
        self._descriptor = -1
        self.size = 0

    def open(self) -> None:
        """Make the folders and the temporary file; blocks."""
        with self._lock, _storage_errors():
            _make_folders(self._scratch)
            _make_folders(self._path.parent)
            self._descriptor = self._create(self._temporary)

    def write(self, data: bytes) -> None:
        """Append; blocks."""
        with self._lock, _storage_errors():
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            self._digest.update(data)
            self.size += len(data)

    def commit(self, content_type: str, *, exclusive: bool) -> ObjectStat:
        """Make what was written the object, durably; blocks. ``exclusive`` refuses to replace another."""
        with self._lock, _storage_errors():
            folder = self._path.parent
            os.fsync(self._descriptor)
            data = folder / f"{self._token}-{self._path.name}"
            self._temporary.rename(data)
            self._unfinished.add(data)
            record = _Record(data.name, self.size, content_type, self._digest.hexdigest())
            draft = self._scratch / f"{self._token}{RECORD_SUFFIX}"
            self._write_record(draft, record)
            replaced = None
            if exclusive:
                try:
                    # link, unlike rename, refuses an existing name: two uploads cannot both win.
                    _record_path(self._path).hardlink_to(draft)
                except FileExistsError:
                    raise ConflictError("Audio was already uploaded here.") from None
            else:
                replaced = read_record(self._path)
                draft.rename(_record_path(self._path))
            self._unfinished.discard(data)
            _sync_folder(folder)
            if replaced:
                (folder / replaced.data).unlink(missing_ok=True)
            return record.stat

    def write_whole(self, data: bytes, content_type: str) -> ObjectStat:
        """Make ``data`` the object, durably; blocks."""
        try:
            self.open()
            self.write(data)
            return self.commit(content_type, exclusive=False)
        finally:
            self.close()

    def close(self) -> None:
        """Give the descriptor back and remove what was not committed; blocks until a write ends."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
            for path in self._unfinished:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)

    def _create(self, path: Path) -> int:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._unfinished.add(path)
        return descriptor

    def _write_record(self, path: Path, record: _Record) -> None:
        descriptor = self._create(path)
        try:
            os.write(descriptor, json.dumps(asdict(record)).encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + RECORD_SUFFIX)


def read_record(path: Path) -> _Record | None:
    """Return the record of the object at ``path``, or ``None`` when there is none; blocks."""
    with _storage_errors():
        try:
            text = _record_path(path).read_text()
        except (FileNotFoundError, NotADirectoryError):
            return None
    try:
        record = _Record(**json.loads(text))
    except (ValueError, TypeError):
        raise UnderstudyError("The record of a stored object is damaged.") from None
    if "/" in record.data:
        raise UnderstudyError("The record of a stored object is damaged.")
    return record


def _open(path: Path) -> tuple[ObjectStat, int]:
    # Twice: a replacement may remove the file between reading its record and opening it.
    for _ in range(2):
        record = read_record(path)
        if record is None:
            raise NotFoundError
        with contextlib.suppress(FileNotFoundError):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            return record.stat, os.open(path.parent / record.data, flags)
    _log.error("object_without_bytes", key=path.name)
    raise NotFoundError


def delete_object(path: Path) -> None:
    """Remove the object at ``path`` if there is one; blocks."""
    record = read_record(path)
    if record is None:
        return
    with _storage_errors():
        # The record first: a crash in between leaves unreachable bytes, never a record without bytes.
        _record_path(path).unlink(missing_ok=True)
        _sync_folder(path.parent)
        (path.parent / record.data).unlink(missing_ok=True)


def sweep_abandoned(scratch: Path, now_s: float) -> int:
    """Remove unfinished uploads of processes that died; return how many. Blocks."""
    removed = 0
    if not scratch.is_dir():
        return removed
    with _storage_errors():
        for path in scratch.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if now_s - path.stat().st_mtime > ABANDONED_AFTER_S:
                    path.unlink()
                    removed += 1
    return removed


def sweep_strays(root: Path, now_s: float) -> int:
    """Remove bytes that no record names, and empty folders, both old; return how many files. Blocks.

    A process killed between placing the bytes and placing their record leaves the former.
    """
    removed = 0
    with _storage_errors():
        for folder, _, names in os.walk(root, topdown=False):
            path = Path(folder)
            records = [name for name in names if name.endswith(RECORD_SUFFIX)]
            found = [read_record(path / name.removesuffix(RECORD_SUFFIX)) for name in records]
            kept = {record.data for record in found if record}
            for name in set(names) - set(records) - kept:
                if _is_old(path / name, now_s):
                    (path / name).unlink(missing_ok=True)
                    removed += 1
            if path != root and not names and _is_old(path, now_s):
                # Not empty after all: a folder or an upload came in meanwhile.
                with contextlib.suppress(OSError):
                    path.rmdir()
    return removed


def _is_old(path: Path, now_s: float) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return now_s - path.stat().st_mtime > ABANDONED_AFTER_S
    return False


def walk_objects(folder: Path, prefix: str, after: str, base: str = "") -> Iterator[ListedObject]:
    """Yield the objects below a bucket's folder in the order of their keys; blocks.

    Folders that can hold none of the keys wanted are not read.
    """
    for name, path in _entries(folder):
        key = base + name
        if name.endswith("/"):
            wanted = key.startswith(prefix) or prefix.startswith(key)
            if wanted and (key > after or after.startswith(key)):
                yield from walk_objects(path, prefix, after, key)
        elif key > after and key.startswith(prefix):
            record = read_record(path)
            if record is not None:
                with contextlib.suppress(FileNotFoundError):
                    changed_s = _record_path(path).stat().st_mtime
                    yield ListedObject(key, record.size, datetime.fromtimestamp(changed_s, UTC))


def _entries(folder: Path) -> list[tuple[str, Path]]:
    """Folders (their names end with a slash, as they do in keys) and objects, in the order of keys."""
    found = []
    with _storage_errors(), contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                found.append((f"{entry.name}/", folder / entry.name))
            elif entry.name.endswith(RECORD_SUFFIX):
                name = entry.name.removesuffix(RECORD_SUFFIX)
                found.append((name, folder / name))
    return sorted(found)


def _make_folders(folder: Path) -> None:
    """Make missing folders, each 0700 and on disk before anything is put into it."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _storage_errors() -> Iterator[None]:
    """Turn an ``OSError`` into one that says what to do and names no path of this machine to a tenant."""
    try:
        yield
    except OSError as error:
        _log.error("object_storage_failed", errno=error.errno, error=error.strerror, path=error.filename)
        if error.errno in _FULL:
            raise StoreUnavailableError(
                "There is no space left to store audio; nothing was kept.", retry_after_s=60
            ) from error
        raise StoreUnavailableError(
            "Stored audio cannot be reached; nothing was changed.", retry_after_s=10
        ) from error
