"""The allow-list: which rule reads which statement. What is not in it is blocked."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from understudy.migration_gate import bodies, data, objects, tables
from understudy.migration_gate.parser import Tree
from understudy.migration_gate.trees import kind_of, strings
from understudy.migration_gate.view import Reasons, View, blocked, review

Rule = Callable[[Tree, View], Reasons]

#: Objects that a statement of DEFINE makes and nobody uses before.
_PLAIN_DEFINITIONS = frozenset({"OBJECT_COLLATION", "OBJECT_TSCONFIGURATION", "OBJECT_TSDICTIONARY"})


def classify(tree: Tree, view: View) -> Reasons:
    """Reasons of one statement; none means additive."""
    name, content = kind_of(tree)
    if name in data.ROW_STATEMENTS:
        yield from data.rows(name, content, view)
    elif name == "DoStmt":
        yield from bodies.do_block(content, view, classify)
    elif name == "CreateFunctionStmt":
        yield from bodies.function(content, view, classify)
    elif name == "CallStmt":
        yield from data.call(content, view)
    elif name == "DefineStmt":
        yield from _define(content)
    elif name == "VacuumStmt" and not content.get("is_vacuumcmd"):
        return
    elif name in RULES:
        yield from RULES[name](content, view)
    elif name in _OPAQUE:
        yield blocked("dynamic_sql", _OPAQUE[name])
    elif name == "TransactionStmt":
        yield blocked("transaction", "a migration is one transaction already")
    else:
        yield blocked("unknown_statement", f"{name} is no statement that this gate knows")


def _define(content: Tree) -> Reasons:
    name = ".".join(strings(content.get("defnames", ())))
    if content.get("replace"):
        yield review("replace", f"old code that uses {name} gets another one")
    elif content.get("kind") not in _PLAIN_DEFINITIONS:
        yield review("define", f"{name} may be taken where another one was before")


_OPAQUE = {
    "PrepareStmt": "PREPARE keeps a statement for later",
    "ExecuteStmt": "EXECUTE runs a statement that is kept elsewhere",
    "CopyStmt": "COPY reads what is not in this file",
    "LoadStmt": "LOAD runs a library",
}
RULES: Mapping[str, Rule] = {
    "CreateStmt": tables.create_table,
    "AlterTableStmt": tables.alter_table,
    "IndexStmt": tables.create_index,
    "CreateTableAsStmt": tables.create_from_query,
    "TruncateStmt": data.truncate,
    "ViewStmt": objects.create_view,
    "CreateEnumStmt": objects.create_type,
    "CompositeTypeStmt": objects.create_type,
    "CreateRangeStmt": objects.create_type,
    "CreateDomainStmt": objects.create_type,
    "CreateSchemaStmt": objects.create_schema,
    "CreateSeqStmt": objects.create_sequence,
    "CreatePolicyStmt": objects.create_policy,
    "AlterPolicyStmt": objects.alter_policy,
    "CreateTrigStmt": objects.create_trigger,
    "RuleStmt": objects.create_rule,
    "AlterEnumStmt": objects.alter_enum,
    "RenameStmt": objects.rename,
    "DropStmt": objects.drop,
    "GrantStmt": objects.grant,
    "GrantRoleStmt": objects.grant_role,
    "AlterDefaultPrivilegesStmt": objects.default_privileges,
    "VariableSetStmt": objects.variable,
    "CommentStmt": objects.comment,
    "CreateExtensionStmt": objects.comment,
    "CreateStatsStmt": objects.comment,
    "NotifyStmt": objects.comment,
    "AlterObjectSchemaStmt": objects.says(
        "set_schema", "old code asks for it in the other schema", harm=True
    ),
    "AlterOwnerStmt": objects.says("owner", "it belongs to another role"),
    "AlterFunctionStmt": objects.says("alter_function", "old code's calls run in another way"),
    "AlterDomainStmt": objects.says("alter_domain", "old code's values may be refused"),
    "AlterExtensionStmt": objects.says("alter_extension", "old code meets another version"),
    "AlterSeqStmt": objects.says("alter_sequence", "the next number is another"),
    "AlterRoleStmt": objects.says("role", "a role of the whole server changes"),
    "AlterRoleSetStmt": objects.says("role", "a role's sessions run under other settings"),
    "AlterDatabaseSetStmt": objects.says("database", "every session runs under another setting"),
    "CreateRoleStmt": objects.says("role", "makes a role of the whole server"),
    "CreateCastStmt": objects.says("cast", "old code's expressions may take it"),
    "CreateEventTrigStmt": objects.says("event_trigger", "old code's statements may run it"),
    "CreatePublicationStmt": objects.says("publication", "rows leave the database"),
    "CreateForeignTableStmt": objects.says("foreign", "reads another server"),
    "CreateFdwStmt": objects.says("foreign", "reads another server"),
    "CreateForeignServerStmt": objects.says("foreign", "reads another server"),
    "LockStmt": objects.says("lock", "everybody waits until the file ends"),
    "RefreshMatViewStmt": objects.says("refresh", "readers wait until it is built"),
    "ReindexStmt": objects.says("reindex", "writers wait until it is built"),
    "ConstraintsSetStmt": objects.says("set_constraints", "checks happen at another time"),
    "SecLabelStmt": objects.says("label", "what a label means is not known here"),
    "AlterSystemStmt": objects.says("system", "the server runs under another setting", harm=True),
    "AlterDatabaseStmt": objects.says("database", "the database itself changes", harm=True),
    "DropdbStmt": objects.says("drop_database", "a database is lost", harm=True),
    "DropRoleStmt": objects.says("drop_role", "a role is lost", harm=True),
    "DropOwnedStmt": objects.says("drop_owned", "everything that a role owns is lost", harm=True),
    "ReassignOwnedStmt": objects.says(
        "reassign_owned", "everything that a role owns is another's", harm=True
    ),
    "DropSubscriptionStmt": objects.says("drop_subscription", "a subscription is lost", harm=True),
    "DropTableSpaceStmt": objects.says("drop_tablespace", "a tablespace is lost", harm=True),
    "DropUserMappingStmt": objects.says("drop_mapping", "a user mapping is lost", harm=True),
}
