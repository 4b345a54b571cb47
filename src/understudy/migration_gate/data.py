"""Statements that touch rows or run functions, wherever they hide: in a CTE, an insert's source, a call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from understudy.migration_gate.parser import Tree
from understudy.migration_gate.scope import COLUMN
from understudy.migration_gate.trees import relation, strings, walk
from understudy.migration_gate.verdicts import Reason
from understudy.migration_gate.view import Reasons, View, blocked, destructive, review

#: Postgres's own functions that change nothing. What is not here, and not made in the file, needs a review.
_HARMLESS = """
    abs array_agg array_length avg bool_and bool_or btrim cardinality ceil char_length clock_timestamp concat
    concat_ws count current_setting date_part date_trunc decode dense_rank encode extract first_value floor
    format gen_random_uuid generate_series hashtext hashtextextended has_column_privilege has_schema_privilege
    has_table_privilege json_agg json_build_object jsonb_agg jsonb_array_elements jsonb_array_elements_text
    jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text jsonb_object_keys
    jsonb_set jsonb_typeof lag last_value lead left length lower ltrim make_interval max md5 min now overlay
    pg_advisory_xact_lock pg_current_snapshot pg_current_xact_id pg_get_constraintdef pg_get_expr
    pg_get_userbyid pg_notify pg_snapshot_xmax pg_snapshot_xmin position quote_ident quote_literal
    quote_nullable random rank regexp_match regexp_matches regexp_replace replace right round row_number
    row_to_json rtrim sha256 split_part starts_with statement_timestamp string_agg string_to_array strpos
    substr substring sum timezone to_char to_date to_json to_jsonb to_number to_regclass to_regnamespace
    to_regprocedure to_regrole to_regtype to_timestamp transaction_timestamp trim unnest upper version
"""
HARMLESS = frozenset(_HARMLESS.split())
#: They run SQL that is text to the parser.
_DYNAMIC = """
    connectby crosstab dblink dblink_exec dblink_open dblink_send_query query_to_xml query_to_xmlschema
    query_to_xml_and_xmlschema ts_rewrite ts_stat
