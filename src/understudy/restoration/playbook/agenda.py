"""What an incident still has to do, read out of its journal alone.

Each `auto` finding brings the first of its cures that a rung can perform; an action is begun once for all the
findings that name it. A finding without one asks a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from understudy.restoration.triggers.cures import ActionName
from understudy.restoration.triggers.verdict import Finding
from understudy.store.journal import JournalEntry


@dataclass(frozen=True, slots=True)
class ActionStanding:
    """How far one action is.

    Parameters
    ----------
    finding
        The document of the finding that brought it first.
    attempts
        How often it was begun.
    held
        The entry that ended the newest attempt without success, or None while it runs or is done.
    """

    action: ActionName
    finding: Mapping[str, Any]
    attempts: int
    held: JournalEntry | None
    done: bool

    @property
    def untouched(self) -> bool:
        """Whether it was never begun."""
        return self.attempts == 0

    @property
    def under_way(self) -> bool:
        """Whether an attempt has begun and its end is not on record."""
        return bool(self.attempts) and not self.done and self.held is None

    def given_up(self, most_attempts: int) -> bool:
        """Whether automation does not try it again."""
        return self.held is not None and (self.held.body["hopeless"] or self.attempts >= most_attempts)

    def retry_at(self, hold_retry_s: float) -> datetime | None:
        """When the next attempt is due; the wait doubles with each one."""
        if self.held is None:
            return None
        return self.held.at + timedelta(seconds=hold_retry_s * 2 ** max(0, self.attempts - 1))


@dataclass(frozen=True, slots=True)
class Question:
    """A finding that a person must decide about."""

    key: str
    title: str
    detail: str
    instruction: str | None


@dataclass(frozen=True, slots=True)
class Agenda:
    """Actions in the order in which they were brought, and the findings that ask a person."""

    actions: tuple[ActionStanding, ...]
    questions: tuple[Question, ...]

    @property
    def left(self) -> list[ActionStanding]:
        """Actions whose newest attempt ended without success."""
        return [standing for standing in self.actions if standing.held is not None]

    @property
    def finished(self) -> bool:
        """Whether there are actions, and all are done."""
        return bool(self.actions) and all(standing.done for standing in self.actions)


def agenda_of(
    entries: Sequence[JournalEntry], complete: Callable[[ActionName, Sequence[JournalEntry]], bool]
) -> Agenda:
    """Read an incident's journal.

    Parameters
    ----------
    complete
        Whether the outcomes of one attempt are all that the action needs.
    """
    brought = [entry for entry in entries if entry.kind in {"opened", "joined"}]
    first: dict[ActionName, Mapping[str, Any]] = {}
    questions = []
    for entry in brought:
        action = entry.body.get("action")
        if action is not None:
            first.setdefault(action, entry.body["finding"])
            continue
        finding = entry.body["finding"]
        questions.append(
            Question(
                key=entry.body["finding_key"],
                title=entry.body.get("title") or finding["detail"],
                detail=finding["detail"],
                instruction=entry.body.get("instruction"),
            )
        )
    return Agenda(
        actions=tuple(_standing(action, finding, entries, complete) for action, finding in first.items()),
        questions=tuple(questions),
    )


def _standing(
    action: ActionName,
    finding: Mapping[str, Any],
    entries: Sequence[JournalEntry],
    complete: Callable[[ActionName, Sequence[JournalEntry]], bool],
) -> ActionStanding:
    mine = [entry for entry in entries if entry.body.get("action") == action]
    attempts = sum(entry.kind == "begun" for entry in mine)
    outcomes = [entry for entry in mine if entry.kind == "outcome" and entry.body.get("attempt") == attempts]
    held = next(
        (entry for entry in mine if entry.kind == "held" and entry.body.get("attempt") == attempts), None
    )
    done = attempts > 0 and held is None and complete(action, outcomes)
    return ActionStanding(action, finding, attempts, held, done)


def action_for(
    finding: Finding, *, known_good: str, performed: Callable[[ActionName], bool]
) -> ActionName | None:
    """Return what the engine does about ``finding``: its first cure that a rung performs, or None.

    An env switch cures nothing where the known-good provider itself fails.
    """
    if finding.mode != "auto":
        return None
    for cure in finding.cures:
        if performed(cure) and not (cure == "env_switch" and finding.provider == known_good):
            return cure
    return None


def instruction_for(
    finding: Finding,
    *,
    known_good: str,
    instructions: Mapping[ActionName, str],
) -> str | None:
    """Return what the policy tells a person to do about ``finding``, for its first cure that can help."""
    cures: Iterable[ActionName] = finding.cures
    if finding.provider == known_good:
        cures = [cure for cure in cures if cure != "env_switch"]
    return next((instructions[cure] for cure in cures if cure in instructions), None)
