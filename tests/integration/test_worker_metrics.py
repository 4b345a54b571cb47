from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from tests.clocks import ManualClock
from understudy.metrics import ProcessMetrics
from understudy.speech.worker_metrics import serving_metrics

pytestmark = pytest.mark.integration


async def status(port: int, **headers: str) -> int | None:
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/metrics", headers=headers) as answer,
        ):
            return answer.status
    except aiohttp.ClientConnectionError:
        return None


async def test_a_worker_takes_the_port_when_its_predecessor_begins_to_drain(
    eventually: Callable[..., Awaitable[None]],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    clock, old_stops, new_stops = ManualClock(), asyncio.Event(), asyncio.Event()

    async def answers(*wanted: int | None) -> bool:
        return await status(port) in wanted

    async with serving_metrics(ProcessMetrics(), port, "", clock, old_stops):
        await eventually(lambda: answers(200), what="the old worker serves")
        assert await status(port, **{"X-Forwarded-For": "198.51.100.7"}) == 404
        async with serving_metrics(ProcessMetrics(), port, "t0ken", clock, new_stops):
            old_stops.set()
            await eventually(lambda: answers(None), what="the old worker lets go")
            clock.advance(1)
            await eventually(lambda: answers(401), what="the new worker serves")
            assert await status(port, Authorization="Bearer t0ken") == 200
    assert await status(port) is None


async def test_without_a_port_nothing_is_served() -> None:
    before = asyncio.all_tasks()
    async with serving_metrics(ProcessMetrics(), 0, "", ManualClock(), asyncio.Event()):
        assert asyncio.all_tasks() == before
