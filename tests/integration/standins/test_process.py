"""`understudy standins` as a process: one line when ready, loopback only, a clean end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from tests.integration.standins.account import Account
from understudy.errors import ConfigurationError
from understudy.standins.app import StandInAddresses, running_standins
from understudy.standins.configuration import StandInSettings

pytestmark = pytest.mark.integration


async def test_the_command_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    env_file = tmp_path / "understudy.env"
    env_file.write_text("STANDIN_DASHSCOPE_KEY=sk-from-the-file-0001\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "understudy.cli.app", "standins", "--ready-file", str(ready)],
        env={"PATH": "/usr/bin:/bin", "UNDERSTUDY_HOME": str(tmp_path), "UNDERSTUDY_ENV_FILE": str(env_file)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        addresses = StandInAddresses(**json.loads(process.stdout.readline()))
        assert json.loads(ready.read_text()) == addresses.to_json()
        async with aiohttp.ClientSession() as session:
            account = Account(addresses, session, key="sk-from-the-file-0001")
            assert (await account.clone())[0] == 200
            async with account.realtime("qwen3-tts-flash-realtime") as conversation:
                await conversation.receive()  # an open session does not hold the end up
                process.send_signal(signal.SIGTERM)
                started_s = time.monotonic()
                process.wait(10)
        assert process.returncode == 0
        assert time.monotonic() - started_s < 5
        assert list((tmp_path / "standins" / "voices").glob("qwen-tts-vc-austen-*.json"))
        _, log = process.communicate()
        assert b"sk-from-the-file" not in log
        assert all(json.loads(line)["process"] == "standins" for line in log.splitlines())
    finally:
        process.kill()
        process.communicate()


async def test_only_loopback_is_served(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="loopback"):
        async with running_standins(tmp_path, StandInSettings(), host="0.0.0.0"):
            pytest.fail("it listens to the world")


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=str(port)):
            async with running_standins(tmp_path, StandInSettings(), modal_port=port):
                pytest.fail("it listens on a taken port")
