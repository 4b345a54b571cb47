"""Quiet hours: nobody speaks, the provider breaks, and the canaries alone bring the service back."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
import yaml

from understudy.demo.service import Service, running_service
from understudy.envfile import read_env_file, set_in_env_file
from understudy.resources import playbook_file

pytestmark = [pytest.mark.journey, pytest.mark.long, pytest.mark.timeout(300)]

#: From the fault to an incident, by probes every 5 s: design.md promises 60 s with probes.
DETECT_WITHIN_S = 60.0


def probe_often(home: Path) -> None:
    """Have the guard of ``home`` probe in each role every five seconds, by the playbook that ships."""
    policy = yaml.safe_load(playbook_file().read_text())
    policy["probes"] |= {"active_interval_s": 5, "standby_interval_s": 5, "security_interval_s": 5}
    home.mkdir(mode=0o700)
    path = home / "often.yaml"
    path.write_text(yaml.safe_dump(policy))
    set_in_env_file(home / "understudy.env", {"PLAYBOOK_FILE": str(path)})


async def command(home: Path, *arguments: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "understudy.cli.app", "probes", *arguments, "--json", "--home", str(home)),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    return json.loads(out)


async def users_calls(service: Service) -> int:
    """Calls on record that are not a probe's."""
    url = read_env_file(service.home / "understudy.env")["DATABASE_URL"]
    async with await psycopg.AsyncConnection.connect(url) as conn:
        await conn.execute("set role service_role")
        cursor = await conn.execute("select count(*) from understudy.provider_calls where not synthetic")
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def test_probes_alone_bring_a_quiet_service_back(tmp_path: Path, eventually) -> None:
    probe_often(tmp_path / "home")
    async with (
        running_service(tmp_path / "home", mode="qwen", window_s=5) as service,
        aiohttp.ClientSession() as http,
    ):

        async def heard() -> bool:
            status = await command(service.home, "status")
            return all(any(result["ok"] for result in status[role]) for role in ("active", "standby"))

        await eventually(heard, what="both providers heard", within_s=60)
        await service.break_qwen(http, error_event=1.0)
        broken_at_s = time.monotonic()

        async def incident_in(*states: str) -> bool:
            incidents = (await service.guard_document(http, "/incidents"))["incidents"]
            assert len(incidents) <= 1
            return bool(incidents) and incidents[0]["state"] in states

        async def opened() -> bool:
            return await incident_in("OPEN", "RESTORING", "HOLD", "MITIGATED")

        await eventually(opened, what="an incident", within_s=DETECT_WITHIN_S)
        detected_s = time.monotonic() - broken_at_s

        async def mitigated() -> bool:
            return await incident_in("MITIGATED")

        await eventually(mitigated, what="MITIGATED", within_s=90)

        async def speaks_through_modal() -> bool:
            newest = (await command(service.home, "status"))["active"][0]
            return bool(newest["ok"]) and newest["provider"] == "modal"

        await eventually(speaks_through_modal, what="the canary heard through Modal", within_s=60)
        assert await users_calls(service) == 0
        assert (await command(service.home, "clean"))["left_behind"] == []
        print(f"\ndetected by probes alone after {detected_s:.1f} s")
