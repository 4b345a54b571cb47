"""The guard beside a cutover, over real rows: it goes on, finishes once, brings everybody back at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.restoration.deployment import Bench, CountingTarget, ShiftedClock, running
from tests.integration.rollout.test_cutover import tenant
from tests.unit.restoration.cutovers import PLAN
from understudy.errors import ConflictError, MoveRefusedError
from understudy.resources import playbook_file
from understudy.restoration.actions import env_switch
from understudy.restoration.actions.step import Progress
from understudy.restoration.cutover import memory
from understudy.restoration.cutover.desk import Desk
from understudy.restoration.cutover.desk import go_on as next_stage
from understudy.restoration.cutover.moves import MoveLimits
from understudy.restoration.cutover.planning import share_of, subject_of
from understudy.restoration.guard import cutover as tending
from understudy.restoration.guard.cutover import CutoverGuard
from understudy.restoration.guard.loop import Guard
from understudy.restoration.guard.watching import Observer, Watcher
from understudy.restoration.incidents import IncidentBook, IncidentState
from understudy.restoration.playbook.policy import load_playbook
from understudy.restoration.signals import clockwatch
from understudy.restoration.signals.product import ProductSource
from understudy.restoration.signals.readings import InvariantReading, unseen
from understudy.rollout import cutover
from understudy.rollout.mode import ModeReader, adopt_environment, set_mode
from understudy.settings import load_settings
from understudy.store import cutover as rows
from understudy.store.calls import CallRecord, insert_calls
from understudy.store.cutover import CutoverRow, NewCutover
from understudy.store.database import Database
from understudy.store.guard import GuardStore
from understudy.store.mode import read_mode

pytestmark = pytest.mark.integration

SHIPPED = load_playbook(playbook_file(), window_s=5)

INVARIANTS = tuple(SHIPPED.triggers.data_integrity.plans())


def policy(**changes: Any) -> Any:
    """Stages that a handful of calls decide; the guard goes on by itself unless told otherwise."""
    limits = SHIPPED.cutover.limits.model_copy(update={"spacing_s": 0.0, "moves": 100})
    rails = SHIPPED.cutover.guardrails.model_copy(update={"minimum_calls": 4})
    values = {"advance": "auto", "limits": limits, "guardrails": rails, **changes}
    return SHIPPED.model_copy(update={"cutover": SHIPPED.cutover.model_copy(update=values)})


@dataclass
class World:
    database: Database
    home: Path
    target: CountingTarget
    clock: ShiftedClock
    guard_of: Callable[..., Guard]

    async def row(self) -> CutoverRow:
        async with self.database.service() as conn:
            found = await rows.read_cutover(conn)
        assert found is not None
        return found

    async def begin(self, *percents: int) -> CutoverRow:
        stages = [{"percent": each, "hold_s": 0.0, "exclude_percent": 50.0} for each in (*percents, 100)]
        plan = {**PLAN, "stages": stages}
        new = NewCutover("qwen", percents[0], "ada", plan, "0" * 64, 60)
        share = share_of(plan, percents[0])
        return await cutover.start(self.database, new, share, actor="person:ada", reason="go")

    async def calls(self, *, qwen: int = 0, modal: int = 0, failed: int = 0, **more: Any) -> None:
        """Calls of either side that ended just now; ``failed`` ones are the candidate's."""
        async with self.database.service() as conn:
            mode, row = await read_mode(conn), await rows.read_cutover(conn)
            assert mode is not None
            assert row is not None
            at = self.clock.now()
            call = CallRecord(
                at=at, operation="speak", provider="modal", model="m", outcome="ok", latency_ms=500,
                mode_epoch=mode.epoch, characters=50, cost_microusd=50,
            )  # fmt: skip
            ours = replace(call, provider="qwen", mode_epoch=row.stage_epoch, first_audio_ms=200, **more)
            bad = replace(ours, outcome="failed", failure_class="transport", first_audio_ms=None)
            await insert_calls(conn, [call] * modal + [ours] * qwen + [bad] * failed)


async def cycle_until(guard: Guard, reached: Callable[[], Any], what: str) -> None:
    async with asyncio.timeout(60):
        while True:
            await guard.cycle()
            if await reached():
                return
            await asyncio.sleep(0.02)
    raise AssertionError(what)


