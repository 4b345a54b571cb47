"""What a rule is given beside the statement: what the file made, and the parser for bodies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from understudy.migration_gate.parser import SqlParser, Tree
from understudy.migration_gate.scope import RELATION, WINDOW, Scope
from understudy.migration_gate.trees import relation
from understudy.migration_gate.verdicts import Reason, Verdict

Reasons = Iterator[Reason]


@dataclass(slots=True)
class View:
    """One file being read.

    Parameters
    ----------
    touched
        See :class:`understudy.migration_gate.verdicts.Reading`.
    source
        The whole statement's text, which opening a body needs.
    renamed
        The body being read has other names for schemas of types.
    """

    parser: SqlParser
    scope: Scope
    source: str = ""
    touched: set[tuple[str, str]] = field(default_factory=set)
    renamed: bool = False

    def inside(self) -> View:
        """Return the view of a block in this statement."""
        return View(self.parser, self.scope.inside(), self.source, self.touched, self.renamed)

    def touch(self, kind: str, name: str) -> None:
        """Note that a statement in plain sight changes ``kind`` of ``name``."""
        plain = "." not in name and " " not in name
        self.touched.add((kind, f"public.{name}" if plain else name))

    def ours(self, tree: Tree) -> bool:
        """Whether this file made the relation of a ``RangeVar``'s content."""
        return self.scope.made(RELATION, relation(tree))

    def ours_with_rows(self, tree: Tree) -> bool:
        """Whether this file made the relation, and its rows with it."""
        return self.ours(tree) and not self.scope.made(WINDOW, relation(tree))


def review(rule: str, why: str) -> Reason:
    """Return a reason that a person must look at."""
    return Reason(Verdict.REVIEW, rule, why)


def destructive(rule: str, why: str) -> Reason:
    """Return a reason that takes something away."""
    return Reason(Verdict.DESTRUCTIVE, rule, why)


def blocked(rule: str, why: str) -> Reason:
    """Return a reason that nothing can be said about."""
    return Reason(Verdict.BLOCKED, rule, why)
