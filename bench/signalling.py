"""What noticing costs the speech path: signals, metrics, redaction, the last look at answers."""

from __future__ import annotations

import asyncio
import gc
import json
import secrets
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import SecretStr
from starlette.types import Message

from bench.tables import console, percentile, show
from understudy.api.withholding import Withholding
from understudy.clock import SystemClock
from understudy.logs import Redactor
from understudy.metrics import CallFacts, ProcessMetrics
from understudy.speech.signals import SignalRecorder
from understudy.store.database import Database
from understudy.store.embedded.server import EmbeddedPostgres
from understudy.store.migrations import migrate
from understudy.tracing import NoTracing

SAMPLES = 50_000
#: Offered together, then the loop runs: so that writing and offering overlap as they do in a process.
BURST = 50
#: Secrets of a whole installation.
SECRETS = {f"SECRET_{number}": SecretStr(secrets.token_urlsafe(32)) for number in range(14)}
ANSWER = json.dumps({"items": [{"id": str(uuid4()), "name": "Elinor", "language": "English"}] * 48}).encode()
GOAL_US = 100.0

Row = list[object]


def _row(name: str, times_ns: list[int]) -> Row:
    times = [one / 1000 for one in times_ns]
    return [name, *(f"{percentile(times, share):.1f}" for share in (0.5, 0.99, 0.999)), f"{max(times):.0f}"]


async def _times(name: str, work: Callable[[], object], samples: int = SAMPLES) -> Row:
    times: list[int] = []
    gc.collect()
    for _ in range(samples // BURST):
        for _ in range(BURST):
            started = time.perf_counter_ns()
            work()
            times.append(time.perf_counter_ns() - started)
        await asyncio.sleep(0)
    return _row(name, times)


async def _offers(database_url: SecretStr) -> list[Row]:
    clock, user = SystemClock(), uuid4()

    async def connect() -> Database:
        return await Database.connect(database_url, application_name="bench-signals", max_size=1)

    def recorder(capacity: int) -> SignalRecorder:
        return SignalRecorder(connect, process="api", instance=uuid4(), clock=clock, capacity=capacity)

    writing, full = recorder(SAMPLES), recorder(100)
    admit = writing.admit
    rows: list[Row] = []
    flushing = asyncio.create_task(_flush_again_and_again(writing))
    rows.append(await _times("signal, while batches are written", lambda: admit("qwen", 7, "speak", user)))
    flushing.cancel()
    await asyncio.gather(flushing, return_exceptions=True)
    started_s, held = time.perf_counter(), len(writing)
    await writing.flush()
    took_s = time.perf_counter() - started_s
    console.print(f"written: {held} signals in {took_s:.2f} s; dropped while written: {writing.dropped}")
    rows.append(await _times("signal, queue full", lambda: full.admit("qwen", 7, "speak", user)))
    await writing.stop()
    return rows


async def _flush_again_and_again(recorder: SignalRecorder) -> None:
    while True:
        await recorder.flush()
        await asyncio.sleep(0.01)


async def _answers() -> list[Row]:
    messages: list[Message] = [
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"application/json"), (b"content-length", b"4096")],
        },
        {"type": "http.response.body", "body": ANSWER},
    ]
    audio: list[Message] = [
        {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"audio/pcm")]},
        *({"type": "http.response.body", "body": b"\0" * 4800, "more_body": True} for _ in range(100)),
    ]
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/api/voices", "headers": []}

    async def nowhere(_: Message) -> None: ...

    async def nothing() -> Message:
        return {"type": "http.disconnect"}

    def answering(sent: list[Message]) -> Callable[..., Awaitable[None]]:
        async def app(_: object, __: object, send: Callable[[Message], Awaitable[None]]) -> None:
            for message in sent:
                await send(message)

        return app

    rows: list[Row] = []
    for name, sent in ((f"JSON of {len(ANSWER)} bytes", messages), ("stream of 100 chunks", audio)):
        bare = answering(sent)
        looked = Withholding(bare, watched=SECRETS, on_leak=lambda _: None)
        for kind, app in (("sent", bare), ("looked at and sent", looked)):
            times: list[int] = []
            for _ in range(5_000):
                started = time.perf_counter_ns()
                await app(dict(scope), nothing, nowhere)
                times.append(time.perf_counter_ns() - started)
            rows.append(_row(f"{name}, {kind}", times))
    return rows


async def run() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as folder:
        server = EmbeddedPostgres(Path(folder))
        try:
            await server.start()
            await migrate(server.migration_database_url)
            rows = await _offers(server.database_url)
        finally:
            await server.destroy()
    metrics, tracing = ProcessMetrics(), NoTracing()
    facts, at = CallFacts("qwen", "speak", "ok", "", 7), datetime.now(UTC)
    line: dict[str, object] = {
        "event": "request", "method": "GET", "path": f"/api/tasks/{uuid4()}", "status": 200, "took_ms": 3.1,
        "request_id": uuid4().hex, "level": "info", "logger": "understudy.api.boundary", "process": "api",
        "timestamp": at.isoformat(),
    }  # fmt: skip
    redactor = Redactor(SECRETS.values(), named=SECRETS)
    rows += [
        await _times("metrics of a request", lambda: metrics.request("POST", "/api/generate", 200, 0.02)),
        await _times("metrics of a provider call", lambda: metrics.provider_call(facts, 1.2, 0.3)),
        await _times(
            "traces, without a collector", lambda: tracing.past("provider speak", at, at, failed=False)
        ),
        await _times("log line redacted", lambda: redactor.clean(line), 10_000),
        await _times("log line looked through for names", lambda: redactor.seen(line), 10_000),
    ]
    columns = ("what, in microseconds", "p50", "p99", "p99.9", "most")
    show("Noticing", columns, rows, note=f"Goal on the speech path: p99 of {GOAL_US:.0f}.")
    show("Answers", columns, await _answers(), note=f"{len(SECRETS)} secrets are looked for.")
