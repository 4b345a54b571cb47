"""What the engine does next for an incident: one decision at a time, out of journal, policy and clock.

Nothing here reads or changes anything. Each move leaves an entry that changes the next decision, so a guard
that dies between two of them comes back to the very move that was not made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from understudy.restoration.approvals import PLAN_CHARS, Plan, plans_of
from understudy.restoration.incidents import IncidentState
from understudy.restoration.orders import standing_order
from understudy.restoration.playbook.agenda import (
    FOR_EACH_FINDING,
    ActionStanding,
    Agenda,
    Chain,
    Complete,
    agenda_of,
    next_cure,
)
from understudy.restoration.playbook.ladder import Rung
from understudy.restoration.playbook.policy import Playbook
from understudy.restoration.triggers.cures import ActionName
from understudy.store.journal import JournalEntry

#: So often one plan is proposed to persons who do not answer.
MOST_PROPOSALS = 2

_S = IncidentState


@dataclass(frozen=True, slots=True)
class Page:
    """Call a person, once for each ``about``."""

    about: str
    message: str
    instruction: str | None = None


@dataclass(frozen=True, slots=True)
class CaptureAlone:
    """Keep evidence although nothing here acts by itself."""


@dataclass(frozen=True, slots=True)
class Escalate:
    """Let the next cure of a finding become due."""

    chain: Chain
    action: ActionName
    reason: str


@dataclass(frozen=True, slots=True)
class Propose:
    """Write down a plan that persons must agree to."""

    standing: ActionStanding
    rung: Rung
    approvals: int
    proposal: int
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class Perform:
    """Begin an action, or go on with it; ``plan`` is what persons agreed to, where they had to."""

    standing: ActionStanding
    rung: Rung
    approvals: int
    plan: Plan | None


@dataclass(frozen=True, slots=True)
class Obey:
    """Come to the next consistent side, and there end or wait, because a person said so."""

    order: JournalEntry


@dataclass(frozen=True, slots=True)
class Enter:
    """Change the incident's state."""

    state: IncidentState
    reason: str
    hopeless: bool = False


Move = Page | CaptureAlone | Escalate | Propose | Perform | Obey | Enter


@dataclass(frozen=True, slots=True)
class Rules:
    """What decisions rest on besides the journal.

    Parameters
    ----------
    performs
        Whether an action has a rung, and its steps are built.
    complete
        Whether the outcomes of one attempt are all that an action needs.
    workflow_version
        Of the steps that this engine has.
    policy_sha256
        Of the policy in force; empty where nobody knows.
    """

    playbook: Playbook
    performs: Callable[[ActionName], bool]
    complete: Complete
    workflow_version: int
    policy_sha256: str = ""


def next_move(
    rules: Rules, entries: Sequence[JournalEntry], state: IncidentState, now: datetime
) -> Move | None:
    """Return what is to be done now, or None while there is nothing."""
    if state in {_S.CLOSED, _S.ABORTED, _S.RECOVERED}:
        return None
    opened, paged = entries[0].body, paged_in(entries)
    if opened["workflow_version"] != rules.workflow_version:
        return _strand(rules, opened["workflow_version"], state, paged)
    order = standing_order(entries)
    if order is not None:
        return _obey(order, state)
    changed = _policy_changed(rules, opened.get("policy_sha256"), paged)
    if changed is not None:
        return changed
    return _Decision(rules, entries, state, now).move()


