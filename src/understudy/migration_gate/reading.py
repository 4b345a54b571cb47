"""One file, statement by statement: with the parser, or by first words where there is none."""

from __future__ import annotations

import re
from collections.abc import Iterator

from understudy.migration_gate.parser import SqlParser, UnparsableError
from understudy.migration_gate.scope import Scope
from understudy.migration_gate.statements import classify
from understudy.migration_gate.verdicts import Reading, Reason, Remark, StatementVerdict
from understudy.migration_gate.view import View, blocked, review
from understudy.store.statements import split_statements

#: Comments by which a linter is told to look away.
_IGNORED = re.compile(
    r"(?:--|/\*)\s*(squawk-ignore|atlas:nolint|nolint|noqa|safety-assured|(?:gate[-: ]*)?ignore)\b[^\n]*",
    re.IGNORECASE,
)
_META = re.compile(r"^\s*\\\w+[^\n]*", re.MULTILINE)
#: Without a parser, statements that begin so are taken for what they seem; the rest a person must read.
_PLAIN = re.compile(
    r"(create\s+(unique\s+)?(table|type|schema|index|sequence|extension|view|statistics|domain)"
    r"|create\s+table\s+if|alter\s+table\s+\S+\s+(add\s+column|enable\s+row\s+level|validate)"
    r"|grant|comment|alter\s+type\s+\S+\s+add\s+value)\b",
    re.IGNORECASE,
)
_HIDDEN = re.compile(r"\bdrop\b|\bnot\s+null\b(?!\s+default)|\balter\s+column\b|\brename\b", re.IGNORECASE)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


def read(text: str, parser: SqlParser) -> Reading:
    """Classify every statement of a file."""
    remarks = tuple(remarks_in(text))
    try:
        found = parser.sql(text)
    except UnparsableError as error:
        return Reading((_unparsable(text, error),), remarks)
    view = View(parser, Scope())
    statements = []
    for item in found:
        start, length = item["start"], item["length"]
        raw = text[start : start + length if length else None]
        begins = start + len(raw) - len(_code(raw))
        view.source = raw
        reasons = tuple(dict.fromkeys(classify(item["tree"], view)))
        line = text.count("\n", 0, begins) + 1
        statements.append(StatementVerdict(line, _code(raw).strip(), reasons))
    return Reading(tuple(statements), remarks, frozenset(view.touched))


def read_without_parser(text: str) -> Reading:
    """Classify by first words: nothing is opened, so all but the plainest needs a person."""
    statements = []
    for statement in split_statements(text):
        code = _COMMENT.sub(" ", statement.text).strip()
        plain = _PLAIN.match(code) and not _HIDDEN.search(code)
        reasons: tuple[Reason, ...] = ()
        if not plain:
            reasons = (
                review("not_opened", "without the parser this statement cannot be told from a harmful one"),
            )
        statements.append(StatementVerdict(statement.line_at(None), _code(statement.text).strip(), reasons))
    return Reading(tuple(statements), tuple(remarks_in(text)), reader="keywords")


def remarks_in(text: str) -> Iterator[Remark]:
    """Every comment that asks a linter to look away."""
    for found in _IGNORED.finditer(text):
        yield Remark(text.count("\n", 0, found.start()) + 1, found.group().strip())


def without_remarks(text: str) -> str:
    """Return the same text, in which no linter finds such a comment."""
    return _IGNORED.sub(lambda found: found[0].replace(found[1], "." * len(found[1])), text)


def _unparsable(text: str, error: UnparsableError) -> StatementVerdict:
    meta = _META.search(text)
    if meta is not None and error.message.endswith('"\\"'):
        at = meta.start() + len(meta.group()) - len(meta.group().lstrip())
        told = blocked("psql_command", f"{meta.group().strip()} is a command of psql, not SQL")
        return StatementVerdict(text.count("\n", 0, at) + 1, meta.group().strip(), (told,))
    at = error.at or 0
    line_start = text.rfind("\n", 0, at) + 1
    told = blocked("syntax_error", error.message)
    shown = text[line_start:].split("\n", 1)[0].strip() or text.strip()[:80]
    return StatementVerdict(text.count("\n", 0, at) + 1, shown, (told,))


def _code(text: str) -> str:
    """Return the text from its first word on."""
    at = 0
    while at < len(text):
        rest = text[at:]
        if rest[0].isspace():
            at += 1
        elif found := _COMMENT.match(rest):
            at += found.end()
        else:
            break
    return text[at:]
