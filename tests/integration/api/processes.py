"""Api processes as a supervisor starts them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pydantic import SecretStr

from understudy.settings import Settings


def environment(settings: Settings) -> dict[str, str]:
    """A clean environment that says what ``settings`` says."""
    values = {}
    for name in settings.model_fields_set:
        value = getattr(settings, name)
        values[name.upper()] = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    return {"PATH": os.environ["PATH"], "PYTHONWARNINGS": "error", **values}


@dataclass(slots=True)
class ApiProcess:
    """One ``understudy serve``."""

    process: asyncio.subprocess.Process
    log: Path

    def text(self) -> str:
        """What it wrote to standard error so far."""
        return self.log.read_text()

    def terminate(self, number: int = signal.SIGTERM) -> None:
        """Ask it to leave."""
        self.process.send_signal(number)

    async def exit_code(self, within_s: float = 30) -> int:
        """Wait for its end."""
        return await asyncio.wait_for(self.process.wait(), within_s)

    def holds(self, listener: socket.socket) -> bool:
        """Whether the process still has its copy of the listening socket."""
        wanted = f"socket:[{os.fstat(listener.fileno()).st_ino}]"
        found = set()
        for link in Path(f"/proc/{self.process.pid}/fd").iterdir():
            try:
                found.add(str(link.readlink()))
            except FileNotFoundError:
                continue
        return wanted in found


async def start(
    settings: Settings,
    log: Path,
    arguments: Iterable[str],
    *,
    pass_fds: Iterable[int] = (),
) -> ApiProcess:
    """Start ``understudy serve`` with arguments; standard output must stay empty and joins the log."""
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "understudy.cli.app",
            "serve",
            *arguments,
            env=environment(settings),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=tuple(pass_fds),
        )
    return ApiProcess(process, log)


async def start_on(settings: Settings, log: Path, listener: socket.socket, instance: UUID) -> ApiProcess:
    """Start one that inherits ``listener``."""
    fd = listener.fileno()
    return await start(settings, log, ["--fd", str(fd), "--instance", str(instance)], pass_fds=[fd])
