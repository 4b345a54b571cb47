"""Incidents: their states, which change of state is legal, and when each thing happened.

``OPEN -> RESTORING -> MITIGATED -> RECOVERED -> CLOSED``, with the side exits ``HOLD`` (automation waits, or
a person is asked), ``FROZEN`` (automation has spent its attempts, a person decides) and ``ABORTED`` (a person
stopped it). A finding that joins leads back to ``RESTORING`` when it brings an action of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from secrets import token_hex
from typing import Any

from understudy.clock import Clock
from understudy.errors import ConflictError, LeaseLostError
from understudy.plain_text import plain_text
from understudy.restoration.triggers.cures import ActionName
from understudy.restoration.triggers.titles import title_of
from understudy.restoration.triggers.verdict import Finding
from understudy.store.guard import GuardStore, IncidentRow, Lease
from understudy.store.journal import JournalEntry

ACTOR = "guard"
#: Of each action the step after which users are served again.
MITIGATING = frozenset({"read_back", "recheck", "unfreeze"})
#: Steps after which users wait, and the step that lets them go on.
OWING: Mapping[str, str] = {"freeze_writes": "unfreeze"}


class IncidentState(StrEnum):
    """Where an incident stands."""

    OPEN = "OPEN"
    RESTORING = "RESTORING"
    MITIGATED = "MITIGATED"
    RECOVERED = "RECOVERED"
    CLOSED = "CLOSED"
    HOLD = "HOLD"
    FROZEN = "FROZEN"
    ABORTED = "ABORTED"


_S = IncidentState
LEGAL_MOVES: Mapping[IncidentState, frozenset[IncidentState]] = {
    _S.OPEN: frozenset({_S.RESTORING, _S.HOLD, _S.ABORTED}),
    _S.RESTORING: frozenset({_S.MITIGATED, _S.HOLD, _S.ABORTED}),
    _S.MITIGATED: frozenset({_S.RESTORING, _S.RECOVERED, _S.CLOSED}),
    _S.RECOVERED: frozenset({_S.CLOSED}),
    _S.HOLD: frozenset({_S.RESTORING, _S.FROZEN, _S.CLOSED, _S.ABORTED}),
    _S.FROZEN: frozenset({_S.RESTORING, _S.HOLD, _S.CLOSED, _S.ABORTED}),
    _S.CLOSED: frozenset(),
    _S.ABORTED: frozenset(),
}


def check_move(before: IncidentState, after: IncidentState) -> None:
    """Raise :class:`ConflictError` unless ``before -> after`` is legal."""
    if after not in LEGAL_MOVES[before]:
        allowed = ", ".join(sorted(LEGAL_MOVES[before])) or "nothing: it is over"
        raise ConflictError(
            f"An incident cannot go from {before} to {after}; from there it may go to {allowed}."
        )


@dataclass(frozen=True, slots=True)
class IncidentTimes:
    """When each thing happened, UTC; None is "not yet" and is never guessed.

    Parameters
    ----------
    onset
        First failed call of the trouble, back-computed from the call records; before ``detected``.
    detected
        The trigger's verdict that opened the incident.
    decided
        The engine chose the rung and began.
    acted
        First change made to the deployment.
    mitigated
        Every action read back from the world: with an env switch, every process on the known-good provider.
    verified
        Checklist green; None where no action needs it (a closed valve).
    recovered
        Monitoring clean by the closing rule.
    """

    onset: datetime | None = None
    detected: datetime | None = None
    decided: datetime | None = None
    acted: datetime | None = None
    mitigated: datetime | None = None
    verified: datetime | None = None
    recovered: datetime | None = None
    closed: datetime | None = None

    def document(self) -> dict[str, str | None]:
        """Return plain data, ISO 8601."""
        names = ("onset", "detected", "decided", "acted", "mitigated", "verified", "recovered", "closed")
        times = {name: getattr(self, name) for name in names}
        return {name: at.isoformat() if at else None for name, at in times.items()}


def times_of(entries: Sequence[JournalEntry]) -> IncidentTimes:
    """Read the times out of an incident's journal; they are stored nowhere else."""
    opened = next((entry for entry in entries if entry.kind == "opened"), None)
    onset = opened.body.get("onset") if opened else None
    detected = opened.body.get("detected") if opened else None

    def moved(to: IncidentState) -> datetime | None:
        return next(
            (entry.at for entry in entries if entry.kind == "state" and entry.body.get("to") == to), None
        )

    changed = [entry.body["changed_at"] for entry in entries if entry.body.get("changed_at")]
    return IncidentTimes(
        onset=_utc(onset) if onset else None,
        detected=_utc(detected) if detected else None,
        decided=moved(IncidentState.RESTORING),
        acted=min(map(_utc, changed), default=None),
        mitigated=_done(entries, MITIGATING),
        verified=_done(entries, {"verification"}),
        recovered=moved(IncidentState.RECOVERED),
        closed=moved(IncidentState.CLOSED),
    )


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _done(entries: Sequence[JournalEntry], steps: Collection[str]) -> datetime | None:
    """When one of ``steps`` was first done in every action that has it; None before."""
    first: dict[str | None, datetime] = {}
    for entry in entries:
        if entry.kind == "outcome" and entry.step in steps and entry.body.get("ok"):
            first.setdefault(entry.body.get("action"), entry.at)
    return max(first.values(), default=None)


