"""``GET /api/usage``: one's own, of a period, and budgets as they stand; 429 says which one, until when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.integration.api.conftest import Api, SignUp, User
from tests.integration.api.test_idempotency import clone
from understudy.store import budgets, calls
from understudy.store.calls import CallRecord

pytestmark = pytest.mark.integration

PREVIEW = {"text": "Four seven.", "language": "English", "instruct": "calm"}


async def get(user: User, **query: str) -> tuple[int, Any]:
    async with user.client.get("/api/usage", params=query) as answer:
        return answer.status, await answer.json()


async def spoke(api: Api, user_id: UUID, **changes: Any) -> None:
    values = {
        "at": api.ctx.clock.now() - timedelta(seconds=1),
        "operation": "speak",
        "provider": "qwen",
        "model": "m",
        "outcome": "ok",
        "latency_ms": 5,
        "mode_epoch": 1,
        "characters": 7,
        "audio_ms": 1500,
        "cost_microusd": 92,
        "user_id": user_id,
        "task_id": uuid4(),
    }
    async with api.ctx.database.service() as conn:
        await calls.settle_call(conn, CallRecord(**{**values, **changes}))


async def test_a_tenant_sees_own_paid_usage_of_a_period(api: Api, user: User, sign_up: SignUp) -> None:
    other, now = await sign_up(), api.ctx.clock.now()
    await spoke(api, user.id)
    await spoke(api, user.id)
    await spoke(api, user.id, provider="modal", cost_microusd=300)
    await spoke(api, user.id, outcome="failed", billable=False)
    await spoke(api, user.id, at=now - timedelta(days=40), cost_microusd=5)
    await spoke(api, other.id)
    since = (now - timedelta(days=1)).isoformat()
    status, found = await get(user, since=since)
    assert status == 200
    assert found["cost_microusd"] == 484
    assert found["usage"] == [
        {
            "operation": "speak", "provider": "modal", "calls": 1, "characters": 7, "audio_seconds": 1.5,
            "cost_microusd": 300,
        },
        {
            "operation": "speak", "provider": "qwen", "calls": 2, "characters": 14, "audio_seconds": 3.0,
            "cost_microusd": 184,
        },
    ]  # fmt: skip
    assert [one["budget"] for one in found["budgets"]] == ["creates-day", "creates-hour"]
    _, longer = await get(user, since=(now - timedelta(days=60)).isoformat())
    assert longer["cost_microusd"] == 489
    _, theirs = await get(other, since=since)
    assert theirs["cost_microusd"] == 92
    _, past = await get(user, since="2020-01-01", until="2020-02-01")
    assert (past["usage"], past["cost_microusd"]) == ([], 0)


@pytest.mark.parametrize(
    "query",
    [
        {"since": "soon"},
        {"since": "2026-01-02", "until": "2026-01-01"},
        {"until": "0001-01-01T00:00:00+14:00", "since": "0001-01-01"},
    ],
)
async def test_a_period_that_is_none_is_a_400(user: User, query: dict[str, str]) -> None:
    status, found = await get(user, **query)
    assert status == 400
    assert list(found) == ["detail"]


async def test_over_a_budget_is_429_with_its_name_and_the_seconds_left(api: Api, user: User) -> None:
    async with api.ctx.database.service() as conn:
        await budgets.set_budget(conn, user.id, "creates-hour", 1, actor="ada", reason="r")
        await budgets.set_budget(conn, user.id, "generation-hour", 1, actor="ada", reason="r")
    _, found = await get(user)
    assert [(one["budget"], one["limit"], one["left"], one["unit"]) for one in found["budgets"]] == [
        ("creates-day", 10_000_000, 10_000_000, "microusd"),
        ("creates-hour", 1, 1, "creates"),
        ("generation-hour", 1, 1, "microusd"),
    ]
    speech = {"voice_id": await clone(api, user), "text": "four seven", "language": "English"}
    async with user.client.post("/api/generate", json=speech) as answer:
        assert answer.status == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 3600
        refused = await answer.json()
    assert refused == {"detail": "Your budget for speech this hour is used up (generation-hour)."}
    async with api.ctx.database.service() as conn:
        cursor = await conn.execute("select * from public.tasks where user_id = %s", (user.id,))
        assert await cursor.fetchall() == []
    # Modal bills no creates: the limit on them is not in its way.
    for _ in range(2):
        async with user.client.post("/api/voices/design/preview", json=PREVIEW) as answer:
            assert answer.status == 200
