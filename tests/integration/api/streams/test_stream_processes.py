"""Streams whose process leaves, or dies: a redeploy cuts no healthy one, a dead one is ended by a worker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio

from tests.integration.api.conftest import User
from tests.integration.api.processes import ApiProcess, start_on
from tests.integration.api.streams.stage import TEXT, Stage
from understudy.settings import Settings
from understudy.speech.worker import Worker, WorkerTimes

pytestmark = pytest.mark.integration

LONG_TEXT = " ".join([TEXT] * 6)


@pytest_asyncio.fixture
async def other(settings: Settings, tmp_path: Path) -> AsyncIterator[tuple[ApiProcess, str]]:
    """A second api as a process of its own, and its address."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        process = await start_on(settings, tmp_path / "api.log", listener, uuid4())
        host, port = listener.getsockname()
        yield process, f"http://{host}:{port}"
    if process.process.returncode is None:
        process.process.kill()
        await process.process.wait()


@asynccontextmanager
async def speaking(stage: Stage, user: User, base: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """A stream of the other process, its head and first audio read."""
    body = {"voice_id": await stage.voice(user), "text": LONG_TEXT}
    headers = {"Authorization": user.client.headers["Authorization"]}
    async with aiohttp.ClientSession(base, headers=headers) as client:
        answer = await client.post("/api/generate/stream", json=body)
        assert answer.status == 200, await answer.text()
        await answer.content.readany()
        yield answer
        answer.close()


async def test_a_process_that_leaves_finishes_what_it_speaks(
    stage: Stage, user: User, other: tuple[ApiProcess, str]
) -> None:
    process, base = other
    # Longer than the connections that carry nothing are given.
    await stage.faults(gap=1.0, gap_s=4.0)
    async with speaking(stage, user, base) as answer:
        process.terminate()
        assert await answer.read()
    assert await process.exit_code() == 0
    assert (await stage.only_task(user)).status == "completed"


@pytest.mark.parametrize("changes", [{"drain_deadline_s": 1}], indirect=True)
async def test_past_the_drains_deadline_a_stream_is_interrupted(
    stage: Stage, user: User, other: tuple[ApiProcess, str]
) -> None:
    process, base = other
    await stage.faults(gap=1.0, gap_s=60.0)
    async with speaking(stage, user, base) as answer:
        process.terminate()
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
    assert await process.exit_code() == 0
    await stage.provider_left(dropped=1)
    task = await stage.only_task(user)
    assert (task.status, task.metadata["failure"]["code"]) == ("failed", "interrupted")
    assert [call["outcome"] for call in await stage.calls()] == ["cancelled"]


@pytest.mark.parametrize("changes", [{"worker_lease_s": 2.0}], indirect=True)
async def test_a_dead_processes_stream_is_ended_by_a_worker(
    stage: Stage, user: User, other: tuple[ApiProcess, str]
) -> None:
    process, base = other
    await stage.faults(gap=1.0, gap_s=60.0)
    async with working(stage), speaking(stage, user, base) as answer:
        process.terminate(signal.SIGKILL)
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
        task = await stage.ended((await stage.only_task(user)).id)
    assert (task.status, task.metadata["failure"]["code"]) == ("failed", "interrupted")
    assert task.generation_id is not None
    assert (await stage.generation(user, task.generation_id)).status == "failed"
    [call] = await stage.calls()
    assert (call["outcome"], call["billable"], call["characters"]) == ("cancelled", False, len(LONG_TEXT))
    await stage.faults(gap=0.0)
    voice_id = (await stage.rows("SELECT id FROM public.voices"))[0]["id"]
    assert (await stage.speak(user, str(voice_id))).status == 200


@pytest.mark.parametrize("changes", [{"worker_lease_s": 1.0}], indirect=True)
async def test_no_worker_touches_a_living_stream(stage: Stage, user: User) -> None:
    # Three leases long: it would be over if nobody extended it.
    await stage.faults(gap=1.0, gap_s=3.0)
    async with working(stage):
        heard = await stage.speak(user, await stage.voice(user), LONG_TEXT)
    assert (heard.status, heard.cut) == (200, False)
    task = await stage.task(heard.task_id)
    assert (task.status, task.attempts) == ("completed", 1)
    assert len(await stage.calls()) == 1


@asynccontextmanager
async def working(stage: Stage) -> AsyncIterator[None]:
    """A worker that looks for work all the time."""
    stop = asyncio.Event()
    times = WorkerTimes(lease_s=1.0, sweep_interval_s=0.05, undelivered_s=0.0)
    running = asyncio.create_task(Worker(stage.api.ctx, "worker", times).run(stop))
    try:
        yield
    finally:
        stop.set()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def test_a_stream_that_is_cut_is_one_line_in_the_log(
    stage: Stage, user: User, other: tuple[ApiProcess, str]
) -> None:
    process, base = other
    await stage.faults(drop_mid_audio=1.0)
    async with speaking(stage, user, base) as answer:
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
    process.terminate()
    assert await process.exit_code() == 0
    lines = [json.loads(line) for line in process.text().splitlines()]
    [cut] = [line for line in lines if line["event"] == "stream_cut"]
    assert (cut["level"], cut["cause"]) == ("info", "truncated")
    assert not [line for line in lines if line["level"] == "error" or "exception" in line]
