"""A session that is opened ahead: its text waits for the go-ahead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Literal

import aiohttp
import pytest

from tests.integration.providers.realtime_server import realtime_server as served
from tests.integration.providers.test_qwen_realtime import Caller, well
from understudy.providers.base import SpeechFinished

pytestmark = pytest.mark.integration


@pytest.fixture
async def caller() -> AsyncGenerator[Caller, None]:
    async with aiohttp.ClientSession() as http:
        yield Caller(http)


class GoAhead(asyncio.Event):
    """Tells when it is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def wait(self) -> Literal[True]:
        self.asked.set()
        return await super().wait()


async def test_the_text_waits_for_the_go_ahead(caller: Caller) -> None:
    go = GoAhead()
    async with served(well) as server:
        telling = asyncio.create_task(caller.told(server, go=go))
        await go.asked.wait()
        (wire,) = server.wires
        assert [event["type"] for event in wire.events] == ["session.update"]
        go.set()
        assert isinstance((await telling)[-1], SpeechFinished)
        assert wire.events[-1]["type"] == "session.finish"


async def test_who_never_gets_the_go_ahead_closes_and_sent_no_text(caller: Caller) -> None:
    go = GoAhead()
    async with served(well) as server:
        telling = asyncio.create_task(caller.told(server, go=go))
        await go.asked.wait()
        telling.cancel()
        (wire,) = server.wires
        await wire.gone.wait()
        assert [event["type"] for event in wire.events] == ["session.update"]
    await asyncio.gather(telling, return_exceptions=True)
