"""Hang-ups: the provider is closed at once, in every phase of a session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import aiohttp
import pytest

from tests.integration.providers.realtime_server import Wire
from tests.integration.providers.realtime_server import realtime_server as served
from tests.integration.providers.test_qwen_realtime import BEGUN, Caller, after, delta, hang
from understudy.providers.base import AudioChunk

pytestmark = pytest.mark.integration

GOAL_S = 0.1


@pytest.fixture
async def caller() -> AsyncGenerator[Caller, None]:
    async with aiohttp.ClientSession() as http:
        yield Caller(http)


async def hung_up_after_s(caller: Caller, script: Callable[[Wire], Awaitable[None]], phase: str) -> float:
    """Seconds from the hang-up until the server saw it."""
    now = asyncio.get_running_loop().time
    async with served(script, hangs=phase == "connect") as server:
        speech = caller.speak(server)
        if phase == "audio":
            assert isinstance(await anext(speech), AudioChunk)
            began = now()
            await speech.aclose()
        else:
            waiting = asyncio.ensure_future(anext(speech))
            await server.accepted.wait()
            if phase == "response":
                while not server.wires:
                    await asyncio.sleep(0)
                await server.wires[0].expect("session.finish")
            began = now()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        returned_s = now() - began
        if phase == "connect":
            await server.left.wait()
            gone_at = server.left_at
        else:
            while not server.wires:
                await asyncio.sleep(0)
            await server.wires[0].gone.wait()
            gone_at = server.wires[0].gone_at
        return max(gone_at - began, returned_s)


@pytest.mark.parametrize(
    ("phase", "script"),
    [
        ("connect", hang),
        ("session", hang),
        ("response", after(BEGUN)),
        ("audio", after(BEGUN, delta())),
    ],
)
async def test_a_hang_up_closes_the_provider_within_100_ms(
    caller: Caller, phase: str, script: Callable[[Wire], Awaitable[None]]
) -> None:
    # The best of a few: a busy machine may delay one, a slow close would delay them all.
    best = GOAL_S
    for _ in range(5):
        best = min(best, await hung_up_after_s(caller, script, phase))
        if best < GOAL_S:
            return
    pytest.fail(f"no hang-up reached the provider within {GOAL_S} s")
