"""Cost guards over HTTP, in the mode whose provider bills creates."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api.conftest import NOWHERE, Api, User
from tests.integration.api.test_usage import PREVIEW, get
from tests.integration.conftest import DatabaseUrls
from understudy.settings import Settings
from understudy.store import valves

pytestmark = pytest.mark.integration

MODAL = (
    "modal_job_submit",
    "modal_job_status",
    "modal_job_result",
    "modal_job_cancel",
    "modal_endpoint_voice_design",
)


@pytest.fixture
def settings(database_urls: DatabaseUrls, tmp_path: Path) -> Settings:
    """An api in Qwen mode whose tenants may make one create an hour."""
    values: dict[str, Any] = {
        "tts_provider_mode": "qwen",
        "database_url": database_urls.app,
        "understudy_home": tmp_path,
        "jwt_secret": "j" * 40,
        "object_url_secret": "o" * 40,
        "dashscope_api_key": "sk-not-a-key-0000",
        "dashscope_base_url": NOWHERE,
        **dict.fromkeys(MODAL, NOWHERE),
        "drain_deadline_s": 20,
        "budget_creates_tenant_hour": 1,
    }
    return Settings(**values)


async def preview(user: User) -> tuple[int, dict[str, Any], str]:
    async with user.client.post("/api/voices/design/preview", json=PREVIEW) as answer:
        return answer.status, await answer.json(), answer.headers.get("Retry-After", "")


async def test_of_64_requests_for_the_last_create_exactly_one_gets_it(api: Api, user: User) -> None:
    answers = await asyncio.gather(*(preview(user) for _ in range(64)))
    assert sorted(status for status, _, _ in answers) == [200] + [429] * 63
    for status, body, retry_after in answers:
        if status == 429:
            assert body == {
                "detail": "Your budget for billed voice creates this hour is used up (creates-hour)."
            }
            assert 0 < int(retry_after) <= 3600
    async with api.ctx.database.service() as conn:
        rows = await (await conn.execute("select id from public.tasks")).fetchall()
    assert len(rows) == 1
    _, found = await get(user)
    (creates,) = [one for one in found["budgets"] if one["budget"] == "creates-hour"]
    assert (creates["limit"], creates["used"], creates["left"]) == (1, 1, 0)
    (money,) = [one for one in found["budgets"] if one["budget"] == "creates-day"]
    assert money["used"] == 200_000


async def test_a_closed_valve_is_429_until_it_is_opened(api: Api, user: User) -> None:
    async with api.ctx.database.service() as conn:
        await valves.set_valve(conn, valves.DESIGN_CREATES, closed=True, actor="ada", reason="anomaly")
    status, body, retry_after = await preview(user)
    assert (status, retry_after) == (429, "60")
    assert body == {"detail": "Voice design is paused by the operators; try again later."}
    async with api.ctx.database.service() as conn:
        await valves.set_valve(conn, valves.DESIGN_CREATES, closed=False, actor="ada", reason="over")
    assert (await preview(user))[0] == 200
