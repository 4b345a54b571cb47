"""The env switch, whole; and the guard killed at every boundary of its journal."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from tests.integration.restoration.engine_setting import STEPS, KilledError, Setting, edited, outcomes
from tests.unit.findings import finding_of
from understudy.envfile import read_env_file
from understudy.errors import FailureClass, ProviderUnavailableError
from understudy.restoration.guard.process import Connector
from understudy.restoration.incidents import IncidentState, close_by_person, times_of
from understudy.restoration.playbook.engine import WORKFLOW_VERSION
from understudy.restoration.triggers.titles import title_of
from understudy.store.mode import ProcessRow, heartbeat_process, read_mode
from understudy.store.valves import DESIGN_CREATES, read_valves, set_valve, valve_history

pytestmark = pytest.mark.integration

S = IncidentState


async def test_the_env_switch_from_open_to_mitigated(setting: Setting) -> None:
    incident = setting.open()
    assert await setting.engine().tend(incident) is S.MITIGATED
    assert outcomes(setting.book, incident) == [(name, True) for name in STEPS]
    async with setting.database.service() as conn:
        row = await read_mode(conn)
    assert row is not None
    assert (row.value, row.incident, row.actor) == ("modal", incident, "guard")
    assert setting.book.store.highest_mode_epoch() == row.epoch
    assert read_env_file(setting.home / "understudy.env")["TTS_PROVIDER_MODE"] == "modal"
    assert (setting.home / "understudy.env").read_text().startswith("# by hand\n")
    assert setting.target.effects("deploy") == [f"{incident}:env_switch:redeploy"]
    read_back = next(
        e for e in setting.book.entries(incident) if e.kind == "outcome" and e.step == "read_back"
    )
    seen = {(p["kind"], p["mode_value"], p["mode_state"]) for p in read_back.body["evidence"]["processes"]}
    assert seen == {("api", "modal", "FRESH"), ("worker", "modal", "FRESH")}
    times = times_of(setting.book.entries(incident))
    order = [times.onset, times.detected, times.decided, times.acted, times.mitigated, times.verified]
    assert all(order)
    assert order == sorted(order, key=lambda at: at or datetime.max.replace(tzinfo=UTC))
    assert setting.book.store.verify_chain().problems == ()


async def test_evidence_is_kept_before_the_first_change(setting: Setting) -> None:
    incident = setting.open()
    await setting.engine().tend(incident)
    entries = setting.book.entries(incident)
    captured = next(e for e in entries if e.kind == "outcome" and e.step == "evidence")
    first_change = next(e for e in entries if e.kind == "intent" and e.body["changes"])
    assert captured.seq < first_change.seq
    assert captured.body["evidence"]["mode"]["value"] == "qwen"
    assert captured.body["evidence"]["env"] == {"TTS_PROVIDER_MODE": "qwen"}
    assert captured.body["evidence"]["unknown"] == {}
    assert captured.body["evidence"]["impact"]["from"] == entries[0].body["onset"]


async def test_each_action_says_the_finding_behind_it_not_what_the_incident_is_called(
    setting: Setting,
) -> None:
    incident = setting.open(finding=finding_of("security/secret_leak"), action=None)
    transport = finding_of("realtime_failures/transport")
    setting.book.join(incident, finding_of("cost/design_repeats"), action="close_valve")
    setting.book.join(incident, transport, action="env_switch")
    assert await setting.engine().tend(incident) is S.MITIGATED
    async with setting.database.service() as conn:
        row = await read_mode(conn)
        valve = (await read_valves(conn))[DESIGN_CREATES]
    assert row is not None
    assert (row.reason, row.incident) == (title_of(transport), incident)
    assert valve.reason == f"One voice design is paid for again and again ({incident})"


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.long)])
async def test_killed_at_every_boundary_it_resumes_and_repeats_nothing(setting: Setting, every: int) -> None:
    recorded: list[str] = []
    setting.restart(reached=recorded.append)
    incident = setting.open()
    assert await setting.engine().tend(incident) is S.MITIGATED
    boundaries = recorded[2:]  # after "before/after opened", which the next loop stands on
    assert {f"acted {name}" for name in ("live_override", "durable_env", "redeploy")} <= set(boundaries)
    assert len(boundaries) >= 4 + 4 * len(STEPS)
    for number, boundary in list(enumerate(boundaries))[::every]:
        close_by_person(setting.book.store, incident, person="test", reason="next round")
        await setting.back_to_qwen()
        setting.restart()
        incident = setting.open(epoch=number + 2)
        left = iter(range(number, -1, -1))

        def reached(_: str, left: Any = left) -> None:
            if next(left) == 0:
                raise KilledError

        setting.restart(reached=reached)
        with pytest.raises(KilledError):
            await setting.engine().tend(incident)
        setting.restart()
        state = S(setting.book.store.incident(incident).state)
        if state is not S.MITIGATED:
            assert await setting.engine().tend(incident) is S.MITIGATED, boundary
        assert await setting.overrides(incident) == 1, boundary
        assert setting.target.effects("env") == [{"TTS_PROVIDER_MODE": "modal"}], boundary
        assert setting.target.effects("deploy") == [f"{incident}:env_switch:redeploy"], boundary
        assert outcomes(setting.book, incident) == [(name, True) for name in STEPS], boundary
        intents = [e.step for e in setting.book.entries(incident) if e.kind == "intent"]
        assert intents == list(STEPS), boundary
        assert times_of(setting.book.entries(incident)).acted is not None, boundary
    assert setting.book.store.verify_chain().problems == ()


@pytest.mark.parametrize(
    "boundary",
    [
        "after intent live_override",
        "acted live_override",
        "acted durable_env",
        "acted redeploy",
        "before outcome read_back",
    ],
)
async def test_a_process_killed_for_real_leaves_a_run_that_resumes(
    setting: Setting, database_urls: Any, boundary: str
) -> None:
    incident = setting.open()
    base_url = await setting.target.base_url()
    setting.book.store.close()
    root = Path(__file__).parents[3]
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.restoration.killed_run",
        str(setting.home),
        base_url,
        incident,
        boundary,
        cwd=root,
        env={**os.environ, "TEST_DATABASE_URL": database_urls.app.get_secret_value()},
    )
    assert await child.wait() == -9
    setting.restart()
    assert setting.book.store.incident(incident).state == S.RESTORING
    assert await setting.engine().tend(incident) is S.MITIGATED
    assert await setting.overrides(incident) == 1
    assert setting.target.effects("env") == [{"TTS_PROVIDER_MODE": "modal"}]
    assert setting.target.effects("deploy") == [f"{incident}:env_switch:redeploy"]
    assert outcomes(setting.book, incident) == [(name, True) for name in STEPS]
    assert setting.book.store.verify_chain().problems == ()


async def test_a_bad_known_good_side_means_no_flip_and_a_page(setting: Setting, tmp_path: Path) -> None:
    setting.playbook = edited(tmp_path, ("precheck: 20", "precheck: 0.2"))
    setting.bench.known_good_error = ProviderUnavailableError(
        failure_class=FailureClass.TRANSPORT, provider="modal"
    )
    incident = setting.open()
    assert await setting.engine().tend(incident) is S.HOLD
    assert await setting.overrides(incident) == 0
    assert setting.target.effects("env") == setting.target.effects("deploy") == []
    pages = [entry.body["message"] for entry in setting.book.entries(incident) if entry.kind == "page"]
    assert len(pages) == 1
    assert "modal fails its check too" in pages[0]
    assert await setting.engine().tend(incident) is S.HOLD  # not due yet: nothing more is written
    assert len(setting.target.effects("check")) == 1
    setting.bench.known_good_error = None
    setting.bench.clock.advance(31)
    assert await setting.engine(setting.restart()).tend(incident) is S.MITIGATED
    assert setting.target.effects("deploy") == [f"{incident}:env_switch:redeploy:2"]


async def test_attempts_are_spent_then_it_is_frozen(setting: Setting, tmp_path: Path) -> None:
    setting.playbook = edited(tmp_path, ("attempts: 5", "attempts: 2"))
    setting.target.fails = "api was not ready within 30 s"
    incident = setting.open()
    assert await setting.engine().tend(incident) is S.HOLD
    setting.bench.clock.advance(31)
    assert await setting.engine(setting.restart()).tend(incident) is S.FROZEN
    deployments = [f"{incident}:env_switch:redeploy", f"{incident}:env_switch:redeploy:2"]
    assert setting.target.effects("deploy") == deployments
    last = setting.book.entries(incident)[-1].body
    assert "api was not ready" in last["reason"]


async def test_trouble_on_the_known_good_side_itself_is_not_cured_by_a_switch(setting: Setting) -> None:
    incident = setting.open(provider="modal")
    assert await setting.engine().tend(incident) is S.FROZEN
    assert setting.target.effects("env") == setting.target.effects("deploy") == []


async def test_a_red_checklist_is_tried_again_inside_its_box(setting: Setting) -> None:
    setting.bench.red = 1
    incident = setting.open()
    assert await setting.engine().tend(incident) is S.MITIGATED
    outcome = setting.book.entries(incident)[-2]
    assert (outcome.step, outcome.body["tries"]) == ("verification", 2)


async def test_a_checklist_that_stays_red_holds_with_its_evidence(setting: Setting, tmp_path: Path) -> None:
    setting.playbook = edited(tmp_path, ("verification: 150", "verification: 0.5"))
    setting.bench.red = 99
    incident = setting.open()
    assert await setting.engine().tend(incident) is S.HOLD
    outcome = next(e for e in reversed(setting.book.entries(incident)) if e.kind == "outcome")
    assert outcome.body["evidence"] == {"detail": "clone failed"}
    assert times_of(setting.book.entries(incident)).verified is None


async def test_a_process_that_disagrees_holds_the_run(setting: Setting, tmp_path: Path) -> None:
    """Everything is switched, but one worker still reports the old mode."""
    setting.playbook = edited(tmp_path, ("read_back: 60", "read_back: 1"))
    at = datetime.now(UTC)
    stuck = ProcessRow(
        instance=uuid4(),
        kind="worker",
        pid=4242,
        host="h",
        mode_value="qwen",
        mode_epoch=1,
        mode_state="FRESH",
        env_value="qwen",
        started_at=at,
        seen_at=at,
    )
    async with setting.database.service() as conn:
        await heartbeat_process(conn, stuck)
    incident = setting.open()
    assert await setting.engine().tend(incident) is S.HOLD
    reason = setting.book.entries(incident)[-2].body["reason"]
    assert "worker 4242 reports qwen at epoch 1" in reason


async def test_without_the_database_the_switch_acts_and_the_incident_holds(
    setting: Setting, tmp_path: Path
) -> None:
    setting.playbook = edited(
        tmp_path, ("live_override: 10", "live_override: 0.5"), ("read_back: 60", "read_back: 1")
    )
    setting.bench.connect = Connector(SecretStr("postgresql://nobody:nothing@127.0.0.1:1/none"))
    incident = setting.open()
    assert await setting.engine().tend(incident) is S.HOLD
    assert setting.target.effects("env") == [{"TTS_PROVIDER_MODE": "modal"}]
    assert setting.target.effects("deploy") == [f"{incident}:env_switch:redeploy"]
    results = dict(outcomes(setting.book, incident))
    assert results["live_override"] is False
    assert results["redeploy"] is True
    assert results["read_back"] is False


async def test_a_restored_older_row_cannot_take_the_mode_back(setting: Setting) -> None:
    setting.book.store.saw_mode_epoch(500)
    incident = setting.open()
    assert await setting.engine().tend(incident) is S.MITIGATED
    async with setting.database.service() as conn:
        row = await read_mode(conn)
    assert row is not None
    assert row.epoch == 501


async def test_a_run_of_another_workflow_version_is_stranded_and_said(setting: Setting) -> None:
    incident = setting.open(workflow_version=WORKFLOW_VERSION - 1)
    setting.bench.clock.advance(1)
    assert await setting.engine().tend(incident) is S.FROZEN
    assert setting.target.effects("deploy") == []


async def test_closing_the_valve_killed_at_every_boundary_closes_it_once_and_flips_nothing(
    setting: Setting,
) -> None:
    repeats = finding_of("cost/design_repeats", subject="ada")
    recorded: list[str] = []
    setting.restart(reached=recorded.append)
    incident = setting.open(finding=repeats, action="close_valve")
    assert await setting.engine().tend(incident) is S.MITIGATED
    boundaries = recorded[2:]
    assert "acted close_valve" in boundaries
    for number, boundary in enumerate(boundaries):
        close_by_person(setting.book.store, incident, person="test", reason="next round")
        async with setting.database.service() as conn:
            await set_valve(conn, DESIGN_CREATES, closed=False, actor="test", reason="again")
        setting.restart()
        incident = setting.open(finding=replace(repeats, subject=f"tenant-{number}"), action="close_valve")
        left = iter(range(number, -1, -1))

        def reached(_: str, left: Any = left) -> None:
            if next(left) == 0:
                raise KilledError

        setting.restart(reached=reached)
        with pytest.raises(KilledError):
            await setting.engine().tend(incident)
        setting.restart()
        if setting.book.store.incident(incident).state != S.MITIGATED:
            assert await setting.engine().tend(incident) is S.MITIGATED, boundary
        async with setting.database.service() as conn:
            closings = [row for row in await valve_history(conn, 200) if incident in row.reason]
        assert [(row.closed, row.actor) for row in closings] == [(True, "guard")], boundary
        steps = [(name, True) for name in ("evidence", "close_valve", "read_back")]
        assert outcomes(setting.book, incident) == steps, boundary
    times = times_of(setting.book.entries(incident))
    assert times.mitigated is not None
    assert times.verified is None
    assert setting.target.effects("env") == setting.target.effects("deploy") == []
    assert await setting.overrides(incident) == 0
    assert setting.book.store.verify_chain().problems == ()


async def test_a_valve_that_a_person_closed_before_stays_theirs(setting: Setting) -> None:
    async with setting.database.service() as conn:
        await set_valve(conn, DESIGN_CREATES, closed=True, actor="person:ada", reason="looking into it")
    incident = setting.open(finding=finding_of("cost/creates_hour"), action="close_valve")
    assert await setting.engine().tend(incident) is S.MITIGATED
    closed = next(
        e for e in setting.book.entries(incident) if e.kind == "outcome" and e.step == "close_valve"
    )
    assert (closed.body["evidence"]["actor"], closed.body["changed_at"]) == ("person:ada", None)


async def test_an_incident_that_only_asks_keeps_its_evidence_without_a_database_too(setting: Setting) -> None:
    setting.bench.connect = Connector(SecretStr("postgresql://nobody:nothing@127.0.0.1:1/none"))
    incident = setting.open(finding=finding_of("data_integrity/orphaned_tasks"), action=None)
    assert await setting.engine().tend(incident) is S.HOLD
    evidence = next(e for e in setting.book.entries(incident) if e.kind == "outcome").body["evidence"]
    assert set(evidence["unknown"]) == {"mode", "processes"}
    assert evidence["env"] == {"TTS_PROVIDER_MODE": "qwen"}
    assert [doc["check"] for doc in evidence["findings"]] == ["orphaned_tasks"]
