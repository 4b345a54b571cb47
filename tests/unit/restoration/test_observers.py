from __future__ import annotations

import asyncio

import pytest

from tests.clocks import HandClock
from tests.unit.restoration.looking import PLAYBOOK
from tests.unit.restoration.signals_of import signals
from understudy.errors import StoreUnavailableError
from understudy.restoration.signals.calls import Connect
from understudy.restoration.signals.cost import CostObserver
from understudy.restoration.signals.integrity import IntegrityObserver, Plan
from understudy.restoration.signals.observing import NOT_YET, Observer
from understudy.restoration.signals.playback import PlaybackObserver
from understudy.restoration.signals.readings import CostReading, PlaybackReading, SecurityReading
from understudy.restoration.signals.security import SecurityObserver
from understudy.restoration.triggers.data_integrity import judge
from understudy.restoration.triggers.verdict import Verdict
from understudy.settings import settings_from
from understudy.store.database import Database

pytestmark = pytest.mark.unit


def observers(
    connect: Connect, deadline_s: float = 5.0
) -> list[Observer[PlaybackReading] | Observer[CostReading] | Observer[SecurityReading]]:
    clock = HandClock()
    return [
        PlaybackObserver(connect, clock, span_s=900, deadline_s=deadline_s),
        CostObserver(connect, clock, deadline_s=deadline_s),
        SecurityObserver(
            connect,
            clock,
            settings=lambda: settings_from({}),
            known_good=lambda: None,
            canary_read=lambda: None,
            span_s=3600,
            stale_after_s=5,
            deadline_s=deadline_s,
        ),
    ]


async def away() -> Database:
    raise StoreUnavailableError


async def silent() -> Database:
    await asyncio.Event().wait()
    raise AssertionError


async def broken() -> Database:
    raise RuntimeError("password=hunter2")


@pytest.mark.parametrize(
    ("connect", "deadline_s", "reason"),
    [
        (away, 5.0, "the database cannot be read"),
        (silent, 0.01, "no answer within 0.01 s"),
        (broken, 5.0, "the look failed (RuntimeError)"),
    ],
)
async def test_whatever_breaks_a_look_is_blind_and_said(
    connect: Connect, deadline_s: float, reason: str
) -> None:
    for observer in observers(connect, deadline_s):
        reading = await observer.read()
        assert (reading.blind or "").startswith(reason)
        assert "hunter2" not in (reading.blind or "")
    plans = {name: Plan(60, 120) for name in ("orphaned_tasks", "schema_drift")}
    clock = HandClock()
    integrity = IntegrityObserver(
        connect, clock, plans=plans, objects=None, schema=None, deadline_s=deadline_s, patience_s=60
    )
    clock.advance(60)  # the schema is not looked at before
    for invariant in (await integrity.read()).invariants:
        assert invariant.blind is not None
        assert invariant.at is None
        assert "hunter2" not in invariant.blind


async def test_a_reading_that_is_given_up_ends_its_looks() -> None:
    integrity = IntegrityObserver(
        silent, HandClock(), plans={"orphaned_tasks": Plan(60, 120)}, objects=None, schema=None
    )
    reading = asyncio.create_task(integrity.read())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    looks = [task for task in asyncio.all_tasks() if task.get_name() == "invariant-orphaned_tasks"]
    reading.cancel()
    await asyncio.wait({reading, *looks})
    assert [look.cancelled() for look in looks] == [True]


async def test_until_its_first_answer_an_invariant_is_blind_unless_it_is_not_due_yet() -> None:
    clock = HandClock()
    policy = PLAYBOOK.triggers.data_integrity
    plans = policy.plans()
    integrity = IntegrityObserver(
        silent, clock, plans=plans, objects=None, schema=None, deadline_s=60, patience_s=0.01
    )

    async def told() -> dict[str, tuple[Verdict, str]]:
        seen = signals(integrity=await integrity.read())
        findings = judge(policy, seen, known_good="modal", now=clock.now())
        return {finding.check: (finding.verdict, finding.detail) for finding in findings}

    first = await told()
    assert first.pop("schema_drift") == (Verdict.NO_DATA, "its first look is not due yet")
    assert set(first.values()) == {(Verdict.BLIND, NOT_YET)}
    clock.advance(plans["schema_drift"].due_s)
    assert (await told())["schema_drift"] == (Verdict.BLIND, NOT_YET)
    clock.advance(3 * max(plan.due_s for plan in plans.values()))
    assert set((await told()).values()) == {(Verdict.BLIND, "nothing was looked at")}
    looks = [task for task in asyncio.all_tasks() if task.get_name().startswith("invariant-")]
    for look in looks:
        look.cancel()
    await asyncio.wait(looks)