def joined_findings(entries: Sequence[JournalEntry]) -> list[Mapping[str, Any]]:
    """Return the documents of an incident's findings: the one that opened it, then those that joined."""
    return [
        entry.body["finding"]
        for entry in entries
        if entry.kind in {"opened", "joined"} and isinstance(entry.body.get("finding"), Mapping)
    ]


def finding_keys(entries: Sequence[JournalEntry]) -> list[str]:
    """Return the keys of an incident's findings, in the order in which they came."""
    return [entry.body["finding_key"] for entry in entries if entry.body.get("finding_key")]


class IncidentBook:
    """Writes incidents of one environment under one fenced lease.

    Parameters
    ----------
    reached
        Called with the name of each boundary, before and after every commit; tests kill the guard there.
    """

    def __init__(
        self,
        store: GuardStore,
        environment: str,
        clock: Clock,
        *,
        reached: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.store = store
        self.environment = environment
        self.lease: Lease | None = None
        self.reached = reached
        self._clock = clock

    def _held(self) -> Lease:
        if self.lease is None:
            raise LeaseLostError
        return self.lease

    def current(self) -> IncidentRow | None:
        """Return the open incident, if there is one."""
        return self.store.open_incident_of(self.environment)

    def entries(self, incident: str) -> list[JournalEntry]:
        """Return the incident's journal, oldest first."""
        return self.store.entries(incident)

    def open(
        self,
        finding: Finding,
        *,
        onset: datetime | None,
        facts: Mapping[str, Any],
        action: ActionName | None = None,
        instruction: str | None = None,
    ) -> IncidentRow:
        """Open an incident for a finding.

        Parameters
        ----------
        action
            What the engine does about it, or None: a person is asked.
        instruction
            What a person does about it, where one is asked.

        Raises
        ------
        ConflictError
            One is open already; join it.
        LeaseLostError
            Another guard holds the environment.
        """
        now = self._clock.now()
        incident = f"inc-{now:%Y%m%dT%H%M%SZ}-{token_hex(3)}"
        title = title_of(finding)
        body = {
            **facts,
            "title": title,
            **_told(finding, onset, action, instruction),
            "detected": finding.evaluated_at.isoformat(),
        }
        self.reached("before opened")
        self.store.open_incident(
            self._held(),
            environment=self.environment,
            incident=incident,
            title=title,
            state=IncidentState.OPEN,
            actor=ACTOR,
            body=body,
        )
        self.reached("after opened")
        return self.store.incident(incident)

    def join(
        self,
        incident: str,
        finding: Finding,
        *,
        onset: datetime | None = None,
        action: ActionName | None = None,
        instruction: str | None = None,
    ) -> bool:
        """Add a finding to the open incident; False when the same one is there already."""
        if finding.key in finding_keys(self.entries(incident)):
            return False
        body = {"title": title_of(finding), **_told(finding, onset, action, instruction)}
        self.append(incident, "joined", body=body)
        return True

    def append(
        self, incident: str, kind: str, *, body: Mapping[str, Any], step: str | None = None
    ) -> JournalEntry:
        """Append one entry under the lease."""
        label = f"{kind} {step}" if step else kind
        self.reached(f"before {label}")
        entry = self.store.append(
            self._held(), incident=incident, kind=kind, actor=ACTOR, body=body, step=step
        )
        self.reached(f"after {label}")
        return entry

    def move(
        self,
        incident: str,
        after: IncidentState,
        *,
        body: Mapping[str, Any],
        before_commit: Callable[[], None] | None = None,
    ) -> JournalEntry:
        """Change the state.

        Parameters
        ----------
        before_commit
            Runs inside the transaction and sees it; when it fails, the state has not changed.

        Raises
        ------
        ConflictError
            The change is not legal, or the incident moved meanwhile.
        """
        before = IncidentState(self.store.incident(incident).state)
        check_move(before, after)
        self.reached(f"before {after}")
        entry = self.store.append(
            self._held(),
            incident=incident,
            kind="state",
            actor=ACTOR,
            body=body,
            move=(before, after),
            before_commit=before_commit,
        )
        self.reached(f"after {after}")
        return entry


def _told(
    finding: Finding, onset: datetime | None, action: ActionName | None, instruction: str | None
) -> dict[str, Any]:
    return {
        "finding": finding.document(),
        "finding_key": finding.key,
        "onset": onset.isoformat() if onset else None,
        "action": action,
        "instruction": instruction,
    }


def acknowledge(store: GuardStore, incident: str, *, person: str) -> JournalEntry:
    """Write that a person has taken notice; it changes no state and needs no lease.

    Raises
    ------
    ConflictError
        The incident is over.
    NotFoundError
        There is no such incident.
    """
    return store.append(None, incident=incident, kind="ack", actor=person_named(person), body={})


def add_note(store: GuardStore, incident: str, *, person: str, text: str) -> JournalEntry:
    """Write down what a person says; it changes no state and needs no lease.

    Raises
    ------
    ConflictError
        There is no text, or the incident is over.
    NotFoundError
        There is no such incident.
    """
    text = plain_text(text, keep_newlines=True)
    if not text.strip():
        raise ConflictError("A note needs some text.")
    return store.append(None, incident=incident, kind="note", actor=person_named(person), body={"text": text})


def acknowledged_by(entries: Sequence[JournalEntry]) -> list[str]:
    """Who took notice of an incident, each once, first one first."""
    return list(dict.fromkeys(entry.actor for entry in entries if entry.kind == "ack"))


def owes(entries: Sequence[JournalEntry]) -> bool:
    """Whether users may still wait for the end of a step (:data:`OWING`) that was begun."""
    for step, end in OWING.items():
        begun = max((e.seq for e in entries if e.kind == "intent" and e.step == step), default=0)
        ended = max(
            (e.seq for e in entries if e.kind == "outcome" and e.step == end and e.body["ok"]), default=0
        )
        if begun > ended:
            return True
    return False


def person_named(name: str) -> str:
    """Return how the journal names a person."""
    name = plain_text(name)
    return name if name.startswith("person:") else f"person:{name}"


def close_by_person(
    store: GuardStore,
    incident: str,
    *,
    person: str,
    reason: str,
    before_commit: Callable[[], None] | None = None,
) -> IncidentRow:
    """Close an incident by hand, with a reason; one still OPEN is aborted instead.

    Needs no lease: a person overrules the guard, whose next write to this incident is then refused.

    Raises
    ------
    ConflictError
        There is no reason, the incident is over, or it is being restored or holds writes frozen: closing
        would leave it half done.
    NotFoundError
        There is no such incident.
    """
    reason = plain_text(reason)
    if not reason.strip():
        raise ConflictError("Closing by hand needs a reason; it goes into the report.")
    before = IncidentState(store.incident(incident).state)
    if before is IncidentState.RESTORING:
        raise ConflictError(
            "It is being restored. `understudy incident abort` ends it on a consistent side, with a reason."
        )
    if before in {_S.HOLD, _S.FROZEN} and owes(store.entries(incident)):
        raise ConflictError(
            "Its restoration holds writes frozen. `understudy incident abort` lets them go again and ends "
            "it, with a reason."
        )
    after = IncidentState.ABORTED if before is IncidentState.OPEN else IncidentState.CLOSED
    check_move(before, after)
    store.append(
        None,
        incident=incident,
        kind="state",
        actor=person_named(person),
        body={"reason": reason, "by_hand": True},
        move=(before, after),
        before_commit=before_commit,
    )
    return store.incident(incident)
