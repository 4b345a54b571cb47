"""What an operator does to a running service: orders at the command line, faults, a process that dies."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import psutil

from tests.browser.waiting import until
from understudy.demo.service import Service, without_settings
from understudy.envfile import read_env_file
from understudy.restoration.targets.local import CONTROL_FILE
from understudy.restoration.targets.supervisor_client import SupervisorClient
from understudy.settings import settings_from
from understudy.store.migrations import connect_owner

_WITHIN_S = 60.0


async def order(service: Service, *arguments: str) -> str:
    """Run one of our commands on this service's home; return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "understudy.cli.app", *arguments, "--home", str(service.home)),
        env=without_settings(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(_WITHIN_S):
        said, _ = await process.communicate()
    words = said.decode(errors="replace").strip()
    assert process.returncode == 0, f"understudy {' '.join(arguments)}: {words}"
    return words


async def set_mode(service: Service, mode: str) -> None:
    """Let the other provider speak, live; the api has heard of it when this returns."""
    await order(service, "mode", "set", mode, "--reason", "a browser test")
    async with aiohttp.ClientSession() as http:

        async def serves() -> str:
            async with http.get(f"{service.api}/api/languages") as answer:
                return str((await answer.json())["provider"])

        await until(serves, lambda provider: provider == mode, what=f"an api that serves by {mode}")


@asynccontextmanager
async def mode(service: Service, mode: str) -> AsyncIterator[None]:
    """Let ``mode`` speak for a block; Qwen speaks again afterwards."""
    await set_mode(service, mode)
    try:
        yield
    finally:
        await set_mode(service, "qwen")


@asynccontextmanager
async def in_force(service: Service, on: tuple[str, ...], off: tuple[str, ...]) -> AsyncIterator[None]:
    """Give the order ``on`` for a block, and ``off`` at its end."""
    await order(service, *on, "--reason", "a browser test")
    try:
        yield
    finally:
        await order(service, *off, "--reason", "a browser test")


@asynccontextmanager
async def faults(http: aiohttp.ClientSession, panel: str, **probabilities: float) -> AsyncIterator[None]:
    """Let a stand-in fail so often (0 to 1) for a block."""
    async with http.post(f"{panel}/_faults", json=probabilities) as answer:
        assert answer.status == 200, await answer.text()
    try:
        yield
    finally:
        await calm(http, panel)


async def calm(http: aiohttp.ClientSession, panel: str) -> None:
    """Let a stand-in fail no more."""
    async with http.delete(f"{panel}/_faults") as answer:
        assert answer.status < 300, await answer.text()


async def api_process(service: Service) -> tuple[int, int]:
    """Id of the process that answers, and how often it was started again."""
    status = await SupervisorClient(service.home / CONTROL_FILE).status()
    row = next(one for one in status["processes"] if one["name"] == "api")
    return int(row["pid"]), int(row["restarts"])


async def playback_told(service: Service, generation_id: str) -> list[str]:
    """What players told of a generation, as the service keeps it."""
    settings = settings_from(read_env_file(service.home / "understudy.env"))
    conn = await connect_owner(settings.migration_database_url)
    try:
        rows = await conn.execute(
            "SELECT event FROM understudy.playback_events WHERE generation_id = %s ORDER BY at",
            [generation_id],
        )
        return [row["event"] for row in await rows.fetchall()]
    finally:
        await conn.close()


async def kill_api(service: Service) -> int:
    """Kill the process that answers, as if memory had run out; return its id."""
    pid, _ = await api_process(service)
    os.kill(pid, signal.SIGKILL)
    return pid


def listener(address: str) -> int:
    """The process that listens where ``address`` says."""
    port = int(address.rsplit(":", 1)[1])
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return connection.pid
    raise AssertionError(f"nothing listens on {port}")
