"""Reading the parser's trees: names of objects, and walking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from understudy.migration_gate.parser import Tree

#: Types without a schema are Postgres's own, which the parser tells with this one.
_CATALOG = "pg_catalog"


def kind_of(tree: Tree) -> tuple[str, Tree]:
    """Split ``{"DropStmt": {...}}`` into name and content."""
    ((name, content),) = tree.items()
    return name, content


def walk(tree: Any) -> Iterator[tuple[str, Tree]]:
    """Every named node below, with its content; parents first."""
    if isinstance(tree, Mapping):
        for name, content in tree.items():
            if name[:1].isupper() and isinstance(content, Mapping):
                yield name, content
            yield from walk(content)
    elif isinstance(tree, Sequence) and not isinstance(tree, str):
        for item in tree:
            yield from walk(item)


def qualified(schema: str, name: str) -> str:
    """One spelling of a name; without a schema, as written."""
    return f"{schema}.{name}" if schema else name


def relation(content: Tree) -> str:
    """Name of a ``RangeVar``'s content."""
    return qualified(content.get("schemaname", ""), content.get("relname", ""))


def strings(items: Sequence[Tree]) -> list[str]:
    """Texts of ``String`` nodes."""
    return [item["String"]["sval"] for item in items if "String" in item]


def listed(item: Tree) -> list[str]:
    """Parts of an object's name, whatever wraps them."""
    if "List" in item:
        return strings(item["List"]["items"])
    if "TypeName" in item:
        return strings(item["TypeName"].get("names", ()))
    if "ObjectWithArgs" in item:
        return strings(item["ObjectWithArgs"].get("objname", ()))
    return strings([item])


def type_text(content: Tree) -> str:
    """Text of a ``TypeName``'s content; the same type written in two ways may have two."""
    names = [part for part in strings(content.get("names", ())) if part != _CATALOG]
    return ".".join(names) + "[]" * len(content.get("arrayBounds", ()))


def signature_made(content: Tree) -> str:
    """Name and input types of a ``CreateFunctionStmt``."""
    types = [
        type_text(parameter["FunctionParameter"]["argType"])
        for parameter in content.get("parameters", ())
        if parameter["FunctionParameter"].get("mode") not in {"FUNC_PARAM_OUT", "FUNC_PARAM_TABLE"}
    ]
    return f"{'.'.join(strings(content['funcname']))}({','.join(types)})"


def signature_named(content: Tree) -> str:
    """The same of an ``ObjectWithArgs``; without the types when the statement leaves them out."""
    name = ".".join(strings(content.get("objname", ())))
    if content.get("args_unspecified"):
        return name
    types = [type_text(item["TypeName"]) for item in content.get("objargs", ()) if "TypeName" in item]
    return f"{name}({','.join(types)})"


def options(content: Tree, key: str = "options") -> dict[str, Any]:
    """``DefElem`` options by name."""
    return {
        item["DefElem"]["defname"]: item["DefElem"].get("arg")
        for item in content.get(key, ())
        if "DefElem" in item
    }


def constraints(column: Tree) -> list[Tree]:
    """Contents of a ``ColumnDef``'s constraints."""
    return [item["Constraint"] for item in column.get("constraints", ()) if "Constraint" in item]
