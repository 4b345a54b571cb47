"""One step: intent, look, act, look again, outcome; and after a crash, look before anything else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from understudy.clock import Clock
from understudy.errors import UnderstudyError
from understudy.logs import get_logger
from understudy.restoration.actions.step import Progress, Restoration, Step, StepError
from understudy.restoration.incidents import IncidentBook
from understudy.restoration.triggers.cures import ActionName
from understudy.store.journal import JournalEntry, digest

#: How often a step that only waits looks again, in seconds.
LOOK_EVERY_S = 0.25

log = get_logger(__name__)


class _NotBegunError(Exception):
    """The step may only be finished, and it was never begun."""


@dataclass(slots=True)
class _Trial:
    """A step under way; ``finish_only`` forbids to begin what has not begun."""

    finish_only: bool = False
    acted: bool = False
    changed_at: datetime | None = None
    tries: int = 0
    problem: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)


class Stepper:
    """Takes steps and writes each one's intent and outcome."""

    def __init__(self, book: IncidentBook, clock: Clock, *, step_retry_s: float) -> None:
        self._book = book
        self._clock = clock
        self._step_retry_s = step_retry_s

    def rows_of(self, run: Restoration, step: Step, action: ActionName | None) -> list[JournalEntry]:
        """Return what the journal has about ``step`` in this attempt."""
        return [
            entry
            for entry in self._book.entries(run.incident)
            if entry.step == step.name
            and entry.body.get("action") == action
            and entry.body.get("attempt") == run.attempt
        ]

    async def take(
        self,
        run: Restoration,
        step: Step,
        action: ActionName | None,
        *,
        box_s: float,
        finish_only: bool = False,
    ) -> JournalEntry | None:
        """Take one step to its outcome; one that has an outcome is not touched again.

        Parameters
        ----------
        finish_only
            Wait for what has begun, and begin nothing: None then, where it was never begun.
        """
        mine = self.rows_of(run, step, action)
        done = outcome_in(mine)
        if done is not None:
            return done
        # Two actions of one incident may have a step of the same name, and must not take each other's acts.
        name = f"{action}:{step.name}" if action else step.name
        key = f"{run.incident}:{name}" + (f":{run.attempt}" if run.attempt > 1 else "")
        resumed = bool(mine)
        # A resumed step may have acted before the crash: its intent is then the nearest known time.
        trial = _Trial(finish_only=finish_only, changed_at=mine[0].at if resumed else None)
        ok, hopeless = False, False
        started_s = self._clock.monotonic_s()
        try:
            if not resumed:
                self._intend(run, step, action, key, box_s)
            log.info(
                "step_begins", incident=run.incident, step=step.name, attempt=run.attempt, resumed=resumed
            )
            async with asyncio.timeout(box_s):
                ok = await self._until_done(run, step, key, trial)
        except _NotBegunError:
            return None
        except TimeoutError:
            trial.problem = f"not done within {box_s:g} s: {trial.problem or 'no answer'}"
        except StepError as error:
            trial.problem, trial.evidence, hopeless = error.message, error.evidence, error.hopeless
        changed = ok and step.changes and trial.changed_at and "skipped" not in trial.evidence
        body = {
            "action": action,
            "attempt": run.attempt,
            "key": key,
            "ok": ok,
            "hopeless": hopeless,
            "resumed": resumed,
            "tries": trial.tries,
            "changed_at": trial.changed_at.isoformat() if changed and trial.changed_at else None,
            "duration_ms": int((self._clock.monotonic_s() - started_s) * 1000),
            "problem": None if ok else trial.problem,
            "evidence": trial.evidence,
            "evidence_sha256": digest(trial.evidence),
        }
        log.info("step_ends", incident=run.incident, step=step.name, ok=ok, problem=body["problem"])
        return self._book.append(run.incident, "outcome", step=step.name, body=body)

    def _intend(
        self, run: Restoration, step: Step, action: ActionName | None, key: str, box_s: float
    ) -> None:
        try:
            plan = dict(step.plan(run))
        except StepError:
            raise
        except UnderstudyError as error:
            raise StepError(error.message) from error
        except Exception as error:  # a defect in one step must end in a HOLD and a page
            log.exception("step_broke", step=step.name)
            raise StepError(f"unexpected {type(error).__name__}; the guard's log has it") from error
        intent = {
            "action": action,
            "attempt": run.attempt,
            "key": key,
            "changes": step.changes,
            "plan": plan,
            "time_box_s": box_s,
        }
        self._book.append(run.incident, "intent", step=step.name, body=intent)

    async def _until_done(self, run: Restoration, step: Step, key: str, trial: _Trial) -> bool:
        """Look, act where nothing has happened, look again, until it is done or ``StepError`` is final."""
        while True:
            try:
                if await self._once(run, step, key, trial):
                    return True
            except _NotBegunError:
                raise
            except StepError as error:
                if error.final:
                    raise
                trial.problem, trial.evidence, trial.acted = error.message, error.evidence, False
                await self._clock.sleep(self._step_retry_s)
            except UnderstudyError as error:
                # The world did not answer; whether the act arrived is found out by looking again.
                trial.problem, trial.acted = error.message, False
                await self._clock.sleep(self._step_retry_s)
            except Exception as error:  # a defect in one step must end in a HOLD and a page
                log.exception("step_broke", step=step.name)
                raise StepError(f"unexpected {type(error).__name__}; the guard's log has it") from error

    async def _once(self, run: Restoration, step: Step, key: str, trial: _Trial) -> bool:
        """Look once, and act where nothing has happened; whether the step is done."""
        sighting = await step.look(run, key)
        if sighting.detail or sighting.evidence:
            trial.problem, trial.evidence = sighting.detail, dict(sighting.evidence)
        absent = sighting.progress in {Progress.ABSENT, Progress.HALF}
        if sighting.progress is Progress.DONE:
            return True
        if sighting.progress is Progress.ABSENT and trial.finish_only:
            raise _NotBegunError
        if not absent or trial.acted:
            trial.acted = trial.acted and not absent
            await self._clock.sleep(LOOK_EVERY_S)
            return False
        trial.tries += 1
        result = await step.act(run, key)
        trial.changed_at = self._clock.now()
        self._book.reached(f"acted {step.name}")
        trial.acted = True
        trial.evidence = dict(result) if result is not None else trial.evidence
        return result is not None


def outcome_in(rows: Sequence[JournalEntry]) -> JournalEntry | None:
    """Return the outcome among a step's rows, or None while it has none."""
    return next((entry for entry in rows if entry.kind == "outcome"), None)
