"""The engine: runs an incident's actions step by step, and the journal *is* the run.

Each step writes its intent, looks whether it is done, acts if it is not, looks again, and writes the outcome.
A guard that dies anywhere and comes back reads the journal: a step with an outcome is never touched again,
one with an intent only is looked at first and acted on only if the world shows that nothing happened.

What comes next is decided by :mod:`understudy.restoration.playbook.moves`; here it is done. Actions run one
after another in the ladder's order. One that fails holds up no other; one that is no cure gives way to the
next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from understudy.clock import Clock
from understudy.errors import ConfigurationError, UnderstudyError, ValidationError
from understudy.logs import get_logger
from understudy.restoration.actions.step import Restoration, Step, StepError
from understudy.restoration.incidents import IncidentBook, IncidentState, joined_findings
from understudy.restoration.orders import standing_order
from understudy.restoration.playbook import repertoire
from understudy.restoration.playbook.agenda import ActionStanding, Agenda, agenda_of
from understudy.restoration.playbook.ladder import Rung
from understudy.restoration.playbook.moves import (
    CaptureAlone,
    Enter,
    Escalate,
    Move,
    Obey,
    Page,
    Perform,
    Propose,
    Rules,
    next_move,
    paged_in,
)
from understudy.restoration.playbook.planning import ActionPlan, plan_of
from understudy.restoration.playbook.policy import Playbook, PolicyFile
from understudy.restoration.playbook.repertoire import PROOFS, WORKFLOW_VERSION
from understudy.restoration.playbook.stepping import Stepper
from understudy.restoration.signals.readings import Signals
from understudy.restoration.triggers.cures import ActionName
from understudy.store.guard import IncidentRow
from understudy.store.journal import JournalEntry

_S = IncidentState

log = get_logger(__name__)

#: Builds what the steps of one attempt work with, from the incident and the number of the attempt.
Prepare = Callable[[IncidentRow, int, Mapping[str, Any]], Restoration]


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why an attempt ended without success."""

    reason: str
    step: str | None
    hopeless: bool = False
    escalate: bool = False


class _Stopped(Exception):  # noqa: N818  # no error: a person said so
    """The attempt stands at a consistent side, and an order keeps it there."""


