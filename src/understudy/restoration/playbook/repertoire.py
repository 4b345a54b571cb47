"""What the engine can perform: actions with their steps, and what an order to stop does to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from understudy.restoration.actions import (
    close_reads,
    close_valve,
    code_rollback,
    database_restore,
    env_switch,
    quarantine_and_repair,
    reapply_settings,
    throttle_tenant,
)
from understudy.restoration.actions.evidence import CaptureEvidence
from understudy.restoration.actions.step import Step
from understudy.restoration.triggers.cures import ActionName
from understudy.store.journal import JournalEntry

#: Set by hand when steps change their meaning; a run begun under another is stranded, said aloud and held.
WORKFLOW_VERSION = 3
#: Steps that prove whether an action was the cure; where one fails, the next cure is due.
PROOFS = frozenset({"verification", "recheck", "isolation"})

EVIDENCE: Step = CaptureEvidence()
ACTIONS: Mapping[ActionName, tuple[Step, ...]] = {
    "close_valve": (EVIDENCE, *close_valve.STEPS),
    "throttle_tenant": (EVIDENCE, *throttle_tenant.STEPS),
    "quarantine_and_repair": (EVIDENCE, *quarantine_and_repair.STEPS),
    "close_reads": (EVIDENCE, *close_reads.STEPS),
    "env_switch": (EVIDENCE, *env_switch.STEPS),
    "reapply_settings": (EVIDENCE, *reapply_settings.STEPS),
    "code_rollback": (EVIDENCE, *code_rollback.STEPS),
    "database_restore": (EVIDENCE, *database_restore.STEPS),
}
#: Runs of steps that an order to stop does not part: between them the deployment would be half of each.
TOGETHER: Mapping[ActionName, tuple[tuple[str, ...], ...]] = {
    "env_switch": env_switch.TOGETHER,
    "reapply_settings": reapply_settings.TOGETHER,
}
#: Steps that an aborted action still takes, where it had begun to change anything.
ENDING: Mapping[ActionName, tuple[str, ...]] = {"database_restore": database_restore.ENDING}


def complete(action: ActionName, outcomes: Sequence[JournalEntry]) -> bool:
    """Whether every step of ``action`` has ended as it must."""
    ended = {entry.step: entry.body["ok"] for entry in outcomes}
    steps = ACTIONS.get(action, ())
    return bool(steps) and all(
        step.name in ended and (ended[step.name] or not step.required) for step in steps
    )


def glued(action: ActionName, before: str, after: str) -> bool:
    """Whether an order to stop does not part these two steps."""
    return any(before in names and after in names for names in TOGETHER.get(action, ()))
