"""Reading without the parser, comments that ask to look away, and what no rule knows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from understudy.migration_gate.parser import Tree, UnparsableError
from understudy.migration_gate.reading import read, read_without_parser, remarks_in, without_remarks
from understudy.migration_gate.scope import RELATION, Scope
from understudy.migration_gate.statements import classify
from understudy.migration_gate.verdicts import Verdict, worst
from understudy.migration_gate.view import View

pytestmark = pytest.mark.unit

#: Statements of Postgres 18 that no rule may ever take for additive without having read them.
UNKNOWN = (
    "AlterOperatorStmt",
    "AlterOpFamilyStmt",
    "AlterPublicationStmt",
    "AlterTableMoveAllStmt",
    "CheckPointStmt",
    "ClusterStmt",
    "CreateAmStmt",
    "CreatePLangStmt",
    "CreateSubscriptionStmt",
    "CreateTransformStmt",
    "DeclareCursorStmt",
    "DiscardStmt",
    "ExplainStmt",
    "FetchStmt",
    "ImportForeignSchemaStmt",
    "ListenStmt",
    "SomethingOfPostgres19Stmt",
)


class Silent:
    """A parser that knows no text."""

    def sql(self, text: str) -> list[Tree]:
        raise UnparsableError(f'syntax error at or near "{text[:1]}"', 0)

    def plpgsql(self, text: str) -> list[Tree]:
        raise UnparsableError("it opens nothing", None)


def rules(reasons: Sequence[object]) -> list[str]:
    return [reason.rule for reason in reasons]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_statement_that_no_rule_knows_is_blocked(name: str) -> None:
    found = list(classify({name: {}}, View(Silent(), Scope())))
    assert [reason.verdict for reason in found] == [Verdict.BLOCKED]


def test_a_command_that_no_rule_knows_and_a_body_that_does_not_open_are_blocked() -> None:
    command = {"AlterTableCmd": {"subtype": "AT_OfPostgres19"}}
    tree = {"AlterTableStmt": {"relation": {"relname": "voices"}, "cmds": [command]}}
    assert rules(list(classify(tree, View(Silent(), Scope())))) == ["unknown_command"]
    assert rules(list(classify({"DoStmt": {"args": []}}, View(Silent(), Scope())))) == ["unreadable_body"]


def test_a_vacuum_is_blocked_and_an_analyze_is_not() -> None:
    assert list(classify({"VacuumStmt": {}}, View(Silent(), Scope()))) == []
    assert rules(list(classify({"VacuumStmt": {"is_vacuumcmd": True}}, View(Silent(), Scope())))) == [
        "unknown_statement"
    ]


def test_what_a_block_made_ends_with_it_and_what_it_dropped_is_gone_outside() -> None:
    scope = Scope()
    scope.make(RELATION, "public.a")
    inside = scope.inside()
    inside.make(RELATION, "public.b")
    assert inside.made(RELATION, "public.a")
    inside.drop(RELATION, "public.a")
    assert not scope.made(RELATION, "public.a")
    assert not scope.made(RELATION, "public.b")


@pytest.mark.parametrize(
    ("statement", "plain"),
    [
        ("create table public.t (id int)", True),
        ("create unique index k on public.t (id)", True),
        ("alter table public.t add column x text", True),
        ("grant select on public.t to service_role", True),
        ("alter table public.t add column x text, drop column y", False),
        ("alter table public.t add column x text not null", False),
        ("alter table public.t rename to u", False),
        ("create or replace view v as select 1", False),
        ("drop table public.t", False),
        ("do $$ begin null; end $$", False),
        ("with gone as (delete from public.t returning 1) select 1", False),
        ("/* create table t (id int) */ truncate public.t", False),
        ("select purge()", False),
    ],
)
def test_without_the_parser_all_but_the_plainest_waits_for_a_person(statement: str, plain: bool) -> None:
    reading = read_without_parser(f"-- first\n{statement};\n")
    assert reading.reader == "keywords"
    assert reading.verdict is (Verdict.ADDITIVE if plain else Verdict.REVIEW)
    assert [one.line for one in reading.statements] == [2]


def test_comments_that_ask_to_look_away_are_told_and_taken_from_squawk() -> None:
    text = (
        "-- squawk-ignore ban-drop-column\nalter table t drop column a;\n"
        "/* atlas:nolint */\n-- gate: ignore this\n-- old code may ignore the column\nselect '-- fine';\n"
    )
    assert [(one.line, one.text) for one in remarks_in(text)] == [
        (1, "-- squawk-ignore ban-drop-column"),
        (3, "/* atlas:nolint */"),
        (4, "-- gate: ignore this"),
    ]
    assert "squawk-ignore" not in without_remarks(text)
    assert without_remarks(text).count("\n") == text.count("\n")


def test_a_command_of_psql_is_named() -> None:
    reading = read("\\i more.sql\n", Silent())
    assert [(one.line, one.text, rules(one.reasons)) for one in reading.statements] == [
        (1, "\\i more.sql", ["psql_command"])
    ]
    assert [rules(one.reasons) for one in read("alter tabl x", Silent()).statements] == [["syntax_error"]]


def test_a_digest_stands_for_the_text_and_not_for_its_white_space() -> None:
    one, two, other = (
        read_without_parser(text).statements[0].digest
        for text in ("drop  table a;", "drop table\n a;", "drop table b;")
    )
    assert one == two != other


def test_blocked_is_worse_than_destructive() -> None:
    assert worst(Verdict) is Verdict.BLOCKED
    assert worst([]) is Verdict.ADDITIVE
