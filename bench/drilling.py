"""The drill table: each scenario ``BENCH_RUNS`` times (20 in ``bench-long``, else once), p50 and p95."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bench.tables import percentile, show
from understudy.drilling.running import run_drill
from understudy.drilling.scenarios import SCENARIOS
from understudy.restoration.drills.history import DrillRow

RUNS = int(os.environ.get("BENCH_RUNS", "20" if os.environ.get("BENCH_LONG") else "1"))
#: Only the scenarios whose name holds this.
ONLY = os.environ.get("BENCH_ONLY", "")
_TIMES = ("detect_s", "decide_s", "mitigate_s", "verify_s", "close_s")


async def run() -> None:
    """Drill every scenario and print the table."""
    rows: list[DrillRow] = []
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as home:
        for scenario in SCENARIOS:
            if ONLY in scenario.name:
                for _ in range(RUNS):
                    row = await run_drill(scenario, home=Path(home), environment="local", say=_silent)
                    rows.append(row)
                print(f"  {scenario.name}: {rows[-1].problem or 'done'}", flush=True)  # hours of them
    show(
        f"Drills, {RUNS} runs a scenario, windows of 5 s; p50/p95 in seconds from the fault",
        [
            *("scenario", "cure", "passed", "detect", "decide", "mitigate", "verify", "close", "wrong"),
            "repeated",
        ],
        [_line(name, [row for row in rows if row.scenario == name]) for name in _names(rows)],
        note="Live load of three tenants; playback with two streaming players besides.",
    )


def _silent(_: str) -> None:
    """A benchmark prints its table only."""


def _names(rows: list[DrillRow]) -> list[str]:
    return list(dict.fromkeys(row.scenario for row in rows))


def _line(name: str, rows: list[DrillRow]) -> list[object]:
    cures = sorted({row.cure or "none" for row in rows})
    passed = sum(row.passed for row in rows)
    spans = []
    for field in _TIMES:
        seconds = [value for row in rows if (value := getattr(row, field)) is not None]
        both = f"{percentile(seconds, 0.5):.1f} / {percentile(seconds, 0.95):.1f}" if seconds else "-"
        spans.append(both if len(seconds) == len(rows) else f"{both} ({len(seconds)} runs)")
    wrong = sum(row.wrong_actions for row in rows)
    repeated = sum(row.repeated_side_effects for row in rows)
    return [name, ", ".join(cures), f"{passed} of {len(rows)}", *spans, wrong, repeated]
