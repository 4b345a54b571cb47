"""The whole line as processes: speak, break, step back, prove it, write it down; a guard killed midway."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.journey.secrets_told import told
from understudy.audio.wav import is_silent, read_wav
from understudy.demo.service import Service, running_service
from understudy.demo.story import FAULTS, RECORDINGS
from understudy.demo.tenant import Tenant
from understudy.demo.traffic import traffic
from understudy.envfile import read_env_file
from understudy.resources import samples_dir
from understudy.restoration.verification.checklist import CHECKLIST
from understudy.voicebox.hearing import digit_error_rate

pytestmark = [pytest.mark.journey, pytest.mark.timeout(240)]

DIGITS = "four seven one nine three eight"


async def test_the_demo_tells_the_whole_story(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "understudy.cli.app", "demo", "--json", "--output", str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    ending = json.loads(out)
    assert ending["checklist_green"]
    assert ending["failed"] > 0
    for provider in ("qwen", "modal"):
        assert digit_error_rate(DIGITS, ending["heard"][provider]) <= 0.2
    for path in ending["audio"]:
        assert not is_silent(read_wav(Path(path).read_bytes()))
    report = Path(ending["report"]).read_text()
    assert "Rollback type used: env switch" in report
    for sentence, _ in CHECKLIST:
        assert f"[x] {sentence}" in report


async def cast(service: Service, http: aiohttp.ClientSession, names: str) -> list[tuple[Tenant, str]]:
    name, transcript = next(iter(RECORDINGS.items()))
    made = []
    for tenant_name in names:
        tenant = Tenant(http, service.api, tenant_name)
        await tenant.sign_up()
        recording = (samples_dir() / name).read_bytes()
        made.append((tenant, await tenant.clone("reader", recording, transcript)))
    return made


async def guard_process(service: Service, http: aiohttp.ClientSession) -> tuple[int, int]:
    """(pid, restarts) of the guard, by the supervisor."""
    control = json.loads((service.home / "run" / "control.json").read_text())
    headers = {"Authorization": f"Bearer {control['token']}"}
    async with http.get(control["url"] + "/v1/status", headers=headers) as answer:
        processes = (await answer.json())["processes"]
    guard = next(process for process in processes if process["name"] == "guard")
    return guard["pid"], guard["restarts"]


@pytest.mark.long
@pytest.mark.parametrize("at_step", ["live_override", "redeploy", "verification"])
async def test_a_guard_killed_mid_restoration_finishes_what_it_began(
    tmp_path: Path, at_step: str, eventually
) -> None:
    async with (
        running_service(tmp_path / "home", mode="qwen", window_s=5) as service,
        aiohttp.ClientSession() as http,
    ):
        voices = await cast(service, http, "abcd")
        async with traffic(voices) as tally:
            await eventually(lambda: tally.spoken >= 8, what="healthy traffic", within_s=30)
            await service.break_qwen(http, **FAULTS)

            async def journal() -> list[dict]:
                incidents = (await service.guard_document(http, "/incidents"))["incidents"]
                if not incidents:
                    return []
                assert len(incidents) == 1
                return list(
                    (await service.guard_document(http, f"/incidents/{incidents[0]['id']}"))["journal"]
                )

            async def begun() -> bool:
                return any(entry["step"] == at_step for entry in await journal())

            await eventually(begun, what=f"step {at_step}", within_s=60)
            pid, _ = await guard_process(service, http)
            os.kill(pid, signal.SIGKILL)

            async def closed() -> bool:
                try:
                    return any(entry["body"].get("to") == "CLOSED" for entry in await journal())
                except aiohttp.ClientError:
                    return False

            await eventually(closed, what="CLOSED after the guard came back", within_s=120)
            entries = await journal()
        new_pid, restarts = await guard_process(service, http)
        assert (new_pid != pid, restarts) == (True, 1)
        outcomes = [entry for entry in entries if entry["kind"] == "outcome"]
        assert [entry["step"] for entry in outcomes] == [
            "evidence", "precheck", "live_override", "durable_env", "redeploy", "read_back", "verification",
        ]  # fmt: skip
        assert all(entry["body"]["ok"] for entry in outcomes)
        intents = [entry["step"] for entry in entries if entry["kind"] == "intent"]
        assert len(intents) == len(set(intents)) == 7
        deployments = json.loads((service.home / "run" / "deployments.json").read_text())
        assert len(deployments) == 1
        assert read_env_file(service.home / "understudy.env")["TTS_PROVIDER_MODE"] == "modal"
        status = await service.guard_document(http, "/status")
        assert (status["mode"]["value"], status["mode"]["epoch"]) == ("modal", 2)
        assert not status["drift"]["drifting"]
        assert list((service.home / "reports").glob("*.md"))
        assert told(service) == []


async def test_a_modal_task_tells_how_often_it_was_polled(tmp_path: Path) -> None:
    async with (
        running_service(tmp_path / "home", mode="modal", window_s=60) as service,
        aiohttp.ClientSession() as http,
    ):
        [(tenant, voice)] = await cast(service, http, "a")
        await tenant.speak(voice, "one two three")
        task = tenant.last_task
        assert task["provider_poll_count"] >= 1
        assert task["modal_poll_count"] == task["provider_poll_count"]
        assert task["modal_status"] == "completed"
