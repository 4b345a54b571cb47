"""Verifying a report: everything in it is derived again, from its sources and the journal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from understudy.errors import ValidationError
from understudy.logs import Redactor
from understudy.restoration.report.document import cleaned, compose, mapping_of, plain, spelled
from understudy.restoration.report.markdown import to_markdown
from understudy.restoration.report.rows import Row, chain_problems, read_rows
from understudy.store.journal import digest

MOST_PROBLEMS = 20
#: What an incident's row says for ever, whatever state it is in when the report is written.
UNCHANGING = ("id", "environment", "title", "opened_at", "owner")


@dataclass(frozen=True, slots=True)
class ReportVerdict:
    """Whether a report is what the journal says; ``problems`` is empty then, one sentence each otherwise."""

    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify_report(
    report: str | bytes,
    journal: Iterable[Row],
    *,
    markdown: str | None = None,
    incident: Any | None = None,
    redactor: Redactor | None = None,
) -> ReportVerdict:
    """Recompute every figure and hash of a report; one altered byte is found.

    Parameters
    ----------
    report
        The JSON file, as it was written.
    journal
        The incident's rows, or the whole journal; rows after the report was written are left out.
    markdown
        The Markdown file, to be compared as well.
    incident
        The incident's row, to compare what no journal row holds (its environment).
    redactor
        The one the report was written with.
    """
    try:
        document = json.loads(report)
        text = report.decode() if isinstance(report, bytes) else report
        if not isinstance(document, dict):
            return ReportVerdict(("the report is no JSON object",))
        rewritten = spelled(document)
        own = digest({key: value for key, value in document.items() if key != "sha256"})
    except (ValueError, RecursionError):
        return ReportVerdict(("the report is no readable JSON",))
    problems = []
    if rewritten != text:
        problems.append("the report's text is not spelled as it was written")
    if document.get("sha256") != own:
        problems.append("the report's own hash is not that of its content")
    problems += _against_journal(document, journal, redactor or Redactor())
    if incident is not None:
        problems += _against_row(document, incident, redactor or Redactor())
    if markdown is not None and not problems and to_markdown(document) != markdown:
        problems.append("the Markdown file does not say what the JSON file says")
    return ReportVerdict(tuple(problems[:MOST_PROBLEMS]))


def _against_journal(document: Mapping[str, Any], journal: Iterable[Row], clean: Redactor) -> list[str]:
    try:
        rows = read_rows(journal)
        problems = chain_problems(rows)
        name, last = document["incident"], document["evidence"]["journal_last_seq"]
        covered = [row for row in rows if row.incident == name and last is not None and row.seq <= last]
        again = compose(document["sources"], [cleaned(row, clean) for row in covered])
        if document["sources"]["smoke"] is not None and again["evidence"]["smoke_in_journal_seq"] is None:
            problems.append("the smoke run in the report is not the one in the journal")
    except ValidationError as error:
        return [error.message]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return [f"the report cannot be recomputed from its sources ({type(error).__name__})"]
    return problems + [
        f"{path} is not what the journal and the evidence give" for path in _differ(document, again)
    ]


def _against_row(document: Mapping[str, Any], incident: Any, clean: Redactor) -> list[str]:
    told = document.get("sources")
    told = told.get("incident") if isinstance(told, dict) else None
    row = clean.clean(plain(mapping_of(incident)))
    return [
        f"the incident's {name} is not what its row says"
        for name in UNCHANGING
        if name in row and (not isinstance(told, dict) or told.get(name) != row[name])
    ]


def _differ(found: Any, expected: Any, path: str = "") -> Iterator[str]:
    """Yield the paths at which two documents differ."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in [*expected, *(key for key in found if key not in expected)]:
            below = f"{path}.{key}" if path else str(key)
            if key in found and key in expected:
                yield from _differ(found[key], expected[key], below)
            else:
                yield below
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for index, (a, b) in enumerate(zip(found, expected, strict=True)):
            yield from _differ(a, b, f"{path}[{index}]")
    elif type(found) is not type(expected) or found != expected:
        yield path
