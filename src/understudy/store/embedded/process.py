"""The server process itself: spawned as a direct child, watched until it ends, ended in three steps."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from understudy.errors import ConfigurationError
from understudy.store.embedded.placement import Placement

#: Crash recovery replays at most a checkpoint interval of WAL; a slow disk may need minutes.
START_DEADLINE_S = 300.0
FAST_SHUTDOWN_S = 15.0
IMMEDIATE_SHUTDOWN_S = 6.0
_POLL_S = 0.02
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def clean_environment() -> dict[str, str]:
    """Only what Postgres needs: no secret of ours, no PG* variable, no locale of the caller."""
    kept = ("PATH", "TMPDIR", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C", "TZ": "UTC"}


class ServerProcess:
    """One run of the server."""

    def __init__(self, process: subprocess.Popen[bytes], data_dir: Path, log_file: Path, offset: int) -> None:
        self._process = process
        self._data_dir = data_dir
        self._log_file = log_file
        self._offset = offset
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = loop.create_future()

        def reap() -> None:
            code = process.wait()
            # The loop may be closed already: then nobody waits any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._settle, code)

        threading.Thread(target=reap, name=f"postgres-{process.pid}", daemon=True).start()

    @classmethod
    def spawn(cls, placement: Placement, *, port: int, options: Mapping[str, str], log_file: Path) -> Self:
        """Start ``postgres`` under the placement's account; its output goes to ``log_file``."""
        sockets = placement.prepare_socket_dir()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(sockets) if sockets else "",
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %a ",
            "password_encryption": "scram-sha-256",
            **options,
        }
        command: list[str] = [str(placement.bin_dir / "postgres"), "-D", str(placement.data_dir)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        offset = log_file.stat().st_size
        uid = placement.account.uid
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=clean_environment(),
                cwd="/",
                user=uid,
                group=uid,
                extra_groups=None if uid is None else [],
                preexec_fn=_dies_with(os.getpid()),  # noqa: PLW1509 - only async-signal-safe calls in it
                # Ctrl-C in a terminal must reach us alone: we then stop the server in order.
                process_group=0,
            )
        return cls(process, placement.data_dir, log_file, offset)

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def written(self) -> str:
        """What this run wrote to the log so far, at most its last 64 KiB."""
        with self._log_file.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._offset, end - 65536))
            return file.read().decode(errors="replace")

    async def wait(self) -> int:
        """Wait for the end; return the exit code (negative: the signal that ended it)."""
        return await asyncio.shield(self._ended)

    async def is_ready(self) -> bool:
        """Wait until it accepts connections (True), or has ended (False).

        Raises
        ------
        ConfigurationError
            Neither within :data:`START_DEADLINE_S`.
        """
        deadline = time.monotonic() + START_DEADLINE_S
        while not self._ended.done():
            if self._reports_ready():
                return True
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"Postgres is not ready after {START_DEADLINE_S:.0f} s; see {self._log_file}."
                )
            await asyncio.sleep(_POLL_S)
        return False

    async def stop(self) -> None:
        """Fast shutdown (SIGINT), then immediate (SIGQUIT), then SIGKILL."""
        for number, within_s in (
            (signal.SIGINT, FAST_SHUTDOWN_S),
            (signal.SIGQUIT, IMMEDIATE_SHUTDOWN_S),
            (signal.SIGKILL, IMMEDIATE_SHUTDOWN_S),
        ):
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._ended), within_s)
                return

    def _settle(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)

    def _reports_ready(self) -> bool:
        """Line 8 of postmaster.pid, the way pg_ctl waits; line 1 must be this process, not a killed one."""
        try:
            lines = (self._data_dir / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(self.pid) and lines[7].strip() == "ready"


def _dies_with(parent: int) -> Callable[[], None] | None:
    """A call for the child that makes Linux end it (SIGQUIT) when our thread ends, kill -9 included."""
    libc = _LIBC
    if libc is None:
        return None

    def arrange() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGQUIT), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return arrange
