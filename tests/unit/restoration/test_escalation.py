"""What comes after a cure that did not help, and what a person's order does to a run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.findings import finding_of
from tests.unit.restoration.cases import COST, LEAK, PLAYBOOK, RATE, RUNAWAY, SCHEMA, Case
from understudy.errors import ConflictError
from understudy.restoration.actions.step import StepError
from understudy.restoration.incidents import IncidentState, close_by_person
from understudy.restoration.orders import give_order
from understudy.restoration.playbook import repertoire

pytestmark = pytest.mark.unit

S = IncidentState


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    case = Case(tmp_path)
    evidence, actions = case.actions(more=True)
    monkeypatch.setattr(repertoire, "EVIDENCE", evidence)
    monkeypatch.setattr(repertoire, "ACTIONS", actions)
    return case


def escalations(case: Case, incident: str) -> list[tuple[str, str]]:
    return [(e.body["from"], e.body["action"]) for e in case.entries(incident, "escalated")]


def test_a_switch_that_did_not_help_gives_way_to_the_code_rollback(case: Case) -> None:
    incident = case.open(RATE)
    case.failing["verification"] = StepError("checklist 7 of 8", final=True)
    assert case.tend(incident) is S.HOLD
    assert escalations(case, incident) == [("env_switch", "code_rollback")]
    assert case.plan(incident).action == "code_rollback"
    case.approve(incident, "ada")
    assert case.tend(incident) is S.MITIGATED
    assert case.acted[-1] == "verification"
    assert case.acted.count("deploy_revision") == 1
    case.clock.advance(10_000)
    assert not case.engine.due(incident)  # the switch that failed is not tried again
    begun = [(e.body["action"], e.body["rung"]) for e in case.entries(incident, "begun")]
    assert begun == [("env_switch", 1), ("code_rollback", 2)]


def test_while_nobody_agrees_the_cheaper_rung_is_tried_again_and_may_help(case: Case) -> None:
    incident = case.open(RATE)
    case.failing["verification"] = StepError("checklist 7 of 8", final=True)
    assert case.tend(incident) is S.HOLD
    case.failing.clear()
    case.clock.advance(PLAYBOOK.limits.hold_retry_s)
    assert case.tend(incident) is S.MITIGATED
    assert case.acted.count("deploy_revision") == 0
    assert not case.engine.due(incident)


def test_what_fails_for_other_reasons_is_tried_again_first(case: Case) -> None:
    incident = case.open(RATE)
    case.failing["redeploy"] = StepError("api was not ready", final=True)
    for attempt in range(1, PLAYBOOK.limits.attempts + 1):
        assert case.tend(incident) is S.HOLD
        spent = attempt == PLAYBOOK.limits.attempts
        assert escalations(case, incident) == ([("env_switch", "code_rollback")] if spent else [])
        case.clock.advance(PLAYBOOK.limits.hold_retry_s * 2**attempt)


def test_known_good_bad_too_never_flips(case: Case) -> None:
    incident = case.open(RATE)
    case.failing["precheck"] = StepError("modal fails its check too", final=True)
    for attempt in range(1, PLAYBOOK.limits.attempts + 3):
        assert case.tend(incident) is S.HOLD
        case.clock.advance(PLAYBOOK.limits.hold_retry_s * 2**attempt)
    assert not {"live_override", "durable_env", "redeploy"} & set(case.acted)
    assert any("modal fails its check too" in page for page in case.pages(incident))


def test_trouble_on_the_known_good_side_skips_the_switch(case: Case) -> None:
    incident = case.open(finding_of(provider="modal"))
    assert case.tend(incident) is S.HOLD
    assert case.plan(incident).action == "code_rollback"
    assert "redeploy" not in case.acted


def test_a_cure_that_cannot_help_is_skipped_and_the_end_of_the_chain_is_frozen(case: Case) -> None:
    incident = case.open(RATE)
    case.failing["precheck"] = StepError("modal is the failing side", hopeless=True)
    case.failing["deploy_revision"] = StepError("that revision already serves", hopeless=True)
    assert case.tend(incident) is S.HOLD
    case.approve(incident, "ada")
    assert case.tend(incident) is S.FROZEN
    case.clock.advance(100_000)
    assert not case.engine.due(incident)
    case.failing.clear()
    case.order(incident, "resume")  # a person says that it can help now
    assert case.tend(incident) is S.HOLD
    case.approve(incident, "ben")
    assert case.tend(incident) is S.MITIGATED


def test_a_finding_without_another_cure_is_frozen_after_its_attempts(case: Case) -> None:
    incident = case.open(COST)
    case.failing["close_valve"] = StepError("no", final=True)
    for attempt in range(1, PLAYBOOK.limits.attempts + 1):
        state = case.tend(incident)
        case.clock.advance(PLAYBOOK.limits.hold_retry_s * 2**attempt)
    assert state is S.FROZEN
    case.order(incident, "resume")
    case.failing.clear()
    assert case.tend(incident) is S.MITIGATED


def test_a_rung_whose_time_box_is_spent_escalates(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    incident = case.open(RATE)
    slow = repertoire.ACTIONS["env_switch"][3]

    async def act(*_: object) -> dict[str, str]:
        case.clock.advance(10_000)
        return {}

    monkeypatch.setattr(slow, "act", act)
    assert case.tend(incident) is S.HOLD
    assert "time box of 300 s is spent" in case.entries(incident, "held")[0].body["reason"]
    assert escalations(case, incident) == [("env_switch", "code_rollback")]


# --- orders ------------------------------------------------------------------------------------------------


def ordered_at(case: Case, monkeypatch: pytest.MonkeyPatch, step: str, give: Callable[[], object]) -> None:
    """Give an order while ``step`` acts."""
    for found in repertoire.ACTIONS.values():
        for one in found:
            if one.name == step:

                async def act(*_: object, name: str = step) -> dict[str, str]:
                    case.acted.append(name)
                    give()
                    return {}

                monkeypatch.setattr(one, "act", act)


@pytest.mark.parametrize(
    ("step", "changed", "side"),
    [
        ("evidence", [], "Nothing was changed."),
        ("precheck", [], "Nothing was changed."),
        (
            "live_override",
            ["live_override", "durable_env"],
            "Changed, and left so: live_override, durable_env.",
        ),
        (
            "durable_env",
            ["live_override", "durable_env"],
            "Changed, and left so: live_override, durable_env.",
        ),
    ],
)
def test_an_abort_ends_on_a_consistent_side_and_names_it(
    case: Case, monkeypatch: pytest.MonkeyPatch, step: str, changed: list[str], side: str
) -> None:
    incident = case.open(RATE)
    ordered_at(case, monkeypatch, step, lambda: case.order(incident, "abort"))
    assert case.tend(incident) is S.ABORTED
    assert [name for name in case.acted if name in {"live_override", "durable_env", "redeploy"}] == changed
    end = case.entries(incident, "state")[-1].body
    assert (end["side"], end["changed"], end["by"]) == (side, changed, "person:ada")
    assert end["reason"] == "abort, says ada"
    assert case.book.store.verify_chain().problems == ()


def test_a_hold_waits_at_the_same_places_and_resume_goes_on(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = case.open(RATE)
    ordered_at(case, monkeypatch, "live_override", lambda: case.order(incident, "hold"))
    assert case.tend(incident) is S.HOLD
    assert case.acted[-1] == "durable_env"
    case.clock.advance(100_000)
    case.join(incident, COST)
    assert not case.engine.due(incident)  # nothing begins, whatever joins
    with pytest.raises(ConflictError, match="held already"):
        case.order(incident, "hold")
    case.order(incident, "resume", "ben")
    assert case.tend(incident) is S.MITIGATED
    assert [name for name in case.acted if name == "redeploy"] == ["redeploy"]
    assert len(case.entries(incident, "begun")) == 2  # the switch went on in its first attempt


def test_an_abort_takes_back_what_must_not_stay(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    incident = case.open(SCHEMA)
    case.tend(incident)
    case.approve(incident, "ada")
    case.approve(incident, "ben")
    ordered_at(case, monkeypatch, "restore_beside", lambda: case.order(incident, "abort"))
    assert case.tend(incident) is S.ABORTED
    assert case.acted[-3:] == ["freeze_writes", "restore_beside", "unfreeze"]
    assert "swap" not in case.acted


def test_an_abort_takes_back_what_an_earlier_attempt_left(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        repertoire.ACTIONS,  # type: ignore[arg-type]
        "database_restore",
        (case.step("precheck", changes=False), *repertoire.ACTIONS["database_restore"][1:]),
    )
    incident = case.open(SCHEMA)
    case.tend(incident)
    case.approve(incident, "ada")
    case.approve(incident, "ben")
    case.failing["restore_beside"] = StepError("the disk is full", final=True)
    assert case.tend(incident) is S.HOLD
    case.failing["precheck"] = StepError("the backup is gone", final=True)
    case.clock.advance(PLAYBOOK.limits.hold_retry_s)
    assert case.tend(incident) is S.HOLD
    assert case.acted[-1] == "freeze_writes"
    with pytest.raises(ConflictError, match=r"holds writes frozen\. `understudy incident abort`"):
        close_by_person(case.book.store, incident, person="ada", reason="enough")
    case.order(incident, "abort")
    assert case.tend(incident) is S.ABORTED
    assert case.acted[-1] == "unfreeze"


def test_an_abort_that_cannot_take_it_back_says_who_must(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    incident = case.open(SCHEMA)
    case.tend(incident)
    case.approve(incident, "ada")
    case.approve(incident, "ben")
    ordered_at(case, monkeypatch, "freeze_writes", lambda: case.order(incident, "abort"))
    case.failing["unfreeze"] = StepError("the database is away", final=True)
    assert case.tend(incident) is S.ABORTED
    assert "A person must end it: unfreeze: the database is away" in case.entries(incident)[-1].body["side"]


@pytest.mark.parametrize("finding", [LEAK, RUNAWAY])
def test_what_waits_for_a_person_is_aborted_at_once(case: Case, finding: object) -> None:
    incident = case.open(finding)  # type: ignore[arg-type]
    case.tend(incident)
    case.order(incident, "abort")
    assert case.engine.due(incident)
    assert case.tend(incident) is S.ABORTED
    assert case.entries(incident, "state")[-1].body["side"] == "Nothing was changed."


def test_an_order_that_changes_nothing_is_refused(case: Case) -> None:
    incident = case.open(RATE)
    with pytest.raises(ConflictError, match="nothing to resume"):
        case.order(incident, "resume")
    with pytest.raises(ConflictError, match="needs a reason"):
        give_order(case.book.store, incident, "hold", person="ada", reason=" ")
    case.tend(incident)
    with pytest.raises(ConflictError, match="Close it with a reason instead"):
        case.order(incident, "abort")
    case.order(incident, "hold")
    assert not case.engine.due(incident)
    close_by_person(case.book.store, incident, person="ada", reason="done")
    with pytest.raises(ConflictError):
        case.order(incident, "hold")


def test_an_order_is_obeyed_by_whoever_comes_after_a_kill(case: Case) -> None:
    """Killed between the two halves of the switch; aborted while no guard lives; the next ends it whole."""

    class KilledError(BaseException):
        pass

    def reached(name: str) -> None:
        if name == "after outcome live_override":
            raise KilledError

    incident = case.open(RATE)
    case.book.reached = reached
    with pytest.raises(KilledError):
        asyncio.run(case.engine.tend(incident))
    case.order(incident, "abort")
    second = case.another_guard("b")
    assert second.tend(incident) is S.ABORTED
    assert case.acted == ["evidence", "precheck", "live_override", "durable_env"]
