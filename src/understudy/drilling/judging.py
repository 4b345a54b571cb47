"""What a drill has shown, read out of the incident's journal and the traces that side effects leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from understudy.restoration.drills.history import DrillRow
from understudy.restoration.playbook.repertoire import ACTIONS
from understudy.restoration.triggers.cures import ActionName

#: States that count as proven; a person's closing does not.
PROVEN = "CLOSED"


def row_of(
    document: Mapping[str, Any] | None,
    *,
    scenario: str,
    environment: str,
    injected_at: datetime,
    finds: Sequence[str],
    cures: Sequence[str],
    traces: Sequence[str],
    flips: Sequence[str],
    report: str | None,
    problem: str | None,
) -> DrillRow:
    """Judge one run.

    Parameters
    ----------
    document
        The incident with its journal, or None when none opened.
    finds
        Beginnings of the keys of the findings that the scenario causes.
    cures
        The actions that the scenario calls for; whatever else was begun is wrong.
    traces
        Keys of external effects, one for each time that an effect happened.
    flips
        Values the guard set the mode to, one for each time, in order.
    """
    journal: Sequence[Mapping[str, Any]] = document["journal"] if document else ()
    begun = [entry["body"]["action"] for entry in journal if entry["kind"] == "begun"]
    wrong = sum(action not in cures for action in begun)
    known_good = journal[0]["body"]["known_good"] if journal else None
    wrong += sum(value != known_good for value in flips)
    repeated = sum(count - 1 for count in Counter(traces).values()) + max(0, len(flips) - 1)
    done = [action for action in begun if action in cures]
    verified = _verified(journal, cures)
    key = journal[0]["body"]["finding_key"] if journal else ""
    if journal and problem is None and not key.startswith(tuple(finds)):
        problem = f"the incident was opened for {key}, which is not what was broken"
    times: Mapping[str, str | None] = document["times"] if document else {}

    def after(name: str) -> float | None:
        at = times.get(name)
        return round((datetime.fromisoformat(at) - injected_at).total_seconds(), 3) if at else None

    return DrillRow(
        at=injected_at.isoformat(),
        scenario=scenario,
        environment=environment,
        detected=document is not None,
        cure=done[-1] if done else None,
        verified=verified,
        closed=document is not None and document["state"] == PROVEN,
        wrong_actions=wrong,
        repeated_side_effects=repeated,
        detect_s=after("detected"),
        decide_s=after("decided"),
        mitigate_s=after("mitigated"),
        # A rung that ends with its read-back has no other proof.
        verify_s=after("verified") or (after("mitigated") if verified else None),
        close_s=after("closed"),
        report=report,
        problem=problem,
    )


def _verified(journal: Sequence[Mapping[str, Any]], cures: Sequence[str]) -> bool:
    """Whether the newest attempt of every cure ended each of its steps as it must."""
    for action in cures:
        ended: dict[str, bool] = {}
        for entry in journal:
            if entry["body"].get("action") != action:
                continue
            if entry["kind"] == "begun":
                ended = {}
            elif entry["kind"] == "outcome":
                ended[entry["step"]] = entry["body"]["ok"]
        for step in ACTIONS[cast("ActionName", action)]:
            if step.name not in ended or (step.required and not ended[step.name]):
                return False
    return True
