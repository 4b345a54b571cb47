"""The stand-in of the Management API, asked over HTTP as its documentation says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from pydantic import SecretStr

from tests.clocks import HandClock
from understudy.standins.app import running_standins
from understudy.standins.configuration import StandInSettings
from understudy.standins.management.server import ManagementServer

pytestmark = pytest.mark.integration

REF = "abcdefghijklmnopqrst"
TOKEN = "sbp_test"


@dataclass
class Asked:
    """The server, and a caller with the right token."""

    server: ManagementServer
    url: str
    session: aiohttp.ClientSession
    clock: HandClock

    async def __call__(self, method: str, path: str, **more: Any) -> tuple[int, Any, dict[str, str]]:
        async with self.session.request(method, f"{self.url}/v1/projects{path}", **more) as answer:
            body = await answer.read()
            return answer.status, json.loads(body) if body else None, dict(answer.headers)

    async def deploy(self, *, slug: str = "api", text: str = "v1", **metadata: Any) -> tuple[int, Any]:
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("file", text.encode(), filename=f"supabase/functions/{slug}/index.ts")
        told = {"entrypoint_path": f"supabase/functions/{slug}/index.ts", "name": slug} | metadata
        form.add_field("metadata", json.dumps(told))
        status, body, _ = await self("POST", f"/{REF}/functions/deploy?slug={slug}", data=form)
        return status, body


@pytest_asyncio.fixture
async def asked() -> AsyncIterator[Asked]:
    clock = HandClock()
    server = ManagementServer(SecretStr(TOKEN), [REF], clock)
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
        yield Asked(server, url, session, clock)
    await runner.cleanup()


async def test_refusals_have_one_message(asked: Asked) -> None:
    assert (await asked("GET", "", headers={"Authorization": "Bearer other"}))[:2] == (
        401,
        {"message": "Unauthorized"},
    )
    assert (await asked("GET", "/zzzzzzzzzzzzzzzzzzzz"))[:2] == (404, {"message": "Project not found"})
    status, body, _ = await asked("GET", f"/{REF}/health")
    assert status == 400
    assert body["message"].startswith("services: must be some of auth, db")
    assert (await asked("GET", f"/{REF}/functions/api"))[:2] == (404, {"message": "Function not found"})
    assert (await asked("POST", f"/{REF}/secrets", data=b"{"))[0] == 400


async def test_secrets_tell_digests_and_keep_to_the_limits(asked: Asked) -> None:
    pairs = [{"name": "A", "value": "one"}, {"name": "B", "value": ""}]
    assert (await asked("POST", f"/{REF}/secrets", json=pairs))[:2] == (201, None)
    _, listed, _ = await asked("GET", f"/{REF}/secrets")
    assert [(item["name"], item["value"]) for item in listed] == [
        ("A", hashlib.sha256(b"one").hexdigest()),
        ("B", hashlib.sha256(b"").hexdigest()),
    ]
    assert "one" not in json.dumps(listed)
    for refused in (
        [{"name": "SUPABASE_URL", "value": "x"}],
        [{"name": "C", "value": "x" * 24_577}],
        [{"name": "x" * 257, "value": "x"}],
        [{"name": f"N{number}", "value": "x"} for number in range(99)],
        {"name": "C"},
    ):
        assert (await asked("POST", f"/{REF}/secrets", json=refused))[0] == 400
    assert (await asked("DELETE", f"/{REF}/secrets", json=["A", "absent"]))[:2] == (200, None)
    assert [item["name"] for item in (await asked("GET", f"/{REF}/secrets"))[1]] == ["B"]


async def test_a_deployment_keeps_its_files_and_moves_the_version(asked: Asked) -> None:
    status, first = await asked.deploy(text="v1", verify_jwt=False)
    assert (status, first["version"], first["verify_jwt"], first["status"]) == (201, 1, False, "ACTIVE")
    asked.clock.advance(1)
    _, second = await asked.deploy(text="v2")
    assert (second["id"], second["version"], second["verify_jwt"]) == (first["id"], 2, False)
    assert second["updated_at"] > first["updated_at"]
    assert second["ezbr_sha256"] != first["ezbr_sha256"]
    files = [dict(upload.files) for upload in asked.server.projects[REF].uploads]
    assert files == [{"supabase/functions/api/index.ts": text} for text in (b"v1", b"v2")]
    assert (await asked("GET", f"/{REF}/functions"))[1] == [second]
    assert (await asked("PUT", f"/{REF}/functions", json=[{"slug": "api"}]))[1] == {"functions": [second]}
    assert (await asked("POST", f"/{REF}/functions/deploy?slug=api", json={}))[0] == 400
    assert (await asked("DELETE", f"/{REF}/functions/api"))[0] == 200
    assert (await asked("GET", f"/{REF}/functions"))[1] == []


async def test_the_limit_is_one_minute_of_one_endpoint(asked: Asked) -> None:
    for count in range(120):
        status, _, headers = await asked("GET", f"/{REF}/secrets")
        assert (status, headers["X-RateLimit-Remaining"]) == (200, str(119 - count))
    asked.clock.advance(20)
    status, body, headers = await asked("GET", f"/{REF}/secrets")
    assert (status, body) == (429, {"message": "ThrottlerException: Too Many Requests"})
    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Reset"]) == ("120", "40")
    assert (await asked("GET", f"/{REF}/functions"))[0] == 200
    asked.clock.advance(40)
    assert (await asked("GET", f"/{REF}/secrets"))[0] == 200


async def test_a_restore_goes_on_until_it_is_healthy(asked: Asked) -> None:
    window = (await asked("GET", f"/{REF}/database/backups"))[1]["physical_backup_data"]
    latest = window["latest_physical_backup_date_unix"]
    restore = f"/{REF}/database/backups/restore-pitr"
    wrong = await asked("POST", restore, json={"recovery_time_target_unix": latest + 60})
    assert wrong[0] == 400
    assert (await asked("POST", restore, json={"recovery_time_target_unix": latest}))[0] == 201
    assert (await asked("GET", f"/{REF}"))[1]["status"] == "RESTORING"
    health = f"/{REF}/health?services=db,auth"
    assert [item["healthy"] for item in (await asked("GET", health))[1]] == [False, False]
    assert (await asked("POST", restore, json={"recovery_time_target_unix": latest}))[0] == 400
    asked.clock.advance(2)
    assert (await asked("GET", f"/{REF}"))[1]["status"] == "ACTIVE_HEALTHY"
    assert [item["healthy"] for item in (await asked("GET", health))[1]] == [True, True]
    asked.server.panel.change({"pitr_disabled": 1})
    refused = await asked("POST", restore, json={"recovery_time_target_unix": latest})
    assert refused[:2] == (400, {"message": "PITR is not enabled for this project."})


async def test_a_lying_deployment_says_201_and_changes_nothing(asked: Asked) -> None:
    _, first = await asked.deploy()
    asked.server.panel.change({"deploy_lies": 1})
    assert await asked.deploy(text="v2") == (201, first)
    assert (await asked("GET", f"/{REF}/functions"))[1] == [first]
    async with asked.session.get(f"{asked.url}/_stats") as answer:
        stats = await answer.json()
    assert stats["uploads"] == 2
    assert stats["faults_injected"]["deploy_lies"] == 1


async def test_it_is_one_of_the_stand_ins_where_a_port_is_given(tmp_path: Path) -> None:
    settings = StandInSettings()
    async with (
        running_standins(tmp_path, settings, supabase_port=0) as addresses,
        aiohttp.ClientSession() as session,
        session.get(
            f"{addresses.to_json()['supabase']}/v1/projects/{settings.supabase_ref}",
            headers={"Authorization": f"Bearer {settings.supabase_token.get_secret_value()}"},
        ) as answer,
    ):
        assert (await answer.json())["status"] == "ACTIVE_HEALTHY"
