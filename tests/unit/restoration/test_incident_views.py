"""An incident as the console shows it: its story, the checklist while it is proven, verdicts over time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.restored_incident import NAMES, START, check, finding, smoke_run, tell
from understudy.restoration.guard.checklist import checklist_document
from understudy.restoration.guard.contract.incidents import Checklist, Timeline
from understudy.restoration.guard.judged_windows import JudgedWindows
from understudy.restoration.guard.timeline import timeline_document
from understudy.restoration.playbook import repertoire
from understudy.restoration.report.steps import WORDS
from understudy.restoration.signals.windows import CallWindow
from understudy.restoration.triggers.verdict import Verdict
from understudy.restoration.verification.board import SmokeBoard
from understudy.restoration.verification.evidence import Outcome

pytestmark = pytest.mark.unit

NOW = START + timedelta(hours=1)


def story(folder: Path, until: str) -> Timeline:
    told = tell(folder, until=until)
    return Timeline.model_validate(timeline_document(told.row, told.entries, NOW))


def checklist(told: Any, board: SmokeBoard | None = None) -> Checklist:
    document = checklist_document(told.row, told.entries, board or SmokeBoard(), NOW)
    return Checklist.model_validate(document)


def test_every_step_has_words() -> None:
    names = {step.name for steps in repertoire.ACTIONS.values() for step in steps}
    assert names <= set(WORDS)


def test_a_closed_incident_is_told_with_its_evidence_and_nothing_to_come(tmp_path: Path) -> None:
    told = story(tmp_path, "CLOSED")
    assert {line.state for line in told.lines} == {"told", "done"}
    (redeploy,) = (line for line in told.lines if line.step == "redeploy")
    assert (redeploy.text, redeploy.took_ms) == ("new api and worker ready, old ones drained", 2500)
    assert redeploy.evidence == {"deployment": "d-1"}
    assert len(redeploy.hash or "") == 64


def test_what_runs_is_told_before_what_is_to_come(tmp_path: Path) -> None:
    told = story(tmp_path, "read_back")
    states = [line.state for line in told.lines]
    assert states.index("running") == len(states) - states[::-1].index("running") - 1
    assert set(states[states.index("running") + 1 :]) == {"to come"}
    assert [line.word for line in told.lines if line.state == "to come"][-2:] == ["RECOVERED", "CLOSED"]


def test_the_checklist_is_green_by_the_runs_evidence(tmp_path: Path) -> None:
    proven = checklist(tell(tmp_path / "a", until="MITIGATED"))
    assert (proven.done, proven.of) == (8, 8)
    assert proven.rows[0].evidence["checks"][0]["requests"][0]["path"] == "/api/health"
    checks = [check(name) for name in NAMES]
    checks[4] = check("clone", outcome=Outcome.FAILED)
    broken = checklist(tell(tmp_path / "b", smoke=smoke_run(checks), until="MITIGATED"))
    assert [row.key for row in broken.rows if row.state == "red"] == ["clone"]


def test_the_checklist_fills_while_the_suite_runs(tmp_path: Path) -> None:
    told, board = tell(tmp_path, until="verification"), SmokeBoard()
    assert checklist(told, board).done == 0
    with board.showing("modal"):
        board.saw(check("health"))
        board.saw(check("clone", outcome=Outcome.FAILED))
        states = {row.key: row.state for row in checklist(told, board).rows}
        assert (states["health"], states["clone"], states["generate"]) == ("green", "red", "pending")
    assert {row.state for row in checklist(told, board).rows} == {"pending"}


@pytest.mark.parametrize(("until", "state"), [("OPEN", "pending"), ("read_back", "pending")])
def test_before_the_suite_everything_is_pending(tmp_path: Path, until: str, state: str) -> None:
    found = checklist(tell(tmp_path, until=until))
    assert ({row.state for row in found.rows}, found.of) == ({state}, 8)


def test_verdicts_are_remembered_gravest_first_and_not_for_ever() -> None:
    memory, rate = JudgedWindows(), replace(finding(), check="rate", verdict=Verdict.PASS)
    memory.saw([replace(rate, provider=None, windows=())], START)
    assert memory.between(START - timedelta(hours=1), 15) == []
    for second in range(0, 8000, 5):
        end = START + timedelta(seconds=second)
        window = CallWindow(end - timedelta(seconds=60), end, 10, 1)
        verdict = Verdict.FAIL if second == 7000 else Verdict.PASS
        for again in (verdict, Verdict.PASS):
            memory.saw([replace(rate, windows=(window,), verdict=again)], end)
    found = memory.between(START, 30)
    assert found[0].end > START + timedelta(minutes=10)
    assert [window.end for window in found if window.verdict is Verdict.FAIL] == [
        START + timedelta(seconds=7000)
    ]
    assert found[-1].success_rate == 0.9
    blind = replace(rate, provider=None, windows=(), verdict=Verdict.BLIND)
    memory.saw([blind], START + timedelta(seconds=8000))
    assert memory.between(START + timedelta(seconds=8000), 30)[-1].verdict is Verdict.BLIND
