"""One browser and one service for the whole run; a window of its own for each test."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
import yaml
from playwright.async_api import Browser, expect

from tests.browser.chromium import chromium_path, started
from tests.browser.watched_drill import WatchedDrill, watch_drill
from understudy.audio.wav import join, read_wav, write_wav
from understudy.demo.service import Service, running_service
from understudy.demo.tenant import Tenant
from understudy.drilling.place import Place, place
from understudy.resources import frontend_dir, playbook_file, samples_dir

RECORDINGS = ("austen-0870", "austen-0890", "austen-0920")
WINDOW_S = 5
#: Also where the machine has ten other things to do.
expect.set_options(timeout=20_000)


@dataclass(frozen=True, slots=True)
class Account:
    """Who can sign in."""

    email: str
    password: str
    tenant: Tenant


def _absent() -> str | None:
    if chromium_path() is None:
        return "chromium is not installed: apt-get install chromium, or set CHROMIUM to its path"
    if not (frontend_dir() / "studio.html").is_file():
        return "the frontend is not built: make frontend"
    return None


@pytest.fixture(scope="session", autouse=True)
def everything_is_there() -> None:
    """Skip by hand what cannot run here, and fail where it must."""
    problem = _absent()
    if problem is not None:
        if os.environ.get("BROWSER_REQUIRED"):
            pytest.fail(problem)
        pytest.skip(problem)


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some seconds of a person reading, as a WAV file."""
    path = tmp_path_factory.mktemp("recordings") / "reading.wav"
    clips = [read_wav((samples_dir() / f"{name}.wav").read_bytes()) for name in RECORDINGS]
    path.write_bytes(write_wav(join(clips)))
    return path


@pytest.fixture(scope="session")
def recording_bytes(recording: Path) -> bytes:
    """The same, as an upload."""
    return recording.read_bytes()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(recording: Path) -> AsyncIterator[Browser]:
    """The browser; its microphone hears ``recording``."""
    async with started(recording) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """For what a test does beside the browser."""
    # A connection that is kept is one that the service may close just as the next test asks for something.
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True), timeout=aiohttp.ClientTimeout(total=60)
    ) as session:
        yield session


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """The whole service in Qwen mode, without traffic; a test that breaks it mends it."""
    folder = tmp_path_factory.mktemp("studio")
    settings = patience(folder)
    async with running_service(folder / "home", mode="qwen", window_s=WINDOW_S, settings=settings) as running:
        yield running


def patience(folder: Path) -> dict[str, str]:
    """Settings of a service whose guard does nothing by itself, whatever tests or a slow machine show it."""
    return {"PLAYBOOK_FILE": str(patient_policy(folder)), "PROBES": "off", "BACKUP_INTERVAL_S": "0"}


def patient_policy(folder: Path) -> Path:
    """The policy that ships, which only counts what it would have done, and lets the mode be set often."""
    policy = yaml.safe_load(playbook_file().read_text("utf-8"))
    for trigger in policy["triggers"].values():
        for check in trigger.values():
            if isinstance(check, dict) and check.get("mode") == "auto":
                check["mode"] = "shadow"
    policy["cutover"]["limits"] |= {"spacing_s": 1, "moves": 100}
    path = folder / "patient.yaml"
    path.write_text(yaml.safe_dump(policy, sort_keys=False, allow_unicode=True), "utf-8")
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def paced_service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A service whose voices speak no faster than people do, and whose guard lets tests break it."""
    folder = tmp_path_factory.mktemp("paced")
    settings = {"STANDIN_DASHSCOPE_REAL_TIME_FACTOR": "1", **patience(folder)}
    async with running_service(folder / "home", mode="qwen", window_s=WINDOW_S, settings=settings) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """A service with tenants who speak and stream all the time, as a drill has."""
    folder = tmp_path_factory.mktemp("operations")
    async with place(folder, mode="qwen", settings={}, streams=True) as running:
        await running.healthy()
        await running.command("known-good", "record", "--allow-dirty", "--reason", "before the drill")
        await running.command("backup", "create", "--reason", "before the drill")
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def watched(stage: Place, browser: Browser) -> WatchedDrill:
    """A drill on ``stage``, watched by an operator from green to closed."""
    return await watch_drill(browser, stage)


@pytest_asyncio.fixture(loop_scope="session")
async def account(service: Service, http: aiohttp.ClientSession) -> Account:
    """A new tenant with nothing yet."""
    return await new_account(http, service.api)


@pytest_asyncio.fixture(loop_scope="session")
async def paced_account(paced_service: Service, http: aiohttp.ClientSession) -> Account:
    """The same at the service that speaks in real time."""
    return await new_account(http, paced_service.api)


@pytest_asyncio.fixture(loop_scope="session")
async def voice(account: Account, recording_bytes: bytes) -> str:
    """The voice "Ann" of ``account``."""
    return await account.tenant.clone("Ann", recording_bytes, "She read on.")


@pytest_asyncio.fixture(loop_scope="session")
async def paced_voice(paced_account: Account, recording_bytes: bytes) -> str:
    """The voice "Ann" of ``paced_account``."""
    return await paced_account.tenant.clone("Ann", recording_bytes, "She read on.")


async def new_account(http: aiohttp.ClientSession, api: str) -> Account:
    """Sign up with an address nobody else has."""
    tenant = Tenant(http, api, "Ada")
    await tenant.sign_up()
    return Account(tenant.email, tenant.password, tenant)
