"""CREATE TABLE, ALTER TABLE and CREATE INDEX."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from understudy.migration_gate.data import ROW_STATEMENTS, calls, rows
from understudy.migration_gate.parser import Tree
from understudy.migration_gate.scope import COLUMN, PART, RELATION, WINDOW
from understudy.migration_gate.trees import (
    constraints,
    kind_of,
    qualified,
    relation,
    strings,
    type_text,
    walk,
)
from understudy.migration_gate.verdicts import Reason
from understudy.migration_gate.view import Reasons, View, blocked, destructive, review

#: What fills a new column of every row with one value, so that the table is not written again.
_STABLE = frozenset({"now", "current_setting", "statement_timestamp", "transaction_timestamp", "timezone"})
_COUNTED_TYPES = frozenset({"serial", "serial4", "bigserial", "serial8", "smallserial", "serial2"})
_KEEPS_CHILDREN = frozenset({"c", "n"})
_FILLS = {"CONSTR_DEFAULT", "CONSTR_GENERATED", "CONSTR_IDENTITY"}


def create_table(content: Tree, view: View) -> Reasons:
    """Reasons of CREATE TABLE."""
    name = relation(content["relation"])
    view.touch("table", name)
    temporary = content["relation"].get("relpersistence") == "t"
    for parent in content.get("inhRelations", ()):
        if not view.ours(parent["RangeVar"]):
            view.touch("partition", relation(parent["RangeVar"]))
            yield review("inherits", f"queries of {relation(parent['RangeVar'])} see its rows too")
    for inner, inside in walk(content.get("tableElts", [])):
        if inner == "Constraint":
            yield from _reference(inside, name, view)
    # Defaults and checks run for each row that the file puts there.
    yield from calls(content.get("tableElts", []), view)
    if not content.get("if_not_exists") and not temporary:
        view.scope.make(RELATION, name)
        for item in content.get("tableElts", ()):
            if "ColumnDef" in item:
                view.scope.make(COLUMN, f"{name}.{item['ColumnDef']['colname']}")


def _reference(constraint: Tree, table: str, view: View) -> Reasons:
    """Old code that deletes a parent does not know the new child rows that hold it."""
    if constraint.get("contype") != "CONSTR_FOREIGN" or "pktable" not in constraint:
        return
    parent = relation(constraint["pktable"])
    if view.scope.made(RELATION, parent) or parent == table:
        return
    if constraint.get("fk_del_action") not in _KEEPS_CHILDREN:
        yield review(
            "reference",
            f"old code cannot delete a row of {parent} that {table} refers to; say what ON DELETE does",
        )


def create_index(content: Tree, view: View) -> Reasons:
    """Reasons of CREATE INDEX."""
    table = relation(content["relation"])
    name = content.get("idxname", "")
    view.touch("index", table)
    yield from calls([content.get("indexParams", []), content.get("whereClause", {})], view)
    if not content.get("if_not_exists") and name:
        view.scope.make(RELATION, qualified(content["relation"].get("schemaname", ""), name))
    if not content.get("unique") or view.ours(content["relation"]):
        return
    columns = [item["IndexElem"].get("name", "") for item in content.get("indexParams", ())]
    new = columns and all(view.scope.made(COLUMN, f"{table}.{column}") for column in columns)
    if not new or content.get("nulls_not_distinct"):
        yield review("unique", f"old code's rows in {table} may be refused as duplicates")


def create_from_query(content: Tree, view: View) -> Reasons:
    """Reasons of CREATE TABLE AS and CREATE MATERIALIZED VIEW: the query runs."""
    name = relation(content["into"]["rel"])
    view.touch("table", name)
    query, inside = kind_of(content["query"])
    if query in ROW_STATEMENTS:
        yield from rows(query, inside, view)
    else:
        yield blocked("dynamic_sql", f"{query} runs what is kept elsewhere")
    if not content.get("if_not_exists"):
        view.scope.make(RELATION, name)


def alter_table(content: Tree, view: View) -> Reasons:
    """Reasons of each command of ALTER TABLE; one that is not listed blocks."""
    table = relation(content["relation"])
    for item in content.get("cmds", ()):
        command = item["AlterTableCmd"]
        kind = command["subtype"]
        touched = _TOUCHES.get(kind, "table")
        view.touch(touched, table)
        if kind == "AT_AddColumn":
            yield from _add_column(command, table, view, ours=view.ours(content["relation"]))
        elif kind == "AT_DropColumn" and view.scope.made(COLUMN, f"{table}.{command.get('name')}"):
            view.scope.drop(COLUMN, f"{table}.{command.get('name')}")
        elif kind == "AT_DropConstraint" and view.scope.made(PART, f"{table} {command.get('name')}"):
            view.scope.drop(PART, f"{table} {command.get('name')}")
        elif kind in _HARMLESS_COMMANDS:
            continue
        elif kind in _COMMANDS:
            yield from _command(kind, command, table, view, ours=view.ours(content["relation"]))
        else:
            yield blocked("unknown_command", f"{kind} is no command that this gate knows")


def _command(kind: str, command: Tree, table: str, view: View, *, ours: bool) -> Reasons:
    if kind == "AT_AddConstraint":
        constraint = command.get("def", {}).get("Constraint", {})
        yield from calls(constraint, view)
        yield from _reference(constraint, table, view)
        view.scope.make(PART, f"{table} {constraint.get('conname', '')}")
    if kind == "AT_AttachPartition":
        view.scope.make(WINDOW, table)
    if kind == "AT_AddInherit":
        view.scope.make(WINDOW, relation(command["def"]["RangeVar"]))
    if ours and kind not in {"AT_AttachPartition", "AT_AddInherit"}:
        return
    if kind == "AT_ColumnDefault":
        column = f"{table}.{command.get('name')}"
        if "def" not in command:
            yield destructive("drop_default", f"old code's rows get null in {column}")
        elif not view.scope.made(COLUMN, column):
            yield review("set_default", f"old code's rows get another value in {column}")
        return
    if kind in {"AT_SetNotNull", "AT_AlterColumnType"} and view.scope.made(
        COLUMN, f"{table}.{command.get('name')}"
    ):
        yield review("new_column", f"{table}.{command.get('name')} is new, and old code does not fill it")
        return
    yield _COMMANDS[kind](table, str(command.get("name", "")))


def _add_column(command: Tree, table: str, view: View, *, ours: bool) -> Reasons:
    column = command["def"]["ColumnDef"]
    name = f"{table}.{column['colname']}"
    yield from calls(column, view)
    if not command.get("missing_ok"):
        view.scope.make(COLUMN, name)
    if ours:
        return
    found = {constraint.get("contype"): constraint for constraint in constraints(column)}
    for constraint in constraints(column):
        view.touch("constraint", table)
        yield from _reference(constraint, table, view)
    counted = type_text(column.get("typeName", {})) in _COUNTED_TYPES
    filled = counted or bool(_FILLS & found.keys())
    if "CONSTR_PRIMARY" in found:
        yield destructive("primary_key", f"{name} as the primary key: old code's rows lack it")
    elif "CONSTR_NOTNULL" in found and not filled:
        yield destructive("add_required_column", f"old code's rows are refused: {name} has no value for them")
    if "CONSTR_UNIQUE" in found and filled:
        yield review("unique", f"{name} has one value for every old row")
    if counted or found.keys() & {"CONSTR_IDENTITY", "CONSTR_GENERATED"}:
        yield review("rewrite", f"writes all of {table} again, under a lock that stops everybody")
    elif "CONSTR_DEFAULT" in found:
        yield from _default(found["CONSTR_DEFAULT"].get("raw_expr", {}), table)


def _default(expression: Tree, table: str) -> Reasons:
    """A default that may differ from row to row is computed for each row there is."""
    called = [
        ".".join(strings(inside.get("funcname", ()))).removeprefix("pg_catalog.")
        for inner, inside in walk(expression)
        if inner == "FuncCall"
    ]
    told = [one for one in called if one not in _STABLE]
    if told:
        yield review("rewrite", f"{told[0]}() may fill each row anew: writes all of {table} again")


def _says(rule: str, why: str, *, harm: bool) -> Callable[[str, str], Reason]:
    make = destructive if harm else review
    return lambda table, name: make(rule, why.format(table=table, name=name))


_HARMLESS_COMMANDS = frozenset(
    {"AT_ValidateConstraint", "AT_SetStatistics", "AT_SetStorage", "AT_SetCompression", "AT_ReplicaIdentity"}
)
_COMMANDS: Mapping[str, Callable[[str, str], Reason]] = {
    "AT_DropColumn": _says("drop_column", "{table}.{name} and what it holds is lost", harm=True),
    "AT_SetNotNull": _says("set_not_null", "old code's rows without {name} are refused", harm=True),
    "AT_DropNotNull": _says("drop_not_null", "old code may meet null in {table}.{name}", harm=False),
    "AT_AlterColumnType": _says("alter_type", "{table}.{name} becomes another type, rewritten", harm=True),
    "AT_ColumnDefault": _says("set_default", "the default of {table}.{name} changes", harm=False),
    "AT_AddConstraint": _says("add_constraint", "old code's rows in {table} may be refused", harm=False),
    "AT_AddIndexConstraint": _says("add_constraint", "old code's rows in {table} may be refused", harm=False),
    "AT_AlterConstraint": _says("alter_constraint", "{table} is checked at another time", harm=False),
    "AT_DropConstraint": _says("drop_constraint", "{table} may hold what {name} kept out", harm=True),
    "AT_DropExpression": _says("drop_expression", "{table}.{name} is not computed any more", harm=True),
    "AT_SetExpression": _says("set_expression", "{table}.{name} is computed anew", harm=True),
    "AT_AddIdentity": _says("identity", "{table}.{name} is filled by a counter", harm=False),
    "AT_SetIdentity": _says("identity", "{table}.{name} is filled in another way", harm=False),
    "AT_DropIdentity": _says("drop_identity", "old code's rows lack {table}.{name}", harm=True),
    "AT_EnableRowSecurity": _says("enable_rls", "old code sees rows of {table} by policies only", harm=False),
    "AT_ForceRowSecurity": _says("force_rls", "the owner sees rows of {table} by policies only", harm=False),
    "AT_DisableRowSecurity": _says("disable_rls", "every tenant's rows of {table} lie open", harm=True),
    "AT_NoForceRowSecurity": _says("no_force_rls", "policies of {table} bind its owner no more", harm=True),
    "AT_ChangeOwner": _says("owner", "{table} belongs to another role", harm=False),
    "AT_EnableTrig": _says("enable_trigger", "writes to {table} fire {name}", harm=False),
    "AT_EnableTrigAll": _says("enable_trigger", "writes to {table} fire every trigger", harm=False),
    "AT_EnableTrigUser": _says("enable_trigger", "writes to {table} fire every trigger", harm=False),
    "AT_EnableAlwaysTrig": _says("enable_trigger", "writes to {table} fire {name}", harm=False),
    "AT_EnableReplicaTrig": _says("disable_trigger", "{name} of {table} fires on replicas only", harm=True),
    "AT_DisableTrig": _says("disable_trigger", "{name} of {table} does not fire any more", harm=True),
    "AT_DisableTrigAll": _says("disable_trigger", "no trigger of {table} fires any more", harm=True),
    "AT_DisableTrigUser": _says("disable_trigger", "no trigger of {table} fires any more", harm=True),
    "AT_DisableRule": _says("disable_rule", "{name} of {table} does not act any more", harm=True),
    "AT_AttachPartition": _says("attach", "queries of {table} see its rows too", harm=False),
    "AT_DetachPartition": _says("detach", "rows of a partition are not in {table} any more", harm=True),
    "AT_AddInherit": _says("inherit", "queries of its parent see rows of {table}", harm=False),
    "AT_DropInherit": _says("detach", "rows of {table} are not in its parent any more", harm=True),
    "AT_SetRelOptions": _says("options", "{table} gets other options", harm=False),
    "AT_ResetRelOptions": _says("options", "{table} gets other options", harm=False),
    "AT_SetLogged": _says("rewrite", "writes all of {table} again", harm=False),
    "AT_SetUnLogged": _says("unlogged", "a crash empties {table}", harm=True),
    "AT_SetTableSpace": _says("rewrite", "writes all of {table} again", harm=False),
}
_TOUCHES = {
    "AT_AddColumn": "column",
    "AT_DropColumn": "column",
    "AT_ColumnDefault": "column",
    "AT_SetNotNull": "column",
    "AT_DropNotNull": "column",
    "AT_AlterColumnType": "column",
    "AT_AddIdentity": "column",
    "AT_SetIdentity": "column",
    "AT_AddConstraint": "constraint",
    "AT_AddIndexConstraint": "constraint",
    "AT_AlterConstraint": "constraint",
    "AT_ValidateConstraint": "constraint",
    "AT_AttachPartition": "partition",
    "AT_EnableTrig": "trigger",
    "AT_DisableTrig": "trigger",
    "AT_ChangeOwner": "table",
}
