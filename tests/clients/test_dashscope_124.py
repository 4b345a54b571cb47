"""DashScope's stand-in against an older official client, ``dashscope`` 1.24, in an environment of its own."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.clients.requirement import require
from tests.integration.standins.account import CLONE_MODEL, KEY, WRONG_LANE_KEY, Account, kinds
from understudy.audio.decode import decode_upload
from understudy.audio.wav import Clip, duration_ms, from_pcm, write_wav
from understudy.standins.app import running_standins
from understudy.standins.configuration import StandInSettings
from understudy.voicebox.hearing import digit_error_rate, hear_digits

pytestmark = pytest.mark.integration

PROGRAM = Path(__file__).parent / "dashscope-1.24"
PYTHON = PROGRAM / ".venv" / "bin" / "python"
DIGITS = "4 7 1 9 3 0"


@pytest.fixture(autouse=True)
def installed() -> None:
    """The client's environment is there."""
    require("" if PYTHON.exists() else "the client is not installed: make test-sdk")


@pytest_asyncio.fixture
async def account(tmp_path: Path) -> AsyncIterator[Account]:
    async with (
        running_standins(tmp_path, StandInSettings()) as addresses,
        aiohttp.ClientSession() as session,
    ):
        yield Account(addresses, session)


async def run(account: Account, texts: list[str], key: str = KEY, **session: Any) -> tuple[int, bytes, str]:
    """Exit code, output (the client prints, too: the last line is ours) and complaints of the program."""
    order = {
        "key": key,
        "model": CLONE_MODEL,
        "url": account.dashscope.replace("http", "ws", 1) + "/api-ws/v1/realtime",
        "texts": texts,
        "session": session,
    }
    process = await asyncio.create_subprocess_exec(
        str(PYTHON),
        "-I",
        "speak.py",
        cwd=PROGRAM,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, complaints = await asyncio.wait_for(process.communicate(json.dumps(order).encode()), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out, complaints.decode()


async def converse(account: Account, texts: list[str], **session: Any) -> tuple[dict[str, Any], bytes]:
    """What the program saw of a whole session, and its audio."""
    status, body = await account.clone()
    assert status == 200, body
    code, out, complaints = await run(account, texts, voice=body["output"]["voice"], **session)
    assert code == 0, complaints[-2000:]
    seen: dict[str, Any] = json.loads(out.splitlines()[-1])
    assert seen["version"].startswith("1.24.")
    assert seen["session_id"].startswith("sess_")
    assert seen["close_code"] == 1000
    assert kinds(seen["events"])[-2:] == ["response.done", "session.finished"]
    return seen, base64.b64decode(seen["audio"])


async def assert_understood(clip: Clip) -> None:
    assert 250 * 6 < duration_ms(clip) < 800 * 6
    assert digit_error_rate(DIGITS, await hear_digits(write_wav(clip))) <= 0.2


async def test_server_commit_is_understood(account: Account) -> None:
    seen, audio = await converse(account, [DIGITS], mode="server_commit", language_type="English")
    await assert_understood(from_pcm(audio, 24_000))
    assert kinds(seen["events"]).count("response.done") == 1
    assert seen["events"][-2]["response"]["usage"] == {"characters": len(DIGITS)}


async def test_commit_is_understood(account: Account) -> None:
    seen, audio = await converse(account, ["4 7 1", "9 3 0"], mode="commit", language_type="English")
    await assert_understood(from_pcm(audio, 24_000))
    assert kinds(seen["events"]).count("input_text_buffer.committed") == 2
    assert kinds(seen["events"]).count("response.done") == 2


@pytest.mark.parametrize("audio_format", ["mp3", "wav", "opus"])
async def test_compressed_and_contained_audio_is_understood(account: Account, audio_format: str) -> None:
    _, audio = await converse(
        account, [DIGITS], mode="server_commit", language_type="English", audio_format=audio_format
    )
    await assert_understood(await decode_upload(audio))


async def test_the_other_lanes_key_never_connects(account: Account) -> None:
    code, _, complaints = await run(account, [DIGITS], WRONG_LANE_KEY, voice="x", mode="server_commit")
    assert code != 0
    assert "TimeoutError" in complaints
    assert (await account.stats(account.dashscope))["wrong_lane_keys"] == 1
