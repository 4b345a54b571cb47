"""The guard's loop over real call records: it notices, restores, proves recovery, closes and reports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from pydantic import SecretStr

from tests.integration.conftest import CreateUser
from tests.integration.planting import Planter
from tests.integration.restoration.deployment import Bench, CountingTarget, ShiftedClock, running
from understudy.errors import LeaseLostError, StoreUnavailableError
from understudy.resources import playbook_file
from understudy.restoration.guard.loop import Guard
from understudy.restoration.guard.process import Connector
from understudy.restoration.guard.watching import Observer, Watcher
from understudy.restoration.incidents import IncidentBook, IncidentState, close_by_person, times_of
from understudy.restoration.playbook.policy import load_playbook
from understudy.restoration.report import verify_report
from understudy.restoration.signals import clockwatch
from understudy.restoration.signals.calls import Connect
from understudy.restoration.signals.cost import CostObserver
from understudy.restoration.signals.product import ProductSource
from understudy.restoration.signals.windows import last_edge
from understudy.restoration.triggers.verdict import Verdict
from understudy.rollout.mode import set_mode
from understudy.store.calls import CallRecord, insert_calls
from understudy.store.database import Database
from understudy.store.guard import GuardStore
from understudy.store.mode import mode_history, read_mode
from understudy.store.valves import DESIGN_CREATES, is_closed, valve_history

pytestmark = pytest.mark.integration

S = IncidentState
GuardOf = Callable[..., Guard]
PLAYBOOK = load_playbook(playbook_file(), window_s=5)


@dataclass
class World:
    database: Database
    home: Path
    target: CountingTarget
    clock: ShiftedClock
    guard_of: GuardOf

    async def calls(self, at: datetime, *, ok: int = 0, failed: int = 0, **more: object) -> None:
        """Write calls that ended at ``at``, on the provider and epoch in force unless given."""
        async with self.database.service() as conn:
            row = await read_mode(conn)
            assert row is not None
            about = {"provider": row.value, "mode_epoch": row.epoch, "operation": "speak"} | more
            base = CallRecord(at=at, model="m", outcome="ok", latency_ms=5, **about)  # type: ignore[arg-type]
            bad = CallRecord(
                at=at,
                model="m",
                outcome="failed",
                latency_ms=5,
                failure_class="transport",
                **about,  # type: ignore[arg-type]
            )
            await insert_calls(conn, [base] * ok + [bad] * failed)

    async def outage(self, **more: object) -> datetime:
        """Ten healthy windows, then two in which every call failed; returns when the first one failed."""
        edge = last_edge(self.clock.now())
        await self.calls(edge - timedelta(seconds=18), ok=50, **more)
        await self.calls(edge - timedelta(seconds=9), failed=4, **more)
        await self.calls(edge - timedelta(seconds=2), failed=4, **more)
        return edge - timedelta(seconds=9)


async def until(guard: Guard, state: S | None) -> None:
    """Cycle until the newest incident is in ``state``."""
    deadline = asyncio.get_running_loop().time() + 10
    while True:
        await guard.cycle()
        rows = guard.book.store.incidents()
        now = S(rows[0].state) if rows else None
        if now is state:
            return
        assert asyncio.get_running_loop().time() < deadline, f"still {now}, not {state}"
        await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    # The tests move the guard's clock and leave the database's alone.
    monkeypatch.setattr(clockwatch, "APART_S", 1e9)
    monkeypatch.setattr(clockwatch, "JUMP_S", 1e9)

    async def connected() -> Database:
        return database

    async with running(database, tmp_path) as base_url:
        target = CountingTarget(tmp_path, base_url)
        clock = ShiftedClock()
        guards: list[Guard] = []

        def guard_of(
            holder: str = "a",
            *,
            connect: Connect = connected,
            playbook: object = PLAYBOOK,
            observers: Mapping[str, Observer] | None = None,
        ) -> Guard:
            store = GuardStore(tmp_path / "guard.sqlite3", clock)
            bench = Bench(tmp_path, target, connect, store)
            bench.clock = clock
            guard = Guard(
                book=IncidentBook(store, "local", clock),
                playbook=playbook,  # type: ignore[arg-type]
                target=target,
                watcher=Watcher(
                    ProductSource(connect, clock, query_s=3, stale_after_s=5),
                    clock,
                    span_s=PLAYBOOK.span_s,
                    operations={"speak"},
                    observers=observers or {},
                ),
                prepare=bench.prepare,
                clock=clock,
                holder=holder,
                known_good="modal",
                reports=tmp_path / "reports",
                poll_interval_s=0.02,
            )
            guards.append(guard)
            return guard

        yield World(database, tmp_path, target, clock, guard_of)
        for guard in guards:
            await guard._stop_restoring()
            guard.book.store.close()


async def test_from_the_first_bad_call_to_the_closed_report(world: World) -> None:
    guard = world.guard_of()
    onset = await world.outage()
    await until(guard, S.MITIGATED)
    incident = guard.book.store.incidents()[0].id
    async with world.database.service() as conn:
        row = await read_mode(conn)
    assert row is not None
    assert row.value == "modal"
    assert times_of(guard.book.entries(incident)).onset == onset

    await guard.cycle()
    assert guard.view.recovery is not None
    assert not guard.view.recovery.recovered  # no real traffic yet: stays mitigated
    world.clock.advance(16)  # two whole windows since it was verified, wherever the edges fall
    edge = last_edge(world.clock.now())
    await world.calls(edge - timedelta(seconds=7), ok=20)
    await world.calls(edge - timedelta(seconds=2), ok=10)
    await guard.cycle()
    assert guard.view.recovery.waiting_for == ("31 users' calls in clean windows (30 so far)",)
    await world.calls(edge - timedelta(seconds=2), ok=40, synthetic=True)  # probes prove nothing
    await guard.cycle()
    assert guard.book.store.incidents()[0].state == S.MITIGATED
    await world.calls(edge - timedelta(seconds=1), ok=1)
    await guard.cycle()
    assert guard.book.store.incidents()[0].state == S.CLOSED

    entries = guard.book.entries(incident)
    times = times_of(entries)
    assert times.recovered is not None
    assert times.closed is not None
    report = world.home / "reports" / f"{incident}.json"
    markdown = (world.home / "reports" / f"{incident}.md").read_text()
    assert verify_report(report.read_text(), entries, markdown=markdown).problems == ()
    assert "Rollback type used: env switch" in markdown
    assert "Provider mode at incident start: qwen" in markdown
    assert guard.book.store.verify_chain().problems == ()
    await guard.cycle()
    assert len(guard.book.store.incidents()) == 1


async def test_healthy_quiet_and_half_bad_traffic_opens_nothing(world: World) -> None:
    guard = world.guard_of()
    await guard.cycle()
    assert guard.view.finding is not None
    assert guard.view.finding.verdict is Verdict.NO_DATA
    edge = last_edge(world.clock.now())
    await world.calls(edge - timedelta(seconds=2), ok=3, failed=3)
    await guard.cycle()
    assert guard.view.finding.verdict is Verdict.INCONCLUSIVE
    await world.calls(edge - timedelta(seconds=7), ok=500, failed=5)  # exactly at the SLO
    await guard.cycle()
    assert guard.book.store.incidents() == []


@pytest.mark.parametrize(
    "left_out",
    [
        {"synthetic": True, "mode_epoch": 99},
        {"category": "validation"},
        {"operation": "design"},
        {"provider": "modal"},
        {"mode_epoch": 99},
    ],
)
async def test_calls_that_are_not_the_users_speech_here_and_now_do_not_count(
    world: World, left_out: dict[str, object]
) -> None:
    guard = world.guard_of()
    await world.outage(**left_out)
    await guard.cycle()
    assert guard.view.finding is not None
    assert guard.view.finding.verdict is Verdict.NO_DATA


async def test_of_two_guards_only_the_holder_acts_and_the_other_takes_over(world: World) -> None:
    first, second = world.guard_of("a"), world.guard_of("b")
    assert first.hold_lease()
    await world.outage()
    await second.cycle()
    assert not second.leads
    assert second.view.finding is not None
    assert second.view.finding.verdict is Verdict.FAIL
    assert second.book.store.incidents() == []
    await first.cycle()
    incident = first.book.store.incidents()[0].id
    await first._stop_restoring()  # the first guard stalls here, and its lease runs out
    world.clock.advance(11)
    old = first.book.lease
    await until(second, S.MITIGATED)
    assert second.leads
    assert old is not None
    with pytest.raises(LeaseLostError):
        first.book.append(incident, "page", body={})
    await first.cycle()
    assert not first.leads
    assert world.target.effects("deploy") == [f"{incident}:env_switch:redeploy"]
    assert [row.id for row in second.book.store.incidents()] == [incident]


async def test_a_restarted_guard_goes_on_with_the_open_run(world: World) -> None:
    first = world.guard_of("a")
    await world.outage()
    await first.cycle()
    await first._stop_restoring()
    assert first.book.lease is not None
    first.book.store.release(first.book.lease)
    second = world.guard_of("b")
    await until(second, S.MITIGATED)
    assert len(second.book.store.incidents()) == 1
    assert len(world.target.effects("deploy")) == 1


async def test_without_the_database_it_is_blind_and_opens_nothing(world: World) -> None:
    guard = world.guard_of(connect=Connector(SecretStr("postgresql://nobody:nothing@127.0.0.1:1/none")))
    await guard.cycle()
    assert guard.view.finding is not None
    assert guard.view.finding.verdict is Verdict.BLIND
    assert "cannot be read" in guard.view.finding.detail
    assert "blind success_rate" in guard.view.paged
    assert guard.book.store.incidents() == []


async def test_a_database_that_comes_back_is_seen_again(world: World) -> None:
    away = True

    async def flaky() -> Database:
        if away:
            raise StoreUnavailableError
        return world.database

    guard = world.guard_of(connect=flaky)
    await guard.cycle()
    assert "blind success_rate" in guard.view.paged
    away = False
    await world.outage()
    await until(guard, S.MITIGATED)
    assert "blind success_rate" not in guard.view.paged


async def test_silence_from_nobody_is_blind_not_healthy(
    database: Database, tmp_path: Path, world: World
) -> None:
    guard = world.guard_of()
    await guard.cycle()
    assert guard.view.finding is not None
    assert guard.view.finding.verdict is Verdict.NO_DATA
    for _ in range(20):  # the readers report once a second and may do so in between
        async with database.service() as conn:
            await conn.execute("update understudy.processes set seen_at = seen_at - interval '1 hour'")
        await guard.cycle()
        if guard.view.finding.verdict is Verdict.BLIND:
            break
    assert guard.view.finding.verdict is Verdict.BLIND
    assert "no api or worker has reported" in guard.view.finding.detail


async def test_a_failure_on_the_new_side_joins_and_keeps_it_open(world: World) -> None:
    guard = world.guard_of()
    await world.outage()
    await until(guard, S.MITIGATED)
    world.clock.advance(21)
    await world.outage()
    await guard.cycle()
    assert guard._restoring is not None  # it looks for a cure; there is no revision to go back to
    await guard._restoring
    rows = guard.book.store.incidents()
    assert [row.state for row in rows] == [S.MITIGATED]
    kinds = [entry.kind for entry in guard.book.entries(rows[0].id)]
    assert kinds.count("joined") == 1
    assert kinds[-1] == "page"


async def test_recovery_that_does_not_come_is_paged_once_and_stays_mitigated(world: World) -> None:
    guard = world.guard_of()
    await world.outage()
    await until(guard, S.MITIGATED)
    world.clock.advance(1801)
    for _ in range(3):
        await guard.cycle()
    row = guard.book.store.incidents()[0]
    pages = [entry for entry in guard.book.entries(row.id) if entry.kind == "page"]
    assert row.state == S.MITIGATED
    assert len(pages) == 1
    assert "recovery is not proven" in pages[0].body["message"]


async def test_what_a_person_closed_opens_again_only_after_it_was_healthy(world: World) -> None:
    guard = world.guard_of()
    await set_mode(world.database, "modal", actor="test", reason="start on the known-good side")
    await world.outage()
    # An env switch cannot cure the known-good side, and nothing is recorded to roll the code back to.
    await until(guard, S.FROZEN)
    row = guard.book.store.incidents()[0]
    close_by_person(guard.book.store, row.id, person="ada", reason="Modal is told")
    for _ in range(2):
        await guard.cycle()
    assert len(guard.book.store.incidents()) == 1
    assert "disarmed" in guard.view.paged
    world.clock.advance(25)
    newest = last_edge(world.clock.now()) - timedelta(seconds=2)
    for window in range(3):
        await world.calls(newest - timedelta(seconds=5 * window), ok=50)
    await guard.cycle()
    assert guard.view.disarmed  # twice as many clean windows as bad ones had to be are not there yet
    await world.calls(newest - timedelta(seconds=15), ok=50)
    await guard.cycle()
    assert not guard.view.disarmed
    world.clock.advance(30)
    await world.outage()
    await guard.cycle()
    assert len(guard.book.store.incidents()) == 2


async def test_shadow_only_says_what_it_would_have_done(world: World) -> None:
    path = world.home / "shadow.yaml"
    path.write_text(playbook_file().read_text().replace("mode: auto", "mode: shadow"))
    guard = world.guard_of(playbook=load_playbook(path, window_s=5))
    await world.outage()
    await guard.cycle()
    assert guard.book.store.incidents() == []
    assert "would have opened" in guard.view.paged["shadow"]


async def test_drift_between_file_and_row_is_said(world: World) -> None:
    guard = world.guard_of()
    await guard.cycle()
    assert guard.drift() is None
    await set_mode(world.database, "modal", actor="test", reason="live only")
    await guard.cycle()
    assert "TTS_PROVIDER_MODE is qwen durably, but the live row says modal" in (guard.drift() or "")


async def test_run_gives_the_lease_back_when_it_stops(
    world: World, eventually: Callable[..., object]
) -> None:
    guard, stop = world.guard_of(), asyncio.Event()
    task = asyncio.create_task(guard.run(stop))
    await eventually(lambda: guard.leads and guard.view.finding is not None, what="a leading guard")  # type: ignore[misc]
    stop.set()
    await asyncio.wait_for(task, 5)
    assert world.guard_of("b").hold_lease()


async def test_the_switch_names_its_incident_in_the_history(world: World) -> None:
    guard = world.guard_of()
    await world.outage()
    await until(guard, S.MITIGATED)
    async with world.database.service() as conn:
        change = (await mode_history(conn, 1))[0]
    assert (change.previous_value, change.value, change.actor) == ("qwen", "modal", "guard")
    assert change.incident == guard.book.store.incidents()[0].id


async def test_repeated_creates_close_the_valve_and_an_outage_that_follows_joins_and_switches(
    world: World, create_user: CreateUser
) -> None:
    async def connect() -> Database:
        return world.database

    cost = CostObserver(connect, world.clock)
    guard = world.guard_of(observers={"cost": Observer(cost.read, cost.every_s, cost.deadline_s)})
    async with world.database.service() as conn:
        planter = Planter(conn, await create_user())
        for _ in range(6):  # five are tolerated
            task, at = uuid4(), world.clock.now()
            await planter.call(
                task, at=at, operation="design", subject_digest="d1", cost_microusd=200_000,
                characters=0, counted_characters=None,
            )  # fmt: skip
            await planter.entry(task, purse="creates", at=at, settled_microusd=200_000)
    await guard._watcher.look_once("cost")
    await until(guard, S.MITIGATED)
    [row] = guard.book.store.incidents()
    assert row.title == "One voice design is paid for again and again"
    async with world.database.service() as conn:
        assert await is_closed(conn, DESIGN_CREATES)
        [change] = [r for r in await valve_history(conn) if row.id in r.reason]
        mode = await read_mode(conn)
    assert (change.closed, change.actor) == (True, "guard")
    assert mode is not None
    assert mode.value == "qwen"  # a flip would only move the bill
    assert world.target.effects("deploy") == []
    await guard.cycle()
    assert guard.view.recovery is not None
    assert guard.view.recovery.waiting_for[0].startswith("cost/design_repeats to pass")

    await world.outage()
    deadline = asyncio.get_running_loop().time() + 10
    while not world.target.effects("verify"):
        assert asyncio.get_running_loop().time() < deadline
        await guard.cycle()
        await asyncio.sleep(0.02)
    await until(guard, S.MITIGATED)
    assert len(guard.book.store.incidents()) == 1
    begun = [e.body["action"] for e in guard.book.entries(row.id) if e.kind == "begun"]
    assert begun == ["close_valve", "env_switch"]
    assert guard.book.store.verify_chain().problems == ()


async def test_a_database_that_is_slow_is_blind_and_not_waited_for(world: World) -> None:
    async def slow() -> Database:
        await asyncio.sleep(60)
        raise AssertionError

    guard = world.guard_of(connect=slow)
    guard._watcher.source._query_s = 0.05  # type: ignore[attr-defined]
    await asyncio.wait_for(guard.cycle(), 2)
    assert set(guard.view.verdicts.values()) == {Verdict.BLIND}
