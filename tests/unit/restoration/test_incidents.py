from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clocks import HandClock
from tests.unit.findings import finding_of
from understudy.errors import ConflictError, LeaseLostError
from understudy.resources import playbook_file
from understudy.restoration.incidents import (
    LEGAL_MOVES,
    IncidentBook,
    IncidentState,
    acknowledge,
    acknowledged_by,
    add_note,
    check_move,
    close_by_person,
    finding_keys,
    joined_findings,
    times_of,
)
from understudy.restoration.playbook.policy import load_playbook
from understudy.restoration.triggers.titles import title_of
from understudy.restoration.triggers.verdict import Finding
from understudy.store.guard import GuardStore

pytestmark = pytest.mark.unit
S = IncidentState


def finding(epoch: int = 3) -> Finding:
    return finding_of(mode_epoch=epoch)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def book(tmp_path: Path, clock: HandClock) -> IncidentBook:
    book = IncidentBook(GuardStore(tmp_path / "guard.sqlite3", clock), "local", clock)
    book.lease = book.store.acquire("local", "a", lifetime_s=10)
    return book


@given(st.sampled_from(S), st.sampled_from(S))
def test_only_listed_moves_are_legal(before: S, after: S) -> None:
    if after in LEGAL_MOVES[before]:
        check_move(before, after)
    else:
        with pytest.raises(ConflictError, match=f"{before} to {after}"):
            check_move(before, after)


def test_the_whole_way_and_its_times(book: IncidentBook, clock: HandClock) -> None:
    incident = book.open(finding(), onset=None, facts={}).id
    for state in (S.RESTORING, S.MITIGATED, S.RECOVERED, S.CLOSED):
        clock.advance(1)
        book.move(incident, state, body={})
    times = times_of(book.entries(incident))
    assert times.detected == finding().evaluated_at
    assert times.decided is not None
    assert times.recovered is not None
    assert times.closed is not None
    assert times.decided < times.recovered < times.closed
    assert (times.onset, times.acted, times.mitigated, times.verified) == (None, None, None, None)
    assert book.current() is None
    assert book.store.verify_chain().problems == ()


def test_an_illegal_move_writes_nothing(book: IncidentBook) -> None:
    incident = book.open(finding(), onset=None, facts={}).id
    with pytest.raises(ConflictError):
        book.move(incident, S.CLOSED, body={})
    assert book.store.incident(incident).state == S.OPEN
    assert len(book.entries(incident)) == 1


def test_one_incident_at_a_time_and_a_related_failure_joins_once(book: IncidentBook) -> None:
    incident = book.open(finding(), onset=None, facts={}).id
    with pytest.raises(ConflictError, match="open incident already"):
        book.open(finding(4), onset=None, facts={})
    assert not book.join(incident, finding())
    assert book.join(incident, finding(4))
    assert not book.join(incident, finding(4))


def test_a_move_whose_side_work_fails_did_not_happen(book: IncidentBook) -> None:
    incident = book.open(finding(), onset=None, facts={}).id

    def fail() -> None:
        assert book.store.incident(incident).state == S.RESTORING  # it sees its own transaction
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        book.move(incident, S.RESTORING, body={}, before_commit=fail)
    assert book.store.incident(incident).state == S.OPEN
    assert book.store.verify_chain().problems == ()


def test_a_person_closes_with_a_reason_and_the_guard_can_add_nothing(book: IncidentBook) -> None:
    incident = book.open(finding(), onset=None, facts={}).id
    book.move(incident, S.HOLD, body={})
    with pytest.raises(ConflictError, match="reason"):
        close_by_person(book.store, incident, person="ada", reason=" ")
    assert close_by_person(book.store, incident, person="ada", reason="fixed upstream").state == S.CLOSED
    assert book.entries(incident)[-1].actor == "person:ada"
    with pytest.raises(ConflictError, match="is CLOSED"):
        book.append(incident, "page", body={})


def test_what_is_not_begun_is_aborted_and_a_run_under_way_is_not_closed_half_done(book: IncidentBook) -> None:
    incident = book.open(finding(), onset=None, facts={}).id
    assert close_by_person(book.store, incident, person="ada", reason="a drill").state == S.ABORTED
    with pytest.raises(ConflictError):
        book.move(incident, S.RESTORING, body={})
    incident = book.open(finding(), onset=None, facts={}).id
    book.move(incident, S.RESTORING, body={})
    with pytest.raises(ConflictError, match="`understudy incident abort` ends it"):
        close_by_person(book.store, incident, person="ada", reason="a drill")
    assert book.store.incident(incident).state == S.RESTORING


