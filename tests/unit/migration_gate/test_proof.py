"""Before is a subset of after: what the comparison lets pass, and what it never does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.migration_gate.proof import differences
from understudy.store.catalog import Catalog, Entry

pytestmark = pytest.mark.unit


def entry(kind: str, name: str, definition: str = "as it was", parent: str = "public") -> Entry:
    return Entry(kind, name, parent, definition, "", "")


PUBLIC = entry("schema", "public", "owner o", "")
VOICES = entry("table", "public.voices", "owner o, row security on")
NAME = entry("column", "public.voices.name", "text not null", "public.voices")
READ = entry("policy", "public.voices read", "for select", "public.voices")
MOOD = entry("enum", "public.mood", "'calm', 'it''s fine'")
COUNT = entry("function", "public.count(integer)", "returns int")
BEFORE = (PUBLIC, VOICES, NAME, READ, MOOD, COUNT)


def shown(after: tuple[Entry, ...], before: tuple[Entry, ...] = BEFORE) -> list[tuple[str, bool]]:
    return [(one.what, one.lost) for one in differences(Catalog(18, before), Catalog(18, after))]


def test_what_only_adds_is_no_difference() -> None:
    added = (
        entry("table", "public.notes", "row security off"),
        entry("column", "public.notes.id", "uuid not null", "public.notes"),
        entry("policy", "public.notes own", "for all", "public.notes"),
        entry("grant", "select on public.notes to anon", "given", "public.notes"),
        entry("column", "public.voices.nick", "text", "public.voices"),
        entry("column", "public.voices.rank", "integer not null default 0", "public.voices"),
        entry("index", "public.by_name", "CREATE INDEX by_name ON public.voices", "public.voices"),
        entry("function", "public.fresh()", "returns int"),
    )
    assert shown((*BEFORE, *added)) == []


@pytest.mark.parametrize(
    ("added", "lost"),
    [
        (entry("column", "public.voices.owner", "text not null", "public.voices"), True),
        (entry("policy", "public.voices all", "for select", "public.voices"), False),
        (entry("trigger", "public.voices t", "CREATE TRIGGER", "public.voices"), False),
        (entry("constraint", "public.voices c", "CHECK (false)", "public.voices"), False),
        (entry("grant", "select on public.voices to anon", "given", "public.voices"), False),
        (entry("index", "public.k", "CREATE UNIQUE INDEX k ON public.voices", "public.voices"), False),
        (entry("function", "public.count(text)", "returns int"), False),
    ],
)
def test_what_narrows_something_old_is_told(added: Entry, lost: bool) -> None:
    ((what, is_lost),) = shown((*BEFORE, added))
    assert added.label in what
    assert is_lost is lost


@pytest.mark.parametrize(
    ("labels", "differs"),
    [
        ("'calm', 'it''s fine', 'glad'", False),
        ("'new first', 'calm', 'it''s fine'", False),
        ("'it''s fine', 'calm'", True),
        ("'calm'", True),
        ("'calm', 'it', 's fine'", True),
    ],
)
def test_an_enum_may_only_grow(labels: str, differs: bool) -> None:
    after = tuple(replace(one, definition=labels) if one is MOOD else one for one in BEFORE)
    assert bool(shown(after)) is differs


def test_row_security_switched_off_is_lost_and_a_table_s_parts_are_not_told_again() -> None:
    off = replace(VOICES, definition="owner o, row security off")
    assert [lost for _, lost in shown((PUBLIC, off, NAME, READ, MOOD, COUNT))] == [True]
    assert shown((PUBLIC, MOOD, COUNT)) == [("table public.voices is lost", True)]


def test_a_change_is_told_by_a_statement_in_plain_sight_and_by_no_other() -> None:
    added = entry("policy", "public.voices all", "for select", "public.voices")
    (found,) = differences(Catalog(18, BEFORE), Catalog(18, (*BEFORE, added)))
    assert found.told_by({("policy", "public.voices")})
    assert not found.told_by({("policy", "public.tasks"), ("column", "public.voices")})
    second = entry("function", "public.count(text)", "returns int")
    (overload,) = differences(Catalog(18, BEFORE), Catalog(18, (*BEFORE, second)))
    assert not overload.told_by({("function", "public.count")})


ENTRIES = st.builds(
    entry,
    st.sampled_from(
        ["table", "column", "constraint", "index", "policy", "trigger", "function", "enum", "grant"]
    ),
    st.sampled_from([f"public.{name}" for name in "abcdefgh"]),
    st.text("'xy, ", max_size=8),
    st.sampled_from(["public", "public.of_another", "auth"]),
)
CATALOGS = st.lists(ENTRIES, max_size=12, unique_by=lambda one: one.label)


@given(CATALOGS, st.data())
def test_nothing_that_is_gone_or_changed_passes_unseen(before: list[Entry], data: st.DataObject) -> None:
    assert differences(Catalog(18, tuple(before)), Catalog(18, tuple(before))) == []
    if not before:
        return
    victim = data.draw(st.sampled_from(before))
    rest = [one for one in before if one is not victim]
    gone = differences(Catalog(18, tuple(before)), Catalog(18, tuple(rest)))
    assert any(one.lost for one in gone)
    changed = replace(victim, definition="'quite' 'different'")
    if victim.kind == "enum" and not victim.definition.count("'") >= 2:
        return  # an enum without labels only grew
    assert differences(Catalog(18, tuple(before)), Catalog(18, (*rest, changed)))
