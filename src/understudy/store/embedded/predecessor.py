"""One server for one data directory: the lock, and what a killed predecessor left running."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import time
from pathlib import Path

from understudy.errors import ConfigurationError
from understudy.logs import get_logger
from understudy.store.embedded.failures import GIVE_RIGHT

_POLL_S = 0.05
#: Idle orphans notice the postmaster's death at once; one in the middle of a query is helped after this long.
_PATIENCE_S = 1.0

log = get_logger(__name__)


class DataLock:
    """An advisory lock on a server's folder, held while the server runs; the kernel frees it with us."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "launcher.lock"
        self._data_dir = folder / "data"
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the lock.

        Raises
        ------
        ConfigurationError
            Another process started this server; it and the server are named.
        """
        if self._descriptor is not None:
            return
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(f"Cannot write {self._path}: {error.strerror}. {GIVE_RIGHT}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            server = postmaster_pid(self._data_dir)
            running = f"Postgres runs as process {server}, started" if server else "Postgres is being started"
            raise ConfigurationError(
                f"{self._data_dir} is in use: {running} by process {holder}. Stop that one first, or point "
                "UNDERSTUDY_HOME to another folder."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; safe to repeat."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def postmaster_pid(data_dir: Path) -> int | None:
    """Process id in ``postmaster.pid`` when that process lives; None for a stale file, a zombie, or none."""
    try:
        pid = int((data_dir / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        # A stranger got the number; a server of this directory runs under our id (or we are root).
        return None
    folder = _working_directory(pid)
    if folder is not None and folder != data_dir.resolve():
        return None
    return None if _is_zombie(pid) else pid


async def await_predecessor(data_dir: Path, *, deadline_s: float) -> None:
    """Wait for a server whose launcher was killed; drop the lock file of one that is dead but not reaped.

    Called under the :class:`DataLock`, so no live launcher owns that server.

    Raises
    ------
    ConfigurationError
        It still runs after ``deadline_s``: somebody started it by other means. It is named, not ended.
    """
    deadline = time.monotonic() + deadline_s
    while (pid := postmaster_pid(data_dir)) is not None:
        if time.monotonic() > deadline:
            raise ConfigurationError(
                f"A Postgres that this program did not start runs on {data_dir} as process {pid}. Stop it "
                f"first (`kill -INT {pid}`), or point UNDERSTUDY_HOME to another folder."
            )
        await asyncio.sleep(_POLL_S)
    lock_file = data_dir / "postmaster.pid"
    with contextlib.suppress(OSError, ValueError, IndexError):
        # Postgres takes an unreaped postmaster for a running one and would refuse for ever where PID 1 never
        # reaps. Its shared memory still guards the data: see end_orphans.
        if _is_zombie(int(lock_file.read_text().splitlines()[0])):
            lock_file.unlink()


async def end_orphans(data_dir: Path) -> None:
    """Wait briefly for processes of a dead server on ``data_dir``, then end those that stay.

    Call it only when the postmaster is dead: its backends cannot write anything consistent any more, and
    while they live the next server must not start.
    """
    for number in (signal.SIGQUIT, signal.SIGKILL):
        deadline = time.monotonic() + _PATIENCE_S
        while left := _processes_of(data_dir):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(_POLL_S)
        else:
            await asyncio.sleep(_POLL_S)
            return
        log.warning("ending_orphans_of_dead_postgres", pids=left, signal=number.name)
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
    await asyncio.sleep(_POLL_S)


def _processes_of(data_dir: Path) -> list[int]:
    """Processes named ``postgres`` that work in ``data_dir`` (Linux; elsewhere none is found)."""
    folder = data_dir.resolve()
    proc = Path("/proc")
    if not (proc / "self").exists():
        return []
    found = []
    for entry in proc.iterdir():
        if entry.name.isdigit() and _working_directory(int(entry.name)) == folder:
            with contextlib.suppress(OSError):
                if (entry / "comm").read_text().strip() == "postgres" and not _is_zombie(int(entry.name)):
                    found.append(int(entry.name))
    return found


def _working_directory(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None


def _is_zombie(pid: int) -> bool:
    try:
        # The name in brackets may hold spaces: the state follows the last bracket.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False
