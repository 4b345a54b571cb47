from __future__ import annotations

import os
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import pytest

from understudy.bound_children import clean_environment
from understudy.clock import SystemClock
from understudy.processes.child import ChildSpec, LogFile
from understudy.processes.ports import listening_socket
from understudy.processes.service import Event, Service

PROGRAM = Path(__file__).parents[2] / "programs" / "fd_server.py"


@dataclass
class Stage:
    """One small service on a socket of ours, and what was told about it."""

    folder: Path
    listener: socket.socket
    events: list[Event] = field(default_factory=list)
    deadlines: dict[str, float] = field(default_factory=dict)
    extra: tuple[str, ...] = ()

    @property
    def env_file(self) -> Path:
        return self.folder / "understudy.env"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def behave(self, how: str) -> None:
        self.env_file.write_text(f"BEHAVIOUR={how}\n")

    def told(self, name: str) -> list[str]:
        return [event.message for event in self.events if event.name == name]

    def spec(self, instance: uuid.UUID, env_file: Path | None = None) -> ChildSpec:
        ready = self.folder / f"ready-{instance}"
        fd = self.listener.fileno()
        spec = ChildSpec(
            name="api",
            argv=(
                sys.executable,
                str(PROGRAM),
                *("--fd", str(fd), "--instance", str(instance), "--ready-file", str(ready)),
                *self.extra,
            ),
            environment=clean_environment(
                os.environ, {"UNDERSTUDY_ENV_FILE": str(env_file or self.env_file)}
            ),
            ready_file=ready,
            pass_fds=(fd,),
        )
        return replace(spec, **self.deadlines)

    def service(self, name: str = "api", *, env_file: Path | None = None) -> Service:
        log = LogFile(self.folder / f"{name}.log")
        return Service(
            name,
            lambda instance: self.spec(instance, env_file),
            log=log,
            clock=SystemClock(),
            notify=self.events.append,
        )

    async def ask(self, path: str = "/") -> str:
        """One request on a connection of its own; raises when it is refused or cut."""
        connector = aiohttp.TCPConnector(force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(self.url + path) as answer,
        ):
            return await answer.text()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    with listening_socket(0, option="--api-port") as listener:
        made = Stage(tmp_path, listener)
        made.behave("ok")
        yield made


@pytest.fixture
def gone() -> Callable[[int], bool]:
    """Whether a process id runs no more (a zombie that its parent has not collected counts as gone)."""

    def check(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except FileNotFoundError:
            return True

    return check