"""
DYNAMIC = frozenset(_DYNAMIC.split())
_HARMLESS_SETTINGS = frozenset(
    {"lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "client_min_messages"}
)


def rows(name: str, content: Tree, view: View) -> Reasons:
    """Reasons of SELECT, INSERT, UPDATE, DELETE and MERGE, and of every one inside."""
    yield from _RULES[name](content, view)
    for inner, inside in walk(content):
        if inner in _RULES and inner != "SelectStmt":
            yield from _RULES[inner](inside, view)
    yield from calls(content, view)


def calls(tree: Any, view: View) -> Reasons:
    """Reasons of the functions that ``tree`` runs."""
    for name, content in walk(tree):
        if name == "FuncCall":
            yield from _call(strings(content.get("funcname", ())), content, view)
        elif name == "A_Expr" and len(strings(content.get("name", ()))) > 1:
            yield from _operator(".".join(strings(content["name"])))


def call(content: Tree, view: View) -> Reasons:
    """Reasons of CALL."""
    called = content["funccall"]
    yield from _call(strings(called.get("funcname", ())), called, view)
    yield from calls(called.get("args", ()), view)


def _call(parts: Sequence[str], content: Tree, view: View) -> Reasons:
    name = ".".join(parts)
    own = parts[-1] if len(parts) == 1 or parts[0] == "pg_catalog" else ""
    if parts[-1] in DYNAMIC:
        yield blocked("dynamic_sql", f"{name}() runs SQL that is text here")
    elif own == "set_config":
        yield from _set_config(content)
    elif view.scope.knows(name):
        yield from view.scope.called(name)
    elif own not in HARMLESS:
        yield review("call", f"runs {name}(), whose body is not in this file")


def fired(parts: Sequence[str], view: View) -> Reasons:
    """Reasons of what a trigger runs."""
    yield from _call(parts, {}, view)


def _operator(name: str) -> Reasons:
    if not name.startswith("pg_catalog."):
        yield review("call", f"runs the operator {name}, whose function is not in this file")


def _set_config(content: Tree) -> Reasons:
    first = (content.get("args") or [{}])[0]
    told = first.get("A_Const", {}).get("sval", {}).get("sval")
    yield from setting(str(told) if told else "")


def setting(name: str) -> Reasons:
    """Reasons of setting a parameter; an empty name is one that is not known."""
    if name == "session_replication_role":
        yield destructive("replication_role", "triggers and foreign keys do not fire after this")
    elif name not in _HARMLESS_SETTINGS:
        yield review("set", f"the statements after it run under another {name or 'setting'}")


def _select(content: Tree, view: View) -> Reasons:
    # Of a UNION the first part has it.
    first = content
    while "larg" in first:
        first = first["larg"]
    if "intoClause" in first:
        view.touch("table", relation(first["intoClause"]["rel"]))
        yield review("select_into", "makes a table without row level security; write CREATE TABLE")


def _insert(content: Tree, view: View) -> Reasons:
    if view.ours_with_rows(content["relation"]):
        return
    table = relation(content["relation"])
    conflict = content.get("onConflictClause")
    if conflict is None:
        yield review("insert", f"old code meets new rows in {table}, and a row that is there fails the file")
    elif conflict.get("action") != "ONCONFLICT_NOTHING":
        yield destructive("upsert", f"overwrites rows of {table} that are there")


def _update(content: Tree, view: View) -> Reasons:
    if view.ours_with_rows(content["relation"]):
        return
    table = relation(content["relation"])
    targets = [item["ResTarget"].get("name", "") for item in content.get("targetList", ())]
    if targets and all(view.scope.made(COLUMN, f"{table}.{name}") for name in targets):
        return  # a backfill of what this file added
    if _always(content.get("whereClause")):
        yield destructive("update_all", f"overwrites {', '.join(targets)} in every row of {table}")
    else:
        yield review(
            "update", f"overwrites {', '.join(targets)} in some rows of {table}; what they held is lost"
        )


def _delete(content: Tree, view: View) -> Reasons:
    if view.ours_with_rows(content["relation"]):
        return
    every = _always(content.get("whereClause"))
    yield destructive(
        "delete_all" if every else "delete",
        f"deletes {'every row' if every else 'rows'} of {relation(content['relation'])}",
    )


def _merge(content: Tree, view: View) -> Reasons:
    if view.ours_with_rows(content["relation"]):
        return
    kinds = {item["MergeWhenClause"].get("commandType") for item in content.get("mergeWhenClauses", ())}
    table = relation(content["relation"])
    if kinds & {"CMD_UPDATE", "CMD_DELETE"}:
        yield destructive("merge", f"overwrites or deletes rows of {table}")
    elif "CMD_INSERT" in kinds:
        yield review("merge", f"old code meets new rows in {table}")


def _always(where: Any) -> bool:
    """Whether a condition names no column, and so holds for all rows or none."""
    return where is None or not any(
        name in {"ColumnRef", "SubLink", "CurrentOfExpr"} for name, _ in walk(where)
    )


_RULES: Mapping[str, Any] = {
    "SelectStmt": _select,
    "InsertStmt": _insert,
    "UpdateStmt": _update,
    "DeleteStmt": _delete,
    "MergeStmt": _merge,
}
ROW_STATEMENTS = frozenset(_RULES)


def truncate(content: Tree, view: View) -> Iterator[Reason]:
    """Reasons of TRUNCATE."""
    for item in content.get("relations", ()):
        if content.get("behavior") == "DROP_CASCADE" or not view.ours_with_rows(item["RangeVar"]):
            yield destructive("truncate", f"empties {relation(item['RangeVar'])}, and with CASCADE more")