class _Decision:
    """One decision about an incident that nobody stops."""

    def __init__(
        self, rules: Rules, entries: Sequence[JournalEntry], state: IncidentState, now: datetime
    ) -> None:
        self.rules = rules
        self.entries = entries
        self.state = state
        self.now = now
        self.paged = paged_in(entries)
        self.agenda: Agenda = agenda_of(entries, rules.complete)
        self.plans = plans_of(entries)
        self.limits = rules.playbook.limits

    def move(self) -> Move | None:
        """Return the first of all moves that is due."""
        return (
            self._ask()
            or self._escalate()
            or self._propose()
            or self._perform()
            or self._capture()
            or self._enter()
            or self._page_holds()
            or self._freeze()
        )

    # --- asking ---------------------------------------------------------------------------------------------

    def _ask(self) -> Page | None:
        for question in self.agenda.questions:
            about = f"ask {question.key}"
            if about not in self.paged:
                said = f"A person must decide: {question.title}. {question.detail}"
                return Page(about, said, question.instruction)
        for plan in self.plans.values():
            if f"plan {plan.seq}" not in self.paged and plan.waits(self.now):
                return self._ask_for(plan)
            unanswered = f"unanswered {plan.seq}"
            if self._unanswered(plan) and unanswered not in self.paged:
                said = f"Nobody agreed to {plan.action} in time; it waits on hold."
                return Page(unanswered, said, "understudy incident resume proposes it once more")
        return None

    def _ask_for(self, plan: Plan) -> Page:
        title = self.rules.playbook.cures[plan.action].title
        persons = "one person" if plan.needed == 1 else f"{plan.needed} distinct persons"
        again = "once more, because nobody answered: " if plan.proposals > 1 else ""
        if plan.replaces is not None:
            again = "again, because what would be done has changed: "
        incident = self.entries[0].incident
        return Page(
            f"plan {plan.seq}",
            f"Approval wanted {again}{plan.action} ({title}), plan {plan.sha256[:PLAN_CHARS]}, by {persons} "
            f"until {plan.expires_at:%H:%M:%S} UTC. `understudy incident show {incident}` has the plan.",
            f"understudy incident approve {incident} --plan {plan.sha256[:PLAN_CHARS]}\n"
            f"Or by hand: {self.rules.playbook.cures[plan.action].instruction}",
        )

    def _unanswered(self, plan: Plan) -> bool:
        standing = next((s for s in self.agenda.actions if s.action == plan.action), None)
        over = not plan.begun and not plan.approved and self.now >= plan.expires_at
        return over and plan.proposals >= MOST_PROPOSALS and standing is not None and not standing.done

    # --- what comes next ------------------------------------------------------------------------------------

    def _escalate(self) -> Escalate | None:
        by_action = {standing.action: standing for standing in self.agenda.actions}
        for chain in self.agenda.chains:
            if chain.resolved or not chain.actions:
                continue
            standing = by_action[chain.actions[-1]]
            reason = self._failed_for_good(standing)
            if reason is None or standing.under_way:
                continue
            known_good = str(self.entries[0].body.get("known_good") or "")
            action = next_cure(chain, known_good=known_good, performed=self.rules.performs)
            if action is not None:
                return Escalate(chain, action, reason)
        return None

    def _failed_for_good(self, standing: ActionStanding) -> str | None:
        """Say why an action is no cure, or None while it may still be one."""
        if not self.rules.performs(standing.action):
            return f"The policy has no rung for {standing.action} any more."
        held = standing.held
        if held is None or standing.resumed_at is not None:
            return None
        if held.body.get("escalate") or standing.given_up(self.limits.attempts):
            return str(held.body["reason"])
        return None

    def _propose(self) -> Propose | None:
        for standing, rung, approvals in self._due():
            if not approvals or standing.under_way:
                continue
            plan = self.plans.get(standing.action)
            if plan is not None and not plan.begun and self._concerns_more(plan, standing):
                return Propose(standing, rung, approvals, 1, replaces=plan.sha256)
            proposal = self._proposal(plan, approvals, standing)
            if proposal is not None:
                return Propose(standing, rung, approvals, proposal)
        return None

    def _concerns_more(self, plan: Plan, standing: ActionStanding) -> bool:
        """Whether a finding joined since, whose subject the plan does not have."""
        return standing.action in FOR_EACH_FINDING and standing.brought_seq > plan.seq

    def _proposal(self, plan: Plan | None, approvals: int, standing: ActionStanding) -> int | None:
        """Return which proposal is due now, or None while ``plan`` stands, waits or was never answered."""
        if plan is None or plan.needed < approvals:
            return 1
        if plan.begun:
            # Agreement to one performance, tried again where it failed; who asks since needs its own.
            covers = standing.brought_seq < plan.seq
            return None if covers and plan.stands(self.now) else 1
        if self.now < plan.expires_at:
            return None
        resumed = any(entry.kind == "resume" and entry.seq > plan.seq for entry in self.entries)
        if plan.approved or resumed:
            return 1
        return plan.proposals + 1 if plan.proposals < MOST_PROPOSALS else None

    def _perform(self) -> Perform | None:
        for standing, rung, approvals in self._due():
            plan = self.plans.get(standing.action)
            if standing.under_way or not approvals:
                return Perform(standing, rung, approvals, None)
            if plan is not None and plan.stands(self.now) and plan.needed >= approvals:
                return Perform(standing, rung, approvals, plan)
        return None

    def _due(self) -> list[tuple[ActionStanding, Rung, int]]:
        """Actions to run now with the persons that must agree, in the ladder's order; one under way first."""
        order: dict[str, int] = {r.action: i for i, r in enumerate(self.rules.playbook.ladder)}
        found = []
        for standing in self.agenda.actions:
            rung = self.rules.playbook.rung_of(standing.action)
            if rung is None or not self.rules.performs(standing.action):
                continue
            due = standing.due(
                self.now, hold_retry_s=self.limits.hold_retry_s, most_attempts=self.limits.attempts
            )
            if standing.under_way or due:
                approvals = max(1, rung.approvals) if standing.asks else rung.approvals
                found.append((standing, rung, approvals))
        return sorted(found, key=lambda due: (not due[0].under_way, order[due[0].action]))

    # --- states ---------------------------------------------------------------------------------------------

    def _capture(self) -> CaptureAlone | None:
        captured = any(entry.kind == "outcome" and entry.step == "evidence" for entry in self.entries)
        return CaptureAlone() if self.state is _S.OPEN and not captured else None

    def _enter(self) -> Enter | None:
        if self.agenda.finished:
            if self.state in {_S.HOLD, _S.FROZEN}:
                return Enter(_S.RESTORING, "Everything that was begun is done.")  # a person held it meanwhile
            return Enter(_S.MITIGATED, "") if self.state is _S.RESTORING else None
        if self.state in {_S.OPEN, _S.RESTORING}:
            return Enter(_S.HOLD, self._reason())
        thawed = any(standing.resumed_at is not None for standing in self.agenda.actions)
        waits = any(plan.waits(self.now) for plan in self.plans.values())
        if self.state is _S.FROZEN and (thawed or (waits and not self._exhausted())):
            return Enter(_S.HOLD, self._reason())
        return None

    def _reason(self) -> str:
        reasons = [str(s.held.body["reason"]) for s in self.agenda.left if s.held is not None]
        reasons += [f"The policy has no rung for {action} any more." for action in self._gone()]
        wanted = [
            f"{plan.action} waits for {plan.missing} approval{'s' if plan.missing > 1 else ''}."
            for plan in self.plans.values()
            if plan.waits(self.now)
        ]
        return " ".join([*reasons, *wanted]) or "A person must decide; nothing is done automatically."

    def _gone(self) -> list[ActionName]:
        """Actions that a finding brought, and that the policy has taken out since."""
        return [
            standing.action
            for standing in self.agenda.actions
            if standing.held is None and not standing.done and not self.rules.performs(standing.action)
        ]

    def _page_holds(self) -> Page | None:
        # A mitigated one too: what joined it may find no cure, while traffic can still say that it is over.
        if self.state not in {_S.HOLD, _S.FROZEN, _S.MITIGATED}:
            return None
        if gone := self._gone():
            about = f"no rung {' '.join(gone)}"
            if about not in self.paged:
                return Page(about, f"Restoration on hold: {self._reason()}")
        if left := self.agenda.left:
            # A later attempt that fails is paged again.
            about = f"hold {max(s.held.seq for s in left if s.held is not None)}"
            if about not in self.paged:
                return Page(about, f"Restoration on hold: {self._reason()}")
        return None

    def _freeze(self) -> Enter | None:
        if self.state is _S.HOLD and self._exhausted():
            return Enter(_S.FROZEN, self._reason())
        return None

    def _exhausted(self) -> bool:
        """Whether every finding that has to be cured has no cure left that automation would try."""
        must = {action for chain in self.agenda.chains if chain.must for action in chain.active}
        standings = [standing for standing in self.agenda.actions if standing.action in must]
        tried = [standing for standing in standings if standing.held is not None]
        return bool(tried) and all(standing.given_up(self.limits.attempts) for standing in standings)


