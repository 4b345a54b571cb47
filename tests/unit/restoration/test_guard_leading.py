"""Who leads, and what a guard does while its store or its observers are away; which alarms reach people."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.clocks import HandClock, ManualClock
from tests.unit.findings import finding_of
from tests.unit.restoration.guarding import FakeStep, FakeTarget, Post, settle
from understudy.errors import StoreUnavailableError
from understudy.restoration.incidents import IncidentState
from understudy.restoration.signals.observing import NOT_YET
from understudy.restoration.triggers.verdict import Verdict

pytestmark = pytest.mark.unit

S = IncidentState
RATE = finding_of()
LEAK = finding_of("security/secret_leak")
REFUSALS = finding_of("success_rate/refusals", mode="shadow")


async def test_two_guards_take_turns_and_count_once(post: Post) -> None:
    first, second = post.guard("a"), post.guard("b")
    post.findings = (REFUSALS, LEAK)
    await first.cycle()
    await second.cycle()
    assert (first.leads, second.leads) == (True, False)
    assert first.book.store.counts() == {"would_have_fired:success_rate/refusals": 1}
    assert len(second.book.store.incidents()) == 1
    await first._stop_restoring()
    post.clock.advance(11)
    assert await settle(second) is S.HOLD
    await first.cycle()
    assert not first.leads
    assert len(second.book.store.incidents()) == 1
    assert second.book.store.verify_chain().problems == ()


async def test_alarms_reach_people_once_they_have_stood_and_once_they_end(post: Post) -> None:
    guard = post.guard()
    alarms = guard._alarms
    guard.hold_lease()

    def told() -> list[tuple[str, str]]:
        return [(e.kind, e.body["name"]) for e in guard.book.store.entries()]

    alarms.say("drift", "differs")
    alarms.say("shadow", "would have opened")
    alarms.announce()
    post.clock.advance(9)
    alarms.announce()
    assert told() == []
    post.clock.advance(1)
    guard.hold_lease()
    for _ in range(2):
        alarms.say("drift", "differs still")
        alarms.announce()
    assert told() == [("alarm", "drift")]
    for _ in range(2):
        alarms.say("drift", None)
        alarms.announce()
    assert told() == [("alarm", "drift"), ("alarm_over", "drift")]
    assert guard.view.paged == {"shadow": "would have opened"}


async def test_a_store_that_is_away_ends_nothing_and_nothing_is_done_meanwhile(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HandClock, "sleep", ManualClock.sleep)  # the lease keeper waits, and lets others run
    guard = post.guard()
    told: list[bool] = []

    def listener(completed: bool) -> None:
        told.append(completed)
        raise RuntimeError("a defect of the listener")

    guard._on_cycle = listener
    post.findings = (RATE,)
    stop = asyncio.Event()

    def away(*_: object) -> bool:
        raise StoreUnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(type(guard.book.store), "holds", away)
        guard.hold_lease()
        running = asyncio.create_task(guard.run(stop))
        while len(told) < 2:
            await asyncio.sleep(0.005)
        assert not any(told)
        assert "it cannot be written" in guard.view.paged["store"]
        assert guard.book.store.incidents() == []
    while not any(told):
        await asyncio.sleep(0.005)
    assert "store" not in guard.view.paged
    stop.set()
    await asyncio.wait_for(running, 2)
    assert len(guard.book.store.incidents()) == 1
    assert guard.book.lease is None


@pytest.mark.parametrize("noticed_by", ["cycle", "keeper"])
async def test_a_lease_that_ran_out_while_the_store_was_away_ends_the_act_under_way(
    post: Post, monkeypatch: pytest.MonkeyPatch, noticed_by: str
) -> None:
    acting = asyncio.Event()

    async def act(*_: object) -> dict[str, object]:
        acting.set()
        await asyncio.Event().wait()
        raise AssertionError

    def away(*_: object, **__: object) -> bool:
        raise StoreUnavailableError

    monkeypatch.setattr(FakeStep, "act", act)
    monkeypatch.setattr(HandClock, "sleep", ManualClock.sleep)
    guard, lease_s = post.guard(), post.playbook.limits.lease_s
    post.clock.advance(2 * lease_s)  # it stood by for long
    post.findings = (RATE,)
    await guard.cycle()
    await asyncio.wait_for(acting.wait(), 1)
    under_way = guard._restoring
    await guard.cycle()
    assert under_way is not None
    assert not under_way.done()
    post.clock.advance(lease_s - 2)
    assert guard.hold_lease()  # renewed: it lasts from here
    for name in ("holds", "renew", "acquire"):
        monkeypatch.setattr(type(guard.book.store), name, away)
    post.clock.advance(lease_s - 1)
    with pytest.raises(StoreUnavailableError):
        await guard.cycle()
    assert guard.leads
    assert not under_way.done()
    if noticed_by == "cycle":
        post.clock.advance(1)
        with pytest.raises(StoreUnavailableError):
            await guard.cycle()
    else:
        keeper = asyncio.create_task(guard._keep_lease())
        await asyncio.sleep(0)
        post.clock.advance(lease_s)
        await asyncio.wait({under_way}, timeout=1)
        keeper.cancel()
        await asyncio.wait({keeper})
    assert not guard.leads
    assert under_way.cancelled()


async def test_a_guard_that_leads_no_more_ends_its_restore(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []

    class Restoring:
        async def close(self) -> None:
            ended.append("restore")

    monkeypatch.setattr(FakeTarget, "database", Restoring())
    first, second = post.guard("a"), post.guard("b")
    await first.cycle()
    post.clock.advance(post.playbook.limits.lease_s + 1)
    assert second.hold_lease()
    assert ended == []
    await first.cycle()
    assert (first.leads, ended) == (False, ["restore"])


async def test_what_was_not_looked_at_yet_is_blind_and_calls_nobody(post: Post) -> None:
    guard = post.guard()
    schema = finding_of("data_integrity/schema_drift", verdict=Verdict.BLIND, detail=NOT_YET)

    async def alarms() -> list[str]:
        for _ in range(2):
            await guard.cycle()
            post.clock.advance(11)
        return [e.body["name"] for e in guard.book.store.entries() if e.kind == "alarm"]

    post.findings = (schema,)
    assert "blind data_integrity" not in await alarms()
    assert guard.view.verdicts["data_integrity"] is Verdict.BLIND
    post.findings = (schema, replace(schema, check="orphaned_tasks", detail="no answer within 30 s"))
    assert "blind data_integrity" in await alarms()
