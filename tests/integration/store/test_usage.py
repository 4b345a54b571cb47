"""Who pays for a call: the tenant once, nobody for a canary, for a failure or for what we repeat."""

from __future__ import annotations

import dataclasses
import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from understudy.store import calls, synthetic
from understudy.store.calls import CallRecord
from understudy.store.database import Database
from understudy.store.usage import Usage, tenant_usage, unknown_submissions

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC)


def spoken(user: uuid.UUID, **changes: object) -> CallRecord:
    base = CallRecord(NOW, "speak", "modal", "m", "ok", 5, 1, characters=7, audio_ms=900, cost_microusd=30)
    return dataclasses.replace(base, user_id=user, task_id=uuid.uuid4(), **changes)  # type: ignore[arg-type]


async def test_only_what_is_billable_is_used(database: Database) -> None:
    tenant, canary = uuid.uuid4(), uuid.uuid4()
    async with database.service() as conn:
        await synthetic.mark_synthetic(conn, canary, "guard")
        for record in (
            spoken(tenant),
            spoken(tenant, at=NOW + timedelta(hours=1)),
            spoken(tenant, billable=False),
            spoken(tenant, outcome="failed", billable=False),
            spoken(canary),
        ):
            await calls.settle_call(conn, record)
        used = await tenant_usage(conn, tenant, start=NOW, end=NOW + timedelta(minutes=1))
        watched = await tenant_usage(conn, canary, start=NOW, end=NOW + timedelta(minutes=1))
        absorbed = await unknown_submissions(conn)
    assert used == Usage(calls=1, characters=7, audio_ms=900, cost_microusd=30)
    assert watched == Usage(0, 0, 0, 0)
    assert (absorbed.tasks, absorbed.calls, absorbed.cost_microusd) == (0, 1, 30)


async def test_the_database_refuses_a_second_bill_for_a_task(database: Database) -> None:
    first = spoken(uuid.uuid4())
    async with database.service() as conn:
        await calls.settle_call(conn, first)
    with pytest.raises(psycopg.errors.UniqueViolation):
        async with database.service() as conn:
            await calls.settle_call(conn, first)
