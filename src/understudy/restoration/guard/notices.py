"""What the journal's entries say to people: which are told, how urgent each is, what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from understudy.restoration.incidents import IncidentState
from understudy.store.journal import JournalEntry

#: PagerDuty's four words.
Severity = Literal["critical", "error", "warning", "info"]

_S = IncidentState
_STATES_TOLD: Mapping[str, tuple[Severity, str]] = {
    _S.MITIGATED: ("info", "Mitigated"),
    _S.RECOVERED: ("info", "Recovered: the closing rule is met."),
    _S.CLOSED: ("info", "Closed."),
    _S.HOLD: ("critical", "On hold: automation waits."),
    _S.FROZEN: ("critical", "Frozen: automation has spent its attempts and does nothing more."),
    _S.ABORTED: ("info", "Aborted by a person."),
}
#: What each action has done, once it is read back.
_DONE: Mapping[str, str] = {
    "env_switch": "the known-good side serves",
    "close_valve": "voice creates are paused",
    "throttle_tenant": "the tenant is throttled",
    "quarantine_and_repair": "what was broken is quarantined, and repaired where that is possible",
    "close_reads": "the reads that leaked are closed",
    "reapply_settings": "the known-good settings are in force",
    "code_rollback": "the known-good revision serves",
    "database_restore": "the restored database serves",
}
_OVER = frozenset({_S.CLOSED, _S.ABORTED})
#: An entry's words are told up to here; the journal has all of them.
_LONGEST = 1500


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell people.

    Parameters
    ----------
    subject
        The incident, or the alarm of the guard itself: what a pager groups by.
    kind
        ``opened``, ``joined``, ``page``, ``acknowledged``, a state in lower case, ``alarm``, ``alarm_over``.
    over
        Whether nothing is left to do about ``subject``.
    what_happened, what_to_do
        Sentences for whoever was just woken.
    """

    seq: int
    at: datetime
    environment: str
    subject: str
    kind: str
    state: str | None
    severity: Severity
    title: str
    what_happened: str
    what_to_do: str
    actor: str
    over: bool = False

    def document(self) -> dict[str, Any]:
        """Return the notice as plain data."""
        return {
            "seq": self.seq,
            "at": self.at.isoformat(),
            "environment": self.environment,
            "subject": self.subject,
            "kind": self.kind,
            "state": self.state,
            "severity": self.severity,
            "title": self.title,
            "what_happened": self.what_happened,
            "what_to_do": self.what_to_do,
            "actor": self.actor,
        }


def notice_of(entry: JournalEntry, *, environment: str, title: str | None) -> Notice | None:
    """Return what an entry says to people, or None where it concerns only the record.

    Parameters
    ----------
    title
        Of its incident; None for an entry about the guard itself.
    """
    told = _about_guard(entry) if not entry.incident else _about_incident(entry)
    if told is None:
        return None
    kind, severity, happened, to_do = told
    subject = entry.incident or f"guard-{environment}-{entry.body.get('name', 'alarm')}"
    # As it was then: a notice may be sent late.
    to_state = str(entry.body["to"]) if entry.kind in {"opened", "state"} else None
    return Notice(
        seq=entry.seq,
        at=entry.at,
        environment=environment,
        subject=subject,
        kind=kind,
        state=to_state,
        severity=severity,
        title=title or f"The guard of {environment}",
        what_happened=happened[:_LONGEST],
        what_to_do=to_do[:_LONGEST],
        actor=entry.actor,
        over=kind == "alarm_over" or (entry.kind == "state" and to_state in _OVER),
    )


_Told = tuple[str, Severity, str, str]


def _about_guard(entry: JournalEntry) -> _Told | None:
    name, message = (str(entry.body.get(key) or "") for key in ("name", "message"))
    match entry.kind:
        case "alarm":
            return "alarm", "error", f"{name}: {message}", "Look: understudy status"
        case "alarm_over":
            return "alarm_over", "info", f"{name} is over.", "Nothing."
        case _:
            return None


def _about_incident(entry: JournalEntry) -> _Told | None:
    body, look = entry.body, f"understudy incident show {entry.incident}"
    if entry.kind in {"opened", "joined"}:
        return _about_finding(entry, look)
    if entry.kind in {"ack", "approval", "abort", "hold", "resume"}:
        return _about_person(entry, look)
    instruction = str(body.get("instruction") or "")
    if entry.kind == "page":
        return "page", "critical", str(body.get("message") or ""), instruction or look
    if entry.kind == "state" and body.get("to") in _STATES_TOLD:
        return _moved(entry, instruction or look)
    return None


def _about_finding(entry: JournalEntry, look: str) -> _Told:
    body, finding = entry.body, entry.body.get("finding")
    detail = str(finding.get("detail") or "") if isinstance(finding, Mapping) else ""
    who, action = body.get("requested_by"), body.get("action")
    if who and entry.kind == "joined":
        return "joined", "warning", f"{who} asks for {action}: {detail}", look
    instruction = str(body.get("instruction") or "")
    if entry.kind == "joined":
        return "joined", "error", f"Fails as well: {detail}", instruction or look
    acts = f"{who} asked for {action}." if who else f"The guard acts by itself ({action})."
    to_do = f"{acts} Follow it: {_watch(entry)}" if action else f"A person must act. {look}"
    return "opened", "critical", detail, instruction or to_do


def _about_person(entry: JournalEntry, look: str) -> _Told:
    body = entry.body
    if entry.kind == "ack":
        return "acknowledged", "info", f"{entry.actor} has taken it on.", look
    if entry.kind == "approval":
        how = "breaks the glass for" if body.get("break_glass") else "agrees to"
        said = f"{entry.actor} {how} {body.get('action')}. {body.get('reason') or ''}"
        return "approved", "info", said.rstrip(), look
    return entry.kind, "info", f"{entry.actor} orders {entry.kind}: {body.get('reason')}", look


def _moved(entry: JournalEntry, what_to_do: str) -> _Told:
    to = str(entry.body["to"])
    severity, sentence = _STATES_TOLD[to]
    if to == _S.MITIGATED:
        sentence = f"{sentence}: {_done(entry)}; recovery is being proven."
    body = entry.body
    reason = str(body.get("reason") or "")
    by_hand = entry.actor.startswith("person:")
    said = (sentence, f"By {entry.actor}." if by_hand else "", reason, str(body.get("side") or ""))
    happened = " ".join(filter(None, said))
    if to in _OVER:
        what_to_do = f"Read the report: understudy incident report {entry.incident}"
    elif severity == "info":
        what_to_do = f"Nothing now. Follow it: {_watch(entry)}"
    return to.lower(), severity, happened, what_to_do


def _done(entry: JournalEntry) -> str:
    done = [_DONE.get(str(action)) for action in entry.body.get("actions") or (None,)]
    return "; ".join(said or "what was begun is done" for said in dict.fromkeys(done))


def _watch(entry: JournalEntry) -> str:
    return f"understudy incident watch {entry.incident}"
