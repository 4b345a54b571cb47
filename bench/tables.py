"""Figures as people compare them."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

console = Console(width=140)


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; ``share`` is 0 to 1."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, note: str = "") -> None:
    """Print a table, numbers right-aligned; as Markdown when ``BENCH_MARKDOWN`` is set."""
    cells = [[f"{cell:,.1f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    if os.environ.get("BENCH_MARKDOWN"):
        lines = [columns, ["---"] * len(columns), *cells]
        text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
        sys.stdout.write(f"\n## {title}\n\n{text}\n{note}\n")
        return
    table = Table(title=title, title_justify="left", caption=note or None, caption_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=index == 0)
    for row in cells:
        table.add_row(*row)
    console.print(table)
