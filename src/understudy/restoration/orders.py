"""What a person orders: stop for good, wait, go on, or do this now. Each is one entry of the journal.

Whoever runs the incident reads them between two steps; nothing is cut off in the middle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from secrets import token_hex
from typing import Any, Literal, get_args

from understudy.errors import ConflictError
from understudy.plain_text import plain_text
from understudy.restoration.incidents import IncidentState, finding_keys, person_named
from understudy.restoration.triggers.cures import ActionName
from understudy.restoration.triggers.titles import title_of
from understudy.restoration.triggers.verdict import Finding, Verdict
from understudy.store.guard import GuardStore, IncidentRow
from understudy.store.journal import JournalEntry

Order = Literal["abort", "hold", "resume"]
ORDERS: tuple[Order, ...] = get_args(Order)
#: The trigger of a finding that a person makes by asking for an action.
REQUEST = "request"

_S = IncidentState
_STOPPABLE = frozenset({_S.OPEN, _S.RESTORING, _S.HOLD, _S.FROZEN})


def standing_order(entries: Sequence[JournalEntry]) -> JournalEntry | None:
    """Return the order that stops automation now: an abort, or a hold that nobody has lifted."""
    standing = None
    for entry in entries:
        if entry.kind == "abort":
            return entry
        if entry.kind in {"hold", "resume"}:
            standing = entry if entry.kind == "hold" else None
    return standing


def give_order(store: GuardStore, incident: str, order: Order, *, person: str, reason: str) -> JournalEntry:
    """Write an order; it needs no lease, and whoever runs the incident obeys it between two steps.

    Raises
    ------
    ConflictError
        There is no reason, or nothing that the order could change.
    NotFoundError
        There is no such incident.
    """
    reason = plain_text(reason).strip()
    if not reason:
        raise ConflictError(f"{order.capitalize()} needs a reason; it goes into the report.")
    row = store.incident(incident)
    state = IncidentState(row.state)

    def sensible() -> None:
        problem = _problem(order, state, store.entries(row.id)[:-1])
        if problem is not None:
            raise ConflictError(problem)

    return store.append(
        None,
        incident=row.id,
        kind=order,
        actor=person_named(person),
        body={"reason": reason},
        before_commit=sensible,
    )


def _problem(order: Order, state: IncidentState, entries: Sequence[JournalEntry]) -> str | None:
    """Say why ``order`` would change nothing, or None."""
    standing = standing_order(entries)
    if standing is not None and standing.kind == "abort":
        return f"{standing.actor} has aborted it already; it ends at the next consistent side."
    held = standing is not None
    match order:
        case "abort" if state not in _STOPPABLE:
            return f"It is {state}: nothing runs that could be aborted. Close it with a reason instead."
        case "hold" if held:
            return "It is held already."
        case "resume" if not held and state not in {_S.HOLD, _S.FROZEN}:
            return f"It is {state} and nobody holds it; there is nothing to resume."
        case _:
            return None


def request_finding(action: ActionName, *, reason: str, now: datetime) -> Finding:
    """Return the finding of a person who asks for ``action``; each request is a problem of its own."""
    return Finding(
        trigger=REQUEST,
        check=action,
        verdict=Verdict.FAIL,
        mode="auto",
        cures=(action,),
        evaluated_at=now,
        detail=reason,
        subject=f"{now:%Y%m%dT%H%M%SZ}-{token_hex(2)}",
    )


def request_action(
    store: GuardStore,
    environment: str,
    action: ActionName,
    *,
    person: str,
    reason: str,
    now: datetime,
    facts: Callable[[], Mapping[str, Any]],
    incident: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> IncidentRow:
    """Ask for an action: it joins the open incident, or opens one. It needs no lease.

    Parameters
    ----------
    facts
        What the entry that opens an incident says besides.
    incident
        The one to join; the environment's open one when not given.

    Raises
    ------
    ConflictError
        There is no reason, that incident is over, or another was opened meanwhile.
    NotFoundError
        There is no such incident.
    """
    reason = plain_text(reason).strip()
    if not reason:
        raise ConflictError("A restoration by hand needs a reason; it goes into the report.")
    actor = person_named(person)
    finding = request_finding(action, reason=reason, now=now)
    body: dict[str, Any] = {
        "title": title_of(finding),
        "finding": finding.document(),
        "finding_key": finding.key,
        "onset": None,
        "action": action,
        "instruction": None,
        "requested_by": actor,
        "parameters": dict(parameters or {}),
    }
    row = store.incident(incident) if incident else store.open_incident_of(environment)
    if row is not None:
        if row.environment != environment:
            raise ConflictError(f"{row.id} is an incident of {row.environment}, not of {environment}.")
        store.append(None, incident=row.id, kind="joined", actor=actor, body=body)
        return store.incident(row.id)
    name = f"inc-{now:%Y%m%dT%H%M%SZ}-{token_hex(3)}"
    store.open_incident(
        None,
        environment=environment,
        incident=name,
        title=body["title"],
        state=IncidentState.OPEN,
        actor=actor,
        body={**facts(), **body, "detected": now.isoformat()},
    )
    return store.incident(name)


def requested(entries: Sequence[JournalEntry]) -> list[str]:
    """Return the keys of what persons asked for in an incident."""
    return [key for key in finding_keys(entries) if key.startswith(f"{REQUEST}/")]
