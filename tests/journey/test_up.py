"""`understudy up` as a user starts it, from the first line of JSON to the last process gone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from pydantic import SecretStr

from understudy.clock import SystemClock
from understudy.envfile import read_env_file, set_in_env_file
from understudy.store.embedded.server import EmbeddedPostgres
from understudy.store.objects import GENERATIONS, LocalObjects

pytestmark = [pytest.mark.journey, pytest.mark.timeout(240)]

START_WITHIN_S = 90.0
Eventually = Callable[..., Awaitable[None]]


class Up:
    """One running ``understudy up --json``."""

    def __init__(self, home: Path, *options: str, **environment: str) -> None:
        self.home = home
        command = [sys.executable, "-m", "understudy.cli.app", "up", "--json", "--home", str(home), *options]
        self.log = home.parent / f"up-{time.monotonic_ns()}.stderr"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("UNDERSTUDY_", "TTS_"))}
        with self.log.open("wb") as stream:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stream, text=True, env=clean | environment
            )
        self.addresses: dict[str, Any] = {}
        self.family: list[psutil.Process] = []

    async def ready(self) -> Up:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(asyncio.to_thread(self.process.stdout.readline), START_WITHIN_S)
        assert line, f"`up` ended with {self.process.wait()}: {self.words()}"
        self.addresses = json.loads(line)
        self.look()
        return self

    def look(self) -> None:
        """Remember every process below, before a kill makes orphans of them."""
        self.family = [self.me, *self.me.children(recursive=True)]

    @property
    def me(self) -> psutil.Process:
        return psutil.Process(self.process.pid)

    def words(self) -> str:
        return self.log.read_text()

    def left(self) -> list[str]:
        """Command lines of processes of the family that still run."""
        alive = []
        for process in self.family:
            with suppress(psutil.NoSuchProcess):
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    alive.append(" ".join(process.cmdline()))
        return alive

    async def stop(self, number: int = signal.SIGTERM, within_s: float = 60.0) -> int:
        self.look()
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, within_s)

    async def ended(self, within_s: float = 30.0) -> tuple[int, str]:
        """Exit status and standard output of a run that ends by itself."""
        output, _ = await asyncio.to_thread(self.process.communicate, None, within_s)
        return self.process.returncode, output

    async def control(self, method: str, path: str, **body: Any) -> Any:
        published = json.loads((self.home / "run" / "control.json").read_text())
        headers = {"Authorization": f"Bearer {published['token']}"}
        async with (
            aiohttp.ClientSession(published["url"], headers=headers) as session,
            session.request(method, path, json=body or None) as answer,
        ):
            return await answer.json()


@asynccontextmanager
async def running(home: Path, *options: str, **environment: str) -> AsyncIterator[Up]:
    up = Up(home, *options, **environment)
    try:
        yield await up.ready()
    finally:
        if up.process.poll() is None:
            up.look()
            up.process.kill()
            up.process.wait()
        assert up.process.stdout is not None
        up.process.stdout.close()


@contextmanager
def made_home(folder: Path) -> Iterator[Path]:
    """A home, and at the end its database too: as root that may lie outside the folder."""
    home = folder / "home"
    yield home
    if home.exists():
        asyncio.run(EmbeddedPostgres(home).destroy())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with made_home(tmp_path_factory.mktemp("up")) as place:
        yield place


@pytest.fixture
def fresh_home(tmp_path: Path) -> Iterator[Path]:
    with made_home(tmp_path) as place:
        yield place


async def status_of(home: Path) -> tuple[int, Any]:
    command = [sys.executable, "-m", "understudy.cli.app", "status", "--json", "--home", str(home)]
    run = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=30, check=False
    )
    return run.returncode, json.loads(run.stdout)


async def get(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def text(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        return await answer.text()


async def test_everything_starts_answers_and_stops_without_a_trace(
    home: Path, eventually: Eventually
) -> None:
    async with running(home, TTS_PROVIDER_MODE="qwen") as up:
        assert set(up.addresses) == {
            "api", "guard", "worker_metrics", "dashscope", "modal", "postgres", "control", "home", "env_file",
            "release", "revision", "studio", "operations",
        }  # fmt: skip
        assert up.addresses["release"] == "checkout"
        assert await get(f"{up.addresses['api']}/api/health") == {"ok": True}
        for metrics in (f"{up.addresses['api']}/metrics", up.addresses["worker_metrics"]):
            assert 'understudy_mode_info{state="FRESH",value="qwen"} 1.0' in await text(metrics)
        settings = read_env_file(Path(up.addresses["env_file"]))
        assert settings["TTS_PROVIDER_MODE"] == "qwen"
        assert settings["DASHSCOPE_BASE_URL"] == up.addresses["dashscope"]
        secrets = [settings[name] for name in ("JWT_SECRET", "OBJECT_URL_SECRET", "DATABASE_URL")]
        assert not [
            secret for secret in secrets if secret in json.dumps(up.addresses) or secret in up.words()
        ]
        assert not [secret for secret in secrets for line in up.left() if secret in line]

        status = await up.control("GET", "/v1/status")
        states = {row["name"]: row["state"] for row in status["processes"]}
        assert states == dict.fromkeys(("postgres", "standins", "api", "worker", "guard"), "ready")

        code, shown = await status_of(home)
        assert (code, shown["running"], shown["env_mode"]) == (0, True, "qwen")
        assert shown["guard"]["mode"]["value"] == "qwen"

        second = Up(home)
        assert await second.ended() == (1, "")
        assert f"process {up.process.pid}" in second.words()

        assert await up.stop() == 0
        await eventually(lambda: not up.left(), what="every process has ended")
        assert not (home / "run" / "state.json").exists()
        assert not (home / "run" / "control.json").exists()
        code, shown = await status_of(home)
        assert (code, shown["running"]) == (1, False)
        assert "understudy up" in shown["problem"]


async def test_kill_9_leaves_no_process_and_the_home_works_at_once(
    home: Path, eventually: Eventually
) -> None:
    async with running(home) as up:
        before = read_env_file(home / "understudy.env")
        port = up.addresses["api"].rsplit(":", 1)[1]
        brief = {"text": "one two three", "language": "English", "instruct": "a calm, deep voice"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{up.addresses['modal']}/voice-design", json=brief) as answer,
        ):
            assert (await answer.read())[:4] == b"RIFF"  # so the speech engine's own process runs too
        await up.stop(signal.SIGKILL)
        assert len(up.family) >= 8
        await eventually(lambda: not up.left(), what="every process died with `up`", within_s=10)
        assert (home / "run" / "state.json").exists()
    async with running(home, "--api-port", port) as again:
        assert again.addresses["api"].endswith(f":{port}")
        after = read_env_file(home / "understudy.env")
        for kept in ("JWT_SECRET", "OBJECT_URL_SECRET", "TTS_PROVIDER_MODE", "STANDIN_DASHSCOPE_KEY"):
            assert after[kept] == before[kept]
        assert await again.stop(signal.SIGINT) == 0
        await eventually(lambda: not again.left(), what="every process has ended")


async def slow_download(up: Up, key: str, halfway: asyncio.Event) -> bytes:
    """Read a stored object slowly: half of it, then nothing until ``halfway`` is set, then the rest."""
    settings = read_env_file(Path(up.addresses["env_file"]))
    objects = LocalObjects(
        up.home / "objects", SecretStr(settings["OBJECT_URL_SECRET"]), 600, SystemClock(), up.addresses["api"]
    )
    url = await objects.sign_get(GENERATIONS, key)
    async with aiohttp.ClientSession(read_bufsize=4096) as session, session.get(url) as answer:
        assert answer.status == 200
        received = bytearray()
        async for chunk in answer.content.iter_chunked(4096):
            received += chunk
            if len(received) > 100_000:
                await halfway.wait()
        return bytes(received)


async def test_a_redeploy_cuts_no_download_and_refuses_no_request(home: Path, eventually: Eventually) -> None:
    async with running(home) as up:
        # More than the kernel buffers between the two ends, so that the old process must go on sending.
        data = os.urandom(24 * 1024 * 1024)
        store = LocalObjects(home / "objects", SecretStr("x" * 32), 600, SystemClock())
        await store.put(GENERATIONS, "u/long.wav", data, "audio/wav")
        set_in_env_file(Path(up.addresses["env_file"]), {"TTS_PROVIDER_MODE": "modal"})
        over, halfway = asyncio.Event(), asyncio.Event()
        answered = 0

        async def knock() -> None:
            nonlocal answered
            while not over.is_set():
                assert await get(f"{up.addresses['api']}/api/health") == {"ok": True}
                answered += 1

        async def state() -> dict[str, Any]:
            found: dict[str, Any] = await up.control("GET", "/v1/deployments/journey-1")
            return found

        async def draining() -> bool:
            return "old_draining" in [step["step"] for step in (await state())["steps"]]

        async def done() -> bool:
            return (await state())["state"] != "running"

        downloads = [asyncio.create_task(slow_download(up, "u/long.wav", halfway)) for _ in range(16)]
        knocking = [asyncio.create_task(knock()) for _ in range(4)]
        asked = await up.control("POST", "/v1/deployments", id="journey-1", kinds=["api", "worker"])
        assert asked["state"] == "running"
        await eventually(draining, what="the old processes drain", within_s=60)
        halfway.set()
        for downloaded in await asyncio.gather(*downloads):
            assert downloaded == data
        await eventually(done, what="the deployment ends", within_s=60)
        over.set()
        await asyncio.gather(*knocking)
        assert answered > 10
        finished = await state()
        assert (finished["state"], finished["error"]) == ("done", None)
        assert [step["step"] for step in finished["steps"]].count("old_stopped") == 2
        assert (
            await up.control("POST", "/v1/deployments", id="journey-1", kinds=["api", "worker"])
        ) == finished
        assert await up.stop() == 0
        await eventually(lambda: not up.left(), what="every process has ended")


async def test_what_dies_comes_back(home: Path, eventually: Eventually) -> None:
    async with running(home) as up:

        async def pid_of(name: str) -> int | None:
            rows = (await up.control("GET", "/v1/status"))["processes"]
            pids = [row["pid"] for row in rows if row["name"] == name and row["state"] == "ready"]
            return pids[0] if len(pids) == 1 else None

        for name in ("postgres", "api", "worker", "standins", "guard"):
            killed = await pid_of(name)
            assert killed is not None
            os.kill(killed, signal.SIGKILL)

            async def back(name: str = name, killed: int = killed) -> bool:
                return await pid_of(name) not in {None, killed}

            await eventually(back, what=f"{name} runs again", within_s=40)
        assert await get(f"{up.addresses['api']}/api/health") == {"ok": True}
        assert await get(f"{up.addresses['api']}/api/languages")
        told = [
            (event["name"], event["process"]) for event in (await up.control("GET", "/v1/status"))["events"]
        ]
        assert {("crashed", "postgres"), ("restarted", "postgres"), ("restarted", "guard")} <= set(told)
        assert await up.stop() == 0
        await eventually(lambda: not up.left(), what="every process has ended")


async def test_a_stop_while_it_still_starts_leaves_nothing(fresh_home: Path, eventually: Eventually) -> None:
    up = Up(fresh_home)

    def postgres_runs() -> bool:
        return any("postgres" in process.name() for process in up.me.children())

    await eventually(postgres_runs, what="postgres is being started", within_s=30)
    assert await up.stop() == 0
    await eventually(lambda: not up.left(), what="every process has ended")
    assert await up.ended() == (0, "")


async def test_a_start_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = home / "understudy.env"
    environment.write_text("TTS_PROVIDER_MODE=qwenn # typed in a hurry\n")
    up = Up(home)
    assert await up.ended() == (1, "")
    for word in ("TTS_PROVIDER_MODE", "qwenn", "modal", str(environment)):
        assert word in up.words()
    assert [entry.name for entry in home.iterdir()] == ["understudy.env"]
