"""What the simulation found, for people: a table, and docs/simulation.md."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def print_cells(rows: list[dict[str, Any]], console: Console) -> None:
    """Print a line for each rule, level of traffic and condition."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("rule", "calls/min", "condition", "false trips/day", "seen p50", "seen p95", "missed"):
        table.add_column(column, justify="left" if column in {"rule", "condition"} else "right")
    for row in rows:
        table.add_row(
            row["rule"],
            str(row["calls_per_minute"]),
            row["condition"],
            "" if row["false_trips_per_day"] is None else f"{row['false_trips_per_day']:g}",
            _seconds(row["detect_p50_s"], row["runs"]),
            _seconds(row["detect_p95_s"], row["runs"]),
            f"{row['missed']}/{row['runs']}" if row["missed"] else "",
        )
    console.print(table)


def _seconds(value: float | None, runs: int) -> str:
    if not runs:
        return ""
    return "> 4 h" if value is None else f"{value:.0f} s" if value < 600 else f"{value / 60:.0f} min"


def page(rows: list[dict[str, Any]], *, days: int, runs: int, seed: int) -> str:
    """Return docs/simulation.md: both rules side by side."""
    by_key = {(row["rule"], row["calls_per_minute"], row["condition"]): row for row in rows}
    rates = list(dict.fromkeys(row["calls_per_minute"] for row in rows))
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    lines = [
        _INTRODUCTION.format(days=days, runs=runs, seed=seed),
        "| condition | rule | " + " | ".join(f"{rate}/min" for rate in rates) + " |",
    ]
    lines.append("|---|---|" + "---|" * len(rates))
    for condition in conditions:
        for rule in ("literal", "guarded"):
            cells = [_cell(by_key[rule, rate, condition]) for rate in rates]
            lines.append(f"| {condition} | {rule} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n" + _READING


def _cell(row: dict[str, Any]) -> str:
    if row["false_trips_per_day"] is not None:
        upper = f" (< {row['false_trips_per_day_upper']:.2g})" if row["false_trips_per_day"] == 0 else ""
        return f"{row['false_trips_per_day']:.3g}{upper}"
    said = f"{_seconds(row['detect_p50_s'], row['runs'])} / {_seconds(row['detect_p95_s'], row['runs'])}"
    return f"{said}, {row['missed']}/{row['runs']} missed" if row["missed"] else said


_INTRODUCTION = """# What the success-rate rules cost and find

Written by `understudy playbook simulate --markdown` ({days} days of each quiet condition, {runs} runs
of each trouble, seed {seed}): the guard's own judge over synthetic traffic, a look every 5 s, a dozen
tenants. `healthy` fails 0.2 % of calls, `at_slo` exactly what the SLO allows, `bursty` 0.2 % in the
long run but half of the calls in bursts of 5 s on average. Quiet conditions show false trips a day;
trouble shows the time to detection, p50 / p95. Nothing trips in the half hour after a trip (a
restoration is under way), so 48 a day is always.
"""
_READING = """
How to read it:

- The literal rule trips on two stray failures: up to 19 times a day in a healthy service of 60 calls a
  minute. It is there because the contract says it; `guarded` is what acts.
- `guarded` never trips without the contract's sentence, save for a streak in which every call failed.
- The price is mild trouble at little traffic: 5 % failing at 1 call a minute takes hours or is missed.
  No rule sees it sooner without crying wolf; probes and longer windows are the answer there.
- Bursts of half-failing calls *are* below the SLO for two windows where traffic is high; they count as
  false here because nobody wants a flip for a few seconds of trouble that is over.
- `alpha` bounds the trips of a service exactly at its SLO. A look every 5 s is 17 280 looks a day, but they
  overlap: the trips a day stay below some ten thousand times `alpha`.

`make check` runs `understudy playbook simulate --check`: a few days and runs, held against
[playbooks/simulation-bounds.json](../playbooks/simulation-bounds.json) with exact one-sided tests, so
that an edit that makes a cell worse fails and chance does not. After a deliberate change:

```bash
understudy playbook simulate --days 200 --runs 1000 --markdown \\
  --record playbooks/simulation-bounds.json > docs/simulation.md
```
"""
