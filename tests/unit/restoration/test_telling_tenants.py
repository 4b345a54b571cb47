"""What tenants are told of an incident: true, calm, and nothing of what they cannot notice."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.clocks import HandClock
from tests.unit.findings import finding_of
from understudy.errors import StoreUnavailableError
from understudy.restoration.guard.telling_tenants import RECOVERED_FOR, TenantNotices, code_of
from understudy.restoration.incidents import IncidentBook, IncidentState, close_by_person
from understudy.store.guard import GuardStore
from understudy.store.journal import JournalEntry

pytestmark = pytest.mark.unit

S = IncidentState
HEARD = "success_rate"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def book(tmp_path: Path, clock: HandClock) -> IncidentBook:
    book = IncidentBook(GuardStore(tmp_path / "guard.sqlite3", clock), "local", clock)
    book.lease = book.store.acquire("local", "a", lifetime_s=1000)
    return book


def journal(trigger: str, *begun: str) -> list[JournalEntry]:
    """An incident of one finding, and the actions begun for it."""

    def entry(seq: int, kind: str, body: dict[str, Any]) -> JournalEntry:
        known: dict[str, Any] = {"seq": seq, "kind": kind, "body": body}
        return JournalEntry(**{**dict.fromkeys(JournalEntry.__slots__), **known})

    return [
        entry(1, "opened", {"finding": {"trigger": trigger}}),
        *(entry(seq, "begun", {"action": action}) for seq, action in enumerate(begun, 2)),
    ]


@pytest.mark.parametrize(
    ("state", "trigger", "begun", "said"),
    [
        (S.OPEN, HEARD, (), "degraded"),
        (S.HOLD, "playback", ("env_switch",), "degraded"),
        (S.FROZEN, "realtime_failures", ("env_switch",), "degraded"),
        (S.RESTORING, HEARD, ("env_switch",), "stepping_back"),
        # Whatever it was for, another database is put to work: that is noticed.
        (S.RESTORING, "data_integrity", ("database_restore",), "stepping_back"),
        (S.RESTORING, HEARD, ("env_switch", "throttle_tenant"), "degraded"),
        (S.MITIGATED, HEARD, ("env_switch",), "verifying"),
        (S.RECOVERED, HEARD, ("env_switch",), "recovered"),
        (S.CLOSED, HEARD, ("env_switch",), "recovered"),
        (S.ABORTED, HEARD, ("env_switch",), None),
        # A bill or a leak is nothing that is heard; what is closed for it says so itself.
        (S.OPEN, "cost", (), None),
        (S.RESTORING, "cost", ("close_valve",), None),
        (S.MITIGATED, "security", ("close_reads",), None),
    ],
)
def test_what_is_told(state: S, trigger: str, begun: tuple[str, ...], said: str | None) -> None:
    assert code_of(state, journal(trigger, *begun)) == said


def test_that_it_is_over_is_told_for_a_while(book: IncidentBook, clock: HandClock) -> None:
    notices = TenantNotices(book, away, clock, leads=lambda: True)
    assert notices.wanted() is None
    incident = book.open(finding_of(), onset=None, facts={})
    told = notices.wanted()
    assert told is not None
    assert (told.code, told.since) == ("degraded", incident.opened_at)
    for state in (S.RESTORING, S.MITIGATED, S.RECOVERED, S.CLOSED):
        clock.advance(1)
        book.move(incident.id, state, body={})
    over = notices.wanted()
    assert over is not None
    # Since it was recovered, a second before it was closed.
    assert (over.code, over.since) == ("recovered", clock.now() - timedelta(seconds=1))
    clock.advance(RECOVERED_FOR.total_seconds() + 1)
    assert notices.wanted() is None


def test_an_incident_that_a_person_called_off_is_not_told(book: IncidentBook, clock: HandClock) -> None:
    incident = book.open(finding_of(), onset=None, facts={})
    close_by_person(book.store, incident.id, person="ada", reason="a false alarm")
    assert TenantNotices(book, away, clock, leads=lambda: True).wanted() is None


async def test_a_database_that_is_away_ends_nothing(book: IncidentBook, clock: HandClock) -> None:
    book.open(finding_of(), onset=None, facts={})
    notices, stop = TenantNotices(book, away, clock, leads=lambda: True), asyncio.Event()
    await notices.look()
    stop.set()
    await notices.run(stop)


async def away() -> Any:
    raise StoreUnavailableError
