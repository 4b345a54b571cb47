"""What a task costs: tasks a second with one and two workers, CPU and memory of each, time to start."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import psutil

from bench.stock import Stock, ended, stock
from bench.tables import percentile, show

TENANTS = 20
TASKS = int(os.environ.get("BENCH_TASKS", "2000"))
WARM_UP = 200
TRICKLE = 300
TRICKLE_PAUSE_S = 0.02
CONCURRENCY = 16


@asynccontextmanager
async def workers(place: Stock, count: int) -> AsyncIterator[list[psutil.Process]]:
    """Worker processes, ready to claim."""
    running, ready = [], []
    try:
        for number in range(count):
            file = place.home / f"worker-{number}.ready"
            file.unlink(missing_ok=True)
            ready.append(file)
            arguments = ("-m", "understudy.cli.app", "worker", "--name", f"bench-{number}", "--ready-file")
            running.append(
                await asyncio.create_subprocess_exec(
                    sys.executable,
                    *arguments,
                    str(file),
                    env={**place.environment, "WORKER_CONCURRENCY": str(CONCURRENCY), "LOG_LEVEL": "error"},
                )
            )
        while not all(file.exists() for file in ready):
            await asyncio.sleep(0.05)
        yield [psutil.Process(process.pid) for process in running]
    finally:
        for process in running:
            await ended(process)


async def _until_done(place: Stock, total: int) -> None:
    while True:
        async with place.database.service() as conn:
            cursor = await conn.execute(
                "select count(*) filter (where status = 'completed') as completed,"
                " count(*) filter (where status in ('failed', 'cancelled')) as other from public.tasks"
            )
            row = await cursor.fetchone()
        assert row is not None
        if row["other"]:
            sys.exit(f"{row['other']} tasks failed; the figures would mean nothing")
        if row["completed"] >= total:
            return
        await asyncio.sleep(0.1)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _rate(
    place: Stock, voices: list[tuple[UUID, UUID]], count: int, done: int
) -> tuple[list[object], int]:
    """Queue the work before the workers look at it, then let them: their own pace, not the clients'."""
    async with workers(place, count) as processes:
        for user, voice in voices:
            await place.admit(user, voice, WARM_UP // len(voices))
        done += WARM_UP
        await _until_done(place, done)
        before = [_cpu_s(process) for process in processes]
        began = (await place.owner("select clock_timestamp() as at"))[0]["at"]
        for user, voice in voices:
            await place.admit(user, voice, TASKS // len(voices))
        done += TASKS
        await _until_done(place, done)
        spent = sum(_cpu_s(process) for process in processes) - sum(before)
        memory = max(process.memory_info().rss for process in processes) / 2**20
    (row,) = await place.owner(
        "select extract(epoch from max(completed_at) - min(dispatched_at)) as took from public.tasks"
        " where created_at >= %s",
        began,
    )
    rate = TASKS / float(row["took"])
    return [count, TASKS, rate, rate / count, spent / TASKS * 1000, memory], done


async def _start_times(place: Stock, voices: list[tuple[UUID, UUID]]) -> list[object]:
    """One task each 20 ms: nothing waits for a free hand, so this is the way through the queue."""
    async with workers(place, 1):
        made = []
        for number in range(TRICKLE):
            made += await place.admit(*voices[number % len(voices)])
            await asyncio.sleep(TRICKLE_PAUSE_S)
        while (
            await place.owner(
                "select count(*) as left from public.tasks where id = any(%s) and status <> 'completed'", made
            )
        )[0]["left"]:
            await asyncio.sleep(0.05)
    rows = await place.owner(
        "select extract(epoch from dispatched_at - created_at) * 1000 as ms,"
        " extract(epoch from completed_at - created_at) * 1000 as whole from public.tasks where id = any(%s)",
        made,
    )
    start, whole = [float(row["ms"]) for row in rows], [float(row["whole"]) for row in rows]
    shares = (0.5, 0.99)
    return [TRICKLE, *(percentile(start, share) for share in shares), *(percentile(whole, s) for s in shares)]


async def run() -> None:
    """Measure and print."""
    async with stock() as place:
        voices = await place.tenants(TENANTS)
        done, rows = 0, []
        for count in (1, 2):
            row, done = await _rate(place, voices, count, done)
            rows.append(row)
        start = await _start_times(place, voices)
    show(
        "Tasks against an upstream that answers at once",
        ["workers", "tasks", "tasks/s", "a worker", "worker CPU ms a task", "RSS MB a worker"],
        rows,
        note=(
            f"{CONCURRENCY} at once a worker, {TENANTS} tenants; Postgres (durable), upstream, workers and "
            f"this program share {os.cpu_count()} cores, so CPU a task is the figure that travels. The limit "
            "is the worker's interpreter (one core); with two workers on two cores, Postgres beside them."
        ),
    )
    show(
        "From admission to the provider",
        ["tasks", "to dispatched p50 ms", "p99 ms", "to completed p50 ms", "p99 ms"],
        [start],
        note=f"One task each {TRICKLE_PAUSE_S * 1000:.0f} ms: the queue's notice, the claim, the intent.",
    )


if __name__ == "__main__":
    asyncio.run(run())
