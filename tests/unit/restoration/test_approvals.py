"""Who must agree before an action begins, to what exactly, and for how long."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.findings import finding_of
from tests.unit.restoration.cases import LEAK, PLAYBOOK, RATE, RUNAWAY, SCHEMA, STALLS, Case
from understudy.errors import ConflictError, NotFoundError
from understudy.resources import playbook_file
from understudy.restoration.actions.step import StepError
from understudy.restoration.approvals import PLAN_CHARS, plans_document
from understudy.restoration.incidents import IncidentState, close_by_person
from understudy.restoration.orders import request_action
from understudy.restoration.playbook import repertoire
from understudy.restoration.playbook.policy import load_policy

pytestmark = pytest.mark.unit

S = IncidentState
LIFETIME_S = PLAYBOOK.limits.approval_s


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    case = Case(tmp_path)
    evidence, actions = case.actions(more=True)
    monkeypatch.setattr(repertoire, "EVIDENCE", evidence)
    monkeypatch.setattr(repertoire, "ACTIONS", actions)
    return case


def ask(case: Case, action: Any, person: str, incident: str | None = None, **parameters: Any) -> str:
    return request_action(
        case.book.store,
        "local",
        action,
        person=person,
        reason="it looks wrong",
        now=case.clock.now(),
        facts=case.engine.facts,
        incident=incident,
        parameters=parameters,
    ).id


def test_a_check_that_pauses_proposes_its_first_cure_and_one_person_agrees(case: Case) -> None:
    incident = case.open(STALLS)
    for _ in range(3):
        assert case.tend(incident) is S.HOLD
    assert case.acted == ["evidence"]
    [plan] = case.entries(incident, "plan")
    assert (plan.body["action"], plan.body["approvals"], plan.body["requested_by"]) == (
        "env_switch",
        1,
        "guard",
    )
    assert [step["step"] for step in plan.body["plan"]] == [
        "precheck",
        "live_override",
        "durable_env",
        "redeploy",
        "verification",
    ]
    [page] = case.entries(incident, "page")
    command = f"understudy incident approve {incident} --plan {plan.body['plan_sha256'][:PLAN_CHARS]}"
    assert command in page.body["instruction"]
    assert PLAYBOOK.cures["env_switch"].instruction in page.body["instruction"]  # or by hand
    case.approve(incident, "ada", plan=plan.body["plan_sha256"][:PLAN_CHARS])
    assert case.engine.due(incident)
    assert case.tend(incident) is S.MITIGATED
    assert case.acted.count("redeploy") == 1
    [begun] = case.entries(incident, "begun")
    assert begun.body["approved_by"] == ["person:ada"]
    assert begun.body["plan_sha256"] == plan.body["plan_sha256"]
    assert begun.body["break_glass"] is None
    assert not case.engine.due(incident)
    assert case.book.store.verify_chain().problems == ()


def test_an_auto_finding_of_the_same_cure_needs_nobody(case: Case) -> None:
    incident = case.open(RATE)
    case.join(incident, STALLS)
    assert case.tend(incident) is S.MITIGATED
    assert case.entries(incident, "plan") == []
    assert case.engine.asked(incident) == []


def test_a_pause_beside_what_acts_leaves_it_mitigated_and_asks(case: Case) -> None:
    incident = case.open(RATE)
    case.join(incident, RUNAWAY)
    assert case.tend(incident) is S.MITIGATED
    assert [doc["check"] for doc in case.engine.asked(incident)] == ["runaway_characters"]
    case.approve(incident, "ada")
    assert case.tend(incident) is S.MITIGATED
    assert case.acted[-1] == "throttle"
    assert case.engine.asked(incident) == []


def test_a_database_restore_needs_two_distinct_persons(case: Case) -> None:
    incident = case.open(SCHEMA)
    assert case.tend(incident) is S.HOLD
    assert case.plan(incident).needed == 2
    case.approve(incident, "ada")
    for again in ("ada", "person:ada", "Ada"):
        with pytest.raises(ConflictError, match="has agreed to this plan already"):
            case.approve(incident, again)
    assert not case.engine.due(incident)
    assert case.plan(incident).missing == 1
    case.approve(incident, "ben")
    assert case.tend(incident) is S.MITIGATED
    assert case.entries(incident, "begun")[0].body["approved_by"] == ["person:ada", "person:ben"]


def test_who_asked_does_not_count_and_a_request_names_its_parameters(case: Case) -> None:
    incident = ask(case, "code_rollback", "ada", backup="b-7")
    assert case.tend(incident) is S.HOLD
    plan = case.entries(incident, "plan")[0].body
    assert (plan["requested_by"], plan["approvals"], plan["parameters"]) == (
        "person:ada",
        1,
        {"backup": "b-7"},
    )
    for name in ("ada", "ADA"):
        with pytest.raises(ConflictError, match="asked for this plan; somebody else must agree"):
            case.approve(incident, name)
    case.approve(incident, "ben")
    assert case.tend(incident) is S.MITIGATED
    assert case.entries(incident, "begun")[0].body["parameters"] == {"backup": "b-7"}


def test_a_request_of_what_needs_nobody_is_done_at_once_and_again_when_asked_again(case: Case) -> None:
    incident = ask(case, "env_switch", "ada")
    assert case.tend(incident) is S.MITIGATED
    case.clock.advance(1)
    assert ask(case, "env_switch", "ada") == incident  # it joins the open one
    assert case.tend(incident) is S.MITIGATED
    assert case.acted.count("redeploy") == 2
    close_by_person(case.book.store, incident, person="ada", reason="enough")
    with pytest.raises(ConflictError, match="is CLOSED"):
        ask(case, "env_switch", "ada", incident)
    with pytest.raises(NotFoundError):
        ask(case, "env_switch", "ada", "inc-none")


def test_a_plan_that_nobody_answers_is_proposed_once_more_and_then_waits(case: Case) -> None:
    incident = case.open(STALLS)
    case.tend(incident)
    for _ in range(6):
        case.clock.advance(LIFETIME_S)
        assert case.tend(incident) is S.HOLD
    assert [entry.body["proposal"] for entry in case.entries(incident, "plan")] == [1, 2]
    told = [entry.body["about"].split()[0] for entry in case.entries(incident, "page")]
    assert told == ["plan", "plan", "unanswered"]
    with pytest.raises(ConflictError, match="expired"):
        case.approve(incident, "ada")
    assert case.acted == ["evidence"]
    case.order(incident, "resume")
    assert case.tend(incident) is S.HOLD
    assert [entry.body["proposal"] for entry in case.entries(incident, "plan")] == [1, 2, 1]
    case.approve(incident, "ada")
    assert case.tend(incident) is S.MITIGATED


def test_what_was_agreed_too_long_ago_is_proposed_again(case: Case) -> None:
    """The guard was away when it was agreed to, and for longer than the agreement lasts."""
    incident = case.open(STALLS)
    case.tend(incident)
    case.approve(incident, "ada")
    case.clock.advance(LIFETIME_S)
    assert case.tend(incident) is S.HOLD
    assert case.acted == ["evidence"]
    assert len(case.entries(incident, "plan")) == 2
    case.approve(incident, "ada")
    assert case.tend(incident) is S.MITIGATED


def test_a_plan_that_changed_voids_what_was_agreed(case: Case) -> None:
    incident = case.open(STALLS)
    case.tend(incident)
    old = case.plan(incident).sha256
    case.approve(incident, "ada")
    case.planned["revision"] = "another"
    assert case.tend(incident) is S.HOLD
    assert case.acted == ["evidence"]
    plan = case.plan(incident)
    assert (plan.replaces, plan.approved) == (old, False)
    assert "what would be done has changed" in case.pages(incident)[-1]
    with pytest.raises(ConflictError, match="was replaced"):
        case.approve(incident, "ben", plan=old)
    case.approve(incident, "ben")
    assert case.tend(incident) is S.MITIGATED
    assert case.entries(incident, "begun")[0].body["approved_by"] == ["person:ben"]


def test_a_subject_that_joins_is_in_the_plan_before_anybody_agrees_to_it(case: Case) -> None:
    incident = case.open(RUNAWAY)
    case.tend(incident)
    old = case.plan(incident).sha256
    case.join(incident, replace(RUNAWAY, subject="ben"))
    assert case.tend(incident) is S.HOLD
    assert case.plan(incident).replaces == old
    assert case.entries(incident, "plan")[-1].body["plan"][0]["plan"]["subjects"] == ["ada", "ben"]
    case.approve(incident, "eve")
    assert case.tend(incident) is S.MITIGATED
    assert case.acted.count("throttle") == 1
    case.join(incident, replace(RUNAWAY, subject="cyd"))  # after it was done: once more, for that one too
    assert case.engine.due(incident)
    case.tend(incident)
    case.approve(incident, "eve")
    assert case.tend(incident) is S.MITIGATED
    assert case.acted.count("throttle") == 2


def test_breaking_the_glass_is_one_person_with_a_reason_and_is_on_record(case: Case) -> None:
    incident = ask(case, "database_restore", "ada")
    case.tend(incident)
    with pytest.raises(ConflictError, match="needs a reason"):
        case.approve(incident, "ada", break_glass=True, reason="  ")
    case.approve(incident, "ada", break_glass=True, reason="nobody else is awake")
    assert case.tend(incident) is S.MITIGATED
    begun = case.entries(incident, "begun")[0].body
    assert begun["break_glass"] == {"by": "person:ada", "reason": "nobody else is awake"}


@pytest.mark.parametrize(
    ("plan", "why"),
    [("abc", "at least 12 digits"), ("0" * 12, "No plan of this incident"), ("", "at least 12 digits")],
)
def test_a_plan_is_named_by_its_hash(case: Case, plan: str, why: str) -> None:
    incident = case.open(STALLS)
    case.tend(incident)
    with pytest.raises(ConflictError, match=why):
        case.approve(incident, "ada", plan=plan)
    with pytest.raises(NotFoundError):
        case.approve("inc-none", "ada", plan="0" * 12)


def test_what_has_begun_or_is_over_takes_no_agreement(case: Case) -> None:
    incident = case.open(STALLS)
    case.tend(incident)
    case.approve(incident, "ada")
    case.tend(incident)
    with pytest.raises(ConflictError, match="was begun already"):
        case.approve(incident, "ben")
    close_by_person(case.book.store, incident, person="ada", reason="done")
    with pytest.raises(ConflictError):
        case.approve(incident, "ben")


def test_an_agreement_covers_retries_while_it_lasts(case: Case) -> None:
    incident = ask(case, "code_rollback", "ada")
    case.tend(incident)
    case.approve(incident, "ben")
    case.failing["deploy_revision"] = StepError("the disk is full", final=True)
    assert case.tend(incident) is S.HOLD
    case.clock.advance(PLAYBOOK.limits.hold_retry_s)
    case.failing.clear()
    assert case.tend(incident) is S.MITIGATED
    assert len(case.entries(incident, "plan")) == 1
    assert [entry.body["attempt"] for entry in case.entries(incident, "begun")] == [1, 2]


def test_who_asks_again_afterwards_needs_agreement_of_their_own(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.unit.restoration.guarding.FakeStep.plan", lambda *_: {"restore": "backup-1"})
    incident = ask(case, "database_restore", "ada")
    case.tend(incident)
    case.approve(incident, "ben")
    case.approve(incident, "cyd")
    assert case.tend(incident) is S.MITIGATED
    ask(case, "database_restore", "ben", incident)  # the same plan, while that agreement would still count
    case.tend(incident)
    assert len(case.entries(incident, "begun")) == 1
    first, second = case.entries(incident, "plan")
    assert first.body["plan_sha256"] == second.body["plan_sha256"]
    plan = case.plan(incident)
    assert (plan.requested_by, plan.approvals) == ("person:ben", ())


def test_a_retry_after_the_agreement_ended_asks_anew(case: Case) -> None:
    incident = ask(case, "code_rollback", "ada")
    case.tend(incident)
    case.approve(incident, "ben")
    case.failing["deploy_revision"] = StepError("the disk is full", final=True)
    case.tend(incident)
    case.failing.clear()
    case.clock.advance(LIFETIME_S)
    assert case.tend(incident) is S.HOLD
    assert len(case.entries(incident, "begun")) == 1
    assert len(case.entries(incident, "plan")) == 2


def test_a_plan_that_cannot_be_made_is_held_with_the_reason(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(*_: object) -> dict[str, Any]:
        raise StepError("nothing is recorded as known-good", hopeless=True)

    monkeypatch.setattr("tests.unit.restoration.guarding.FakeStep.plan", plan)
    incident = case.open(STALLS)
    assert case.tend(incident) is S.HOLD
    assert case.tend(incident) is S.HOLD
    [*_, page] = case.pages(incident)
    assert "cannot be planned: nothing is recorded as known-good" in page
    assert case.acted == []


def test_the_journal_says_which_policy_ran_and_that_it_changed(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(playbook_file().read_bytes())
    case.playbook, case.policy = load_policy(path)
    incident = case.open(STALLS)
    opened = case.entries(incident)[0].body
    assert (opened["policy_version"], opened["policy_sha256"]) == (3, case.policy.sha256)
    case.tend(incident)
    path.write_text(path.read_text().replace("redeploy: 210", "redeploy: 209"))
    case.approve(incident, "ada")
    assert case.tend(incident) is S.MITIGATED  # it goes on under what it began with, and says so
    said = [page for page in case.pages(incident) if "policy file changed" in page]
    assert len(said) == 1

    close_by_person(case.book.store, incident, person="ada", reason="next")
    case.clock.advance(1)
    incident = case.open(STALLS)
    case.tend(incident)
    path.write_text(path.read_text().replace("redeploy: 119", "redeploy: 90"))
    case.playbook, case.policy = load_policy(path)  # a guard that starts again
    case.approve(incident, "ada")
    assert case.tend(incident) is S.HOLD
    assert any("changed in the middle of this incident" in page for page in case.pages(incident))
    assert case.plan(incident).replaces is not None  # another time box is another plan


def test_a_document_says_what_waits_and_for_whom(case: Case) -> None:
    incident = case.open(SCHEMA)
    case.join(incident, LEAK)
    case.join(incident, finding_of("playback/decode_errors"))
    case.tend(incident)
    case.approve(incident, "ada", plan=plan_of(case, incident, "database_restore"))
    found = {doc["action"]: doc for doc in plans_document(case.entries(incident), case.clock.now())}
    assert set(found) == {"database_restore", "env_switch"}
    restore = found["database_restore"]
    assert (restore["open"], restore["approvals"], restore["approved_by"]) == (True, 2, ["person:ada"])
    assert restore["plan"][0]["step"] == "freeze_writes"
    later = plans_document(case.entries(incident), case.plan(incident).expires_at)
    assert not any(doc["open"] for doc in later)


def plan_of(case: Case, incident: str, action: str) -> str:
    return next(
        entry.body["plan_sha256"]
        for entry in case.entries(incident, "plan")
        if entry.body["action"] == action
    )
