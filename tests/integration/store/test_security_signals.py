from __future__ import annotations

import socket
import uuid
from datetime import timedelta

import pytest

from tests.clocks import HandClock
from tests.integration.planting import NOW, Planter
from understudy.lanes import fingerprint
from understudy.restoration.signals.readings import CanaryRead
from understudy.restoration.signals.security import SecurityObserver
from understudy.settings import settings_from
from understudy.store.database import Database
from understudy.store.mode import ProcessRow, heartbeat_process
from understudy.store.process_signals import HitCount, write_hits

pytestmark = pytest.mark.integration

SETTINGS = settings_from(
    {
        "DASHSCOPE_API_KEY": "sk-of-cn",
        "DASHSCOPE_KEY_FINGERPRINTS": f"cn:{fingerprint('sk-of-cn')}",
        "DASHSCOPE_BASE_URL": "http://127.0.0.1:9000",
    }
)


def process(kind: str, digest: str) -> ProcessRow:
    return ProcessRow(
        uuid.uuid4(),
        kind,
        1,
        "h",
        "qwen",
        7,
        "FRESH",
        "qwen",
        NOW,
        NOW,
        secret_digests={"JWT_SECRET": digest},
    )


async def test_what_processes_saw_of_secrets(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect() -> Database:
        return database

    def refuse(*_: object) -> None:
        raise AssertionError("nothing here may call anybody: the key is compared, never tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)  # the database is reached by libpq
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)

    clock = HandClock(NOW)
    canary = CanaryRead(NOW, asked=3)
    observer = SecurityObserver(
        connect,
        clock,
        settings=lambda: SETTINGS,
        known_good=lambda: {"JWT_SECRET": "aa"},
        canary_read=lambda: canary,
        span_s=3600,
        stale_after_s=60,
    )
    api, worker = process("api", "aa"), process("worker", "aa")
    async with database.service() as conn:
        for live in (api, worker):
            await heartbeat_process(conn, live)
    calm = await observer.read()
    assert (calm.blind, dict(calm.mismatch_since), calm.hits, calm.refusals) == (None, {}, (), ())
    assert len(calm.processes) == 2
    assert len(calm.lane_conflicts) == 1  # the record says so; nothing was asked of any provider

    rotated = process("worker", "bb")
    async with database.service() as conn:
        await heartbeat_process(conn, rotated)
        at = NOW - timedelta(seconds=3600)
        await write_hits(conn, "api", api.instance, [HitCount(at, "log", "canary-1", 2)])
        await write_hits(
            conn, "api", api.instance, [HitCount(at - timedelta(milliseconds=1), "log", "canary-2", 2)]
        )
        planter = Planter(conn, uuid.uuid4())
        failed = {"outcome": "failed", "user_id": None, "category": "provider_rejected"}
        await planter.call(None, code="InvalidApiKey", **failed)
        await planter.call(None, code="wrong_lane_key", synthetic=True, **failed)
        await planter.call(None, code="Throttling", **failed)
        await planter.call(None, code="InvalidApiKey", provider="modal", **failed)  # not the vendor's
    seen = await observer.read()
    assert dict(seen.mismatch_since) == {"JWT_SECRET": NOW}
    assert [(hit.name, hit.where, hit.count) for hit in seen.hits] == [("canary-1", "log", 2)]
    assert {(refusal.code, refusal.key_lane, refusal.configured_lane) for refusal in seen.refusals} == {
        ("InvalidApiKey", "cn", "intl"),
        ("wrong_lane_key", "cn", "intl"),
    }
    clock.advance(30)
    assert dict((await observer.read()).mismatch_since) == {
        "JWT_SECRET": NOW
    }  # lasts, and keeps its beginning
    assert seen.canary_read is canary

    async with database.service() as conn:
        await conn.execute("delete from understudy.processes where instance = %s", (rotated.instance,))
    assert dict((await observer.read()).mismatch_since) == {}


async def test_a_look_that_fails_is_blind_and_forgets_no_disagreement(database: Database) -> None:
    async def connect() -> Database:
        return database

    clock = HandClock(NOW)
    observer = SecurityObserver(
        connect,
        clock,
        settings=lambda: SETTINGS,
        known_good=lambda: {"JWT_SECRET": "aa"},
        canary_read=lambda: None,
        span_s=3600,
        stale_after_s=60,
    )
    async with database.service() as conn:
        await heartbeat_process(conn, process("api", "bb"))
    assert dict((await observer.read()).mismatch_since) == {"JWT_SECRET": NOW}
    async with database.service() as conn:
        # As a lost table is seen: the look breaks, the guard does not.
        await conn.execute("lock table understudy.processes in access exclusive mode")
        observer.deadline_s = 0.05
        clock.advance(10)
        broken = await observer.read()
    assert "no answer within" in (broken.blind or "")
    assert dict(broken.mismatch_since) == {"JWT_SECRET": NOW}
