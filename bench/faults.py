"""What each fault of both panels is to a tenant: the table of ``docs/faults.md``.

``python -m bench.run faults`` measures and prints it; ``python -m bench.faults`` writes it into the document.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path

from bench.faulting import ASKS, Outcome, fault_range
from bench.tables import console
from understudy.logs import configure_logging
from understudy.standins.faults import DASHSCOPE_FAULTS, MODAL_FAULTS

DOCUMENT = Path(__file__).parent.parent / "docs" / "faults.md"
#: Faults of the panel that each provider's mode meets.
PANELS = {"qwen": DASHSCOPE_FAULTS, "modal": MODAL_FAULTS}
HEAD = (
    "| fault | asked | category | class | code | HTTP, task | the tenant gets | booked | pays |",
    "|---|---|---|---|---|---|---|---|---|",
)


def marks(mode: str) -> tuple[str, str]:
    """Between these lines of the document stands the table of ``mode``."""
    return f"<!-- faults in {mode} mode: python -m bench.faults -->", f"<!-- end of {mode} -->"


def line(outcome: Outcome) -> str:
    """One row."""
    cells = (
        f"`{outcome.fault}`",
        outcome.asked,
        outcome.category,
        outcome.failure_class,
        outcome.code,
        outcome.seen.status,
        outcome.seen.words,
        "yes" if outcome.booked else "no",
        "yes" if outcome.paid else "no",
    )
    return f"| {' | '.join(cells)} |"


def documented(mode: str) -> list[str]:
    """The rows that the document holds."""
    begin, end = marks(mode)
    table = DOCUMENT.read_text(encoding="utf-8").partition(begin)[2].partition(end)[0]
    return [row for row in table.splitlines() if row.startswith("| `")]


async def rows(
    mode: str, faults: Iterable[str] | None = None, asks: Iterable[str] = tuple(ASKS)
) -> list[str]:
    """The rows of ``faults`` (all of the panel's when ``None``), as they are now."""
    found = []
    async with fault_range(mode, asks) as field:
        for fault in PANELS[mode] if faults is None else faults:
            outcomes = [await field.ask(fault, asked) for asked in asks]
            met = [line(outcome) for outcome in outcomes if outcome is not None]
            found += met or [f"| `{fault}` | nothing a tenant asks meets it | - | - | - | - | - | - | - |"]
    return found


async def run() -> None:
    """Measure and print both tables."""
    for mode in PANELS:
        console.print(f"Faults in {mode} mode")
        for row in (*HEAD, *await rows(mode)):
            sys.stdout.write(row + "\n")


async def _write() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for mode in PANELS:
        begin, end = marks(mode)
        before, _, rest = text.partition(begin)
        table = "\n".join((*HEAD, *await rows(mode)))
        text = f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    configure_logging("bench", level="error")
    asyncio.run(_write())
