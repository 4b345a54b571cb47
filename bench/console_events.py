"""How long a journal entry takes to reach an operator's page: appended -> received, over loopback."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from pathlib import Path

import aiohttp
from aiohttp import web

from bench.tables import percentile, show
from understudy.clock import SystemClock
from understudy.restoration.guard.events import EventStream
from understudy.store.guard import GuardStore

ENTRIES = 300
LISTENERS = 8
GOAL_MS = 1000.0
#: Entries are a while apart at random, in seconds, so that no look happens to be in step with them.
APART_S = (0.01, 0.05)

Row = list[object]


async def _listen(url: str, appended: dict[int, float], taken_ms: list[float], ready: asyncio.Event) -> None:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        ready.set()
        name, heard = "", 0
        async for line in answer.content:
            key, _, value = line.decode().rstrip("\n").partition(": ")
            if key == "event":
                name = value
            if key == "data" and name == "journal":
                taken_ms.append((time.perf_counter() - appended[json.loads(value)["body"]["number"]]) * 1000)
                heard += 1
                if heard == ENTRIES:
                    return


async def _case(name: str, store: GuardStore, writer: GuardStore) -> Row:
    events = EventStream(store, dict, SystemClock())
    app = web.Application()
    app.add_routes([web.get("/events", events.serve)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    appended: dict[int, float] = {}
    taken_ms: list[float] = []
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
        ready = [asyncio.Event() for _ in range(LISTENERS)]
        async with asyncio.TaskGroup() as group:
            for each in ready:
                group.create_task(_listen(url, appended, taken_ms, each))
            for each in ready:
                await each.wait()
            for number in range(ENTRIES):
                appended[number] = time.perf_counter()
                writer.announce(None, kind="note", actor="bench", body={"number": number})
                await asyncio.sleep(random.uniform(*APART_S))
    finally:
        events.stop()
        await runner.cleanup()
    shares = (f"{percentile(taken_ms, share):.1f}" for share in (0.5, 0.95, 0.99))
    return [name, len(taken_ms), *shares, f"{max(taken_ms):.1f}", f"< {GOAL_MS:.0f}"]


async def run() -> None:
    """Measure for entries of the guard's own process, and for those that a command writes beside it."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "guard.sqlite3"
        with GuardStore(path, clock) as store, GuardStore(path, clock) as beside:
            rows = [
                await _case("written by this guard", store, store),
                await _case("written beside it", store, beside),
            ]
    show(
        f"Journal entry appended -> received, {LISTENERS} listeners, ms",
        ["entry", "n", "p50", "p95", "p99", "max", "goal p95"],
        rows,
    )
