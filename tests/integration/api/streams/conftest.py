"""The real api before the real DashScope stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from pydantic import SecretStr

from tests.integration.api.conftest import Api
from tests.integration.api.streams.stage import Eventually, Stage
from tests.integration.conftest import DatabaseUrls
from tests.integration.standins.account import KEY, Account
from understudy.settings import Settings
from understudy.standins.app import running_standins
from understudy.standins.configuration import StandInSettings


@pytest_asyncio.fixture
async def account(tmp_path: Path) -> AsyncIterator[Account]:
    """Stand-ins on free ports."""
    async with (
        running_standins(tmp_path / "standins", StandInSettings()) as addresses,
        aiohttp.ClientSession() as session,
    ):
        yield Account(addresses, session)


@pytest.fixture
def changes(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings that a test wants otherwise: its indirect parameter."""
    return dict(getattr(request, "param", {}))


@pytest.fixture
def settings(
    database_urls: DatabaseUrls, tmp_path: Path, account: Account, changes: dict[str, Any]
) -> Settings:
    """Settings of an api in Qwen mode."""
    jobs = {
        "modal_job_submit": "/job-submit",
        "modal_job_status": "/job-status",
        "modal_job_result": "/job-result",
        "modal_job_cancel": "/job-cancel",
        "modal_endpoint_voice_design": "/voice-design",
    }
    values: dict[str, Any] = {
        "tts_provider_mode": "qwen",
        "database_url": database_urls.app,
        "understudy_home": tmp_path / "home",
        "jwt_secret": SecretStr("j" * 40),
        "object_url_secret": SecretStr("o" * 40),
        "dashscope_api_key": SecretStr(KEY),
        "dashscope_base_url": account.dashscope,
        "modal_poll_interval_s": 0.02,
        "drain_deadline_s": 20,
        **{name: account.modal + path for name, path in jobs.items()},
        **changes,
    }
    return Settings(**values)


@pytest.fixture
def stage(api: Api, account: Account, eventually: Eventually) -> Stage:
    """Both at hand."""
    return Stage(api, account, eventually)
