"""Two persons' word, each with a reason, in the guard's hash-chained journal."""

from __future__ import annotations

from datetime import UTC, datetime

from understudy.errors import ConflictError
from understudy.plain_text import plain_text
from understudy.stabilization.gates import SignOff, Stabilization, signed_by
from understudy.store.guard import GuardStore
from understudy.store.guard.store import NO_INCIDENT

KIND = "stabilization_sign_off"


def sign_offs(store: GuardStore, environment: str) -> list[SignOff]:
    """Every sign-off of an environment, oldest first."""
    return [
        SignOff(entry.actor, entry.at, _utc(entry.body["since"]), str(entry.body["reason"]))
        for entry in store.entries(NO_INCIDENT)
        if entry.kind == KIND and entry.body.get("environment") == environment
    ]


def sign_off(
    store: GuardStore, state: Stabilization, *, environment: str, person: str, reason: str
) -> SignOff:
    """Write down that ``person`` agrees that the period is over.

    Raises
    ------
    ConflictError
        Another gate is not met, or this person signed already.
    """
    reason = plain_text(reason).strip()
    if not reason:
        raise ConflictError("A sign-off needs a reason; it is kept in the journal.")
    if not state.ready_to_sign or state.since is None:
        lacking = "; ".join(gate for gate in state.unmet if not gate.startswith("sign_offs"))
        raise ConflictError(f"Nobody can sign off yet: {lacking}.")
    actor = f"person:{plain_text(person).removeprefix('person:')}"
    if actor in signed_by(sign_offs(store, environment), state.since):
        raise ConflictError(f"{actor} signed off already; the second word must be another person's.")
    entry = store.announce(
        None,
        kind=KIND,
        actor=actor,
        body={
            "environment": environment,
            "since": state.since.isoformat(),
            "reason": reason,
            "gates": {gate.name: gate.why for gate in state.gates if gate.met},
        },
    )
    return SignOff(actor, entry.at, state.since, reason)


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
