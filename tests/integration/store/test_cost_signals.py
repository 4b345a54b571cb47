from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from tests.clocks import HandClock
from tests.integration.conftest import CreateUser
from tests.integration.planting import NOW, Planter
from tests.integration.store.rolling import rolled_to_the_end
from understudy.restoration.signals.cost import CostObserver
from understudy.store import cost_signals, valves
from understudy.store.database import Database

pytestmark = pytest.mark.integration

HOUR = timedelta(hours=1)


async def test_what_is_spent_is_read_beside_what_is_usual(
    database: Database, create_user: CreateUser
) -> None:
    user, other = await create_user(), await create_user()

    async def connect() -> Database:
        return database

    observer = CostObserver(connect, HandClock(NOW + timedelta(seconds=1)))
    empty = await observer.read()
    assert (empty.blind, empty.creates_hour, empty.create_hours, empty.tenants) == (None, 0, (), ())

    async with database.service() as conn:
        planter, neighbour = Planter(conn, user), Planter(conn, other)
        design = {
            "operation": "design",
            "cost_microusd": 200_000,
            "characters": 0,
            "counted_characters": None,
        }
        for minutes in (5, 10, 57):
            task = uuid.uuid4()
            at = NOW - timedelta(minutes=minutes)
            await planter.call(task, at=at, subject_digest="d1", **design)
            await planter.entry(task, purse="creates", at=at, settled_microusd=200_000)
        at = NOW - timedelta(minutes=30)
        await planter.call(None, at=at, subject_digest="d2", **design)
        await neighbour.call(None, at=at, subject_digest="d1", **design)
        await planter.call(None, at=at, subject_digest="d1", **design | {"cost_microusd": 0})  # refused
        await planter.call(None, at=NOW - timedelta(minutes=61), subject_digest="d1", **design)
        await planter.call(None, at=at, subject_digest="d1", synthetic=True, **design)
        waiting = {
            "purse": "creates",
            "state": "reserved",
            "ended_at": None,
            "settled_microusd": 0,
            "calls": 0,
        }
        await planter.entry(uuid.uuid4(), **waiting)  # in flight: it may be billed
        await planter.entry(
            uuid.uuid4(), purse="creates", state="released", settled_microusd=0, calls=0
        )  # given back
        await planter.entry(uuid.uuid4(), purse="creates", synthetic=True)
        await planter.entry(uuid.uuid4())  # speech
        for hours, creates in ((1.5, 2), (25.5, 1)):
            for _ in range(creates):
                await planter.entry(uuid.uuid4(), purse="creates", at=NOW - hours * HOUR)
        # Spoken in whole hours before, and now.
        hour = NOW.replace(minute=0, second=0, microsecond=0)
        for back, characters in ((3, 700), (5, 900)):
            await planter.call(
                None, at=hour - back * HOUR, characters=characters, counted_characters=characters
            )
        await planter.call(None, at=NOW - timedelta(minutes=10), characters=5000, counted_characters=5000)
        await valves.set_valve(conn, "design-creates", closed=True, actor="test", reason="test")
        repeats = await cost_signals.design_repeats(conn, since=NOW - HOUR)
        assert (repeats[0].user_id, repeats[0].prompt_digest, repeats[0].creates) == (user, "d1", 3)
        assert {(row.user_id, row.prompt_digest): row.creates for row in repeats[1:]} == {
            (user, "d2"): 1,
            (other, "d1"): 1,
        }
        assert repeats[0].first_at == NOW - timedelta(minutes=57)

    await rolled_to_the_end(database)
    reading = await CostObserver(connect, HandClock(NOW + timedelta(seconds=1))).read()
    assert reading.blind is None
    assert reading.creates_hour == 4
    assert reading.create_hours[0] == 2
    assert len(reading.create_hours) == 24  # whole hours since the first entry
    assert sum(reading.create_hours) == 2
    assert reading.closed_valves == {"design-creates"}
    spender = next(tenant for tenant in reading.tenants if tenant.user == str(user))
    assert (spender.characters, spender.creates, spender.hours) == (5000, 4, (700, 900))
    assert reading.spend_hour_microusd == 5 * 200_000 + 30
    assert len(reading.spend_hours) == 4  # from the first hour on record to the last that is over
    in_an_hour_before = NOW - timedelta(minutes=61) < hour - HOUR
    assert sum(reading.spend_hours) == 60 + (200_000 if in_an_hour_before else 0)


async def test_a_ledger_that_is_no_longer_written_is_blind(
    database: Database, create_user: CreateUser
) -> None:
    user = await create_user()

    async def connect() -> Database:
        return database

    async with database.service() as conn:
        planter = Planter(conn, user)
        for _ in range(4):
            await planter.call(uuid.uuid4())
    assert (
        await CostObserver(connect, HandClock(NOW + timedelta(seconds=1))).read()
    ).blind is None  # too few to say
    async with database.service() as conn:
        await Planter(conn, user).call(uuid.uuid4())
    assert "no longer written" in (
        (await CostObserver(connect, HandClock(NOW + timedelta(seconds=1))).read()).blind or ""
    )
    async with database.service() as conn:
        task = uuid.uuid4()
        await Planter(conn, user).call(task, at=NOW)
        await Planter(conn, user).entry(task)
    assert (await CostObserver(connect, HandClock(NOW + timedelta(seconds=1))).read()).blind is None
