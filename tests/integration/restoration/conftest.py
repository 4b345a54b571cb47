"""What the tests of the restoration loop share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.integration.restoration.engine_setting import Setting, running_setting
from understudy.store.database import Database


@pytest_asyncio.fixture
async def setting(database: Database, tmp_path: Path) -> AsyncIterator[Setting]:
    async with running_setting(database, tmp_path) as found:
        yield found
