"""Ten thousand alerts at once: the guard stays on its feet, and people are told of twenty and of the rest."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import datetime

import pytest

from tests.unit.restoration.guarding import Post, settle
from understudy.restoration.guard.alerts import BATCH_LIMIT, FINDINGS_TOLD, AlertInbox
from understudy.restoration.guard.loop import Guard
from understudy.restoration.incidents import IncidentState, close_by_person
from understudy.store.journal import JournalEntry

pytestmark = pytest.mark.unit

ALERTS = 10_000
SUMMARY = "outside_alert/more/more/-/-"


def guard_with_inbox(post: Post, holder: str = "a") -> tuple[Guard, AlertInbox]:
    guard = post.guard(holder)
    inbox = AlertInbox(guard.book.store, post.clock, lambda *_: None)
    guard._outside = inbox
    return guard, inbox


def deliver(inbox: AlertInbox, starts_at: datetime, names: list[str], *, status: str = "firing") -> None:
    for start in range(0, len(names), BATCH_LIMIT):
        alerts = [
            {
                "status": status,
                "labels": {"alertname": name},
                "startsAt": starts_at.isoformat(),
                "fingerprint": name,
            }
            for name in names[start : start + BATCH_LIMIT]
        ]
        inbox.receive(json.dumps({"version": "4", "alerts": alerts}).encode())


async def test_a_storm_is_told_as_twenty_and_one_and_never_again(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard, inbox = guard_with_inbox(post)
    await guard.cycle()
    deliver(inbox, post.clock.now(), [f"Alert{n}" for n in range(ALERTS)])
    looks: list[str] = []
    entries_of = guard.book.entries

    def counted(incident: str) -> list[JournalEntry]:
        looks.append(incident)
        return entries_of(incident)

    monkeypatch.setattr(guard.book, "entries", counted)
    took_s, read = [], []
    for _ in range(10):
        looks.clear()
        began_s = time.process_time()
        await guard.cycle()
        took_s.append(time.process_time() - began_s)
        read.append(len(looks))
        if guard._restoring is not None:
            await guard._restoring
        post.clock.advance(1)
    assert max(took_s) < 1
    # Each join reads it a few times; a cycle in which nothing joins, a fixed number of times.
    assert max(read) < 6 * (FINDINGS_TOLD + 2)
    assert max(read[2:]) < 12

    [row] = guard.book.store.incidents()
    kinds = Counter(entry.kind for entry in entries_of(row.id))
    assert (kinds["opened"], kinds["joined"]) == (1, FINDINGS_TOLD)
    assert kinds["page"] <= FINDINGS_TOLD + 2
    head = guard.book.store.head()
    for _ in range(3):
        post.clock.advance(3601)  # the next hours bring nothing new either
        await guard.cycle()
    assert guard.book.store.head() == head


async def test_a_storm_that_was_closed_opens_nothing_until_it_has_ended(post: Post) -> None:
    guard, inbox = guard_with_inbox(post)
    names = [f"Alert{n}" for n in range(100)]
    began = post.clock.now()
    deliver(inbox, post.clock.now(), names)
    assert await settle(guard) is IncidentState.HOLD
    close_by_person(guard.book.store, guard.book.store.incidents()[0].id, person="ada", reason="known")
    for _ in range(3):
        await guard.cycle()
        post.clock.advance(3601)
    assert len(guard.book.store.incidents()) == 1
    assert SUMMARY in guard.view.disarmed
    assert guard.view.paged["disarmed"].endswith(f"and {FINDINGS_TOLD + 1 - 5} more")

    deliver(inbox, began, names, status="resolved")
    await guard.cycle()
    assert SUMMARY not in guard.view.disarmed
    deliver(inbox, post.clock.now(), names)
    assert await settle(guard) is IncidentState.HOLD
    assert len(guard.book.store.incidents()) == 2
    again = guard.book.entries(guard.book.store.incidents()[0].id)
    assert SUMMARY in {entry.body.get("finding_key") for entry in again}
