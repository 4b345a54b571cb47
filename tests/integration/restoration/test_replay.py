"""A replay over calls on record: what would have fired, beside what did."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.conftest import CreateUser, DatabaseUrls
from understudy.cli.replaying import replayed
from understudy.clock import SystemClock
from understudy.resources import playbook_file
from understudy.restoration.playbook.policy import load_playbook
from understudy.settings import load_settings
from understudy.store.calls import CallRecord, insert_calls
from understudy.store.database import Database
from understudy.store.guard import open_guard_store
from understudy.store.mode import write_mode
from understudy.store.rollups import roll_up

pytestmark = pytest.mark.integration


async def test_recorded_calls_are_judged_by_the_mode_in_force_at_the_time(
    database: Database, database_urls: DatabaseUrls, create_user: CreateUser, tmp_path: Path
) -> None:
    # The mode begins now: its calls are those of the hour to come.
    now = datetime.now(UTC) + timedelta(hours=1)
    users = [await create_user(), await create_user()]
    ok = CallRecord(
        at=now, operation="speak", provider="qwen", model="m", outcome="ok", latency_ms=900, mode_epoch=1,
        first_audio_ms=310, characters=5, audio_ms=2000, cost_microusd=65, request_id="r",
    )  # fmt: skip
    bad = replace(
        ok, outcome="failed", category="provider_unavailable", failure_class="protocol", first_audio_ms=None
    )
    calls = []
    for age in range(2400, 0, -5):
        call = bad if 600 < age <= 900 else ok
        calls += [replace(call, at=now - timedelta(seconds=age), user_id=user) for user in users]
        # Canaries failed all the while, and late drained calls at the other side: neither is judged.
        calls.append(replace(bad, at=now - timedelta(seconds=age), synthetic=True))
        calls.append(replace(bad, at=now - timedelta(seconds=age), mode_epoch=7))
    async with database.service() as conn:
        row = await write_mode(
            conn, value="qwen", actor="test", reason="test", incident=None, env_value="qwen"
        )
        await insert_calls(
            conn, [replace(call, mode_epoch=row.epoch if call.mode_epoch == 1 else 7) for call in calls]
        )
    async with database.service() as conn:
        await roll_up(conn)
    open_guard_store(tmp_path, load_settings(), SystemClock()).close()
    found = await replayed(
        tmp_path,
        load_playbook(playbook_file()),
        since="1h",
        until=None,
        database=database_urls.app.get_secret_value(),
        now=now,
    )
    assert json.loads(json.dumps(found))["calls"] == 4 * 480 - 480
    assert {item["key"] for item in found["fired"]} == {
        f"success_rate/rate/speak/qwen/{row.epoch}",
        f"realtime_failures/protocol/speak/qwen/{row.epoch}",
    }
    for item in found["fired"]:
        began = (datetime.fromisoformat(item["since"]) - now).total_seconds()
        assert -900 < began < -870
    assert found["incidents"] == []
    assert found["not_replayed"] == ["playback", "cost", "data_integrity", "security"]
