from __future__ import annotations

import uuid
from datetime import datetime, timedelta

import pytest

from tests.clocks import HandClock
from tests.integration.conftest import CreateUser
from tests.integration.planting import NOW, Planter
from understudy.restoration.signals.playback import PlaybackObserver
from understudy.store import playback_signals
from understudy.store.database import Database

pytestmark = pytest.mark.integration

SINCE = NOW - timedelta(minutes=15)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


class Player(Planter):
    async def event(
        self, generation: uuid.UUID, event: str, received_at: datetime, **changes: object
    ) -> None:
        made = {
            "user_id": self.user,
            "generation_id": generation,
            "event": event,
            "at": received_at,
            "received_at": received_at,
            "client": "studio",
            "client_version": "1",
            "provider": "qwen",
            "mode_epoch": 7,
        }
        await self.plant("understudy.playback_events", made | changes)

    async def stream(self, at: datetime, **changes: object) -> uuid.UUID:
        generation = await self.generation(duration_seconds=3.0, **changes)
        task = await self.task(generation, delivery="stream")
        await self.call(task, at=at, mode_epoch=7)
        return generation


async def test_sessions_are_told_by_our_own_clock(database: Database, create_user: CreateUser) -> None:
    user = await create_user()
    async with database.service() as conn:
        player = Player(conn, user)
        whole, cut, running = [await player.stream(ago(300)) for _ in range(2)] + [
            await player.generation(status="pending", audio_object_key=None, completed_at=None)
        ]
        # Out of order, and by a clock that is a year off: received in this order.
        await player.event(whole, "ended", ago(280), at=NOW - timedelta(days=365))
        await player.event(whole, "started", ago(279), at=NOW + timedelta(days=365))
        await player.event(cut, "started", ago(200))
        for seconds in (199, 198):
            await player.event(cut, "stalled", ago(seconds))
        await player.event(cut, "decode_error", ago(197))
        await player.event(cut, "ended_early", ago(196))
        await player.event(running, "started", ago(10), client_version="2")
        # Began before the span: what is still heard of it makes no session of its own.
        earlier = await player.stream(ago(900))
        await player.event(earlier, "started", SINCE - timedelta(milliseconds=1))
        await player.event(earlier, "stalled", ago(100))
        edge = await player.stream(ago(900))
        await player.event(edge, "started", SINCE)
        gone, future, canary = uuid.uuid4(), await player.stream(ago(5)), await player.stream(ago(5))
        await player.event(gone, "started", ago(50))
        await player.event(future, "started", NOW + timedelta(seconds=1))
        await player.event(canary, "started", ago(5), synthetic=True)

        rows = await playback_signals.sessions_between(conn, since=SINCE, until=NOW)
        assert [row.generation_id for row in rows] == [running, gone, cut, whole, edge]
        found = {row.generation_id: row for row in rows}
        assert (found[whole].finished, found[whole].started_at, found[whole].last_at) == (
            True,
            ago(280),
            ago(279),
        )
        assert (found[cut].finished, found[cut].ended_early) == (False, True)
        assert (found[cut].stalls, found[cut].decode_errors, found[cut].duration_seconds) == (2, 1, 3.0)
        assert (found[running].status, found[running].client_version) == ("pending", "2")
        assert found[gone].status is None


async def test_delivered_streams_and_their_beacons(database: Database, create_user: CreateUser) -> None:
    user = await create_user()
    async with database.service() as conn:
        player = Player(conn, user)
        for number in range(4):
            generation = await player.stream(ago(200))
            if number:
                await player.event(generation, "started", ago(190))
        queued = await player.generation()
        await player.call(await player.task(queued), at=ago(200), mode_epoch=7)  # not streamed
        await player.stream(ago(30))  # too lately: its beacons may be under way
        for hours in range(2, 20):
            for number in range(3):
                generation = await player.stream(ago(3600 * hours))
                if number:
                    await player.event(generation, "ended", ago(3600 * hours - 5))
        share = await playback_signals.usual_share(conn, until=SINCE, at_least=54)
        assert share == pytest.approx(2 / 3)
        assert await playback_signals.usual_share(conn, until=SINCE, at_least=55) is None

    async def connect() -> Database:
        return database

    reading = await PlaybackObserver(connect, HandClock(NOW + timedelta(seconds=1)), span_s=900).read()
    assert reading.blind is None
    assert (reading.delivered, reading.reported) == ({7: 4}, {7: 3})
    assert reading.usual_share == pytest.approx(2 / 3)
    assert len(reading.sessions) == 3
