"""What an incident leaves to be done, and who ticked it off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.clocks import HandClock
from tests.unit.restored_incident import START, finding, tell
from understudy.errors import ConflictError, NotFoundError
from understudy.restoration.incidents import IncidentBook, IncidentState
from understudy.restoration.report.followups import finish_followup, followups_of, open_followups
from understudy.store.guard import GuardStore

pytestmark = pytest.mark.unit


class Told:
    """A store with one incident that a test writes into."""

    def __init__(self, store: GuardStore, clock: HandClock) -> None:
        self.store = store
        self.book = IncidentBook(store, "local", clock)
        self.book.lease = store.acquire("local", "guard-1", lifetime_s=3600)
        self.incident = self.book.open(finding(), onset=None, facts={"owner": "ada"}).id

    def wrote(self, kind: str, step: str | None = None, **body: Any) -> None:
        self.book.append(self.incident, kind, step=step, body=body)

    def texts(self, *, blocking: bool | None = None) -> list[str]:
        found = open_followups(self.store)
        return [one.text for one in found if blocking is None or one.blocking == blocking]


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    clock = HandClock(START + timedelta(seconds=121))
    with GuardStore(tmp_path / "guard.sqlite3", clock) as store:
        yield Told(store, clock)


def outcome(action: str, evidence: Mapping[str, Any], *, changed: bool = True) -> dict[str, Any]:
    at = START.isoformat() if changed else None
    return {"action": action, "ok": True, "changed_at": at, "evidence": evidence}


def test_a_break_glass_is_reviewed_before_anybody_goes_forward_again(told: Told) -> None:
    glass = {"by": "person:ada", "reason": "nobody else is awake"}
    told.wrote("begun", action="code_rollback", title="Code rollback", break_glass=glass)
    (text,) = told.texts(blocking=True)
    assert "person:ada" in text
    assert "nobody else is awake" in text
    told.wrote("begun", action="env_switch", title="Env switch", break_glass=None)
    assert len(told.texts(blocking=True)) == 1


def test_what_a_restore_could_not_reconcile_is_listed_as_it_said(told: Told) -> None:
    listed = [
        {"id": "voice-9", "text": "Voice 9 is at the provider and in no row.", "blocking": True},
        {"id": "gap", "text": "20000 micro-dollars are in no ledger.", "blocking": False},
    ]
    told.wrote("outcome", "reconcile", **outcome("database_restore", {"followups": listed}, changed=False))
    assert told.texts(blocking=True) == ["Voice 9 is at the provider and in no row."]
    assert "20000 micro-dollars are in no ledger." in told.texts(blocking=False)


@pytest.mark.parametrize(
    ("action", "word", "blocks"),
    [
        ("close_valve", "valve open", False),
        ("throttle_tenant", "throttled", False),
        ("close_reads", "reads open", True),
        ("quarantine_and_repair", "quarantine list", False),
        ("code_rollback", "rolled back", True),
    ],
)
def test_what_an_action_closed_stays_on_the_list(told: Told, action: str, word: str, blocks: bool) -> None:
    assert not [text for text in told.texts() if word in text]
    told.wrote("outcome", "any", **outcome(action, {}))
    assert [text for text in told.texts(blocking=blocks) if word in text]


def test_ticking_one_off_needs_a_reason_and_is_kept(told: Told) -> None:
    told.wrote("outcome", "any", **outcome("code_rollback", {}))
    blocking = next(one for one in open_followups(told.store) if one.blocking)
    with pytest.raises(ConflictError, match="reason"):
        finish_followup(told.store, blocking.id, person="person:ada", reason="  ")
    done = finish_followup(told.store, blocking.id, person="person:ada", reason="release 1.5 is mended")
    assert (done.open, done.done_by, done.reason) == (False, "person:ada", "release 1.5 is mended")
    assert blocking.id not in {one.id for one in open_followups(told.store)}
    with pytest.raises(ConflictError, match=r"release 1\.5"):
        finish_followup(told.store, blocking.id, person="person:ben", reason="again")
    assert told.store.verify_chain().problems == ()


def test_one_that_is_not_there_is_not_found(told: Told) -> None:
    for identity in (f"{told.incident}/00000000", "inc-none/00000000", ""):
        with pytest.raises(NotFoundError):
            finish_followup(told.store, identity, person="person:ada", reason="why not")


def test_a_closed_incident_keeps_its_follow_ups_under_the_same_names(tmp_path: Path) -> None:
    made = tell(tmp_path)
    with GuardStore(tmp_path / "guard.sqlite3", HandClock(START)) as store:
        first = [one.id for one in followups_of(store, made.row.id)]
        assert first == [one.id for one in followups_of(store, made.row.id)]
        assert len(set(first)) == len(first)
        assert any("root cause" in one.text for one in followups_of(store, made.row.id))


def test_an_open_incident_is_itself_something_to_do(told: Told) -> None:
    assert "The incident is still OPEN." in told.texts()
    told.book.move(told.incident, IncidentState.ABORTED, body={"reason": "a drill"})
    assert "The incident is still OPEN." not in told.texts()
