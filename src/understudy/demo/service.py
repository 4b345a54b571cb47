"""The whole service, started as a user starts it: ``understudy up --json`` in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from understudy.bound_children import bound_to_parent
from understudy.envfile import set_in_env_file
from understudy.errors import UnderstudyError
from understudy.settings import ENV_FILE_VARIABLE, Settings
from understudy.store.embedded.server import EmbeddedPostgres

START_DEADLINE_S = 90.0
STOP_DEADLINE_S = 45.0
#: Whether a SIGTERM cancels what runs in this context already.
_LISTENS = ContextVar("listens_to_sigterm", default=False)


class DemoError(UnderstudyError):
    """The demo could not go on."""

    code = "demo"


@dataclass(frozen=True, slots=True)
class Service:
    """Addresses of a running service, and its operator's token."""

    api: str
    guard: str
    dashscope: str
    modal: str
    home: Path
    operator_token: str
    #: Where the pages are; None where they are not built.
    studio: str | None = None
    operations: str | None = None

    async def guard_document(self, http: aiohttp.ClientSession, path: str) -> dict[str, Any]:
        """Read one of the guard's documents as an operator."""
        async with http.get(self.guard + path, headers=self._operator()) as answer:
            document: dict[str, Any] = await answer.json()
            if answer.status != 200:
                raise DemoError(f"the guard answered HTTP {answer.status}: {document.get('detail')}")
            return document

    async def report(self, http: aiohttp.ClientSession, incident: str, form: str) -> str:
        """The incident's report as ``markdown`` or ``json``."""
        path = f"{self.guard}/incidents/{incident}/report?format={form}"
        async with http.get(path, headers=self._operator()) as answer:
            return await answer.text()

    async def break_qwen(self, http: aiohttp.ClientSession, **faults: float) -> None:
        """Turn faults of the DashScope stand-in on (probability 0 to 1)."""
        async with http.post(self.dashscope + "/_faults", json=faults) as answer:
            if answer.status != 200:
                raise DemoError("the DashScope stand-in refused the fault.")

    def _operator(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.operator_token}"}


@contextmanager
def cancelled_by_sigterm() -> Iterator[None]:
    """Let a SIGTERM cancel this task, once, so that nothing is left running or lying about.

    The outermost one counts.
    """
    if _LISTENS.get():
        yield
        return
    loop, asking = asyncio.get_running_loop(), asyncio.current_task()
    assert asking is not None  # noqa: S101  (a coroutine runs in a task)

    def cancel() -> None:
        # A second one must not cut off what the first one set going.
        if not asking.cancelling():
            asking.cancel()

    loop.add_signal_handler(signal.SIGTERM, cancel)
    listens = _LISTENS.set(True)
    try:
        yield
    finally:
        _LISTENS.reset(listens)
        loop.remove_signal_handler(signal.SIGTERM)


@asynccontextmanager
async def running_service(
    home: Path, *, mode: str, window_s: int, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Service]:
    """Start everything under ``home``, with ``settings``; stop it, and remove its database, at the end.

    A SIGTERM meanwhile cancels the task that asked for it, so that nothing is left running.

    Raises
    ------
    DemoError
        It did not become ready; its own words are in the message.
    """
    if settings:
        # Into the file: a child's environment is made anew from it.
        _write_settings(home, settings)
    errors = home.parent / "up.log"
    with cancelled_by_sigterm():
        with errors.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *bound_to_parent(
                    (
                        *(sys.executable, "-m", "understudy.cli.app", "up", "--json"),
                        *("--home", str(home), "--mode", mode, "--window-s", str(window_s)),
                    ),
                    dies_by=signal.SIGTERM,
                ),
                env=without_settings(),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield await _ready(process, errors)
        finally:
            await _stop(process)
            await EmbeddedPostgres(home).destroy()


def _write_settings(home: Path, settings: Mapping[str, str]) -> None:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    set_in_env_file(home / "understudy.env", dict(settings))


def without_settings() -> dict[str, str]:
    """Return the environment without any setting of a real installation: nothing real may be touched."""
    settings = {name.upper() for name in Settings.model_fields} | {
        ENV_FILE_VARIABLE,
        "UNDERSTUDY_ENVIRONMENT",
    }
    return {name: value for name, value in os.environ.items() if name.upper() not in settings}


async def _ready(process: asyncio.subprocess.Process, errors: Path) -> Service:
    assert process.stdout is not None  # noqa: S101  (it was asked for)
    try:
        async with asyncio.timeout(START_DEADLINE_S):
            line = await process.stdout.readline()
    except TimeoutError:
        raise DemoError(f"the service was not ready after {START_DEADLINE_S:g} s; see {errors}") from None
    if not line:
        raise DemoError(f"the service did not start: {_last_words(errors)}")
    addresses = json.loads(line)
    home = Path(addresses["home"])
    return Service(
        api=addresses["api"],
        guard=addresses["guard"],
        dashscope=addresses["dashscope"],
        modal=addresses["modal"],
        home=home,
        studio=addresses.get("studio"),
        operations=addresses.get("operations"),
        operator_token=(home / "run" / "operator.token").read_text().strip(),
    )


def _last_words(errors: Path) -> str:
    said = errors.read_text(errors="replace").strip().splitlines()
    return said[-1] if said else "no word from it"


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_DEADLINE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
