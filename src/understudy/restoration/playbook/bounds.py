"""Recorded bounds of the simulation: an edit of the policy may not make it cry wolf more, or see later.

``playbooks/simulation-bounds.json`` holds what a long run of the policy in force measured. The check is
shorter and allows for that with exact one-sided tests: chance alone is called worse once in a thousand cells.

* false trips: so many in so few days must not be less likely than :data:`CHANCE` at the recorded upper bound;
* detection: more runs later than the recorded p50 (p95) than a service as good would show (one in two, one in
  twenty); a run that missed the trouble counts as late.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from understudy.errors import ConfigurationError
from understudy.restoration.playbook.simulation import QUIET, Cell, Plan, Rule, upper_rate
from understudy.restoration.triggers.statistics import binomial_tail, poisson_tail

#: A cell that is as good as recorded is called worse so rarely.
CHANCE = 0.001
#: What the check simulates: about 20 s on two cores.
CHECK = Plan(days=16, runs=60, shards=2, seed=7)
_SHARES = (("detect_p50_s", 0.5), ("detect_p95_s", 0.05))


def record(cells: Sequence[Cell], rule: Rule, plan: Plan) -> dict[str, Any]:
    """Return the bounds of the rule in force, as they are written to the file."""
    bounds = []
    for cell in cells:
        if cell.rule != rule:
            continue
        bound: dict[str, Any] = {"calls_per_minute": cell.calls_per_minute, "condition": cell.condition}
        if cell.condition in QUIET:
            bound["false_trips_per_day_at_most"] = round(upper_rate(cell.trips, cell.days), 4)
        else:
            bound["detect_p50_s"] = cell.quantile(0.5)
            bound["detect_p95_s"] = cell.quantile(0.95)
        bounds.append(bound)
    return {"rule": rule, "days": plan.days, "runs": plan.runs, "seed": plan.seed, "bounds": bounds}


def read_bounds(path: Path) -> dict[tuple[int, str], dict[str, Any]]:
    """Return the recorded bounds by level of traffic and condition; raises :class:`ConfigurationError`."""
    try:
        document = json.loads(path.read_text("utf-8"))
        return {(bound["calls_per_minute"], bound["condition"]): bound for bound in document["bounds"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{path}: the recorded bounds cannot be read; "
            "write them with `understudy playbook simulate --record`."
        ) from error


def worse(cells: Sequence[Cell], bounds: dict[tuple[int, str], dict[str, Any]]) -> list[str]:
    """Say of each cell that is worse than its bounds how; empty when none is.

    The rule in force is held against the bounds, whatever its name: going back to ``literal`` is an edit too.
    """
    said = []
    for cell in cells:
        where = f"{cell.condition} at {cell.calls_per_minute} calls/min ({cell.rule})"
        bound = bounds.get((cell.calls_per_minute, cell.condition))
        if bound is None:
            said.append(f"{where}: no bound is recorded")
        elif cell.condition in QUIET:
            most = bound["false_trips_per_day_at_most"]
            if poisson_tail(cell.trips, most * cell.days) < CHANCE:
                said.append(
                    f"{where}: {cell.trips} false trips in {cell.days:g} days, at most {most:g} a day"
                )
        else:
            said += _later(cell, bound, where)
    return said


def _later(cell: Cell, bound: dict[str, Any], where: str) -> list[str]:
    said = []
    for name, share in _SHARES:
        limit = bound[name]
        if limit is None:  # not even the recorded run saw so many: there is no worse
            continue
        late = sum(taken > limit for taken in cell.detect_s)
        if binomial_tail(late, len(cell.detect_s), share) < CHANCE:
            missed = sum(map(math.isinf, cell.detect_s))
            said.append(
                f"{where}: {late} of {len(cell.detect_s)} runs are seen later than {limit:g} s "
                f"({name[7:10]}), {missed} not at all"
            )
    return said