def seeing(clock: ShiftedClock) -> dict[str, Observer]:
    """Observers that find nothing wrong."""

    def look(name: str) -> Callable[[], Any]:
        async def answer() -> Any:
            now = clock.now()
            reading = replace(getattr(unseen(now, ""), name), blind=None)
            if name != "integrity":
                return reading
            kept = tuple(InvariantReading(each, now, 86_400.0) for each in INVARIANTS)
            return replace(reading, invariants=kept)

        return answer

    names = ("playback", "cost", "integrity", "security")
    return {name: Observer(look(name), 3600.0, 3600.0) for name in names}


@pytest_asyncio.fixture
async def world(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(clockwatch, "APART_S", 1e9)
    monkeypatch.setattr(clockwatch, "JUMP_S", 1e9)
    monkeypatch.setattr(tending, "JUDGE_EVERY_S", 0.0)

    async def connect() -> Database:
        return database

    async with running(database, tmp_path) as base_url:
        await set_mode(database, "modal", actor="person:ada", reason="where a cutover starts")
        (tmp_path / "understudy.env").write_text("TTS_PROVIDER_MODE=modal\n")
        target, clock, guards = CountingTarget(tmp_path, base_url), ShiftedClock(), []

        async def guard_of(playbook: Any = None) -> Guard:
            playbook = playbook or policy()
            store = GuardStore(tmp_path / "guard.sqlite3", clock)
            bench = Bench(tmp_path, target, connect, store)
            bench.clock = clock
            watcher = Watcher(
                ProductSource(connect, clock, query_s=20, stale_after_s=60),
                clock,
                span_s=SHIPPED.span_s,
                operations={"speak"},
                observers=seeing(clock),
            )
            for name in seeing(clock):
                await watcher.look_once(name)
            tends = CutoverGuard(
                playbook=playbook, store=store, target=target, connect=connect, clock=clock,
                known_good="modal", environment="local",
            )  # fmt: skip
            guard = Guard(
                book=IncidentBook(store, "local", clock), playbook=playbook, target=target, watcher=watcher,
                prepare=bench.prepare, clock=clock, holder=f"guard-{len(guards)}", known_good="modal",
                reports=tmp_path / "reports", poll_interval_s=0.02, cutover=tends, more_alarms=tends.alarms,
            )  # fmt: skip
            guards.append(guard)
            return guard

        yield World(database, tmp_path, target, clock, guard_of)
        for guard in guards:
            await guard._stop_restoring()
            guard.book.store.close()


@asynccontextmanager
async def follower(database: Database) -> AsyncIterator[ModeReader]:
    reader = ModeReader(database, load_settings(tts_provider_mode="modal"), kind="api", clock=ShiftedClock())
    await reader.start()
    try:
        yield reader
    finally:
        await reader.stop()


async def test_a_trigger_on_the_candidate_brings_everybody_back_before_its_incident_acts(
    world: World, eventually
) -> None:
    guard = await world.guard_of()
    row = await world.begin(50, 90)
    async with follower(world.database) as reader:
        inside = tenant(below=50)
        await eventually(lambda: reader.admit(inside).value == "qwen", what="the share is served")
        now = world.clock.now()
        bad = CallRecord(
            at=now, operation="speak", provider="qwen", model="m", outcome="failed", latency_ms=5,
            mode_epoch=row.stage_epoch, failure_class="transport",
        )  # fmt: skip
        async with world.database.service() as conn:
            await insert_calls(
                conn, [replace(bad, at=now - timedelta(seconds=ago)) for ago in range(5, 45, 5)]
            )
        await guard.cycle()
        await eventually(lambda: reader.admit(inside).value == "modal", what="everybody is back")
        assert not reader.serves("qwen")
    ended = await world.row()
    assert (ended.state, ended.percent, ended.actor) == ("returned", 0, "guard")
    assert "success_rate/rate" in ended.reason
    incident = guard.book.current()
    assert incident is not None
    documents = [entry.body for entry in guard.book.entries(incident.id) if entry.kind == "opened"]
    assert documents[0]["finding"]["mode_epoch"] == row.stage_epoch

    async def mitigated() -> bool:
        return guard.book.store.incidents()[0].state == IncidentState.MITIGATED

    await cycle_until(guard, mitigated, "the incident is mitigated by its env switch")
    for _ in range(2):  # it is seen in one look, and said in the next
        await guard.cycle()
    assert "was returned" in guard.view.paged["cutover"]


async def test_stage_by_stage_to_everybody_each_effect_once_whoever_is_killed(world: World) -> None:
    row = await world.begin(5, 50)
    guard = await world.guard_of()
    await guard.cycle()
    assert (await world.row()).stage == 0  # no sample yet
    await world.calls(qwen=5, modal=4)

    async def at_fifty() -> bool:
        return (await world.row()).percent == 50

    await cycle_until(guard, at_fifty, "the second stage")
    second = await world.row()
    assert second.stage_epoch > row.stage_epoch
    assert second.actor == "guard"
    await guard.cycle()
    assert (await world.row()).stage == 1  # the first stage's calls are not its own
    await world.calls(qwen=5, modal=4)

    async def everybody() -> bool:
        return (await world.row()).state == "finishing"

    await cycle_until(guard, everybody, "everybody")
    flipped = await world.row()
    async with world.database.service() as conn:
        mode = await read_mode(conn)
    assert mode is not None
    assert (mode.value, mode.epoch) == ("qwen", flipped.stage_epoch)
    # Killed before anything of it was made durable; the next one goes on from what the world says.
    guard.book.store.release(guard.book.lease)
    guard.book.lease = None
    successor = await world.guard_of()
    await successor.cycle()
    await successor.cycle()
    successor.book.store.release(successor.book.lease)
    successor.book.lease = None
    third = await world.guard_of()
    await third.cycle()
    assert (await world.row()).state == "finishing"  # its last stage has no sample yet
    assert world.target.effects("env") == [{"TTS_PROVIDER_MODE": "qwen"}]
    assert world.target.effects("deploy") == [f"cutover-1-{flipped.stage_epoch}"]
    clock = memory.stabilization_clock(third.book.store, "local")
    assert clock is not None
    assert (clock.since, clock.mode_epoch) == (flipped.stage_started_at, mode.epoch)
    await world.calls(qwen=5)

    async def complete() -> bool:
        return (await world.row()).state == "complete"

    await cycle_until(third, complete, "the cutover is complete")
    (done,) = memory.completed(third.book.store, "local")
    assert done.subject_sha256 == subject_of(PLAN)
    await third.cycle()
    assert len(world.target.effects("deploy")) == 1


async def test_a_person_is_told_and_waited_for(world: World) -> None:
    await world.begin(5, 50)
    guard = await world.guard_of(policy(advance="person"))
    await world.calls(qwen=5, modal=4)
    await guard.cycle()
    judged = memory.last_judgement(guard.book.store, "local")
    assert judged is not None
    assert (judged["waiting"], judged["failing"]) == ([], [])
    await guard.cycle()
    assert "understudy cutover next" in guard.view.paged["cutover"]
    assert (await world.row()).stage == 0


async def test_a_person_is_told_from_when_the_limits_of_moves_allow_the_next_stage(world: World) -> None:
    await world.begin(5, 50)
    limits = SHIPPED.cutover.limits.model_copy(update={"spacing_s": 0.0, "moves": 2})
    playbook = policy(advance="person", limits=limits)
    guard = await world.guard_of(playbook)
    moves = MoveLimits(guard.book.store, limits, world.clock, "local")
    for what in ("the first move", "the second move"):
        moves.take(what, "ada")
    at = moves.next_at()
    assert at is not None
    await world.calls(qwen=5, modal=4)
    await guard.cycle()
    await guard.cycle()
    assert f"from {at:%Y-%m-%d %H:%M:%S} UTC: understudy cutover next" in guard.view.paged["cutover"]
    desk = Desk("local", playbook, guard.book.store, world.database, world.clock, "person:ada")
    with pytest.raises(ConflictError, match="Stage 2 may begin from"):
        await next_stage(desk, reason="go", leave_behind=None)
    assert moves.frozen() is None
    with pytest.raises(MoveRefusedError):
        moves.take("the third move", "ada")
    await guard.cycle()
    assert "once a person has thawed moves" in guard.view.paged["cutover"]


async def test_a_guardrail_at_everybody_puts_the_environment_back_too(world: World) -> None:
    await world.begin(50)
    guard = await world.guard_of()
    await world.calls(qwen=5, modal=4)

    async def durable() -> bool:
        return len(world.target.effects("deploy")) == 1

    await cycle_until(guard, durable, "the candidate is durable")
    await world.calls(qwen=5, cost_microusd=9_000_000)

    async def back() -> bool:
        return len(world.target.effects("deploy")) == 2

    await cycle_until(guard, back, "known-good is durable again")
    ended = await world.row()
    assert (ended.state, "cost" in ended.reason) == ("returned", True)
    assert [env["TTS_PROVIDER_MODE"] for env in world.target.effects("env")] == ["qwen", "modal"]
    async with world.database.service() as conn:
        mode = await read_mode(conn)
    assert mode is not None
    assert mode.value == "modal"
    await guard.cycle()
    assert len(world.target.effects("deploy")) == 2


async def test_a_cutover_that_was_not_watched_is_returned_by_the_next_guard(world: World) -> None:
    await world.begin(50, 90)
    async with world.database.service() as conn:
        await conn.execute("update understudy.cutover set watched_until = clock_timestamp()")
    guard = await world.guard_of()
    await guard.cycle()
    ended = await world.row()
    assert (ended.state, "nobody saw" in ended.reason) == ("returned", True)


async def test_a_watching_guard_keeps_it_alive_and_a_blind_one_does_not(world: World) -> None:
    await world.begin(50, 90)
    guard = await world.guard_of()
    async with world.database.service() as conn:
        await conn.execute("update understudy.cutover set watched_until = clock_timestamp() + '30 s'")
    await guard.cycle()
    watched = (await world.row()).watched_until
    assert watched > datetime.fromisoformat((await world.row()).changed_at.isoformat())
    assert (await world.row()).watch_left_s > 30
    async with world.database.service() as conn:
        await conn.execute("update understudy.cutover set watched_until = clock_timestamp() + '30 s'")
        await conn.execute("delete from understudy.processes")
    guard._watcher.source._stale_after_s = -1.0  # type: ignore[attr-defined]
    before = (await world.row()).watched_until
    await guard.cycle()
    assert guard.view.signals is not None
    assert guard.view.signals.blind is not None
    assert (await world.row()).watched_until == before


async def test_an_environment_typed_by_hand_wins_and_is_counted_and_paged(world: World) -> None:
    await adopt_environment(world.database, "modal")
    guard = await world.guard_of()
    await guard.cycle()
    await adopt_environment(world.database, "qwen")
    await guard.cycle()
    await guard.cycle()
    async with world.database.service() as conn:
        mode = await read_mode(conn)
    assert mode is not None
    assert mode.value == "qwen"
    assert "by hand: move 1" in guard.view.paged["moves"]
    await set_mode(world.database, "modal", actor="person:ada", reason="back")
    await set_mode(world.database, "qwen", actor="operator:1", reason="over HTTP")
    await guard.cycle()
    await guard.cycle()
    assert "operator:1 set the mode to qwen: move 2" in guard.view.paged["moves"]


async def test_the_env_switch_ends_a_cutover_although_the_row_is_known_good_already(world: World) -> None:
    async def connect() -> Database:
        return world.database

    guard = await world.guard_of()
    bench = Bench(world.home, world.target, connect, guard.book.store)
    incident: Any = SimpleNamespace(id="inc-1", title="Qwen fails")
    run = bench.prepare(incident, 1, {"trigger": "success_rate", "check": "rate", "provider": "qwen"})
    step = env_switch.LiveOverride()
    assert (await step.look(run, "key")).progress is Progress.DONE
    row = await world.begin(50, 90)
    seen = await step.look(run, "key")
    assert (seen.progress, "cutover 1 gives 50 %" in seen.detail) == (Progress.ABSENT, True)
    await step.act(run, "key")
    seen = await step.look(run, "key")
    assert (seen.progress, seen.evidence["cutover"]) == (Progress.DONE, {"seq": 1, "state": "returned"})
    ended = await world.row()
    assert (ended.state, ended.percent, ended.incident) == ("returned", 0, "inc-1")
    assert ended.epoch > row.epoch