class Engine:
    """Runs incidents of one environment.

    Parameters
    ----------
    prepare
        Builds the tools of one attempt.
    seen
        The guard's newest look at everything, for the evidence.
    policy
        The file that ``playbook`` was read from.
    before_end
        Runs inside the transaction that ends an incident: it writes the report.
    """

    def __init__(
        self,
        book: IncidentBook,
        playbook: Playbook,
        clock: Clock,
        prepare: Prepare,
        *,
        seen: Callable[[], Signals | None] = lambda: None,
        policy: PolicyFile | None = None,
        before_end: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._book = book
        self._playbook = playbook
        self._clock = clock
        self._prepare = prepare
        self._seen = seen
        self._policy = policy
        self._before_end = before_end
        self._stepper = Stepper(book, clock, step_retry_s=playbook.limits.step_retry_s)

    def performs(self, action: ActionName) -> bool:
        """Whether the policy has a rung for ``action``, and its steps are built."""
        return action in repertoire.ACTIONS and self._playbook.rung_of(action) is not None

    def due(self, incident: str) -> bool:
        """Whether :meth:`tend` has something to do for an incident."""
        return self._next(incident) is not None

    def asked(self, incident: str) -> list[Mapping[str, Any]]:
        """Return the documents of the findings that wait for a person's decision."""
        return self._agenda(self._book.entries(incident)).asked

    def facts(self) -> dict[str, Any]:
        """Return what the entry that opens an incident pins: which steps, and which policy."""
        return {
            "workflow_version": WORKFLOW_VERSION,
            "policy_version": self._playbook.version,
            "policy_sha256": self._policy.sha256 if self._policy else None,
        }

    async def tend(self, incident: str) -> IncidentState:
        """Do what an incident needs now; return its state afterwards.

        Raises
        ------
        LeaseLostError
            Another guard took over; nothing more was done here.
        ConflictError
            A person closed the incident meanwhile.
        """
        row = self._book.store.incident(incident)
        while (move := self._next(incident)) is not None:
            await self._make(row, move)
        return self._state(incident)

    def ask(self, incident: str) -> None:
        """Page at once about each finding that a person must decide about, though an action is under way."""
        entries = self._book.entries(incident)
        paged = paged_in(entries)
        for question in self._agenda(entries).questions:
            about = f"ask {question.key}"
            if about not in paged:
                said = f"A person must decide: {question.title}. {question.detail}"
                self._write_page(incident, said, about, question.instruction)

    def page(self, incident: str, message: str, *, about: str, instruction: str | None = None) -> None:
        """Call a person, once for each ``about``: in the journal and the log; other channels read both."""
        if about not in paged_in(self._book.entries(incident)):
            self._write_page(incident, message, about, instruction)

    def _write_page(self, incident: str, message: str, about: str, instruction: str | None) -> None:
        body = {"about": about, "message": message, "instruction": instruction}
        self._book.append(incident, "page", body=body)
        log.error("page", incident=incident, message=message)

    # --- deciding -------------------------------------------------------------------------------------------

    def _state(self, incident: str) -> IncidentState:
        return IncidentState(self._book.store.incident(incident).state)

    def _agenda(self, entries: Sequence[JournalEntry]) -> Agenda:
        return agenda_of(entries, repertoire.complete)

    def _next(self, incident: str) -> Move | None:
        rules = Rules(
            playbook=self._playbook,
            performs=self.performs,
            complete=repertoire.complete,
            workflow_version=WORKFLOW_VERSION,
            policy_sha256=self._policy.sha256 if self._policy else "",
        )
        return next_move(rules, self._book.entries(incident), self._state(incident), self._clock.now())

    async def _make(self, row: IncidentRow, move: Move) -> None:
        match move:
            case Page():
                self._write_page(row.id, move.message, move.about, move.instruction)
            case CaptureAlone():
                run = self._run(row, 1, self._book.entries(row.id)[0].body["finding"])
                await self._stepper.take(
                    run, repertoire.EVIDENCE, None, box_s=self._playbook.limits.evidence_s
                )
            case Escalate():
                self._escalate(row, move)
            case Propose():
                self._propose(
                    row,
                    move.standing,
                    move.rung,
                    move.approvals,
                    proposal=move.proposal,
                    replaces=move.replaces,
                )
            case Perform():
                await self._perform(row, move)
            case Obey():
                await self._obey(row, move.order)
            case Enter():
                self._enter(row, move)

    def _enter(self, row: IncidentRow, move: Enter) -> None:
        agenda = self._agenda(self._book.entries(row.id))
        body: dict[str, Any] = {"reason": move.reason}
        match move.state:
            case _S.MITIGATED:
                actions = [standing.action for standing in agenda.actions if standing.attempts]
                body = {"actions": actions}
                log.info("incident_mitigated", incident=row.id, actions=actions)
            case _S.HOLD:
                body["hopeless"] = move.hopeless
            case _S.FROZEN:
                body["attempts"] = max((standing.attempts for standing in agenda.left), default=0)
            case _:
                pass
        self._book.move(row.id, move.state, body=body)

    def _escalate(self, row: IncidentRow, move: Escalate) -> None:
        body = {
            "finding_key": move.chain.key,
            "finding": dict(move.chain.finding),
            "from": move.chain.actions[-1],
            "action": move.action,
            "reason": move.reason,
        }
        self._book.append(row.id, "escalated", body=body)
        log.warning("escalated", incident=row.id, before=move.chain.actions[-1], after=move.action)

    # --- plans ----------------------------------------------------------------------------------------------

    def _propose(
        self,
        row: IncidentRow,
        standing: ActionStanding,
        rung: Rung,
        approvals: int,
        *,
        proposal: int = 1,
        replaces: str | None = None,
    ) -> None:
        self._say_policy_file(row)
        plan = self._planned(row, standing, rung)
        if plan is None:
            return
        expires_at = self._clock.now() + timedelta(seconds=self._playbook.limits.approval_s)
        body = {
            "action": standing.action,
            "attempt": standing.attempts + 1,
            "rung": rung.rung,
            "title": rung.title,
            "rollback_type": rung.rollback_type,
            "plan": list(plan.steps),
            "plan_sha256": plan.sha256,
            "approvals": approvals,
            "requested_by": standing.requested_by,
            "parameters": dict(standing.parameters or {}),
            "proposal": proposal,
            "replaces": replaces,
            "expires_at": expires_at.isoformat(),
            "policy_sha256": self._policy.sha256 if self._policy else None,
        }
        self._book.append(row.id, "plan", body=body)
        log.warning("plan_proposed", incident=row.id, action=standing.action, plan=plan.sha256)

    def _planned(self, row: IncidentRow, standing: ActionStanding, rung: Rung) -> ActionPlan | None:
        """Return the plan of the next attempt; None, and held with the reason, where there is none."""
        attempt = standing.attempts + 1
        run = self._run(row, attempt, standing.finding, standing)
        try:
            plan = plan_of(run, repertoire.ACTIONS[standing.action], rung)
            if plan.problem is None:
                return plan
            failure = _Failure(plan.problem, None, hopeless=True, escalate=True)
        except StepError as error:
            failure = _Failure(f"It cannot be planned: {error.message}", None, error.hopeless, error.hopeless)
        except UnderstudyError as error:
            failure = _Failure(f"It cannot be planned: {error.message}", None)
        except Exception as error:  # a defect in one plan must end in a HOLD and a page
            log.exception("plan_broke", action=standing.action)
            failure = _Failure(f"It cannot be planned: unexpected {type(error).__name__}", None)
        self._hold(row, standing.action, attempt, failure)
        return None

    def _say_policy_file(self, row: IncidentRow) -> None:
        changed = self._policy.changed() if self._policy else None
        if changed is not None:
            said = f"The policy file changed in the middle of this incident: {changed}."
            self.page(row.id, said, about="policy file")

    # --- performing -----------------------------------------------------------------------------------------

    async def _perform(self, row: IncidentRow, move: Perform) -> None:
        """Run one action to its end: done, held with the reason, or stopped by an order."""
        standing, rung = move.standing, move.rung
        attempt = standing.attempts
        if not standing.under_way:
            plan = self._planned(row, standing, rung)
            if plan is None:
                return
            if move.plan is not None and plan.sha256 != move.plan.sha256:
                self._propose(row, standing, rung, move.approvals, replaces=move.plan.sha256)
                return
            self._say_policy_file(row)
            attempt += 1
            self._restoring(row, standing, rung)
            self._begin(row, move, attempt, plan.sha256)
        self._restoring(row, standing, rung)
        run = self._run(row, attempt, standing.finding, standing)
        try:
            failure = await self._climb(run, standing.action, rung)
        except _Stopped:
            return
        if failure is not None:
            self._hold(row, standing.action, attempt, failure)

    def _restoring(self, row: IncidentRow, standing: ActionStanding, rung: Rung) -> None:
        if self._state(row.id) is not _S.RESTORING:
            self._book.move(row.id, _S.RESTORING, body={"action": standing.action, "title": rung.title})

    def _begin(self, row: IncidentRow, move: Perform, attempt: int, sha256: str) -> None:
        broken = move.plan.break_glass if move.plan else None
        body = {
            "action": move.standing.action,
            "attempt": attempt,
            "rung": move.rung.rung,
            "title": move.rung.title,
            "rollback_type": move.rung.rollback_type,
            "approvals": move.approvals,
            "plan_sha256": sha256,
            "requested_by": move.standing.requested_by,
            "parameters": dict(move.standing.parameters or {}),
            "approved_by": [approval.person for approval in move.plan.approvals] if move.plan else [],
            "break_glass": {"by": broken.person, "reason": broken.reason} if broken else None,
            "policy_sha256": self._policy.sha256 if self._policy else None,
        }
        self._book.append(row.id, "begun", body=body)

    def _hold(self, row: IncidentRow, action: ActionName, attempt: int, failure: _Failure) -> None:
        body = {
            "action": action,
            "attempt": attempt,
            "step": failure.step,
            "reason": failure.reason,
            "hopeless": failure.hopeless,
            "escalate": failure.escalate,
        }
        self._book.append(row.id, "held", body=body)

    def _run(
        self,
        row: IncidentRow,
        attempt: int,
        finding: Mapping[str, Any],
        standing: ActionStanding | None = None,
    ) -> Restoration:
        entries = self._book.entries(row.id)
        more: dict[str, Any] = {}
        if standing is not None:
            more = {"parameters": standing.parameters or {}, "requested_by": standing.requested_by}
            begun = next(
                (e.body for e in reversed(entries) if e.kind == "begun" and _of(e, standing.action, attempt)),
                None,
            )
            if begun is not None:
                more |= {
                    "parameters": begun.get("parameters") or {},
                    "plan_sha256": begun["plan_sha256"],
                    "approved_by": tuple(begun["approved_by"]),
                }
        findings = tuple(joined_findings(entries))
        return replace(self._prepare(row, attempt, finding), findings=findings, seen=self._seen, **more)

    async def _climb(self, run: Restoration, action: ActionName, rung: Rung) -> _Failure | None:
        """Run the steps; None when all are done, else why not.

        Raises
        ------
        _Stopped
            An order stands, and the steps so far leave a consistent side.
        """
        boxes: dict[str, float] = rung.steps.model_dump()
        end_s = self._clock.monotonic_s() + rung.time_box_s
        before: Step | None = None
        for step in repertoire.ACTIONS[action]:
            rows = self._stepper.rows_of(run, step, action)
            stopping = standing_order(self._book.entries(run.incident)) is not None
            glued = before is not None and repertoire.glued(action, before.name, step.name)
            if stopping and not rows and not glued:
                raise _Stopped
            left_s = end_s - self._clock.monotonic_s()
            if left_s <= 0:
                spent = f"The rung's time box of {rung.time_box_s:g} s is spent."
                return _Failure(spent, step.name, escalate=True)
            outcome = await self._stepper.take(
                run, step, action, box_s=min(boxes[step.name], left_s), finish_only=stopping and not glued
            )
            if outcome is None or (stopping and step.required and not outcome.body["ok"]):
                raise _Stopped
            if not outcome.body["ok"] and step.required:
                return _Failure(
                    f"{step.name}: {outcome.body['problem']}",
                    step.name,
                    hopeless=outcome.body["hopeless"],
                    escalate=outcome.body["hopeless"] or step.name in PROOFS,
                )
            before = step
        return None

    # --- orders ---------------------------------------------------------------------------------------------

    async def _obey(self, row: IncidentRow, order: JournalEntry) -> None:
        """Finish what may not be left half done; then wait, or undo what must not stay and end."""
        problems: list[str] = []
        for standing in self._agenda(self._book.entries(row.id)).actions:
            rung = self._playbook.rung_of(standing.action)
            if rung is None or not self.performs(standing.action) or not standing.attempts:
                continue
            run = self._run(row, standing.attempts, standing.finding, standing)
            if standing.under_way:
                try:
                    await self._climb(run, standing.action, rung)
                except _Stopped:
                    log.info("action_stopped", incident=row.id, action=standing.action)
            if order.kind == "abort":
                problems += await self._undo(run, standing.action, rung)
        if order.kind == "abort":
            self._end(row, order, problems)
        else:
            reason = f"Held by {order.actor}: {order.body['reason']}"
            self._book.move(row.id, _S.HOLD, body={"reason": reason, "hopeless": False})

    def _end(self, row: IncidentRow, order: JournalEntry, problems: Sequence[str]) -> None:
        side = side_of(self._book.entries(row.id), problems)
        body = {"reason": order.body["reason"], "by": order.actor, **side}
        try:
            self._book.move(row.id, _S.ABORTED, body=body, before_commit=lambda: self._before_end(row.id))
        except (ConfigurationError, ValidationError) as error:
            self.page(row.id, f"The report cannot be written: {error.message}", about="report")
            self._book.move(row.id, _S.ABORTED, body=body)

    async def _undo(self, run: Restoration, action: ActionName, rung: Rung) -> list[str]:
        """Take the steps that an abort owes; return what did not succeed."""
        # Of any attempt: what an earlier one left must not stay because the newest got less far.
        begun = any(
            entry.kind == "intent" and entry.body["changes"] and entry.body.get("action") == action
            for entry in self._book.entries(run.incident)
        )
        boxes: dict[str, float] = rung.steps.model_dump()
        problems = []
        for step in repertoire.ACTIONS[action]:
            if begun and step.name in repertoire.ENDING.get(action, ()):
                outcome = await self._stepper.take(run, step, action, box_s=boxes[step.name])
                if outcome is not None and not outcome.body["ok"]:
                    problems.append(f"{step.name}: {outcome.body['problem']}")
        return problems


def side_of(entries: Sequence[JournalEntry], problems: Sequence[str] = ()) -> dict[str, Any]:
    """Return on which side an aborted incident ends, in words and by step."""
    ended = [entry for entry in entries if entry.kind == "outcome"]
    changed = list(dict.fromkeys(str(entry.step) for entry in ended if entry.body.get("changed_at")))
    intended = {entry.step for entry in entries if entry.kind == "intent" and entry.body["changes"]}
    not_done = sorted(str(step) for step in intended if step not in changed)
    said = f"Changed, and left so: {', '.join(changed)}." if changed else "Nothing was changed."
    if not_done:
        said += f" Begun and not done: {', '.join(not_done)}."
    if problems:
        said += f" A person must end it: {'; '.join(problems)}."
    return {"side": said, "changed": changed, "not_done": not_done}


def _of(entry: JournalEntry, action: ActionName, attempt: int) -> bool:
    return entry.body.get("action") == action and entry.body.get("attempt") == attempt
