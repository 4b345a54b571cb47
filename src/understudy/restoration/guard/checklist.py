"""The post-rollback checklist as an incident stands: green by evidence, filled while the smoke suite runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from understudy.errors import ValidationError
from understudy.restoration.incidents import IncidentState
from understudy.restoration.playbook import repertoire
from understudy.restoration.playbook.agenda import agenda_of
from understudy.restoration.verification.board import SmokeBoard
from understudy.restoration.verification.checklist import CHECKLIST, ChecklistItem, derive_checklist
from understudy.restoration.verification.evidence import CheckEvidence, SmokeResult
from understudy.store.guard import TERMINAL_STATES, IncidentRow
from understudy.store.journal import JournalEntry

Document = dict[str, Any]

#: The step that proves it.
STEP = "verification"
#: States in which every action is done.
_DONE = frozenset({IncidentState.MITIGATED, IncidentState.RECOVERED})


def checklist_document(
    row: IncidentRow, entries: Sequence[JournalEntry], board: SmokeBoard, now: datetime
) -> Document:
    """Return the eight points as plain data.

    While the suite runs in this guard, a point is told once its checks have ended; the journal holds the
    whole run only afterwards. A point that cannot be ticked with this provider does not apply.
    """
    rows = _rows(row, entries, board, now)
    applying = [one for one in rows if one["state"] != "not_applicable"]
    return {
        "incident": row.id,
        "rows": rows,
        "done": sum(one["state"] == "green" for one in applying),
        "of": len(applying),
    }


def _rows(
    row: IncidentRow, entries: Sequence[JournalEntry], board: SmokeBoard, now: datetime
) -> list[Document]:
    begun = next((e for e in reversed(entries) if e.kind == "intent" and e.step == STEP), None)
    ended = next((e for e in reversed(entries) if e.kind == "outcome" and e.step == STEP), None)
    over = row.state in TERMINAL_STATES
    running = begun is not None and (ended is None or ended.seq < begun.seq) and not over
    if running:
        return _while_it_runs(board, now)
    awaited = row.state not in _DONE and not over and _comes_again(entries, ended)
    if ended is not None and not awaited:
        return _as_proven(ended)
    if awaited:
        return _all("pending", "The smoke suite runs once the steps before it are done.")
    agenda = agenda_of(entries, repertoire.complete)
    if over or agenda.actions:
        return _all("not_applicable", "Nothing that was done here moves the service: no smoke run is needed.")
    return _all("pending", "No action has been chosen yet.")


def _comes_again(entries: Sequence[JournalEntry], ended: JournalEntry | None) -> bool:
    """Whether an action that is not done yet ends in a verification that has not been made for it."""
    for standing in agenda_of(entries, repertoire.complete).actions:
        names = [step.name for step in repertoire.ACTIONS.get(standing.action, ())]
        if STEP not in names or standing.done:
            continue
        attempt = standing.attempts if standing.under_way or standing.held else standing.attempts + 1
        mine = ended is not None and (ended.body.get("action"), ended.body.get("attempt")) == (
            standing.action,
            attempt,
        )
        if not mine:
            return True
    return False


def _as_proven(ended: JournalEntry) -> list[Document]:
    """Return what the newest run in the journal proves."""
    smoke = (ended.body.get("evidence") or {}).get("smoke")
    if not isinstance(smoke, Mapping):
        return _all("red", str(ended.body.get("problem") or "The smoke suite could not be run."))
    try:
        run = SmokeResult.from_json(smoke)
    except ValidationError as error:
        return _all("red", error.message)
    items = derive_checklist(run).items
    checks = {check.name: check for check in run.checks}
    return [
        _row(names, item, checks, run.expect_provider)
        for (_, names), item in zip(CHECKLIST, items, strict=True)
    ]


def _while_it_runs(board: SmokeBoard, now: datetime) -> list[Document]:
    checks = dict(board.checks)
    run = SmokeResult("", board.expected, None, now, now, tuple(checks.values()))
    rows = []
    for (sentence, names), item in zip(CHECKLIST, derive_checklist(run).items, strict=True):
        if all(name in checks for name in names):
            rows.append(_row(names, item, checks, board.expected))
        else:
            said = "The smoke suite is running." if board.running else "The smoke suite begins."
            rows.append(_document(names, sentence, "pending", said, {}))
    return rows


def _row(
    names: Sequence[str], item: ChecklistItem, checks: Mapping[str, CheckEvidence], expected: str | None
) -> Document:
    state = "green" if item.ok else "red"
    if not item.ok and item.spoken_by is not None and item.spoken_by == expected:
        state = "not_applicable"
    evidence = {
        "checks": [checks[name].to_json() for name in names if name in checks],
        "sha256": {ref.check: ref.sha256 for ref in item.evidence},
    }
    return _document(names, item.sentence, state, item.reason, evidence)


def _all(state: str, detail: str) -> list[Document]:
    return [_document(names, sentence, state, detail, {}) for sentence, names in CHECKLIST]


def _document(names: Sequence[str], text: str, state: str, detail: str, evidence: Document) -> Document:
    return {"key": names[0], "text": text, "state": state, "detail": detail, "evidence": evidence}
