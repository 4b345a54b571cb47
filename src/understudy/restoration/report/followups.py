"""What an incident leaves to be done: derived from its journal, and ticked off by persons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from understudy.errors import ConflictError, NotFoundError
from understudy.plain_text import plain_text
from understudy.restoration.report.facts import Facts
from understudy.restoration.report.points import Point, points_of
from understudy.restoration.report.rows import read_rows
from understudy.store.guard import NO_INCIDENT, GuardStore

DONE = "followup_done"


@dataclass(frozen=True, slots=True)
class FollowUp:
    """One thing to do.

    Parameters
    ----------
    id
        The incident's id and a digest of the point's name: the same however often it is derived.
    blocking
        Whether no cutover may begin before it is done.
    done_by, reason
        Who ticked it off, and what they said; None while it is open.
    """

    id: str
    incident: str
    text: str
    blocking: bool
    created_at: datetime
    done_by: str | None = None
    reason: str | None = None

    @property
    def open(self) -> bool:
        """Whether it is still to do."""
        return self.done_by is None


def followups_of(store: GuardStore, incident: str) -> list[FollowUp]:
    """Return every follow-up of one incident, open ones and done ones; raises :class:`NotFoundError`."""
    return list(_followups(store, incident, _ticked(store)))


def open_followups(store: GuardStore, environment: str | None = None) -> list[FollowUp]:
    """Return what is still to do, of every incident, newest incident first."""
    ticked = _ticked(store)
    return [
        followup
        for row in store.incidents(environment)
        for followup in _followups(store, row.id, ticked)
        if followup.open
    ]


def finish_followup(store: GuardStore, identity: str, *, person: str, reason: str) -> FollowUp:
    """Tick one off, with a reason, for the record of the guard itself.

    Raises
    ------
    ConflictError
        There is no reason, or it is done already.
    NotFoundError
        There is no such follow-up.
    """
    reason = plain_text(reason)
    if not reason.strip():
        raise ConflictError("Ticking a follow-up off needs a reason; it is kept.")
    incident = identity.partition("/")[0]
    found = next((one for one in followups_of(store, incident) if one.id == identity), None)
    if found is None:
        raise NotFoundError(f"There is no follow-up {identity}; `understudy incident followups` lists them.")
    if not found.open:
        raise ConflictError(f"{identity} was ticked off by {found.done_by}: {found.reason}")
    store.announce(None, kind=DONE, actor=person, body={"followup": identity, "reason": reason})
    return next(one for one in followups_of(store, incident) if one.id == identity)


def identity_of(incident: str, point: Point) -> str:
    """Return the id of a point; the same in every report of its incident."""
    return f"{incident}/{sha256(point.name.encode()).hexdigest()[:8]}"


def _followups(store: GuardStore, incident: str, ticked: Mapping[str, tuple[str, str]]) -> Iterator[FollowUp]:
    row = store.incident(incident)
    about: Mapping[str, Any] = {"id": row.id, "state": row.state}
    facts = Facts(about, read_rows(store.entries(incident)))
    for point in points_of(facts, None, None):
        identity = identity_of(incident, point)
        by, reason = ticked.get(identity, (None, None))
        yield FollowUp(identity, incident, point.text, point.blocking, row.opened_at, by, reason)


def _ticked(store: GuardStore) -> dict[str, tuple[str, str]]:
    return {
        str(entry.body["followup"]): (entry.actor, str(entry.body["reason"]))
        for entry in store.entries(NO_INCIDENT)
        if entry.kind == DONE
    }
