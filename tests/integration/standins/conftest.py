"""Stand-ins in this process, on free ports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.integration.standins.account import Account
from understudy.standins.app import running_standins
from understudy.standins.configuration import StandInSettings

Open = Callable[..., AbstractAsyncContextManager[Account]]


@pytest.fixture
def open_account(tmp_path: Path) -> Open:
    """Start stand-ins with given settings; the same state folder each time within one test."""

    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[Account]:
        async with (
            running_standins(tmp_path / "state", StandInSettings(**settings)) as addresses,
            aiohttp.ClientSession() as session,
        ):
            yield Account(addresses, session)

    return opened


@pytest_asyncio.fixture
async def account(open_account: Open) -> AsyncIterator[Account]:
    """An account at stand-ins with default settings."""
    async with open_account() as opened:
        yield opened


@pytest_asyncio.fixture
async def voice(account: Account) -> str:
    """A voice enrolled from a real recording."""
    status, body = await account.clone()
    assert status == 200, body
    return str(body["output"]["voice"])
