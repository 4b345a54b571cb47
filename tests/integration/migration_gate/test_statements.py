"""What the gate says of each tricky file; no disguise makes a destructive statement look additive."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.migration_gate.cases import CASES, Case
from tests.integration.migration_gate.table import PAGE, all_shown, catalog_cells_of, page_with, table
from understudy.migration_gate import locks
from understudy.migration_gate.parser import (
    PARSER_VARIABLE,
    ParserBrokenError,
    ParserMissingError,
    ParserProcess,
)
from understudy.migration_gate.reading import read
from understudy.migration_gate.verdicts import Verdict

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("case", CASES, ids=[case.sql[:60] for case in CASES])
def test_each_tricky_file(parser: ParserProcess, case: Case) -> None:
    reading = read(case.sql, parser)
    assert reading.verdict is case.verdict
    assert tuple(reason.rule for one in reading.statements for reason in one.reasons) == case.rules


def test_the_page_has_what_gate_and_squawk_say(parser: ParserProcess) -> None:
    assert parser.version
    page = PAGE.read_text()
    assert page_with(page, table(catalog_cells_of(page))) == page


@pytest.mark.long
async def test_the_page_has_what_the_catalog_shows() -> None:
    shown = catalog_cells_of(PAGE.read_text())
    assert [" ".join(one.split()) for one in await all_shown()] == shown


def test_the_table_shows_what_squawk_alone_would_let_pass() -> None:
    harmful = [case for case in CASES if case.verdict in {Verdict.DESTRUCTIVE, Verdict.BLOCKED}]
    found = locks.examine({f"{number:03}.sql": case.sql for number, case in enumerate(harmful)})
    silent = sum(not findings for findings in found.values())
    assert len(CASES) >= 40
    assert silent >= 15


# --- disguises -------------------------------------------------------------------------

HARMFUL = [
    case.sql
    for case in CASES
    if case.verdict is Verdict.DESTRUCTIVE and ";" not in case.sql and not case.sql.startswith("--")
]
HARMLESS = [case.sql for case in CASES if case.verdict is Verdict.ADDITIVE]


def in_do(sql: str) -> str:
    return f"do $d$ begin {sql}; end $d$"


def in_branch(sql: str) -> str:
    return f"do $d$ begin if now() > '2000-01-01' then null; else {sql}; end if; end $d$"


def in_handler(sql: str) -> str:
    return f"do $d$ begin perform 1; exception when others then {sql}; end $d$"


def in_loop(sql: str) -> str:
    return f"do $d$ begin for i in 1..2 loop while false loop {sql}; end loop; end loop; end $d$"


def in_called_function(sql: str) -> str:
    return (
        f"create function public.quiet() returns void language plpgsql as $d$ begin {sql}; end $d$;\n"
        "do $e$ begin perform public.quiet(); end $e$"
    )


def in_sql_function(sql: str) -> str:
    return (
        f"create procedure public.quiet() language sql as $d$ {sql} $d$;"
        "create function public.louder() returns void language plpgsql as"
        " $e$ begin call public.quiet(); end $e$;"
        "select public.louder()"
    )


def in_dynamic(sql: str) -> str:
    return f"do $d$ begin execute $x$ {sql} $x$; end $d$"


def commented(sql: str) -> str:
    return f"-- squawk-ignore\n/* nothing /* to see */ here */ {sql} -- additive"


def shouted(sql: str) -> str:
    return "\n\t".join(word.upper() if "'" not in word else word for word in sql.split(" "))


DISGUISES = [
    in_do,
    in_branch,
    in_handler,
    in_loop,
    in_called_function,
    in_sql_function,
    in_dynamic,
    commented,
    shouted,
    str.strip,
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(
    harmful=st.sampled_from(HARMFUL),
    disguise=st.sampled_from(DISGUISES),
    before=st.lists(st.sampled_from(HARMLESS), max_size=3),
    after=st.lists(st.sampled_from(HARMLESS), max_size=2),
)
def test_no_disguise_makes_it_additive(
    parser: ParserProcess,
    harmful: str,
    disguise: Callable[[str], str],
    before: list[str],
    after: list[str],
) -> None:
    reading = read(";\n".join([*before, disguise(harmful), *after]), parser)
    assert reading.verdict in {Verdict.DESTRUCTIVE, Verdict.BLOCKED}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(harmless=st.sampled_from(HARMLESS), disguise=st.sampled_from([commented, in_do, str.strip]))
def test_a_disguise_alone_is_no_crime(
    parser: ParserProcess, harmless: str, disguise: Callable[[str], str]
) -> None:
    if disguise is in_do and ("$" in harmless or ";" in harmless):
        return
    assert read(disguise(harmless), parser).verdict is Verdict.ADDITIVE


def test_lines_are_those_of_the_file(parser: ParserProcess) -> None:
    text = "-- é\nselect 1;\n\n-- about the next\ndrop table public.a;\nselect 'ü'; drop table public.b"
    found = [(one.line, one.text) for one in read(text, parser).statements]
    assert found == [
        (2, "select 1"),
        (5, "drop table public.a"),
        (6, "select 'ü'"),
        (6, "drop table public.b"),
    ]


def test_one_of_two_functions_of_a_name_is_enough(parser: ParserProcess) -> None:
    text = (
        "create function public.f(a int) returns void language sql as $$ delete from public.tasks $$;"
        "create function public.f() returns void language sql as $$ select 1 $$; select public.f(1)"
    )
    assert read(text, parser).statements[-1].verdict is Verdict.DESTRUCTIVE


# --- the process -----------------------------------------------------------------------


def test_a_parser_that_is_not_there_or_breaks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PARSER_VARIABLE, "/nowhere/python parse_sql.py")
    with pytest.raises(ParserMissingError, match="make gate-parser"), ParserProcess():
        pass
    program = "import sys; sys.exit('no pglast here')"
    with (
        pytest.raises(ParserBrokenError, match="lacks pglast"),
        ParserProcess([sys.executable, "-c", program]),
    ):
        pass
    greets = 'print(\'{"parser": "p", "postgres": "1"}\', flush=True); import time; time.sleep(600)'
    with (
        pytest.raises(ParserBrokenError, match="no answer within"),
        ParserProcess([sys.executable, "-c", greets], deadline_s=2) as stuck,
    ):
        stuck.sql("select 1")


def test_the_parser_sees_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-secret")
    tells = (
        "import json, os; print(json.dumps({'parser': ','.join(os.environ), 'postgres': '1'}), flush=True)"
    )
    with ParserProcess([sys.executable, "-c", tells]) as process:
        assert "DASHSCOPE_API_KEY" not in process.version
