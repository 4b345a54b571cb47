"""The migration gate's answer: for people, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from understudy.cli.output import console
from understudy.migration_gate.gate import FileVerdict, GateReport, Proof
from understudy.migration_gate.old_code import OldCodeProof

_STYLES = {
    "additive": "green",
    "reviewed": "green",
    "review": "yellow",
    "destructive": "bold red",
    "blocked": "bold magenta",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """Everything that one check found.

    Parameters
    ----------
    unmet
        Gates of stabilization that are not met; looked at only when something is destructive.
    old
        How the previous release did on the new schema; None when it was not asked.
    """

    report: GateReport
    allowed: bool
    problems: Sequence[str]
    unmet: Sequence[str]
    old: OldCodeProof | None


def document(found: Judgement) -> dict[str, Any]:
    """Return plain data."""
    report, old = found.report, found.old
    return {
        "allowed": found.allowed,
        "problems": list(found.problems),
        "open": report.open,
        "destroys": report.destroys,
        "stabilization": {"asked": bool(report.destroys), "unmet": list(found.unmet)},
        "proofs": {one.name: {"state": one.state, "detail": one.detail} for one in report.proofs},
        "old_code": {"commit": old.commit, "checks": dict(old.checks), "problem": old.problem}
        if old
        else None,
        "files": [_file(one) for one in report.files],
    }


def _file(one: FileVerdict) -> dict[str, Any]:
    return {
        "file": one.migration.file_name,
        "sha256": one.migration.sha256,
        "verdict": one.recorded or one.verdict.value,
        "source": one.source,
        "statements": [
            {
                "line": statement.line,
                "digest": statement.digest,
                "verdict": statement.verdict,
                "statement": statement.headline,
                "reasons": [
                    {"verdict": reason.verdict, "rule": reason.rule, "why": reason.why}
                    for reason in statement.reasons
                ],
                "accepted": statement.accepted,
            }
            for statement in one.reading.statements
        ],
        "ignored_comments": [{"line": remark.line, "text": remark.text} for remark in one.reading.remarks],
        "locks": [
            {"line": lock.line, "rule": lock.rule, "message": lock.message, "accepted": lock.accepted}
            for lock in one.locks
        ],
        "catalog": {"lost": [d.what for d in one.lost], "hidden": [d.what for d in one.hidden]},
    }


def show(found: Judgement) -> None:
    """Print a line a file, what is wrong with it, which proofs there were, and the answer."""
    for one in found.report.files:
        _show_file(one)
    for proof in found.report.proofs:
        style = "green" if proof.state is Proof.DONE else "yellow"
        _say(f"{proof.name} {proof.state}: {proof.detail}", style)
    if found.old is not None:
        told = found.old.problem or f"{len(found.old.checks)} checks of its own smoke suite passed"
        _say(f"old code {found.old.commit[:12]}: {told}", "green" if found.old.ok else "red")
    for problem in found.problems:
        _say(problem, "red")
    for gate in found.unmet:
        _say(f"stabilization: {gate}", "red")
    _say("May run." if found.allowed else "Refused.", "bold green" if found.allowed else "bold red")


def _show_file(one: FileVerdict) -> None:
    accepted = sum(bool(told.accepted) for told in one.reading.statements)
    accepted += sum(bool(lock.accepted) for lock in one.locks)
    label = one.recorded or one.verdict.value
    note = f"  {accepted} accepted" if accepted else ""
    line = Text.assemble((f"{label:<12} ", _STYLES[label]), one.migration.file_name, (note, "dim"))
    console.print(line, soft_wrap=True)
    for what in one.destroys:
        _say(f"    {what}", "red")
    for what in one.open:
        _say(f"    {what}", "yellow")
    for remark in one.reading.remarks:
        _say(f"    line {remark.line}: `{remark.text}` is not obeyed", "dim")


def _say(text: str, style: str) -> None:
    console.print(Text(text, style=style), soft_wrap=True)
