"""The real api before the real stand-ins of both providers, and OpenAI's own clients of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
import pytest_asyncio
from pydantic import SecretStr

from tests.integration.api.conftest import Api, User
from tests.integration.conftest import DatabaseUrls
from tests.integration.standins.account import KEY, Account, austen
from understudy.audio.decode import decode_upload
from understudy.audio.wav import Clip, from_pcm, write_wav
from understudy.clock import SystemClock
from understudy.settings import Settings
from understudy.standins.app import running_standins
from understudy.standins.configuration import StandInSettings
from understudy.store import api_keys
from understudy.voicebox.hearing import digit_error_rate, hear_digits

DIGITS = "4 7 1 9 3 0"
TRANSCRIPT = "and mister john dashwood had then leisure to consider"
#: Slow enough that the end of a few sentences is seconds away when their beginning is here.
REAL_TIME = StandInSettings(dashscope_real_time_factor=1.0)


@pytest.fixture
def mode() -> str:
    """Which provider serves; tests that hold for both are parametrised with it."""
    return "qwen"


@pytest.fixture
def standin_settings() -> StandInSettings:
    """How slow the stand-ins are."""
    return StandInSettings()


@pytest_asyncio.fixture
async def account(tmp_path: Path, standin_settings: StandInSettings) -> AsyncIterator[Account]:
    """Stand-ins on free ports."""
    async with (
        running_standins(tmp_path / "standins", standin_settings) as addresses,
        aiohttp.ClientSession() as session,
    ):
        yield Account(addresses, session)


@pytest.fixture
def settings(database_urls: DatabaseUrls, tmp_path: Path, account: Account, mode: str) -> Settings:
    """Settings of an api in the test's mode."""
    jobs = {
        "modal_job_submit": "/job-submit",
        "modal_job_status": "/job-status",
        "modal_job_result": "/job-result",
        "modal_job_cancel": "/job-cancel",
        "modal_endpoint_voice_design": "/voice-design",
    }
    return Settings(
        tts_provider_mode=mode,  # type: ignore[arg-type]  # one of two words
        database_url=database_urls.app,
        understudy_home=tmp_path / "home",
        jwt_secret=SecretStr("j" * 40),
        object_url_secret=SecretStr("o" * 40),
        dashscope_api_key=SecretStr(KEY),
        dashscope_base_url=account.dashscope,
        modal_poll_interval_s=0.02,
        drain_deadline_s=20,
        **{name: account.modal + path for name, path in jobs.items()},  # type: ignore[arg-type]
    )


@dataclass(slots=True)
class Program:
    """A program of one tenant: its key, its official client, its voice."""

    api: Api
    account: Account
    user: User
    key: str
    client: openai.OpenAI

    async def make_voice(self, name: str = "Jane", **fields: str) -> str:
        """Make a voice of the sample recording, over HTTP."""
        form = aiohttp.FormData({"name": name, "transcript": TRANSCRIPT, "language": "en", **fields})
        form.add_field("audio_sample", austen(), filename="sample.wav", content_type="audio/wav")
        async with self.user.client.post("/v1/audio/voices", data=form) as answer:
            body = await answer.json()
            assert answer.status == 200, body
        return str(body["id"])

    async def task_status(self, task_id: str) -> str:
        """Status of one of the tenant's tasks."""
        async with self.user.client.get(f"/api/tasks/{task_id}") as answer:
            return str((await answer.json())["status"])

    async def rows(self, query: bytes) -> list[dict[str, Any]]:
        """Rows of a query of the database itself."""
        async with self.api.ctx.database.service() as conn:
            return list(await (await conn.execute(query)).fetchall())

    async def fault(self, **faults: float) -> None:
        """Turn faults of the DashScope stand-in up."""
        async with self.account.session.post(f"{self.account.dashscope}/_faults", json=faults) as answer:
            assert answer.status == 200, await answer.text()


async def key_of(api: Api, user: User) -> str:
    """Make an API key."""
    async with api.ctx.database.service() as conn:
        _, key = await api_keys.create_key(
            conn, user_id=user.id, name="program", at=SystemClock().now(), expires_at=None
        )
    return key


@pytest_asyncio.fixture
async def key(api: Api, user: User) -> str:
    """An API key of the tenant."""
    return await key_of(api, user)


@pytest.fixture
def client(api: Api, key: str) -> Iterator[openai.OpenAI]:
    """The official client as its users make it, but for retries, which would hide what is tested."""
    with openai.OpenAI(base_url=f"{api.base}/v1", api_key=key, max_retries=0) as made:
        yield made


@pytest.fixture
def program(api: Api, account: Account, user: User, key: str, client: openai.OpenAI) -> Program:
    """All of it."""
    return Program(api, account, user, key, client)


@pytest_asyncio.fixture
async def voice(program: Program) -> str:
    """A voice of the tenant's, called Jane."""
    return await program.make_voice()


async def decoded(data: bytes, name: str) -> Clip:
    """Decode what was answered in a format."""
    return from_pcm(data, 24_000) if name == "pcm" else await decode_upload(data)


async def digits_missed(data: bytes, name: str, said: str = DIGITS) -> float:
    """Share of the digits that a recogniser does not hear."""
    return digit_error_rate(said, await hear_digits(write_wav(await decoded(data, name))))
