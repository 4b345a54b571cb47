"""Opening what a statement carries inside: DO blocks, and bodies of functions in SQL and PL/pgSQL.

A DO block runs; each statement in it counts as if it stood in the file. A function's body runs when it is
called: in this file, and then it counts as well, or later by code that knows it, and then only what no
function should do is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from understudy.migration_gate.data import calls
from understudy.migration_gate.parser import Tree, UnparsableError
from understudy.migration_gate.scope import FUNCTION
from understudy.migration_gate.trees import kind_of, options, signature_made, strings
from understudy.migration_gate.verdicts import Verdict
from understudy.migration_gate.view import Reasons, View, blocked, review

Classify = Callable[[Tree, View], Reasons]

#: How PL/pgSQL reads an expression (``RawParseMode``): a statement, an expression, or an assignment.
_STATEMENT, _EXPRESSION = 0, 2
_ASSIGNED = re.compile(r"""^\s*(?:"[^"]+"|[\w$.])+\s*(?:\[[^\]]*\]\s*)*(?:\.\s*[\w$]+\s*)*(?::=|=)""")

#: Stands for the dot of ``schema.type`` while a body is opened.
_DOT = "__dot__"
_BEGIN = re.compile(r"\bbegin\b", re.IGNORECASE)
_RENAMED = re.compile(rf"\bpublic\.(\w+?){_DOT}")
#: Schemas of types in a signature and in declarations.
_TYPED = re.compile(
    r"""(?:\b[a-z_]\w*|[(,])\s+(?:constant\s+|setof\s+)?([a-z_]\w*)\.[a-z_]\w*""", re.IGNORECASE
)

#: Statements of PL/pgSQL whose parts are looked at one by one; another one blocks.
_NAMES = """
    stmt_assert stmt_assign stmt_block stmt_call stmt_case stmt_close stmt_execsql stmt_exit stmt_fetch
    stmt_forc stmt_foreach_a stmt_fori stmt_fors stmt_getdiag stmt_if stmt_loop stmt_open stmt_perform
    stmt_raise stmt_return stmt_return_next stmt_return_query stmt_while function expr var rec row recfield
    type exception_block exception condition diag_item if_elsif case_when raise_option
"""
_KNOWN = frozenset(f"PLpgSQL_{name}" for name in _NAMES.split())
_DYNAMIC = frozenset({"PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors"})
#: Lists of statements that run together or not at all.
_BRANCHES = frozenset({"body", "then_body", "else_body", "stmts", "else_stmts", "action"})
#: What a function may do when it is called later; the rest is told even where it is only defined.
_LATER = frozenset({"insert", "update", "delete", "merge", "upsert", "call", "set"})


def do_block(content: Tree, view: View, classify: Classify) -> Reasons:
    """Reasons of DO: of everything in its body."""
    told = options(content, "args")
    language = _text(told.get("language")) or "plpgsql"
    if language != "plpgsql":
        yield blocked("opaque_body", f"a body in {language} cannot be opened")
        return
    yield from _plpgsql(view.source, view.inside(), classify)


def function(content: Tree, view: View, classify: Classify) -> Reasons:
    """Reasons of CREATE FUNCTION and CREATE PROCEDURE."""
    signature = signature_made(content)
    name = ".".join(strings(content["funcname"]))
    view.touch("function", name)
    inside = tuple(_body(content, view, classify))
    if content.get("replace") and not view.scope.made_function(signature):
        yield review("replace_function", f"old code that calls {name}() gets another one")
    elif not content.get("replace"):
        view.scope.make(FUNCTION, signature)
    # Of two functions of one name either may be meant by a call.
    called = tuple(replace(one, why=f"calls {name}(): {one.why}") for one in inside)
    view.scope.bodies[name] = (*view.scope.bodies.get(name, ()), *called)
    for reason in inside:
        if reason.verdict is Verdict.BLOCKED:
            yield replace(reason, rule=f"body:{reason.rule}")
        elif reason.rule not in _LATER:
            yield review(f"body:{reason.rule}", f"{name}() does this when it is called: {reason.why}")


