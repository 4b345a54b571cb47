"""What an incident's journal still asks for: actions in order, retries, joins, and questions to a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.findings import finding_of
from tests.unit.restoration.cases import COST, LEAK, PLAYBOOK, RATE, Case
from understudy.restoration.actions.step import StepError
from understudy.restoration.incidents import IncidentState, close_by_person
from understudy.restoration.playbook import repertoire
from understudy.restoration.playbook.agenda import action_for, instruction_for
from understudy.restoration.triggers.verdict import Finding

pytestmark = pytest.mark.unit

S = IncidentState


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    case = Case(tmp_path)
    evidence, actions = case.actions()
    monkeypatch.setattr(repertoire, "EVIDENCE", evidence)
    monkeypatch.setattr(repertoire, "ACTIONS", actions)
    return case


def test_actions_run_once_each_in_the_ladders_order(case: Case) -> None:
    incident = case.open(RATE)
    case.join(incident, COST)
    case.join(incident, finding_of("realtime_failures/transport"))  # the same action again
    assert case.tend(incident) is S.MITIGATED
    assert case.acted == ["evidence", "close_valve", "evidence", "redeploy"]
    begun = [e.body for e in case.book.entries(incident) if e.kind == "begun"]
    assert [(b["action"], b["attempt"], b["rung"]) for b in begun] == [
        ("close_valve", 1, 0),
        ("env_switch", 1, 1),
    ]
    assert not case.engine.due(incident)
    assert case.book.store.verify_chain().problems == ()


def test_an_action_that_joins_a_mitigated_incident_is_done_and_a_known_one_is_not_repeated(
    case: Case,
) -> None:
    incident = case.open(RATE)
    assert case.tend(incident) is S.MITIGATED
    case.join(incident, finding_of(mode_epoch=9))
    assert not case.engine.due(incident)
    case.join(incident, COST)
    assert case.engine.due(incident)
    assert case.tend(incident) is S.MITIGATED
    assert case.acted == ["evidence", "redeploy", "evidence", "close_valve"]


def test_who_only_asks_a_person_keeps_evidence_holds_and_pages_once(case: Case) -> None:
    incident = case.open(LEAK)
    for _ in range(3):
        assert case.tend(incident) is S.HOLD
    assert case.acted == ["evidence"]
    assert case.pages(incident) == [
        "A person must decide: A secret stood in an answer or a log. security/secret_leak says so"
    ]
    page = next(e for e in case.book.entries(incident) if e.kind == "page")
    assert page.body["instruction"] == "Do it by hand."
    case.join(incident, finding_of("data_integrity/orphaned_tasks"))
    assert case.engine.due(incident)
    assert case.tend(incident) is S.HOLD
    assert len(case.pages(incident)) == 2
    assert close_by_person(case.book.store, incident, person="ada", reason="rotated").state == S.CLOSED


@pytest.mark.parametrize("state", [S.HOLD, S.FROZEN])
def test_an_auto_finding_acts_though_another_action_waits_for_a_person(case: Case, state: S) -> None:
    incident = case.open(RATE)
    case.failing["redeploy"] = StepError("no", final=True, hopeless=state is S.FROZEN)
    assert case.tend(incident) is state
    case.join(incident, COST)
    assert case.engine.due(incident)
    assert case.tend(incident) is state  # the switch is still undone
    assert case.acted == ["evidence", "evidence", "close_valve"]
    assert not case.engine.due(incident)


def test_an_auto_finding_acts_on_an_incident_that_asked_a_person(case: Case) -> None:
    incident = case.open(LEAK)
    assert case.tend(incident) is S.HOLD
    case.join(incident, RATE)
    assert case.tend(incident) is S.MITIGATED
    assert case.acted == ["evidence", "evidence", "redeploy"]


def test_a_failing_action_holds_up_no_other_and_is_tried_again_later(case: Case) -> None:
    incident = case.open(RATE)
    case.join(incident, COST)
    case.failing["close_valve"] = StepError("the database is away", final=True)
    assert case.tend(incident) is S.HOLD
    assert case.acted == ["evidence", "evidence", "redeploy"]
    assert case.pages(incident) == ["Restoration on hold: close_valve: the database is away"]
    assert case.tend(incident) is S.HOLD  # not due yet
    assert len(case.pages(incident)) == 1
    case.failing.clear()
    case.clock.advance(PLAYBOOK.limits.hold_retry_s + 1)
    assert case.tend(incident) is S.MITIGATED
    assert case.acted[3:] == ["evidence", "close_valve"]  # the switch is not repeated


def test_attempts_are_counted_for_each_action_and_spent(case: Case) -> None:
    incident = case.open(RATE)
    case.failing["redeploy"] = StepError("no", final=True)
    for attempt in range(1, PLAYBOOK.limits.attempts + 1):
        state = case.tend(incident)
        assert state is (S.FROZEN if attempt == PLAYBOOK.limits.attempts else S.HOLD)
        case.clock.advance(PLAYBOOK.limits.hold_retry_s * 2**attempt)
    assert case.tend(incident) is S.FROZEN
    held = [e.body["attempt"] for e in case.book.entries(incident) if e.kind == "held"]
    assert held == list(range(1, PLAYBOOK.limits.attempts + 1))


@pytest.mark.parametrize("state", [S.OPEN, S.HOLD])
def test_a_run_of_an_older_workflow_is_stranded_and_said_once(case: Case, state: S) -> None:
    incident = case.open(RATE, workflow_version=1)
    if state is S.HOLD:
        case.book.move(incident, S.HOLD, body={"reason": "before", "hopeless": False})
        assert case.engine.due(incident)
    assert case.tend(incident) is S.FROZEN
    assert case.tend(incident) is S.FROZEN
    assert case.acted == []
    assert len(case.pages(incident)) == 1
    assert "workflow version 1, this guard has 3: it is stranded" in case.pages(incident)[0]


def test_an_action_that_the_policy_performs_no_more_is_held_and_said(case: Case) -> None:
    incident = case.open(COST)
    case.playbook = PLAYBOOK.model_copy(update={"ladder": PLAYBOOK.ladder[1:]})
    for _ in range(2):
        assert case.tend(incident) is S.HOLD
    assert case.pages(incident) == ["Restoration on hold: The policy has no rung for close_valve any more."]


def test_the_first_cure_with_a_rung_is_what_the_engine_does() -> None:
    def act(finding: Finding, *rungs: str) -> str | None:
        return action_for(finding, known_good="modal", performed=lambda action: action in rungs)

    assert act(RATE, "env_switch", "close_valve") == "env_switch"
    assert act(RATE, "code_rollback") == "code_rollback"
    assert act(RATE) is None
    assert act(finding_of(mode="pause"), "env_switch") == "env_switch"  # proposed to a person
    assert act(finding_of(mode="shadow"), "env_switch") is None
    assert act(finding_of(provider="modal"), "env_switch") is None  # it is known-good itself that fails
    assert act(finding_of(provider="modal"), "env_switch", "code_rollback") == "code_rollback"


def test_a_person_is_told_the_first_cure_that_can_help() -> None:
    texts: Any = {"env_switch": "switch", "code_rollback": "roll back"}
    assert instruction_for(RATE, known_good="modal", instructions=texts) == "switch"
    assert (
        instruction_for(finding_of(provider="modal"), known_good="modal", instructions=texts) == "roll back"
    )
    assert instruction_for(LEAK, known_good="modal", instructions=texts) is None
