"""What a gateway adds to the wait for the first byte: ours, the least possible, LiteLLM; a paced upstream.

All targets are measured in one run, in turn within each round, so that what else the machine does meets
all of them. ``+`` figures are against the direct conversation of the same kind and concurrency.
"""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import aiohttp
import psutil

from bench import litellm_proxy
from bench.load import Plan, Result
from bench.stage import Load, child, gateway, load, twin_request
from bench.stock import ended, stock
from bench.tables import console, percentile, show

FIRST_MS, GAP_MS, CHUNKS, CHUNK_MS = 50, 25, 20, 100
#: How long one clip takes.
CLIP_S = (FIRST_MS + GAP_MS * (CHUNKS - 1)) / 1000
ROUNDS = 2
SHARES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Shape:
    """How many speak at once, each again once it was heard; ``burst``: all begin at one instant."""

    name: str
    concurrency: int
    samples: int
    burst: bool = False
    first_ms: float = FIRST_MS
    gap_ms: float = GAP_MS


#: One at a time takes 0.53 s a clip, so it has the fewest clips.
SHAPES = (
    Shape("1", 1, 40),
    Shape("16", 16, 480),
    Shape("64", 64, 1280),
    Shape("64, one instant", 64, 640, burst=True),
    Shape("16, no pacing", 16, 1600, first_ms=0, gap_ms=0),
)


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody who is asked for speech; ``against`` is the direct conversation that it is compared with."""

    name: str
    port: int
    kind: str
    requests: list[str]
    process: psutil.Process | None = None
    against: str = ""


@dataclass(slots=True)
class Cell:
    """All rounds of one target at one concurrency."""

    first: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    cpu_s: float = 0.0
    seconds: float = 0.0

    def add(self, result: Result, cpu_s: float) -> None:
        """Take in one round."""
        self.first += [one * 1000 for one in result.first]
        self.whole += [one * 1000 for one in result.whole]
        self.errors += result.errors
        self.cpu_s += cpu_s
        self.seconds += result.seconds


async def targets_of(stack: AsyncExitStack, upstream: int) -> list[Target]:
    """Everybody in front of ``upstream``, started; ended with ``stack``."""
    twin = f"http://127.0.0.1:{upstream}"
    place = await stack.enter_async_context(stock())
    port, api, speakers = await stack.enter_async_context(gateway(place, upstream))
    passing, passer = await stack.enter_async_context(child("bench.passthrough", twin))
    targets = [
        Target("direct, WebSocket", upstream, "ws", ["one two three, number {n}"]),
        Target("direct, HTTP", upstream, "http", [twin_request()]),
        Target("bare pass-through, HTTP", passing, "http", [twin_request()], passer, "direct, HTTP"),
        Target(
            "bare pass-through, WebSocket",
            passing,
            "http",
            [twin_request(path="/realtime")],
            passer,
            "direct, WebSocket",
        ),
        Target(
            "/api/generate/stream", port, "http", [one.stream() for one in speakers], api, "direct, WebSocket"
        ),
        Target(
            "/v1/audio/speech", port, "http", [one.openai() for one in speakers], api, "direct, WebSocket"
        ),
    ]
    if await litellm_proxy.installed():
        process, port = await litellm_proxy.start(place.home, twin)
        stack.push_async_callback(ended, process)
        name = f"LiteLLM {await litellm_proxy.version()}"
        request = [twin_request(litellm_proxy.KEY)]
        targets.append(Target(name, port, "http", request, psutil.Process(process.pid), "direct, HTTP"))
    return targets


async def set_pace(upstream: int, first_ms: float, gap_ms: float) -> None:
    """From now on the upstream speaks at this pace."""
    url = f"http://127.0.0.1:{upstream}/_pace?{first_ms},{gap_ms}"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        answer.raise_for_status()


def _cpu_s(process: psutil.Process | None) -> float:
    if process is None:
        return 0.0
    times = process.cpu_times()
    return float(times.user + times.system)


async def _round(target: Target, shape: Shape, samples: int, asking: Load, cell: Cell) -> None:
    plan = Plan(
        port=target.port,
        kind=target.kind,
        requests=target.requests,
        concurrency=shape.concurrency,
        samples=shape.concurrency,
        spread_s=0.0 if shape.burst or not shape.gap_ms else CLIP_S,
    )
    await asking.carry_out(plan)
    before = _cpu_s(target.process)
    cell.add(await asking.carry_out(replace(plan, samples=samples)), _cpu_s(target.process) - before)


def _row(target: Target, cell: Cell, base: Cell | None) -> list[object]:
    if not cell.first:
        return [target.name, 0, *["-"] * 9, len(cell.errors)]
    waits = [percentile(cell.first, share) for share in SHARES]
    added: list[object] = ["", "", ""]
    if base is not None and base.first:
        added = [wait - percentile(base.first, share) for wait, share in zip(waits, SHARES, strict=True)]
    cpu: object = f"{cell.cpu_s * 1000 / len(cell.first):.2f}" if target.process is not None else ""
    ratio = f"{waits[0] / percentile(cell.whole, 0.5):.2f}"
    rate = round(len(cell.first) / cell.seconds)
    return [target.name, len(cell.first), *waits, *added, ratio, cpu, rate, len(cell.errors)]


async def run() -> None:
    """Measure and print."""
    scale = float(os.environ.get("BENCH_SCALE", "1"))
    cells: dict[tuple[str, str], Cell] = {}
    busy = os.getloadavg()[0]
    async with AsyncExitStack() as stack:
        asking = await stack.enter_async_context(load())
        pacing = (str(figure) for figure in (FIRST_MS, GAP_MS, CHUNKS, CHUNK_MS))
        upstream, _ = await stack.enter_async_context(child("bench.paced", *pacing))
        targets = await targets_of(stack, upstream)
        for shape in SHAPES:
            await set_pace(upstream, shape.first_ms, shape.gap_ms)
            samples = max(shape.concurrency, round(shape.samples * scale / ROUNDS))
            for _ in range(ROUNDS):
                for target in targets:
                    cell = cells.setdefault((target.name, shape.name), Cell())
                    await _round(target, shape, samples, asking, cell)
        memory = {
            target.name: target.process.memory_info().rss / 2**20
            for target in targets
            if target.process is not None
        }
    for shape in SHAPES:
        measured = [(target, cells[target.name, shape.name]) for target in targets]
        show(
            f"First byte, milliseconds; at once: {shape.name}",
            ["target", "clips", *_heads(""), *_heads("+"), "first/whole", "CPU ms", "clips/s", "errors"],
            [_row(target, cell, cells.get((target.against, shape.name))) for target, cell in measured],
        )
    console.print(
        f"The upstream speaks {CHUNKS} pieces, the first after {FIRST_MS} ms, then one each {GAP_MS} ms. "
        "+ is against the direct conversation of the same kind; CPU is of the target's process, a clip. "
        "Auth, quota and ledger are on. Client, upstream, Postgres and target share "
        f"{os.cpu_count()} cores; load average before: {busy:.1f}, after: {os.getloadavg()[0]:.1f}. "
        "Goals: +3/+8 ms p50/p95 at 16, +8/+25 at 64, 1 ms CPU."
    )
    show("Memory after that", ["target", "RSS MB"], [[name, size] for name, size in memory.items()])
    for (name, at_once), cell in cells.items():
        if cell.errors:
            console.print(f"{name} at {at_once}: {cell.errors[0]}")
    if len(targets) < 7:
        console.print(litellm_proxy.ABSENT)


def _heads(mark: str) -> list[str]:
    return [f"{mark}p{round(share * 100)}" for share in SHARES]