def _body(content: Tree, view: View, classify: Classify) -> Reasons:
    told = options(content)
    language = (_text(told.get("language")) or "sql").lower()
    if "sql_body" in content:
        yield from _trees(_bare(content["sql_body"]), view.inside(), classify)
    elif language == "plpgsql":
        yield from _plpgsql(view.source, view.inside(), classify)
    elif language == "sql":
        yield from _sql(_text(told.get("as")), view.inside(), classify)
    else:
        yield blocked("opaque_body", f"a body in {language} cannot be opened")


def _bare(tree: Any) -> list[Tree]:
    """Statements of BEGIN ATOMIC: lists in a list; or one RETURN."""
    if isinstance(tree, Mapping):
        if set(tree) == {"List"}:
            return [inside for item in tree["List"].get("items", ()) for inside in _bare(item)]
        return [tree]
    return []


def _trees(trees: Sequence[Tree], view: View, classify: Classify) -> Reasons:
    for tree in trees:
        if set(tree) == {"ReturnStmt"}:
            yield from calls(tree, view)
        else:
            yield from classify(tree, view)


def _sql(text: str, view: View, classify: Classify) -> Reasons:
    try:
        statements = view.parser.sql(text)
    except UnparsableError as error:
        yield blocked("unreadable_body", f"a body in sql cannot be opened: {error.message}")
        return
    for statement in statements:
        begin, length = statement["start"], statement["length"]
        view.source = text[begin : begin + length if length else None]
        yield from classify(statement["tree"], view)


def _plpgsql(source: str, view: View, classify: Classify) -> Reasons:
    try:
        found = _opened(source, view)
    except UnparsableError as error:
        yield blocked("unreadable_body", f"a body in plpgsql cannot be opened: {error.message}")
        return
    yield from _node(found, view, classify)


def _opened(source: str, view: View) -> list[Tree]:
    """Open a body; types outside ``public`` and ``pg_catalog``, which the parser lacks, get a name there."""
    try:
        return view.parser.plpgsql(source)
    except UnparsableError as error:
        if "LookupExplicitNamespace" not in error.message or _DOT in source:
            raise
    declared = _BEGIN.split(source, maxsplit=1)[0]
    schemas = {name for name in _TYPED.findall(declared) if name not in {"public", "pg_catalog"}}
    pattern = re.compile(rf"(?<![\w$.\"'])({'|'.join(sorted(map(re.escape, schemas)))})\.(?=\w)")
    view.renamed = True
    return view.parser.plpgsql(pattern.sub(rf"public.\1{_DOT}", source) if schemas else source)


def _node(tree: Any, view: View, classify: Classify) -> Reasons:
    """Walk a body in order; a branch sees what was made before it, and what it makes ends with it."""
    if isinstance(tree, Mapping):
        for name, content in tree.items():
            if name in _DYNAMIC:
                yield blocked("dynamic_sql", "EXECUTE runs SQL that is text here")
            elif name == "dynquery":
                yield blocked("dynamic_sql", "a query is made from text")
            elif name.startswith("PLpgSQL_") and name not in _KNOWN:
                yield blocked("unknown_statement", f"{name} is nothing that this gate knows")
            if name == "PLpgSQL_expr":
                yield from _expression(content, view, classify)
            else:
                yield from _node(content, view.inside() if name in _BRANCHES else view, classify)
    elif isinstance(tree, Sequence) and not isinstance(tree, str):
        for item in tree:
            yield from _node(item, view, classify)


def _expression(content: Tree, view: View, classify: Classify) -> Reasons:
    text, mode = str(content.get("query", "")), int(content.get("parseMode", _STATEMENT))
    if view.renamed:
        text = _RENAMED.sub(r"\1.", text)
    if mode == _EXPRESSION:
        text = f"SELECT {text}"
    elif mode != _STATEMENT:
        text, count = _ASSIGNED.subn("SELECT ", text, count=1)
        if not count:
            yield blocked("unreadable_body", "an assignment in the body cannot be read")
            return
    yield from _sql(text, view, classify)


def _text(argument: Any) -> str:
    """Text of a ``DefElem``'s argument: a string, or a list of them (``as`` of a C function has two)."""
    if not isinstance(argument, Mapping):
        return ""
    node, content = kind_of(argument)
    if node == "String":
        return str(content["sval"])
    return "\n".join(strings(content.get("items", ())))