def test_without_the_lease_nothing_is_written(book: IncidentBook, clock: HandClock) -> None:
    incident = book.open(finding(), onset=None, facts={}).id
    clock.advance(10)
    with pytest.raises(LeaseLostError):
        book.append(incident, "page", body={})
    book.lease = None
    with pytest.raises(LeaseLostError):
        book.move(incident, S.RESTORING, body={})
    assert len(book.entries(incident)) == 1


def test_findings_and_their_actions_stand_in_the_order_in_which_they_came(book: IncidentBook) -> None:
    cost = finding_of("cost/design_repeats", subject="ada")
    incident = book.open(finding(), onset=None, facts={}, action="env_switch").id
    book.join(incident, cost, action="close_valve")
    book.join(incident, finding_of("security/secret_leak"), instruction="Rotate it.")
    entries = book.entries(incident)
    assert [doc["trigger"] for doc in joined_findings(entries)] == ["success_rate", "cost", "security"]
    assert finding_keys(entries)[1] == cost.key
    assert [entry.body["action"] for entry in entries] == ["env_switch", "close_valve", None]
    assert entries[2].body["instruction"] == "Rotate it."


def test_a_person_takes_notice_and_notes_without_changing_the_state(book: IncidentBook) -> None:
    incident = book.open(finding(), onset=None, facts={}).id
    for person in ("ada", "person:ada", "ben"):
        acknowledge(book.store, incident, person=person)
    add_note(book.store, incident, person="ada", text="the provider is told")
    entries = book.entries(incident)
    assert acknowledged_by(entries) == ["person:ada", "person:ben"]
    assert (entries[-1].kind, entries[-1].body) == ("note", {"text": "the provider is told"})
    assert book.store.incident(incident).state == S.OPEN
    with pytest.raises(ConflictError, match="text"):
        add_note(book.store, incident, person="ada", text="  ")
    close_by_person(book.store, incident, person="ada", reason="a drill")
    for late in (
        lambda: acknowledge(book.store, incident, person="ada"),
        lambda: add_note(book.store, incident, person="ada", text="late"),
    ):
        with pytest.raises(ConflictError, match="ABORTED"):
            late()


def test_a_mitigated_incident_restores_again_only_for_an_action(book: IncidentBook) -> None:
    incident = book.open(finding(), onset=None, facts={}).id
    for state in (S.RESTORING, S.MITIGATED, S.RESTORING, S.MITIGATED, S.RECOVERED):
        book.move(incident, state, body={})
    with pytest.raises(ConflictError):
        book.move(incident, S.RESTORING, body={})


def test_it_was_mitigated_when_the_last_action_was_read_back(book: IncidentBook, clock: HandClock) -> None:
    incident = book.open(finding(), onset=None, facts={}).id
    for action in ("close_valve", "env_switch", "env_switch"):
        clock.advance(1)
        book.append(incident, "outcome", step="read_back", body={"ok": True, "action": action})
    # a later attempt of the same action does not move the time
    assert times_of(book.entries(incident)).mitigated == book.entries(incident)[2].at


@pytest.mark.parametrize(
    ("check", "more", "title"),
    [
        ("success_rate/rate", {}, "Success rate on Qwen below the SLO (9 of 9 calls failed)"),
        ("realtime_failures/protocol", {}, "Realtime answers are malformed on Qwen (9 of 9 calls failed)"),
        ("playback/stalls", {"n": 40}, "Playback stalls on Qwen (9 of 40 sessions affected)"),
        ("cost/creates_hour", {"n": 7}, "Too many billed voice creates in an hour"),
        ("data_integrity/orphaned_tasks", {"failures": 3}, "Orphaned tasks (3)"),
        (
            "data_integrity/missing_provider_metadata",
            {"failures": 2},
            "Voices or generations without the provider's metadata (2)",
        ),
        ("security/cross_tenant_read", {}, "One tenant could read what is another's"),
        ("security/unheard_of", {}, "Security: unheard of"),
    ],
)
def test_titles_are_plain_words(check: str, more: dict[str, object], title: str) -> None:
    assert title_of(finding_of(check, **more)) == title


def test_every_check_of_the_policy_has_a_title() -> None:
    for trigger, check, _ in load_playbook(playbook_file()).checks():
        made = title_of(finding_of(f"{trigger}/{check}"))
        assert not made.startswith(trigger.replace("_", " ").capitalize() + ":"), (trigger, check)