def paged_in(entries: Sequence[JournalEntry]) -> set[str]:
    """Return what a journal has called a person about."""
    return {entry.body["about"] for entry in entries if entry.kind == "page"}


def _strand(rules: Rules, version: int, state: IncidentState, paged: set[str]) -> Move | None:
    reason = (
        f"This run was begun under workflow version {version}, this guard has "
        f"{rules.workflow_version}: it is stranded and a person must decide."
    )
    if state in {_S.OPEN, _S.RESTORING}:
        return Enter(_S.HOLD, reason, hopeless=True)
    if state is _S.HOLD:
        if "stranded" not in paged:
            return Page("stranded", f"Restoration on hold: {reason}")
        return Enter(_S.FROZEN, reason)
    return None


def _obey(order: JournalEntry, state: IncidentState) -> Obey | None:
    running = state in {_S.OPEN, _S.RESTORING}
    stopped = state in {_S.HOLD, _S.FROZEN}
    return Obey(order) if running or (order.kind == "abort" and stopped) else None


def _policy_changed(rules: Rules, begun_under: str | None, paged: set[str]) -> Page | None:
    now = rules.policy_sha256
    if not now or not begun_under or begun_under == now:
        return None
    about = f"policy {now[:PLAN_CHARS]}"
    if about in paged:
        return None
    return Page(
        about,
        f"The policy changed in the middle of this incident: it opened under {begun_under[:PLAN_CHARS]}, "
        f"from here on {now[:PLAN_CHARS]} is in force. Plans that it changes need new approvals.",
    )
