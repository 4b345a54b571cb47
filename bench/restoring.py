"""Detect, mitigate and verify times of the demo's restoration."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from datetime import datetime

from bench.tables import percentile, show

RUNS = 5


async def _once(folder: str) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "understudy.cli.app", "demo", "--json", "--output", folder),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    if process.returncode != 0:
        sys.exit("the demo failed; run `make demo` to see why")
    ending = json.loads(out)
    at = {name: datetime.fromisoformat(value) for name, value in ending["times"].items()}

    def between(first: str, last: str) -> float:
        return (at[last] - at[first]).total_seconds()

    return {
        "onset to detected": between("onset", "detected"),
        "detected to acted": between("detected", "acted"),
        "detected to mitigated": between("detected", "mitigated"),
        "detected to verified": between("detected", "verified"),
        "verified to closed": between("verified", "closed"),
        "whole demo": float(ending["seconds"]),
    }


async def run() -> None:
    """Run the demo and print one row a time."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [await _once(folder) for _ in range(RUNS)]
    rows: list[list[object]] = []
    for name in runs[0]:
        values = [one[name] for one in runs]
        rows.append([name, *values, percentile(values, 0.5), max(values)])
    show(
        f"Restoration in the demo, {RUNS} runs (seconds, 5 s windows)",
        ["from - to", *(f"run {number + 1}" for number in range(RUNS)), "median", "max"],
        rows,
        note="Goals: detected within two windows + 1 s of onset; detected to verified within 60 s.",
    )
