"""Splitting an SQL file into statements, so that a failing one can be named and history can keep each."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: What may hold a semicolon without ending a statement, and the semicolon itself. Block comments nest and
#: dollar quotes name their own end, so these two are only recognised here and skipped by hand.
_TOKEN = re.compile(
    r"""
      (?P<line_comment>--[^\n]*)
    | (?P<block_comment>/\*)
    | (?P<escape_string>(?<![\w$])[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z))
    | (?P<string>'(?:[^']|'')*(?:'|\Z))
    | (?P<name>"(?:[^"]|"")*(?:"|\Z))
    | (?P<dollar>(?<![\w$])\$(?:[A-Za-z_\u0080-\U0010ffff][\w\u0080-\U0010ffff]*)?\$)
    | (?P<end>;)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK = re.compile(r"/\*|\*/")
_COMMENT = re.compile(r"--[^\n]*")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement without its semicolon.

    Parameters
    ----------
    line
        Line of the file its text begins on, from 1; leading comments belong to the text.
    """

    text: str
    line: int

    def line_at(self, position: int | None) -> int:
        """Line of the file of ``position`` (from 1, as Postgres counts characters) within the text."""
        return self.line + (self.text[: position - 1].count("\n") if position else self._comment_lines())

    @property
    def keyword(self) -> str:
        """First word, in upper case."""
        code = self.text[_code_starts(self.text) :].split(None, 1)
        return code[0].upper() if code else ""

    def _comment_lines(self) -> int:
        return self.text[: _code_starts(self.text)].count("\n")


def split_statements(source: str) -> list[Statement]:
    """Split ``source`` at the semicolons outside quotes and comments; pieces without code are dropped."""
    found: list[Statement] = []
    start = at = 0
    while match := _TOKEN.search(source, at):
        at = match.end()
        if match.lastgroup == "block_comment":
            at = _after_block(source, at)
        elif match.lastgroup == "dollar":
            closing = source.find(match.group(), at)
            at = len(source) if closing < 0 else closing + len(match.group())
        elif match.lastgroup == "end":
            _append(found, source, start, match.start())
            start = at
    _append(found, source, start, len(source))
    return found


def _append(found: list[Statement], source: str, start: int, end: int) -> None:
    text = source[start:end]
    if _code_starts(text) < len(text):
        begins = start + len(text) - len(text.lstrip())
        found.append(Statement(text.strip(), source.count("\n", 0, begins) + 1))


def _after_block(source: str, at: int) -> int:
    depth = 1
    while depth and (match := _BLOCK.search(source, at)):
        depth += 1 if match.group() == "/*" else -1
        at = match.end()
    return at if depth == 0 else len(source)


def _code_starts(text: str) -> int:
    """Index of the first character that is neither space nor comment."""
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif match := _COMMENT.match(text, at):
            at = match.end()
        elif text.startswith("/*", at):
            at = _after_block(text, at + 2)
        else:
            break
    return at
