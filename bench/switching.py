"""How long after the decision a switch is in force in every api process: at rest, and while they stream."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import aiohttp

from bench.load import Plan
from bench.stage import Load, Speaker, child, gateway_environment, load, speakers
from bench.stock import api_process, stock
from bench.tables import percentile, show
from understudy.rollout.mode import set_mode
from understudy.store.database import Database

PROCESSES = 4
FLIPS = 50
#: At each process.
STREAMS = 8
#: Between two flips, so that streams begin in between; a switch on the heels of the last is no user's.
PAUSE_S = 0.3


async def _until(http: aiohttp.ClientSession, url: str, epoch: int, began: float) -> float:
    while True:
        async with http.get(url) as answer:
            if (await answer.json())["epoch"] >= epoch:
                return (time.perf_counter() - began) * 1000


async def _flips(database: Database, ports: list[int]) -> tuple[list[float], list[float]]:
    """Flip back and forth; how long each process took, and the slowest of each flip."""
    every: list[float] = []
    slowest: list[float] = []
    async with aiohttp.ClientSession() as http:
        urls = [f"http://127.0.0.1:{port}/api/ready" for port in ports]
        await asyncio.gather(*(_until(http, url, 1, 0.0) for url in urls))
        for number in range(FLIPS):
            await asyncio.sleep(PAUSE_S)
            began = time.perf_counter()
            row = await set_mode(database, ("modal", "qwen")[number % 2], actor="bench", reason="propagation")
            took = await asyncio.gather(*(_until(http, url, row.epoch, began) for url in urls))
            every += took
            slowest.append(max(took))
    return every, slowest


async def _stream(asking: Load, port: int, people: list[Speaker], over: asyncio.Event) -> int:
    """Keep one process streaming until ``over``; how many clips were heard."""
    heard = 0
    while not over.is_set():
        plan = Plan(
            port,
            "http",
            [one.stream() for one in people],
            concurrency=STREAMS,
            samples=STREAMS * 2,
            pause_after_error_s=0.1,
        )
        heard += len((await asking.carry_out(plan)).first)
    return heard


async def run() -> None:
    """Measure and print."""
    rows: list[list[object]] = []
    async with AsyncExitStack() as stack:
        upstream, _ = await stack.enter_async_context(child("bench.paced", "50", "25", "20", "100"))
        place = await stack.enter_async_context(stock())
        environment = gateway_environment(place, upstream)
        ports = [
            (await stack.enter_async_context(api_process(place, environment, name=f"api-{number}")))[0]
            for number in range(PROCESSES)
        ]
        people = await speakers(place, f"http://127.0.0.1:{ports[0]}")
        rows += _rows("at rest", *await _flips(place.database, ports))
        over = asyncio.Event()
        listeners = [await stack.enter_async_context(load()) for _ in ports]
        streams = asyncio.gather(
            *(_stream(one, port, people, over) for one, port in zip(listeners, ports, strict=True))
        )
        try:
            rows += _rows("under load", *await _flips(place.database, ports))
        finally:
            over.set()
        heard = sum(await streams)
    show(
        "Switch: from the decision to in force",
        ["when", "what", "flips", "p50 ms", "p95 ms", "p99 ms", "max ms"],
        rows,
        note=(
            f"Asked through each process's /api/ready. Under load {STREAMS} clients ask each process for one "
            f"stream after the other ({heard} were heard; in Modal mode they get 409). Goal: p99 within 1 s."
        ),
    )


def _rows(when: str, every: list[float], slowest: list[float]) -> list[list[object]]:
    return [
        [when, what, FLIPS, *(percentile(values, share) for share in (0.5, 0.95, 0.99)), max(values)]
        for what, values in (("each process", every), (f"all of {PROCESSES}", slowest))
    ]
