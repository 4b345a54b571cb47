"""What a stranger wrote may be printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clocks import HandClock
from tests.unit.findings import finding_of
from understudy.errors import ConflictError
from understudy.plain_text import plain_text
from understudy.restoration.incidents import IncidentBook, add_note, close_by_person
from understudy.store.guard import GuardStore

pytestmark = pytest.mark.unit

STEERING = "a\x1b[31m\x1b]8;;x\x07\u202e\ud800\x9b\u200b\x7f\r\nb"


def test_what_a_terminal_obeys_becomes_a_space() -> None:
    assert plain_text(STEERING) == "a [31m ]8;;x        b"
    assert plain_text(STEERING, keep_newlines=True) == "a [31m ]8;;x      \nb"
    for shown in ("", "Größe 大 🎙 100 %", "a b"):
        assert plain_text(shown) == shown


def test_notes_reasons_and_names_are_plain_however_they_come(tmp_path: Path) -> None:
    clock = HandClock()
    store = GuardStore(tmp_path / "guard.sqlite3", clock)
    book = IncidentBook(store, "local", clock)
    book.lease = store.acquire("local", "a", lifetime_s=60)
    row = book.open(finding_of(), onset=None, facts={})
    with pytest.raises(ConflictError):
        add_note(store, row.id, person="ada", text="\x1b\u202e")
    add_note(store, row.id, person="ada\x1b", text=STEERING)
    close_by_person(store, row.id, person="ada", reason=STEERING)
    _, note, close = store.entries(row.id)
    assert note.actor == "person:ada "
    assert note.body["text"] == plain_text(STEERING, keep_newlines=True)
    assert close.body["reason"] == plain_text(STEERING)

    created, key = store.operators.create("bob\x1b[31m")
    store.add_operator("token-of-eve-0123456789", "eve\u202e")
    assert (created.label, store.operator(key)) == ("bob [31m", "bob [31m")
    assert store.operator("token-of-eve-0123456789") == "eve "
