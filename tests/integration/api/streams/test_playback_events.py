"""Beacons of players: own streams only, each once, at a rate."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from tests.clocks import HandClock
from tests.integration.api.conftest import SignUp, User
from tests.integration.api.streams.stage import Stage
from tests.integration.conftest import CreateUser
from understudy.settings import Settings
from understudy.speech.collecting import Collector
from understudy.store import playback
from understudy.store.database import Database
from understudy.store.objects import LocalObjects
from understudy.store.playback import PlaybackEvent

pytestmark = pytest.mark.integration

AT = "2026-11-26T09:00:00.250Z"


def beacon(generation_id: object, **changes: Any) -> dict[str, Any]:
    """One event as a player sends it."""
    event = {
        "generation_id": str(generation_id),
        "event": "started",
        "at": AT,
        "position_ms": 0,
        "client": "studio-web",
        "client_version": "1.4.0",
    }
    return {**event, **changes}


async def send(user: User, *events: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Send one batch."""
    async with user.client.post("/api/playback-events", json={"events": list(events)}) as answer:
        return answer.status, await answer.json()


async def test_what_a_player_saw_is_kept_once(stage: Stage, user: User) -> None:
    heard = await stage.speak(user, await stage.voice(user))
    batch = [
        beacon(heard.generation_id),
        beacon(heard.generation_id, event="stalled", position_ms=800, detail="buffer empty"),
        beacon(heard.generation_id, event="stalled", at="2026-11-26T10:00:01+01:00", position_ms=1200),
        beacon(heard.generation_id, event="ended", position_ms=2040, client="w\x1b[31m", detail="a\u202eb"),
    ]
    assert await send(user, *batch) == (200, {"accepted": 4, "ignored": 0})
    # A beacon that got no answer is sent again, along with new ones.
    again = [*batch, beacon(heard.generation_id, event="ended_early")]
    assert await send(user, *again) == (200, {"accepted": 1, "ignored": 4})
    rows = await stage.rows("SELECT * FROM understudy.playback_events ORDER BY id")
    assert [row["event"] for row in rows] == ["started", "stalled", "stalled", "ended", "ended_early"]
    first, stalled = rows[0], rows[1]
    assert (first["user_id"], first["provider"], first["synthetic"]) == (user.id, "qwen", False)
    assert first["mode_epoch"] == (await stage.generation(user, heard.generation_id)).mode_epoch
    assert first["at"] == datetime(2026, 11, 26, 9, 0, 0, 250_000, tzinfo=UTC)
    assert (stalled["client"], stalled["client_version"], stalled["detail"]) == (
        "studio-web",
        "1.4.0",
        "buffer empty",
    )
    assert (rows[3]["client"], rows[3]["detail"]) == ("w [31m", "a b")  # nothing that a terminal obeys


async def test_nothing_is_told_of_what_is_not_ones_own(stage: Stage, user: User, sign_up: SignUp) -> None:
    other = await sign_up()
    heard = await stage.speak(user, await stage.voice(user))
    foreign, unknown = await send(other, beacon(heard.generation_id)), await send(other, beacon(uuid4()))
    assert foreign == unknown == (200, {"accepted": 0, "ignored": 1})
    assert await send(user, beacon(heard.generation_id), beacon(uuid4())) == (
        200,
        {"accepted": 1, "ignored": 1},
    )


async def test_what_is_no_batch_is_refused(stage: Stage, user: User) -> None:
    own = uuid4()
    for events in (
        [],
        [beacon(own)] * 51,
        [beacon("no-uuid")],
        [beacon(own, event="exploded")],
        [beacon(own, at="2026-11-26T09:00:00")],
        [beacon(own, at="0001-01-01T00:00:00+23:00")],
        [beacon(own, position_ms=-1)],
        [beacon(own, position_ms=2**31)],
        [beacon(own, client="")],
        [beacon(own, client_version="x" * 101)],
        [beacon(own, client="a\0b")],
        [beacon(own, detail="x" * 501)],
    ):
        status, body = await send(user, *events)
        assert (status, list(body)) == (400, ["detail"]), (events[:1], body)
    large = [beacon(own, detail="x" * 500, client=secrets.token_hex(600))] * 50
    assert (await send(user, *large))[0] == 413
    async with stage.api.client.post("/api/playback-events", json={"events": []}) as answer:
        assert answer.status == 401


@pytest.mark.parametrize("changes", [{"playback_batches_a_minute": 3}], indirect=True)
async def test_a_flood_is_told_to_wait(stage: Stage, user: User, sign_up: SignUp) -> None:
    heard = await stage.speak(user, await stage.voice(user))
    sent = await asyncio.gather(*(send(user, beacon(heard.generation_id)) for _ in range(10)))
    assert sorted(status for status, _ in sent) == [200] * 3 + [429] * 7
    async with user.client.post("/api/playback-events", json={"events": [beacon(uuid4())]}) as answer:
        assert answer.status == 429
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
    # It is this user who sends too much.
    assert (await send(await sign_up(), beacon(uuid4())))[0] == 200


async def test_old_events_are_collected(
    settings: Settings, database: Database, create_user: CreateUser
) -> None:
    user_id, generation_id, now = await create_user(), uuid4(), datetime.now(UTC)
    event = PlaybackEvent(generation_id, "ended", now, None, "web", "1", None)
    async with database.service() as conn:
        await conn.execute(
            "INSERT INTO public.generations (id, user_id, text) VALUES (%s, %s, 'one')",
            (generation_id, user_id),
        )
        assert await playback.insert_events(conn, user_id, [event]) == 1
    clock = HandClock(now)
    objects = LocalObjects(settings.objects_path, SecretStr("o" * 32), 60, clock)
    collector = Collector(database, objects, settings, clock)
    assert (await collector.run(dry_run=False)).removed.get("playback_events", 0) == 0
    clock.advance((settings.retention_signals_days + 1) * 86_400)
    assert (await collector.run(dry_run=True)).removed["playback_events"] == 1
    assert (await collector.run(dry_run=False)).removed["playback_events"] == 1
