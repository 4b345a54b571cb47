"""An incident's story, line by line: what happened, what runs, and the steps that are still to come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from understudy.restoration.approvals import plans_of
from understudy.restoration.guard.documents import entry_document
from understudy.restoration.incidents import IncidentState, times_of
from understudy.restoration.playbook import repertoire
from understudy.restoration.playbook.agenda import ActionStanding, agenda_of
from understudy.restoration.report.lines import line_of
from understudy.restoration.report.steps import words_of
from understudy.store.guard import TERMINAL_STATES, IncidentRow
from understudy.store.journal import JournalEntry

Document = dict[str, Any]

_S = IncidentState
#: States in which an incident waits for a person.
_WAITING = frozenset({_S.HOLD, _S.FROZEN})
#: Kinds whose body is more than the sentence says.
_TELLING = frozenset({"opened", "joined", "plan", "begun", "held", "escalated", "approval", "state", "page"})
#: What follows once every action is done.
_AFTERWARDS = {
    _S.MITIGATED: "users are served again",
    _S.RECOVERED: "the monitoring is clean by the closing rule",
    _S.CLOSED: "closed, with its report written",
}
_ORDER = (_S.OPEN, _S.RESTORING, _S.MITIGATED, _S.RECOVERED, _S.CLOSED)


def timeline_document(row: IncidentRow, entries: Sequence[JournalEntry], now: datetime) -> Document:
    """Return the journal as sentences, then what is to come, as plain data."""
    times = times_of(entries)
    onset = times.onset or times.detected
    lines = [*_told(row, entries, now), *_to_come(row, entries)]
    return {
        "incident": row.id,
        "state": row.state,
        "onset": onset.isoformat() if onset else None,
        "lines": lines,
    }


def _told(row: IncidentRow, entries: Sequence[JournalEntry], now: datetime) -> Iterator[Document]:
    ended = {(entry.step, entry.body.get("key")) for entry in entries if entry.kind == "outcome"}
    open_plans = {plan.seq for plan in plans_of(entries).values() if plan.waits(now)}
    last_state = next((entry.seq for entry in reversed(entries) if entry.kind == "state"), None)
    over = row.state in TERMINAL_STATES
    for entry in entries:
        state = _state_of(entry)
        match entry.kind:
            case "intent" if (entry.step, entry.body.get("key")) in ended:
                continue  # its outcome says so
            case "intent":
                state = "told" if over else "running"
            case "plan" if entry.seq in open_plans and not over:
                state = "waiting"
            case "state" if entry.seq == last_state and entry.body.get("to") in _WAITING:
                state = "waiting"
            case _:
                pass
        yield _line(entry, state)


def _state_of(entry: JournalEntry) -> str:
    match entry.kind:
        case "outcome":
            return "done" if entry.body.get("ok") else "failed"
        case "held":
            return "failed"
        case "state" if entry.body.get("to") in {_S.MITIGATED, _S.RECOVERED, _S.CLOSED}:
            return "done"
        case _:
            return "told"


def _line(entry: JournalEntry, state: str) -> Document:
    body, line = entry.body, line_of(entry_document(entry))
    text, evidence, sha256 = line.said, None, None
    if entry.step and entry.kind in {"intent", "outcome"}:
        words = words_of(entry.step, body.get("action"))
        text = words.done if body.get("ok") else words.to_do
        if body.get("problem"):
            text = f"{text}: {body['problem']}"
    if entry.kind == "outcome":
        evidence, sha256 = body.get("evidence"), body.get("evidence_sha256")
    elif entry.kind == "intent":
        evidence = body.get("plan")
    elif entry.kind in _TELLING:
        evidence = dict(body)
    return {
        "seq": entry.seq,
        "at": entry.at.isoformat(),
        "kind": entry.kind,
        "word": line.what,
        "text": text,
        "state": state,
        "step": entry.step,
        "action": body.get("action"),
        "actor": entry.actor,
        "took_ms": body.get("duration_ms") if entry.kind == "outcome" else None,
        "more": line.more,
        "evidence": evidence if isinstance(evidence, Mapping) else None,
        "evidence_sha256": sha256,
        "hash": entry.hash,
    }


def _to_come(row: IncidentRow, entries: Sequence[JournalEntry]) -> Iterator[Document]:
    if row.state in TERMINAL_STATES:
        return
    agenda = agenda_of(entries, repertoire.complete)
    for standing in agenda.actions:
        if not standing.done and row.state not in _AFTERWARDS:
            for step in _steps_left(standing, entries):
                words = words_of(step, standing.action)
                yield _coming("step", words.to_do, step=step, action=standing.action)
    if not agenda.actions:
        return
    reached = _ORDER.index(_S(row.state)) if row.state in _ORDER else 0
    for state, text in _AFTERWARDS.items():
        if _ORDER.index(state) > reached:
            yield _coming("state", text, word=state.value)


def _steps_left(standing: ActionStanding, entries: Sequence[JournalEntry]) -> list[str]:
    """Return the steps of the attempt that runs, or of the next one, that were not begun."""
    attempt = standing.attempts if standing.under_way else standing.attempts + 1
    begun = {
        entry.step
        for entry in entries
        if entry.kind in {"intent", "outcome"}
        and entry.body.get("action") == standing.action
        and entry.body.get("attempt") == attempt
    }
    names = [step.name for step in repertoire.ACTIONS.get(standing.action, ())]
    return [name for name in names if name not in begun]


def _coming(
    kind: str, text: str, *, step: str | None = None, action: str | None = None, word: str = "to come"
) -> Document:
    return {
        "seq": None,
        "at": None,
        "kind": kind,
        "word": word,
        "text": text,
        "state": "to come",
        "step": step,
        "action": action,
        "actor": None,
        "took_ms": None,
        "more": "",
        "evidence": None,
        "evidence_sha256": None,
        "hash": None,
    }
