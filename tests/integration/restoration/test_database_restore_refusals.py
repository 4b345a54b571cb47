"""Whose freeze stands after a database restore, and what is refused, or not repeated, without a person."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from tests.clocks import HandClock
from tests.integration.conftest import DatabaseUrls
from tests.integration.restoration.restore_stage import Stage, drop_restored
from tests.unit.restoration.cases import PLAYBOOK
from understudy.envfile import set_in_env_file
from understudy.restoration.actions.database_restore import STEPS, Precheck, RestoreBeside
from understudy.restoration.actions.restore_facts import NEWEST_PROVEN, UNNAMED
from understudy.restoration.approvals import plans_of
from understudy.restoration.playbook.engine import Engine
from understudy.restoration.playbook.planning import ActionPlan, plan_of
from understudy.restoration.targets.base import Deployment, DeploymentState, TargetCapabilities
from understudy.restoration.targets.local_database import BROKEN_STATE
from understudy.rollout.freeze import set_freeze
from understudy.store.freeze import read_freeze
from understudy.store.mode import read_mode, write_mode

pytestmark = pytest.mark.integration

ADA = "person:ada"


@pytest_asyncio.fixture
async def stage(database_urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[Stage]:
    one = Stage(tmp_path / "home", database_urls)
    yield one
    await one.close()
    await drop_restored(database_urls)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("now_frozen", [False, True])
async def test_a_freeze_of_the_backup_ends_with_it_and_one_of_a_person_now_stays(
    stage: Stage, now_frozen: bool
) -> None:
    database = await stage.connect()
    await set_freeze(database, frozen=True, actor=ADA, reason="before a migration")
    made = await stage.local.take_backup("manual:1", reason="before a migration")
    await stage.local.verify_backup(made.id)
    await set_freeze(database, frozen=False, actor=ADA, reason="migrated")
    if now_frozen:
        await set_freeze(database, frozen=True, actor=ADA, reason="looking into it")
    async with database.service() as conn:
        # Nobody watched it: the guard's store knows no epoch of this database.
        for value in ("modal", "qwen", "modal", "qwen"):
            await write_mode(conn, value=value, actor="t", reason="r", incident=None, env_value="qwen")
        before = await read_mode(conn)
    assert before is not None
    ended = await stage.climb(stage.open())
    assert [entry.body["ok"] for entry in ended] == [True] * len(STEPS), ended[-1].body
    database = await stage.connect()
    async with database.service() as conn:
        freeze, mode = await read_freeze(conn), await read_mode(conn)
    assert freeze is not None
    assert mode is not None
    assert mode.epoch > before.epoch
    assert freeze.frozen is now_frozen
    if now_frozen:
        assert (freeze.actor, freeze.reason) == (ADA, "looking into it")


async def test_what_would_be_in_force_unprepared_or_out_of_sight_is_not_begun(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere@127.0.0.1:1/other")
    [refused] = await stage.climb(stage.open())
    assert (refused.step, refused.body["ok"], refused.body["hopeless"]) == ("precheck", False, True)
    assert "DATABASE_URL in its own environment" in refused.body["problem"]
    monkeypatch.delenv("DATABASE_URL")
    in_place = TargetCapabilities(live_switch=True, restore_beside=False)
    monkeypatch.setattr(type(stage.target), "capabilities", in_place)
    [refused] = await stage.climb(stage.store.incidents()[0].id, attempt=2)
    assert "in place under processes of ours" in refused.body["problem"]


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_backup_that_is_only_old_is_used_when_a_person_names_it(stage: Stage) -> None:
    made = await stage.local.take_backup("manual:1", reason="before the damage")
    set_in_env_file(stage.env_file, {"BACKUP_MAX_AGE_S": "1"})
    await stage.clock.sleep(1.1)
    incident = stage.open()
    [refused] = await stage.climb(incident, upto="precheck")
    assert (refused.body["ok"], "BACKUP_MAX_AGE_S" in refused.body["problem"]) == (False, True)
    stage.parameters |= {"backup": made.id, "backup_age": "30.0 h when asked for"}
    assert Precheck().plan(stage.run(incident))["age"] == "30.0 h when asked for"
    [chosen] = await stage.climb(incident, attempt=2, upto="precheck")
    assert (chosen.body["ok"], chosen.body["evidence"]["backup"]) == (True, made.id)
    # What else speaks against it still does, whoever names it.
    evidence = await stage.local.take_backup("broken:1", reason=BROKEN_STATE)
    stage.parameters["backup"] = evidence.id
    [refused] = await stage.climb(incident, attempt=3, upto="precheck")
    assert (refused.body["ok"], "never restored from" in refused.body["problem"]) == (False, True)


async def test_a_restore_in_place_is_planned_only_with_the_backup_that_a_person_named(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = stage.open()
    stage.store.remember(NEWEST_PROVEN, json.dumps({"id": "pitr:2", "created_at": "2026-01-01T00:00:00Z"}))
    assert "problem" not in Precheck().plan(stage.run(incident))
    in_place = TargetCapabilities(live_switch=False, restore_beside=False)
    monkeypatch.setattr(type(stage.target), "capabilities", in_place)
    assert "`understudy backup list`" in Precheck().plan(stage.run(incident))["problem"]
    [refused] = await stage.climb(incident)
    assert (refused.body["ok"], refused.body["hopeless"]) == (False, True)
    assert "a person must name the backup" in refused.body["problem"]
    stage.parameters["backup"] = "pitr:1"
    plan = Precheck().plan(stage.run(incident))
    assert ("problem" in plan, plan["backup"]) == (False, "pitr:1")


@pytest.mark.parametrize("known", [None, "20260101T000000Z-aaaaaaaa"])
async def test_a_backup_that_comes_to_be_known_while_persons_decide_changes_no_plan(
    database_urls: DatabaseUrls, tmp_path: Path, known: str | None
) -> None:
    clock, newer = HandClock(), "20260102T000000Z-bbbbbbbb"
    stage = Stage(tmp_path / "home", database_urls, clock=clock)  # type: ignore[arg-type]
    rung = PLAYBOOK.rung_of("database_restore")
    assert rung is not None

    def remember(backup: str) -> None:
        stage.store.remember(NEWEST_PROVEN, json.dumps({"id": backup, "created_at": "2026-01-02T00:00:00Z"}))

    def planned(attempt: int = 1) -> ActionPlan:
        return plan_of(stage.run(incident, attempt), STEPS, rung)

    try:
        if known:
            remember(known)
        incident = stage.open()
        engine = Engine(stage.book, PLAYBOOK, clock, lambda row, attempt, _: stage.run(row.id, attempt))  # type: ignore[arg-type]
        await engine.tend(incident)
        [plan] = plans_of(stage.store.entries(incident)).values()
        remember(newer)
        assert planned().sha256 == plan.sha256
        assert planned().steps[0]["plan"]["backup"] == (known or UNNAMED)
        # Another attempt, and one that is asked for again, are of what is known then.
        assert planned(attempt=2).steps[0]["plan"]["backup"] == newer
        clock.advance(PLAYBOOK.limits.approval_s)
        assert planned().steps[0]["plan"]["backup"] == newer
    finally:
        await stage.close()


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_the_end_of_a_restore_that_another_process_took_over_is_not_written(stage: Stage) -> None:
    made = await stage.local.take_backup("manual:1", reason="a test")
    await stage.local.begin_restore("k", made.id)
    await stage.local.close()  # its guard stepped down
    one = stage.reopen()
    try:
        old = stage.local._read()["k"]
        await one.local.restoration("k")
        await one.local._restoring["k"]
        new = one.local._read()["k"]
        assert (new.state, new.runner != old.runner) == (DeploymentState.DONE, True)
        stage.local._end(replace(old, state=DeploymentState.FAILED, error="its database was dropped"))
        assert one.local._read()["k"] == new
    finally:
        await one.close()


async def test_a_restore_in_place_that_did_not_end_well_is_not_asked_for_again_without_a_person(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = stage.open()
    chosen = {"backup": "pitr:1", "created_at": stage.clock.now().isoformat()}
    outcome = {"action": "database_restore", "attempt": 1, "ok": True, "evidence": chosen}
    stage.book.append(incident, "outcome", step="precheck", body=outcome)

    async def unknown(key: str) -> Deployment:
        return Deployment(key, DeploymentState.FAILED, error="nobody has seen it restoring")

    monkeypatch.setattr(stage.local, "restoration", unknown)
    [beside] = await stage.climb(incident, steps=[RestoreBeside()])
    assert (beside.body["ok"], beside.body["hopeless"]) == (False, False)
    in_place = TargetCapabilities(live_switch=False, restore_beside=False)
    monkeypatch.setattr(type(stage.target), "capabilities", in_place)
    outcome = outcome | {"attempt": 2}
    stage.book.append(incident, "outcome", step="precheck", body=outcome)
    [once] = await stage.climb(incident, attempt=2, steps=[RestoreBeside()])
    assert (once.body["ok"], once.body["hopeless"]) == (False, True)
