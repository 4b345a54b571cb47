"""Memory of one api process over many streamed clips: flat, or not.

``BENCH_GROWTH_CLIPS`` says how many; the figure in docs/benchmarks.md is of 100000.
"""

from __future__ import annotations

import os
from contextlib import AsyncExitStack

from bench.load import Plan
from bench.stage import child, gateway, load
from bench.stock import stock
from bench.tables import show

CLIPS = int(os.environ.get("BENCH_GROWTH_CLIPS", "4000"))
AT_ONCE = 16
SLICES = 10


async def run() -> None:
    """Measure and print."""
    async with AsyncExitStack() as stack:
        asking = await stack.enter_async_context(load())
        upstream, _ = await stack.enter_async_context(child("bench.paced", "0", "0", "20", "100"))
        place = await stack.enter_async_context(stock())
        port, api, speakers = await stack.enter_async_context(gateway(place, upstream))
        rows: list[list[object]] = [["at the start", 0, _mb(api.memory_info().rss), "", "", 0]]
        for number in range(SLICES):
            # Both routes in turn, by access token and by API key.
            requests = [one.stream() if number % 2 else one.openai() for one in speakers]
            before = api.cpu_times()
            plan = Plan(port, "http", requests, AT_ONCE, CLIPS // SLICES)
            result = await asking.carry_out(plan)
            after = api.cpu_times()
            spent_ms = (after.user + after.system - before.user - before.system) * 1000
            rows.append(
                [
                    "/api/generate/stream" if number % 2 else "/v1/audio/speech",
                    CLIPS // SLICES * (number + 1),
                    _mb(api.memory_info().rss),
                    len(result.first) / result.seconds,
                    f"{spent_ms / max(1, len(result.first)):.2f}",
                    len(result.errors),
                ]
            )
    show(
        f"Memory of one api process over {CLIPS:,} clips, {AT_ONCE} at once, no pacing",
        ["route", "clips so far", "RSS MB", "clips/s", "CPU ms a clip", "errors"],
        rows,
        note=f"Clips of 2 s that the upstream sends at once, in 20 pieces; {os.cpu_count()} cores for all. "
        "Goal: at most 120 MB, flat.",
    )


def _mb(size: int) -> float:
    return size / 2**20
