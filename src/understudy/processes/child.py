"""One child process: started clean, ready by its own word, stopped in time, dead with its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from understudy.bound_children import bound_to_parent
from understudy.clock import Clock
from understudy.errors import ProcessError
from understudy.logs import Redactor

LOG_LIMIT_BYTES = 8 * 1024 * 1024
READY_POLL_S = 0.02
_TAIL_BYTES = 4096


class ChildState(StrEnum):
    """Where a process is in its life, as the control socket reports it."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to start one process.

    Parameters
    ----------
    argv
        Absolute program and arguments; never a secret.
    environment
        The whole environment of the child.
    ready_file
        The child writes it, non-empty, when it serves.
    pass_fds
        File descriptors the child inherits under the same numbers.
    ready_within_s, stop_within_s
        Deadlines of start and of drain; past the second the whole process group is killed.
    release
        Name of the release that it is started from; None for the code of this process.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    ready_file: Path
    pass_fds: tuple[int, ...] = ()
    ready_within_s: float = 60.0
    stop_within_s: float = 45.0
    release: str | None = None


class LogFile:
    """A log that never grows past twice ``limit_bytes``: the older half is kept as ``<name>.1``."""

    def __init__(self, path: Path, *, limit_bytes: int = LOG_LIMIT_BYTES) -> None:
        self.path = path
        self._limit_bytes = limit_bytes
        self._handle = self._open()

    def write(self, data: bytes) -> None:
        """Append ``data``; lost where the disk takes no more, for a full disk must not end supervision."""
        with suppress(OSError):
            if os.fstat(self._handle).st_size + len(data) > self._limit_bytes:
                self.path.replace(self.path.with_name(f"{self.path.name}.1"))
                full, self._handle = self._handle, self._open()
                os.close(full)
            os.write(self._handle, data)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


class Child:
    """A running process; made by :meth:`start`."""

    def __init__(
        self, spec: ChildSpec, instance: uuid.UUID, process: asyncio.subprocess.Process, started_at: datetime
    ) -> None:
        self.spec = spec
        self.instance = instance
        self.pid = process.pid
        self.started_at = started_at
        self.state = ChildState.STARTING
        #: The revision that it said it runs, with its readiness; older code says none.
        self.revision: str | None = None
        self._process = process
        self._tail = b""
        self._ended: asyncio.Task[int]

    @classmethod
    async def start(cls, spec: ChildSpec, *, instance: uuid.UUID, log: LogFile, clock: Clock) -> Child:
        """Start the process in a session of its own (so Ctrl-C reaches only the supervisor).

        Raises
        ------
        ProcessError
            The operating system refused to start it.
        """
        spec.ready_file.unlink(missing_ok=True)
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        try:
            process = await asyncio.create_subprocess_exec(
                *bound_to_parent(spec.argv),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                env=dict(spec.environment),
                pass_fds=spec.pass_fds,
                start_new_session=True,
            )
        except OSError as error:
            os.close(reading)
            raise ProcessError(f"{spec.name} cannot be started: {error.strerror}.") from error
        finally:
            os.close(writing)
        child = cls(spec, instance, process, clock.now())
        loop = asyncio.get_running_loop()
        loop.add_reader(reading, child._collect, reading, log)
        child._ended = loop.create_task(child._watch(reading, log), name=f"{spec.name}-exit")
        return child

    @property
    def exit_code(self) -> int | None:
        """Exit status, negative for a signal; ``None`` while it runs."""
        return self._process.returncode

    async def wait_ready(self) -> None:
        """Return when the process has written its ready file.

        Raises
        ------
        ProcessError
            It ended first, or took longer than ``ready_within_s``; quotes its last words.
        """
        try:
            async with asyncio.timeout(self.spec.ready_within_s):
                while not _has_content(self.spec.ready_file):
                    if self._ended.done():
                        raise ProcessError(self._obituary("before it was ready"))
                    await asyncio.wait({self._ended}, timeout=READY_POLL_S)
        except TimeoutError:
            raise ProcessError(
                f"{self.spec.name} (process {self.pid}) was not ready within {self.spec.ready_within_s:g} s."
                f"{self._last_words()}"
            ) from None
        self.revision = _revision_in(self.spec.ready_file, self.instance)
        self.state = ChildState.READY

    async def wait(self) -> int:
        """Exit status, once the process has ended; negative for a signal."""
        return await asyncio.shield(self._ended)

    async def stop(self, *, within_s: float | None = None) -> bool:
        """Ask the process to finish; kill its group past the deadline. True when it ended by itself."""
        if self._ended.done():
            return True
        self.state = ChildState.DRAINING
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        finished, _ = await asyncio.wait({self._ended}, timeout=within_s or self.spec.stop_within_s)
        if not finished:
            await self.kill()
        self.state = ChildState.STOPPED
        return bool(finished)

    async def kill(self) -> None:
        """Kill the process and everything it started, at once."""
        self.kill_now()
        await self.wait()
        self.state = ChildState.STOPPED

    def kill_now(self) -> None:
        """As :meth:`kill`, without waiting for the end."""
        if not self._ended.done():
            self._kill_group()

    def describe_end(self) -> str:
        """How and with which last words the process ended."""
        return self._obituary("by itself")

    def _collect(self, reading: int, log: LogFile) -> None:
        with suppress(BlockingIOError):
            while data := os.read(reading, 65536):
                log.write(data)
                self._tail = (self._tail + data)[-_TAIL_BYTES:]
            asyncio.get_running_loop().remove_reader(reading)

    async def _watch(self, reading: int, log: LogFile) -> int:
        code = await self._process.wait()
        # What it started itself must not outlive it; the group is still its own until that is gone.
        self._kill_group()
        self._collect(reading, log)
        asyncio.get_running_loop().remove_reader(reading)
        os.close(reading)
        self.spec.ready_file.unlink(missing_ok=True)
        if self.state is not ChildState.DRAINING:
            self.state = ChildState.FAILED
        return code

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _obituary(self, when: str) -> str:
        code = self.exit_code or 0
        how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
        return f"{self.spec.name} (process {self.pid}) {how} {when}.{self._last_words()}"

    def _last_words(self) -> str:
        lines = [line.strip() for line in self._tail.decode(errors="replace").splitlines() if line.strip()]
        return f" Its last words: {Redactor()(' | '.join(lines[-3:]))[-600:]}" if lines else ""


def _revision_in(ready_file: Path, instance: uuid.UUID) -> str | None:
    """Return the second line of a ready file whose first is the instance's id."""
    try:
        lines = ready_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return lines[1] if len(lines) == 2 and lines[0] == str(instance) else None


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False
