"""Everything with a name that is no table: views, types, policies, triggers, rules, grants; and drops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from understudy.migration_gate.data import calls, fired, setting
from understudy.migration_gate.parser import Tree
from understudy.migration_gate.scope import COLUMN, FUNCTION, PART, RELATION, SCHEMA, TYPE, WINDOW
from understudy.migration_gate.trees import (
    kind_of,
    listed,
    relation,
    signature_named,
    strings,
)
from understudy.migration_gate.verdicts import Reason
from understudy.migration_gate.view import Reasons, View, destructive, review

#: Roles that are everybody, or every visitor or tenant of a Supabase project.
_EVERYBODY = frozenset({"anon", "authenticated", "public"})
_RELATIONS = frozenset(
    {
        "OBJECT_TABLE",
        "OBJECT_VIEW",
        "OBJECT_MATVIEW",
        "OBJECT_INDEX",
        "OBJECT_SEQUENCE",
        "OBJECT_FOREIGN_TABLE",
    }
)
_FUNCTIONS = frozenset({"OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE", "OBJECT_AGGREGATE"})
_TYPES = frozenset({"OBJECT_TYPE", "OBJECT_DOMAIN"})
_PARTS = frozenset({"OBJECT_TRIGGER", "OBJECT_POLICY", "OBJECT_RULE", "OBJECT_TABCONSTRAINT"})


def create_view(content: Tree, view: View) -> Reasons:
    """Reasons of CREATE VIEW."""
    name = relation(content["view"])
    view.touch("view", name)
    if content.get("replace") and not view.scope.made(RELATION, name):
        yield review("replace_view", f"old code that reads {name} gets another answer")
    elif not content.get("replace"):
        view.scope.make(RELATION, name)
    view.scope.make(WINDOW, name)


def create_type(content: Tree, view: View) -> Reasons:
    """Reasons of CREATE TYPE, of every sort, and of CREATE DOMAIN."""
    named = content.get("typeName") or content.get("domainname") or ()
    name = relation(content["typevar"]) if "typevar" in content else ".".join(strings(named))
    view.touch("type", name)
    view.scope.make(TYPE, name)
    yield from calls(content.get("constraints", ()), view)


def create_schema(content: Tree, view: View) -> Reasons:
    """Reasons of CREATE SCHEMA with what it contains."""
    if not content.get("if_not_exists"):
        view.scope.make(SCHEMA, content.get("schemaname", ""))
    if content.get("schemaElts"):
        yield review("schema_elements", "write what the schema holds as statements of their own")


def create_sequence(content: Tree, view: View) -> Reasons:
    """Reasons of CREATE SEQUENCE."""
    if not content.get("if_not_exists"):
        view.scope.make(RELATION, relation(content["sequence"]))
    yield from ()


def create_policy(content: Tree, view: View) -> Reasons:
    """Reasons of CREATE POLICY: a policy on an old table changes what tenants see."""
    table = relation(content["table"])
    view.touch("policy", table)
    view.scope.make(PART, f"{table} {content['policy_name']}")
    if view.ours(content["table"]):
        return
    if content.get("permissive"):
        yield review("policy", f"opens rows of {table} to {', '.join(_roles(content.get('roles', ())))}")
    else:
        yield review("restrictive_policy", f"hides rows of {table} from old code")


def alter_policy(content: Tree, view: View) -> Reasons:
    """Reasons of ALTER POLICY."""
    table = relation(content["table"])
    view.touch("policy", table)
    if not view.scope.made(PART, f"{table} {content['policy_name']}"):
        yield destructive("alter_policy", f"who sees which rows of {table} is not as before")


def create_trigger(content: Tree, view: View) -> Reasons:
    """Reasons of CREATE TRIGGER."""
    table, function = relation(content["relation"]), strings(content["funcname"])
    view.touch("trigger", table)
    if not content.get("replace"):
        view.scope.make(PART, f"{table} {content['trigname']}")
    old = not view.ours(content["relation"])
    if old:
        yield review("trigger", f"old code's writes to {table} run {'.'.join(function)}()")
    # Also on a table of this file: a row that the file puts there fires it.
    if not old or view.scope.knows(".".join(function)):
        yield from fired(function, view)


def create_rule(content: Tree, view: View) -> Reasons:
    """Reasons of CREATE RULE."""
    table = relation(content["relation"])
    view.touch("rule", table)
    if content.get("instead") and not view.ours(content["relation"]):
        yield destructive("instead_rule", f"old code's statements on {table} do something else")
    else:
        yield review("rule", f"statements on {table} do more than they say")


def alter_enum(content: Tree, view: View) -> Reasons:
    """Reasons of ALTER TYPE ... ADD VALUE and RENAME VALUE."""
    name = ".".join(strings(content["typeName"]))
    view.touch("type", name)
    if "oldVal" in content and not view.scope.made(TYPE, name):
        yield destructive("rename_label", f"old code writes {content['oldVal']}, which {name} lacks then")


def rename(content: Tree, view: View) -> Reasons:
    """Reasons of RENAME, of whatever."""
    kind = content["renameType"]
    name = relation(content["relation"]) if "relation" in content else ""
    if "object" in content:
        name = ".".join(listed(content["object"]))
    part = content.get("subname", "")
    if kind in _FUNCTIONS and view.scope.made_function(signature_named(content["object"]["ObjectWithArgs"])):
        return
    of_part = kind in _PARTS or kind in {"OBJECT_COLUMN", "OBJECT_ATTRIBUTE"}
    if of_part and (view.scope.made(RELATION, name) or view.scope.made(COLUMN, f"{name}.{part}")):
        view.scope.drop(COLUMN, f"{name}.{part}")
        return
    for sort in (RELATION, TYPE, SCHEMA):
        if not of_part and view.scope.made(sort, name or part):
            view.scope.drop(sort, name or part)
            return
    told = kind.removeprefix("OBJECT_").lower()
    old = f"{name}.{part}" if name and part else name or part
    yield destructive(f"rename_{told}", f"old code asks for {old}")


def drop(content: Tree, view: View) -> Reasons:
    """Reasons of DROP, of whatever."""
    kind = content["removeType"]
    for item in content.get("objects", ()):
        parts = listed(item)
        name = ".".join(parts)
        view.touch("drop", ".".join(parts[:-1]) if kind in _PARTS else name)
        if _was_made(kind, item, parts, view):
            continue
        told = kind.removeprefix("OBJECT_").lower()
        yield destructive(f"drop_{told}", f"{told.replace('_', ' ')} {name} is lost")


def _was_made(kind: str, item: Tree, parts: list[str], view: View) -> bool:
    name, scope = ".".join(parts), view.scope
    sort, key = RELATION, name
    if kind in _FUNCTIONS:
        signature = signature_named(item["ObjectWithArgs"])
        made = scope.made_function(signature)
        scope.drop(FUNCTION, signature)
        return made
    if kind in _PARTS:
        sort, key = PART, f"{'.'.join(parts[:-1])} {parts[-1]}"
        if scope.made(RELATION, ".".join(parts[:-1])):
            return True
    elif kind in _TYPES:
        sort = TYPE
    elif kind == "OBJECT_SCHEMA":
        sort = SCHEMA
    elif kind not in _RELATIONS:
        return False
    made = scope.made(sort, key)
    scope.drop(sort, key)
    return made


def grant(content: Tree, view: View) -> Reasons:
    """Reasons of GRANT and REVOKE."""
    given = bool(content.get("is_grant"))
    names = [(name, made) for name, made in _granted(content, view)]
    for name, _ in names:
        view.touch("grant", name)
    old = [name for name, made in names if not made]
    if not old:
        return
    whom = _roles(content.get("grantees", ()))
    told = f"{', '.join(old)}"
    if not given:
        yield destructive("revoke", f"{', '.join(whom)} may not do on {told} what was allowed")
    elif set(whom) & _EVERYBODY:
        yield review("grant_everybody", f"opens {told} to {', '.join(whom)}")
    elif content.get("grant_option"):
        yield review("grant_option", f"{', '.join(whom)} may pass rights on {told} on")


def _granted(content: Tree, view: View) -> Iterator[tuple[str, bool]]:
    every = content.get("targtype") != "ACL_TARGET_OBJECT"
    for item in content.get("objects", ()):
        node, inside = kind_of(item)
        if every:
            yield f"everything in {'.'.join(listed(item))}", False
        elif node == "RangeVar":
            yield relation(inside), view.ours(inside)
        elif node == "ObjectWithArgs":
            signature = signature_named(inside)
            yield signature, view.scope.made_function(signature)
        else:
            name = ".".join(listed(item))
            yield name, view.scope.made(SCHEMA, name) or view.scope.made(TYPE, name)


def grant_role(content: Tree, view: View) -> Reasons:  # noqa: ARG001  (a rule's signature)
    """Reasons of GRANT and REVOKE of a role."""
    if content.get("is_grant"):
        yield review("grant_role", "a role may do what another may")
    else:
        yield destructive("revoke_role", "a role may not do any more what another may")


def default_privileges(content: Tree, view: View) -> Reasons:  # noqa: ARG001  (a rule's signature)
    """Reasons of ALTER DEFAULT PRIVILEGES."""
    yield review("default_privileges", "objects made from here on get other rights")


def variable(content: Tree, view: View) -> Reasons:  # noqa: ARG001  (a rule's signature)
    """Reasons of SET and RESET."""
    yield from setting(content.get("name", "every setting"))


def comment(content: Tree, view: View) -> Reasons:
    """Reasons of COMMENT: none."""
    del content, view
    yield from ()


def says(rule: str, why: str, *, harm: bool = False) -> Callable[[Tree, View], Reasons]:
    """Return the rule that gives this one reason."""
    reason: Reason = (destructive if harm else review)(rule, why)

    def given(content: Tree, view: View) -> Reasons:  # noqa: ARG001  (a rule's signature)
        yield reason

    return given


def _roles(items: Sequence[Tree]) -> list[str]:
    return [item["RoleSpec"].get("rolename", "public") for item in items if "RoleSpec" in item] or ["public"]
