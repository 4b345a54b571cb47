"""Splitting SQL: a semicolon ends a statement only where Postgres would think so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.resources import migrations_dir
from understudy.store.statements import split_statements

pytestmark = pytest.mark.unit


def texts(source: str) -> list[str]:
    return [statement.text for statement in split_statements(source)]


@pytest.mark.parametrize(
    "whole",
    [
        "select ';'",
        "select 'it''s; fine'",
        r"select E'\';'",
        r"select e'\\'",
        'select ";" from "a;""b"',
        "select $$;$$",
        "select $a$ $$;$$ $b$;$b$ $a$",
        "do $body$ begin; end; $body$",
        "select 1 -- not here; nor here",
        "select 1 /* ; */",
        "select 1 /* a /* nested; */ still; */ + 1",
        "select '/*;' || '*/'",
        "select '--;'",
        "select $1;".rstrip(";"),
        "select a$b$c, ';' from t",
    ],
)
def test_a_semicolon_inside_does_not_end_it(whole: str) -> None:
    assert texts(f"{whole}\n; select 2;") == [whole, "select 2"]


def test_a_backslash_is_ordinary_in_a_plain_string() -> None:
    assert texts(r"select 'a\'; select 2") == [r"select 'a\'", "select 2"]


@pytest.mark.parametrize(
    "source", ["", " \n\t", ";", ";;\n;", "-- only a remark", "/* a; /* b */ c */", "-- a;\n;"]
)
def test_what_holds_no_code_is_no_statement(source: str) -> None:
    assert texts(source) == []


@pytest.mark.parametrize(
    "source", ["select 'open; select", "select $$ open; select", "select 1 /* open;", 'a "b;']
)
def test_an_unclosed_quote_swallows_the_rest_for_postgres_to_refuse(source: str) -> None:
    assert texts(source) == [source]


def test_lines_are_those_of_the_file() -> None:
    source = "-- head\n\nselect 1;\n\n  -- why\n  select\n    2;\nselect 3"
    statements = split_statements(source)
    assert [statement.line for statement in statements] == [1, 5, 8]
    # Without a position the first line of code is named, not the comment before it.
    assert [statement.line_at(None) for statement in statements] == [3, 6, 8]
    second = statements[1]
    assert second.line_at(second.text.index("2") + 1) == 7


@pytest.mark.parametrize(
    ("source", "keyword"),
    [("commit", "COMMIT"), ("-- a\n/* b */ Begin work", "BEGIN"), ("create table t (n int)", "CREATE")],
)
def test_the_keyword_is_the_first_word_of_code(source: str, keyword: str) -> None:
    assert split_statements(source)[0].keyword == keyword


PIECES = st.sampled_from(
    [
        "select 1",
        "'a;b'",
        '"c;d"',
        "$$e;f$$",
        "$t$g;'h$t$",
        "/* i;j */",
        "-- k;l\n",
        "E'\\';'",
        " ",
        "\n",
        "n",
        "+",
    ]
)


@given(st.lists(st.lists(PIECES, min_size=1, max_size=6), max_size=6))
def test_joined_statements_split_again_into_the_same(parts: list[list[str]]) -> None:
    """Pieces are separated by spaces, so that they cannot grow together into another token."""
    wanted = [" ".join(part).strip() for part in parts]
    source = "\n;".join(wanted)
    code = [text for text in wanted if split_statements(text)]
    assert texts(source) == code


@given(st.text(alphabet="';\"$-/*ae\\ \n", max_size=40))
def test_nothing_but_semicolons_and_blank_pieces_is_lost(source: str) -> None:
    found = split_statements(source)
    at = 0
    for statement in found:
        at = source.index(statement.text, at)
        assert statement.line == source.count("\n", 0, at) + 1
        at += len(statement.text)
        assert source[at:].lstrip()[:1] in {"", ";"}


def test_every_migration_of_ours_splits_into_statements_that_begin_with_a_command() -> None:
    known = {"CREATE", "ALTER", "GRANT", "REVOKE", "DO", "DROP", "INSERT", "COMMENT", "SELECT"}
    for path in sorted(migrations_dir().glob("*.sql")):
        keywords = {statement.keyword for statement in split_statements(path.read_text())}
        assert keywords <= known, path.name
