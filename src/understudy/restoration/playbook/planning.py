"""What an action would do, step by step, and the SHA-256 that persons agree to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from understudy.restoration.actions.step import Restoration, Step
from understudy.restoration.playbook.ladder import Rung
from understudy.store.journal import digest


@dataclass(frozen=True, slots=True)
class ActionPlan:
    """The steps of one action with what each would do, and the digest of it all."""

    steps: tuple[dict[str, Any], ...]
    sha256: str

    @property
    def problem(self) -> str | None:
        """Why it would come to nothing, as far as a step knows already; None where none knows of anything."""
        told = (step["plan"].get("problem") for step in self.steps)
        return next((str(problem) for problem in told if problem), None)


def plan_of(run: Restoration, steps: Sequence[Step], rung: Rung) -> ActionPlan:
    """Return the plan of ``steps``, without doing anything.

    Raises
    ------
    UnderstudyError
        A step cannot say what it would do.
    """
    boxes: dict[str, float] = rung.steps.model_dump()
    told = tuple(
        {
            "step": step.name,
            "changes": step.changes,
            "time_box_s": boxes[step.name],
            "plan": dict(step.plan(run)),
        }
        for step in steps
        if step.name != "evidence"
    )
    whole = {
        "incident": run.incident,
        "action": rung.action,
        "time_box_s": rung.time_box_s,
        "steps": told,
        "parameters": dict(run.parameters),
    }
    return ActionPlan(told, digest(whole))
