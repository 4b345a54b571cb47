"""Whatever persons, guards and steps do, in whatever order: what must never happen does not."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.findings import finding_of
from tests.unit.restoration.cases import COST, LEAK, RATE, RUNAWAY, SCHEMA, STALLS, Case
from understudy.errors import ConflictError
from understudy.restoration.actions.step import StepError
from understudy.restoration.incidents import LEGAL_MOVES, IncidentState
from understudy.restoration.orders import ORDERS, request_action, standing_order
from understudy.restoration.playbook import repertoire

pytestmark = pytest.mark.unit

S = IncidentState
PERSONS = ("ada", "ben", "cyd")
FINDINGS = (RATE, STALLS, COST, LEAK, RUNAWAY, SCHEMA, finding_of("realtime_failures/protocol"))
STEPS = ("precheck", "redeploy", "verification", "deploy_revision", "swap", "throttle", "close_valve")
ASKED = ("env_switch", "code_rollback", "database_restore")
OVER = frozenset({S.CLOSED, S.ABORTED})

events = st.one_of(
    st.just(("tend",)),
    st.tuples(st.just("wait"), st.sampled_from([1, 31, 200, 901, 5000])),
    st.tuples(st.just("approve"), st.sampled_from(PERSONS), st.booleans()),
    st.tuples(st.just("order"), st.sampled_from(ORDERS), st.sampled_from(PERSONS)),
    st.tuples(st.just("join"), st.integers(0, len(FINDINGS) - 1)),
    st.tuples(st.just("ask"), st.sampled_from(ASKED), st.sampled_from(PERSONS)),
    st.tuples(st.just("break"), st.sampled_from(STEPS), st.booleans()),
    st.tuples(st.just("heal")),
    st.tuples(st.just("replan"), st.integers(0, 2)),
    st.tuples(st.just("takeover")),
)


@settings(max_examples=40, deadline=None)
@given(first=st.sampled_from(FINDINGS), given_events=st.lists(events, min_size=3, max_size=14))
def test_no_order_of_events_breaks_a_rule(first: object, given_events: list[tuple[object, ...]]) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        case = Case(Path(folder))
        evidence, actions = case.actions(more=True)
        patch.setattr(repertoire, "EVIDENCE", evidence)
        patch.setattr(repertoire, "ACTIONS", actions)
        incident = case.open(first)  # type: ignore[arg-type]
        for event in given_events:
            case = happen(case, incident, event)
            check(case, incident)
            if S(case.book.store.incident(incident).state) in OVER:
                break
        case.book.store.close()


def happen(case: Case, incident: str, event: tuple[object, ...]) -> Case:
    """Let one thing happen; what the rules refuse is refused with a word."""
    match event:
        case ("tend",):
            before = case.engine.due(incident) or case.book.store.incident(incident).state in {
                S.OPEN,
                S.RESTORING,
            }
            head = case.book.store.head()
            case.tend(incident)
            assert before or case.book.store.head() == head
            assert not case.engine.due(incident)  # it does all that is due
        case ("wait", int(seconds)):
            case.clock.advance(seconds)
        case ("approve", str(person), bool(glass)):
            with suppress(ConflictError, ValueError):
                case.approve(incident, person, break_glass=glass, reason="now" if glass else "")
        case ("order", str(order), str(person)):
            with suppress(ConflictError):
                case.order(incident, order, person)  # type: ignore[arg-type]
        case ("join", int(index)):
            finding = FINDINGS[index]
            case.book.join(incident, finding, action=case.action(finding), instruction="By hand.")
        case ("ask", str(action), str(person)):
            with suppress(ConflictError):
                request_action(
                    case.book.store, "local", action, person=person, reason="now",  # type: ignore[arg-type]
                    now=case.clock.now(), facts=dict, incident=incident,
                )  # fmt: skip
        case ("break", str(step), bool(hopeless)):
            case.failing[step] = StepError("broken", final=True, hopeless=hopeless)
        case ("heal",):
            case.failing.clear()
        case ("replan", int(number)):
            case.planned["revision"] = number
        case ("takeover",):
            case = case.another_guard(f"guard-{case.book.store.head()}")
    return case


def check(case: Case, incident: str) -> None:
    """What must hold of every journal."""
    entries = case.entries(incident)
    assert case.book.store.verify_chain().problems == ()
    stopped_at = None
    for entry in entries:
        body = entry.body
        if entry.kind == "state":
            assert S(body["to"]) in LEGAL_MOVES[S(body["from"])]
        if entry.kind in {"abort", "hold", "resume"}:
            stopped_at = standing_order([one for one in entries if one.seq <= entry.seq])
        if entry.kind in {"begun", "plan", "escalated"}:
            assert stopped_at is None, "nothing begins while an order to stop stands"
        if entry.kind == "begun":
            agreed(entries, entry)
    state = S(case.book.store.incident(incident).state)
    if state is S.ABORTED:
        assert entries[-1].body["side"]
    # Each step of an attempt has one outcome, and one action's plan one place in the journal.
    steps = [(e.body.get("action"), e.body.get("attempt"), e.step) for e in entries if e.kind == "outcome"]
    assert len(steps) == len(set(steps))
    about = [entry.body["about"] for entry in entries if entry.kind == "page"]
    assert len(about) == len(set(about))


def agreed(entries: list, begun: object) -> None:  # type: ignore[type-arg]
    """An action that persons had to agree to was agreed to: by enough of them, in time, to this very plan."""
    body, seq = begun.body, begun.seq  # type: ignore[attr-defined]
    rung_asks = {"code_rollback": 1, "database_restore": 2}.get(body["action"], 0)
    assert body["approvals"] >= rung_asks
    if body["approvals"] == 0:
        return
    plans = [e for e in entries if e.kind == "plan" and e.body["action"] == body["action"] and e.seq < seq]
    plan = plans[-1]
    assert plan.body["plan_sha256"] == body["plan_sha256"]
    expires_at = datetime.fromisoformat(plan.body["expires_at"]).astimezone(UTC)
    given = [
        e
        for e in entries
        if e.kind == "approval" and plan.seq < e.seq < seq and e.body["plan_sha256"] == body["plan_sha256"]
    ]
    assert all(e.at < expires_at for e in given)
    assert begun.at < expires_at  # type: ignore[attr-defined]
    if any(e.body["break_glass"] for e in given):
        assert body["break_glass"]["reason"]
        return
    persons = {e.actor for e in given} - {plan.body["requested_by"]}
    assert len(persons) >= body["approvals"]
