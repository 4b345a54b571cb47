"""What the gate says of a statement, and why."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """How a statement treats what was there before it, mildest first.

    ``additive`` adds beside it. ``review`` may act on old code or old rows, and a person must say that it
    does not. ``destructive`` takes away or breaks something. ``blocked`` cannot be read: nothing can be said
    of it.
    """

    ADDITIVE = "additive"
    REVIEW = "review"
    DESTRUCTIVE = "destructive"
    BLOCKED = "blocked"

    @property
    def rank(self) -> int:
        """Position, mildest first."""
        return list(Verdict).index(self)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of ``verdicts``; additive when there is none."""
    return max(verdicts, key=lambda one: one.rank, default=Verdict.ADDITIVE)


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that a statement does.

    Parameters
    ----------
    rule
        Name of the rule that found it, ``drop_column``.
    why
        What it means for the database, in one line.
    """

    verdict: Verdict
    rule: str
    why: str


@dataclass(frozen=True, slots=True)
class StatementVerdict:
    """One statement of a file.

    Parameters
    ----------
    line
        Line of the file, from 1.
    accepted
        Why a person accepted it, or empty; only ``review`` and ``blocked`` can be.
    """

    line: int
    text: str
    reasons: tuple[Reason, ...]
    accepted: str = ""

    @property
    def verdict(self) -> Verdict:
        """The worst of its reasons."""
        return worst(reason.verdict for reason in self.reasons)

    @property
    def digest(self) -> str:
        """Twelve digits that stand for the statement's text, white space aside."""
        return hashlib.sha256(" ".join(self.text.split()).encode()).hexdigest()[:12]

    @property
    def headline(self) -> str:
        """The beginning of the statement, on one line."""
        line = " ".join(self.text.split())
        return line if len(line) <= 90 else f"{line[:87]}..."


@dataclass(frozen=True, slots=True)
class Remark:
    """A comment that asks a linter to look away; it is told and not obeyed."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading one file gave.

    Parameters
    ----------
    touched
        ``(kind, object)`` that statements in plain sight change: a catalog that changed elsewhere was changed
        by something hidden.
    reader
        ``parser``, or ``keywords`` where there was none.
    """

    statements: tuple[StatementVerdict, ...]
    remarks: tuple[Remark, ...] = ()
    touched: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    reader: str = "parser"

    @property
    def verdict(self) -> Verdict:
        """The worst of its statements."""
        return worst(statement.verdict for statement in self.statements)
