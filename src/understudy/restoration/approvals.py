"""Plans that persons must agree to before they are carried out, and who agreed.

A plan is known by the SHA-256 of what it will do. Agreement counts for that plan alone, for a limited time,
and never the agreement of whoever asked for it. All of it is read out of the journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from understudy.errors import ConflictError
from understudy.plain_text import plain_text
from understudy.restoration.incidents import person_named
from understudy.restoration.triggers.cures import ActionName
from understudy.store.guard import MACHINE_KEY, GuardStore
from understudy.store.journal import JournalEntry

#: So many first digits of a plan's SHA-256 name it.
PLAN_CHARS = 12


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's agreement."""

    person: str
    at: datetime
    break_glass: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The newest plan of one action, as it stands.

    Parameters
    ----------
    needed
        Distinct persons who must agree.
    requested_by
        ``guard``, or the person whose own agreement does not count.
    approvals
        Those that count, each person once.
    proposals
        How often it was proposed without being carried out, this time included.
    begun
        Whether it was begun since it was proposed.
    replaces
        The SHA-256 of the plan that it voided, because what would be done had changed.
    """

    seq: int
    action: ActionName
    sha256: str
    needed: int
    requested_by: str
    expires_at: datetime
    proposals: int
    approvals: tuple[Approval, ...]
    begun: bool
    replaces: str | None = None

    @property
    def break_glass(self) -> Approval | None:
        """The agreement of one person in an emergency, which stands for all of them."""
        return next((approval for approval in self.approvals if approval.break_glass), None)

    @property
    def approved(self) -> bool:
        """Whether everybody who must agree has, in time."""
        return self.break_glass is not None or len(self.approvals) >= self.needed

    @property
    def missing(self) -> int:
        """Persons who must still agree."""
        return 0 if self.approved else self.needed - len(self.approvals)

    def stands(self, now: datetime) -> bool:
        """Whether it may be carried out: approved, and not too old."""
        return self.approved and now < self.expires_at

    def waits(self, now: datetime) -> bool:
        """Whether it can still be agreed to."""
        return not self.begun and not self.approved and now < self.expires_at

    def document(self, now: datetime) -> dict[str, Any]:
        """Return plain data."""
        return {
            "action": self.action,
            "plan_sha256": self.sha256,
            "approvals": self.needed,
            "approved_by": [approval.person for approval in self.approvals],
            "break_glass": self.break_glass is not None,
            "requested_by": self.requested_by,
            "expires_at": self.expires_at.isoformat(),
            "begun": self.begun,
            "open": self.waits(now),
        }


def plans_of(entries: Sequence[JournalEntry]) -> dict[ActionName, Plan]:
    """Return the newest plan of each action."""
    newest: dict[ActionName, JournalEntry] = {
        entry.body["action"]: entry for entry in entries if entry.kind == "plan"
    }
    return {action: _plan(entry, entries) for action, entry in newest.items()}


def _plan(entry: JournalEntry, entries: Sequence[JournalEntry]) -> Plan:
    body = entry.body
    expires_at = datetime.fromisoformat(body["expires_at"]).astimezone(UTC)
    approvals: dict[str, Approval] = {}
    begun = False
    for later in entries:
        if later.seq <= entry.seq:
            continue
        begun = begun or (later.kind == "begun" and later.body.get("action") == body["action"])
        if later.kind != "approval" or later.body.get("plan_sha256") != body["plan_sha256"]:
            continue
        approval = Approval(
            later.actor, later.at, bool(later.body.get("break_glass")), str(later.body.get("reason") or "")
        )
        own = _same(later.actor, body["requested_by"]) and not approval.break_glass
        if not own and later.at < expires_at:
            name = later.actor.casefold()
            approvals[name] = approvals[name] if name in approvals and not approval.break_glass else approval
    return Plan(
        seq=entry.seq,
        action=body["action"],
        sha256=body["plan_sha256"],
        needed=body["approvals"],
        requested_by=body["requested_by"],
        expires_at=expires_at,
        proposals=body["proposal"],
        approvals=tuple(approvals.values()),
        begun=begun,
        replaces=body.get("replaces"),
    )


def approve(
    store: GuardStore,
    incident: str,
    *,
    person: str,
    plan: str,
    now: datetime,
    reason: str = "",
    break_glass: bool = False,
) -> JournalEntry:
    """Write that a person agrees to a plan; it needs no lease and changes no state.

    Parameters
    ----------
    plan
        The plan's SHA-256, or its first digits (:data:`PLAN_CHARS` or more).
    break_glass
        In an emergency one person alone, even who asked for it, with a reason; it becomes an open follow-up.

    Raises
    ------
    ConflictError
        No plan of that hash can be agreed to now, by this person.
    NotFoundError
        There is no such incident.
    """
    person, reason = person_named(person), plain_text(reason).strip()
    if break_glass and not reason:
        raise ConflictError("Breaking the glass needs a reason; it is kept and reviewed.")
    if person == person_named(MACHINE_KEY):
        raise ConflictError(
            "This machine's own key is nobody's word. A person needs a key: `understudy guard-keys create`."
        )
    row = store.incident(incident)
    found = _agreeable(store.entries(row.id), plan, person, now, break_glass=break_glass)

    def still_so() -> None:
        # Inside the transaction: a plan that was replaced meanwhile takes no agreement.
        newest = plans_of(store.entries(row.id))[found.action]
        if newest.seq != found.seq or newest.begun:
            raise ConflictError(_replaced(newest))

    body = {
        "action": found.action,
        "plan_sha256": found.sha256,
        "break_glass": break_glass,
        "reason": reason,
    }
    return store.append(
        None, incident=row.id, kind="approval", actor=person, body=body, before_commit=still_so
    )


def _agreeable(
    entries: Sequence[JournalEntry], digits: str, person: str, now: datetime, *, break_glass: bool
) -> Plan:
    """Return the plan that ``digits`` name, if this person can agree to it now."""
    digits = digits.strip().lower()
    if len(digits) < PLAN_CHARS:
        raise ConflictError(f"Name the plan by at least {PLAN_CHARS} digits of its SHA-256.")
    plans = plans_of(entries)
    found = next((plan for plan in plans.values() if plan.sha256.startswith(digits)), None)
    if found is None:
        old = [
            entry.body["action"]
            for entry in entries
            if entry.kind == "plan" and entry.body["plan_sha256"].startswith(digits)
        ]
        if old:
            raise ConflictError(_replaced(plans[old[-1]]))
        raise ConflictError("No plan of this incident has that SHA-256.")
    if found.begun:
        raise ConflictError(f"{found.action} was begun already.")
    if now >= found.expires_at:
        raise ConflictError(
            f"This plan expired at {found.expires_at:%H:%M:%S} UTC; `understudy incident resume` asks for "
            f"another."
        )
    if _same(person, found.requested_by) and not break_glass:
        raise ConflictError(f"{person} asked for this plan; somebody else must agree to it.")
    if any(_same(person, approval.person) for approval in found.approvals) and not break_glass:
        raise ConflictError(f"{person} has agreed to this plan already.")
    return found


def _replaced(newest: Plan) -> str:
    return (
        f"That plan was replaced: what would be done is another by now. Read plan "
        f"{newest.sha256[:PLAN_CHARS]} and agree to that."
    )


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def plans_document(entries: Sequence[JournalEntry], now: datetime) -> list[Mapping[str, Any]]:
    """Return the newest plan of each action as plain data, with what its steps would do."""
    told = {entry.seq: entry.body for entry in entries if entry.kind == "plan"}
    return [
        {**plan.document(now), "title": told[plan.seq]["title"], "plan": told[plan.seq]["plan"]}
        for plan in plans_of(entries).values()
    ]
