"""The engine: runs an incident's actions step by step, and the journal *is* the run.

Each step writes its intent, looks whether it is done, acts if it is not, looks again, and writes the outcome.
A guard that dies anywhere and comes back reads the journal: a step with an outcome is never touched again,
one with an intent only is looked at first and acted on only if the world shows that nothing happened.

Actions run one after another in the ladder's order. One that fails holds up no other; what is left undone in
the end puts the incident on HOLD.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from understudy.clock import Clock
from understudy.errors import UnderstudyError
from understudy.logs import get_logger
from understudy.restoration.actions import close_valve, env_switch
from understudy.restoration.actions.evidence import CaptureEvidence
from understudy.restoration.actions.step import Progress, Restoration, Step, StepError
from understudy.restoration.incidents import IncidentBook, IncidentState, joined_findings
from understudy.restoration.playbook.agenda import ActionStanding, Agenda, agenda_of
from understudy.restoration.playbook.ladder import Rung
from understudy.restoration.playbook.policy import Playbook
from understudy.restoration.signals.readings import Signals
from understudy.restoration.triggers.cures import ActionName
from understudy.store.guard import IncidentRow
from understudy.store.journal import JournalEntry, digest

#: Set by hand when steps change their meaning; a run begun under another is stranded, said aloud and held.
WORKFLOW_VERSION = 2
#: How often a step that only waits looks again, in seconds.
LOOK_EVERY_S = 0.25

_EVIDENCE = CaptureEvidence()
ACTIONS: Mapping[ActionName, tuple[Step, ...]] = {
    "close_valve": (_EVIDENCE, *close_valve.STEPS),
    "env_switch": (_EVIDENCE, *env_switch.STEPS),
}

_S = IncidentState

log = get_logger(__name__)

#: Builds what the steps of one attempt work with, from the incident and the number of the attempt.
Prepare = Callable[[IncidentRow, int, Mapping[str, Any]], Restoration]


@dataclass(slots=True)
class _Trial:
    """A step under way."""

    changed_at: datetime | None = None
    tries: int = 0
    problem: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)


class Engine:
    """Runs incidents of one environment.

    Parameters
    ----------
    prepare
        Builds the tools of one attempt.
    seen
        The guard's newest look at everything, for the evidence.
    """

    def __init__(
        self,
        book: IncidentBook,
        playbook: Playbook,
        clock: Clock,
        prepare: Prepare,
        *,
        seen: Callable[[], Signals | None] = lambda: None,
    ) -> None:
        self._book = book
        self._playbook = playbook
        self._clock = clock
        self._prepare = prepare
        self._seen = seen

    def performs(self, action: ActionName) -> bool:
        """Whether the policy has a rung for ``action``, and its steps are built."""
        return action in ACTIONS and self._playbook.rung_of(action) is not None

    def due(self, incident: str) -> bool:
        """Whether :meth:`tend` has something to do for an incident that is not OPEN or RESTORING."""
        entries, state = self._book.entries(incident), self._state(incident)
        if entries[0].body["workflow_version"] != WORKFLOW_VERSION:
            return state is _S.HOLD
        agenda, paged = self._agenda(entries), paged_in(entries)
        if self._due(agenda) or any(f"ask {question.key}" not in paged for question in agenda.questions):
            return True
        # A guard that died between HOLD and its page, or before freezing, has still to do it.
        left = agenda.left
        return state is _S.HOLD and bool(left) and (_hold(left) not in paged or self._given_up(left))

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
        opened = self._book.entries(incident)[0].body
        if opened["workflow_version"] != WORKFLOW_VERSION:
            return self._strand(incident, opened["workflow_version"])
        self.ask(incident)
        if not self._agenda(self._book.entries(incident)).actions:
            return await self._only_ask(row)
        while due := self._due(self._agenda(self._book.entries(incident))):
            standing, rung = due[0]
            if self._state(incident) is not _S.RESTORING:
                body = {"action": standing.action, "title": rung.title}
                self._book.move(incident, _S.RESTORING, body=body)
            await self._attempt(row, standing, rung)
        return self._settle(incident)

    def ask(self, incident: str) -> None:
        """Page once for each finding that a person must decide about, with the policy's instruction."""
        entries = self._book.entries(incident)
        paged = paged_in(entries)
        for question in self._agenda(entries).questions:
            about = f"ask {question.key}"
            if about in paged:
                continue
            self._write_page(
                incident,
                f"A person must decide: {question.title}. {question.detail}",
                about=about,
                instruction=question.instruction,
            )
            paged.add(about)

    def _state(self, incident: str) -> IncidentState:
        return IncidentState(self._book.store.incident(incident).state)

    def _agenda(self, entries: Sequence[JournalEntry]) -> Agenda:
        return agenda_of(entries, _complete)

    def _due(self, agenda: Agenda) -> list[tuple[ActionStanding, Rung]]:
        """Actions to run now, in the ladder's order; the one under way before all."""
        order: dict[str, int] = {rung.action: index for index, rung in enumerate(self._playbook.ladder)}
        limits, now = self._playbook.limits, self._clock.now()
        found = []
        for standing in agenda.actions:
            rung = self._playbook.rung_of(standing.action)
            if rung is None or standing.done:
                continue
            at = standing.retry_at(limits.hold_retry_s)
            again = at is not None and now >= at and not standing.given_up(limits.attempts)
            if standing.untouched or standing.under_way or again:
                found.append((standing, rung))
        return sorted(found, key=lambda due: (not due[0].under_way, order[due[0].action]))

    async def _only_ask(self, row: IncidentRow) -> IncidentState:
        """Keep evidence and hold: nothing here acts by itself."""
        if row.state == _S.OPEN:
            run = self._run(row, 1, self._book.entries(row.id)[0].body["finding"])
            await self._step(run, _EVIDENCE, None, box_s=self._playbook.limits.evidence_s)
            reason = "A person must decide; nothing is done automatically."
            self._book.move(row.id, _S.HOLD, body={"reason": reason, "hopeless": False})
        return self._state(row.id)

    async def _attempt(self, row: IncidentRow, standing: ActionStanding, rung: Rung) -> None:
        """Run one action to its end: done, or held with the reason."""
        attempt = standing.attempts
        if not standing.under_way:
            attempt += 1
            begun = {
                "action": standing.action,
                "attempt": attempt,
                "rung": rung.rung,
                "title": rung.title,
                "rollback_type": rung.rollback_type,
                "approvals": rung.approvals,
            }
            self._book.append(row.id, "begun", body=begun)
        run = self._run(row, attempt, standing.finding)
        problem = await self._climb(run, standing.action, rung)
        if problem is not None:
            reason, hopeless = problem
            body = {"action": standing.action, "attempt": attempt, "reason": reason, "hopeless": hopeless}
            self._book.append(row.id, "held", body=body)

    def _run(self, row: IncidentRow, attempt: int, finding: Mapping[str, Any]) -> Restoration:
        findings = tuple(joined_findings(self._book.entries(row.id)))
        return replace(self._prepare(row, attempt, finding), findings=findings, seen=self._seen)

    async def _climb(self, run: Restoration, action: ActionName, rung: Rung) -> tuple[str, bool] | None:
        """Run the steps; None when all are done, else why not and whether no later attempt can help."""
        boxes: dict[str, float] = rung.steps.model_dump()
        end_s = self._clock.monotonic_s() + rung.time_box_s
        for step in ACTIONS[action]:
            left_s = end_s - self._clock.monotonic_s()
            if left_s <= 0:
                return f"The rung's time box of {rung.time_box_s:g} s is spent.", False
            outcome = await self._step(run, step, action, box_s=min(boxes[step.name], left_s))
            if not outcome.body["ok"] and step.required:
                return f"{step.name}: {outcome.body['problem']}", outcome.body["hopeless"]
        return None

    def _settle(self, incident: str) -> IncidentState:
        """Put an incident, of which nothing is due now, into the state that its actions' ends call for."""
        state = self._state(incident)
        agenda = self._agenda(self._book.entries(incident))
        if agenda.finished:
            if state is _S.RESTORING:
                actions = [standing.action for standing in agenda.actions]
                self._book.move(incident, _S.MITIGATED, body={"actions": actions})
                log.info("incident_mitigated", incident=incident, actions=actions)
            return self._state(incident)
        left = agenda.left
        reasons = [standing.held.body["reason"] for standing in left if standing.held is not None]
        # Named when the incident opened, and taken out of the policy since.
        gone = [
            standing.action
            for standing in agenda.actions
            if standing.held is None and not standing.done and not self.performs(standing.action)
        ]
        reasons += [f"The policy has no rung for {action} any more." for action in gone]
        reason = " ".join(reasons)
        if state in {_S.OPEN, _S.RESTORING}:
            self._book.move(incident, _S.HOLD, body={"reason": reason, "hopeless": False})
            state = _S.HOLD
        if state is _S.HOLD and gone:
            self.page(incident, f"Restoration on hold: {reason}", about=f"no rung {' '.join(gone)}")
        elif state is _S.HOLD and left:
            self.page(incident, f"Restoration on hold: {reason}", about=_hold(left))
            if self._given_up(left):
                attempts = max(standing.attempts for standing in left)
                self._book.move(incident, _S.FROZEN, body={"reason": reason, "attempts": attempts})
        return self._state(incident)

    def _given_up(self, left: Sequence[ActionStanding]) -> bool:
        return all(standing.given_up(self._playbook.limits.attempts) for standing in left)

    def _strand(self, incident: str, version: int) -> IncidentState:
        reason = (
            f"This run was begun under workflow version {version}, this guard has "
            f"{WORKFLOW_VERSION}: it is stranded and a person must decide."
        )
        state = self._state(incident)
        if state in {_S.OPEN, _S.RESTORING}:
            self._book.move(incident, _S.HOLD, body={"reason": reason, "hopeless": True})
        if state in {_S.OPEN, _S.RESTORING, _S.HOLD}:
            self.page(incident, f"Restoration on hold: {reason}", about="stranded")
            self._book.move(incident, _S.FROZEN, body={"reason": reason})
        return self._state(incident)

    async def _step(
        self, run: Restoration, step: Step, action: ActionName | None, *, box_s: float
    ) -> JournalEntry:
        mine = [
            entry
            for entry in self._book.entries(run.incident)
            if entry.step == step.name
            and entry.body.get("action") == action
            and entry.body.get("attempt") == run.attempt
        ]
        done = next((entry for entry in mine if entry.kind == "outcome"), None)
        if done is not None:
            return done
        key = f"{run.incident}:{step.name}" + (f":{run.attempt}" if run.attempt > 1 else "")
        resumed = bool(mine)
        if not resumed:
            intent = {
                "action": action,
                "attempt": run.attempt,
                "key": key,
                "changes": step.changes,
                "plan": dict(step.plan(run)),
                "time_box_s": box_s,
            }
            self._book.append(run.incident, "intent", step=step.name, body=intent)
        log.info("step_begins", incident=run.incident, step=step.name, attempt=run.attempt, resumed=resumed)
        started_s = self._clock.monotonic_s()
        # A resumed step may have acted before the crash: its intent is then the nearest known time.
        trial = _Trial(changed_at=mine[0].at if resumed else None)
        ok, hopeless = False, False
        try:
            async with asyncio.timeout(box_s):
                ok = await self._until_done(run, step, key, trial)
        except TimeoutError:
            trial.problem = f"not done within {box_s:g} s: {trial.problem or 'no answer'}"
        except StepError as error:
            trial.problem, trial.evidence, hopeless = error.message, error.evidence, error.hopeless
        body = {
            "action": action,
            "attempt": run.attempt,
            "key": key,
            "ok": ok,
            "hopeless": hopeless,
            "resumed": resumed,
            "tries": trial.tries,
            "changed_at": trial.changed_at.isoformat()
            if ok and step.changes and trial.changed_at and "skipped" not in trial.evidence
            else None,
            "duration_ms": int((self._clock.monotonic_s() - started_s) * 1000),
            "problem": None if ok else trial.problem,
            "evidence": trial.evidence,
            "evidence_sha256": digest(trial.evidence),
        }
        log.info("step_ends", incident=run.incident, step=step.name, ok=ok, problem=body["problem"])
        return self._book.append(run.incident, "outcome", step=step.name, body=body)

    async def _until_done(self, run: Restoration, step: Step, key: str, trial: _Trial) -> bool:
        """Look, act where nothing has happened, look again, until it is done or ``StepError`` is final."""
        acted = False
        while True:
            try:
                sighting = await step.look(run, key)
                if sighting.detail or sighting.evidence:
                    trial.problem, trial.evidence = sighting.detail, dict(sighting.evidence)
                if sighting.progress is Progress.DONE:
                    return True
                if sighting.progress is Progress.ABSENT and not acted:
                    trial.tries += 1
                    result = await step.act(run, key)
                    trial.changed_at = self._clock.now()
                    self._book.reached(f"acted {step.name}")
                    if result is not None:
                        trial.evidence = dict(result)
                        return True
                    acted = True
                    continue
                acted = acted and sighting.progress is not Progress.ABSENT
                await self._clock.sleep(LOOK_EVERY_S)
            except StepError as error:
                if error.final:
                    raise
                trial.problem, trial.evidence = error.message, error.evidence
                acted = False
                await self._clock.sleep(self._playbook.limits.step_retry_s)
            except UnderstudyError as error:
                # The world did not answer; whether the act arrived is found out by looking again.
                trial.problem = error.message
                acted = False
                await self._clock.sleep(self._playbook.limits.step_retry_s)
            except Exception as error:  # a defect in one step must end in a HOLD and a page
                log.exception("step_broke", step=step.name)
                raise StepError(f"unexpected {type(error).__name__}; the guard's log has it") from error

    def page(self, incident: str, message: str, *, about: str, instruction: str | None = None) -> None:
        """Call a person, once for each ``about``: in the journal and the log; other channels read both."""
        if about not in paged_in(self._book.entries(incident)):
            self._write_page(incident, message, about=about, instruction=instruction)

    def _write_page(self, incident: str, message: str, *, about: str, instruction: str | None) -> None:
        body = {"about": about, "message": message, "instruction": instruction}
        self._book.append(incident, "page", body=body)
        log.error("page", incident=incident, message=message)


def _hold(left: Sequence[ActionStanding]) -> str:
    """Name the page about these actions: a later attempt that fails is paged again."""
    return f"hold {max(standing.held.seq for standing in left if standing.held is not None)}"


def paged_in(entries: Sequence[JournalEntry]) -> set[str]:
    """Return what a journal has called a person about."""
    return {entry.body["about"] for entry in entries if entry.kind == "page"}


def _complete(action: ActionName, outcomes: Sequence[JournalEntry]) -> bool:
    """Whether every step of ``action`` has ended as it must."""
    ended = {entry.step: entry.body["ok"] for entry in outcomes}
    return all(
        step.name in ended and (ended[step.name] or not step.required) for step in ACTIONS.get(action, ())
    )
