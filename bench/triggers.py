"""What a look of the guard costs, however much has happened before: roll-up, reading, judging; and inserts.

``BENCH_LONG=1`` adds ten million calls on record.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import DictRow, dict_row
from pydantic import SecretStr

from bench.tables import percentile, show
from understudy.clock import SystemClock
from understudy.resources import playbook_file
from understudy.restoration.playbook.judging import judge_all
from understudy.restoration.playbook.policy import load_playbook
from understudy.restoration.signals.product import ProductSource
from understudy.restoration.signals.readings import (
    CostReading,
    IntegrityReading,
    PlaybackReading,
    ProbeReading,
    SecurityReading,
    Signals,
)
from understudy.restoration.signals.source import Observed
from understudy.store.calls import CallRecord, settle_call
from understudy.store.database import Database
from understudy.store.embedded.server import EmbeddedPostgres
from understudy.store.migrations import migrate
from understudy.store.mode import ProcessRow, heartbeat_process, write_mode
from understudy.store.rollups import roll_up

SIZES = (10_000, 1_000_000, *((10_000_000,) if os.environ.get("BENCH_LONG") else ()))
#: Calls of the last 15 minutes, at every size: what a window sees must not differ.
RECENT = 9_000
CYCLES = 60
NEW_A_CYCLE = 10
GOAL_MS = 100
LAG_S = 20
INSERTS_A_SECOND = 200
WRITERS = 8
SETTLED = 3_000

_SERIES = "(provider, mode_epoch, operation, at desc)"
_COUNTED = "outcome <> 'cancelled' and category is distinct from 'validation'"
_OF_THE_MIGRATION = {
    "provider_calls_recorded_xid_idx": "(recorded_xid) where recorded_xid is not null",
    "provider_calls_series_at_idx": f"{_SERIES} where not synthetic and {_COUNTED}",
    "provider_calls_synthetic_series_at_idx": f"{_SERIES} where synthetic and {_COUNTED}",
}


@dataclass(slots=True)
class Place:
    """A database as the product runs it."""

    database: Database
    owner_url: SecretStr

    async def owner(self, *statements: str) -> list[DictRow]:
        """Run statements as the schema's owner; return the last one's rows."""
        url = self.owner_url.get_secret_value()
        async with await psycopg.AsyncConnection.connect(url, row_factory=dict_row, autocommit=True) as conn:
            for statement in statements:
                cursor = await conn.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []

    async def fill(self, count: int) -> None:
        """Put calls on record: the last 15 minutes as busy as ever, the rest over the 30 days before."""
        for start in range(0, count - RECENT, 500_000):
            await self._insert(
                min(500_000, count - RECENT - start), "interval '900 s' + random() * interval '29 days'"
            )
        await self._insert(RECENT, "random() * interval '900 s'")
        await self.owner("vacuum analyze understudy.provider_calls")

    async def _insert(self, count: int, age: str) -> None:
        await self.owner(
            "insert into understudy.provider_calls (at, operation, provider, model, outcome, failure_class,"
            " latency_ms, first_audio_ms, characters, cost_microusd, user_id, mode_epoch)"
            f" select now() - ({age}), 'speak', 'qwen', 'm',"
            " case when random() < 0.003 then 'failed' else 'ok' end,"
            " 'provider', 900, 300, 40, 400, lpad(to_hex((random() * 499)::int), 32, '0')::uuid, 1"
            f" from generate_series(1, {count})"
        )


@asynccontextmanager
async def place() -> AsyncIterator[Place]:
    """An embedded Postgres with its defaults: durable."""
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as home:
        server = EmbeddedPostgres(Path(home))
        try:
            await server.start()
            await migrate(server.migration_database_url)
            database = await Database.connect(server.database_url, application_name="bench", max_size=16)
            try:
                async with database.service() as conn:
                    await write_mode(
                        conn, value="qwen", actor="bench", reason="-", incident=None, env_value="qwen"
                    )
                yield Place(database, server.migration_database_url)
            finally:
                await database.close()
        finally:
            await server.destroy()


def _record(user: UUID) -> CallRecord:
    return CallRecord(
        at=datetime.now(UTC), operation="speak", provider="qwen", model="m", outcome="ok", latency_ms=900,
        mode_epoch=1, first_audio_ms=300, characters=40, cost_microusd=400, user_id=user,
    )  # fmt: skip


def _source(database: Database) -> ProductSource:
    async def connect() -> Database:
        return database

    return ProductSource(connect, SystemClock(), query_s=5, stale_after_s=3600)


def _signals(seen: Observed) -> Signals:
    at = seen.at
    return Signals(
        at=at,
        mode=seen.mode,
        processes=seen.processes,
        calls=seen.calls,
        playback=PlaybackReading(at, at),
        cost=CostReading(at),
        integrity=IntegrityReading(at),
        security=SecurityReading(at),
        probes=ProbeReading(at),
        blind=seen.blind,
    )


async def _cycles(size: int) -> list[object]:
    playbook = load_playbook(playbook_file())
    async with place() as here:
        now = datetime.now(UTC)
        process = ProcessRow(uuid4(), "worker", 1, "bench", "qwen", 1, "live", "qwen", now, now)
        async with here.database.service() as conn:
            await heartbeat_process(conn, process)
        await here.fill(size)
        started, rolled = time.perf_counter(), 0
        while True:
            async with here.database.service() as conn:
                step = await roll_up(conn)
            rolled += step.rows
            if not step.remaining:
                break
        behind_a_second = rolled / (time.perf_counter() - started)
        await here.owner("vacuum analyze")
        source, user = _source(here.database), uuid4()
        await source.read(span_s=playbook.span_s, operations={"speak"})
        before = await _rows_read(here)
        whole, judging = [], []
        for _ in range(CYCLES):
            async with here.database.service() as conn:
                for _ in range(NEW_A_CYCLE):
                    await settle_call(conn, _record(user))
            begun = time.perf_counter()
            seen = await source.read(span_s=playbook.span_s, operations={"speak"})
            read = time.perf_counter()
            judge_all(playbook, _signals(seen), known_good="modal", now=seen.at)
            done = time.perf_counter()
            assert seen.blind is None, seen.blind
            whole.append((done - begun) * 1000)
            judging.append((done - read) * 1000)
        rows = (await _rows_read(here) - before) / CYCLES
        return [
            f"{size:,}",
            percentile(whole, 0.5),
            percentile(whole, 0.95),
            max(whole),
            percentile(judging, 0.5),
            f"{rows:,.0f}",
            f"{behind_a_second:,.0f}",
        ]


async def _rows_read(here: Place) -> int:
    # Backends hand in their figures once a second.
    await asyncio.sleep(1.5)
    async with here.database.service() as conn:
        await conn.execute(b"select 1")
    await asyncio.sleep(1.5)
    (row,) = await here.owner(
        "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint as rows from pg_stat_user_tables"
        " where schemaname = 'understudy'"
    )
    return int(row["rows"])


async def _lag() -> list[object]:
    async with place() as here:
        source = _source(here.database)
        ended: list[float] = []
        stop = asyncio.Event()

        async def write(offset_s: float) -> None:
            user, due = uuid4(), time.perf_counter() + offset_s
            while not stop.is_set():
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                async with here.database.service() as conn:
                    await settle_call(conn, _record(user))
                ended.append(time.perf_counter())
                due += WRITERS / INSERTS_A_SECOND

        writers = [asyncio.create_task(write(n / INSERTS_A_SECOND)) for n in range(WRITERS)]
        lags: list[float] = []
        reported: list[float] = []
        taken = 0
        until = time.perf_counter() + LAG_S
        while time.perf_counter() < until:
            begun = time.perf_counter()
            known = len(ended)
            seen = await source.read(span_s=1800, operations={"speak"})
            done = time.perf_counter()
            reported.append(seen.calls.lag_s)
            (row,) = await here.owner("select coalesce(sum(total), 0)::int as n from understudy.call_buckets")
            rolled = min(row["n"], known)
            lags += [done - at for at in ended[taken:rolled]]
            taken = max(taken, rolled)
            await asyncio.sleep(max(0.0, 1 - (time.perf_counter() - begun)))
        stop.set()
        await asyncio.gather(*writers)
        rate = len(ended) / LAG_S
        return [
            f"{rate:.0f}",
            percentile(lags, 0.5),
            percentile(lags, 0.99),
            f"{percentile(reported, 0.99):.2f}",
        ]


async def _inserts() -> list[list[object]]:
    async with place() as here:
        await here.fill(50_000)
        user = uuid4()
        times: dict[str, list[float]] = {"before": [], "with it": []}
        for _ in range(3):
            await here.owner(
                *(f"drop index understudy.{name}" for name in _OF_THE_MIGRATION),
                "alter table understudy.provider_calls alter column recorded_xid drop default",
            )
            times["before"] += await _settled(here, user)
            await here.owner(
                *(
                    f"create index {name} on understudy.provider_calls {what}"
                    for name, what in _OF_THE_MIGRATION.items()
                ),
                "alter table understudy.provider_calls alter column recorded_xid"
                " set default pg_current_xact_id()",
            )
            times["with it"] += await _settled(here, user)
        return [
            [name, percentile(some, 0.5) * 1000, percentile(some, 0.95) * 1000, percentile(some, 0.99) * 1000]
            for name, some in times.items()
        ]


async def _settled(here: Place, user: UUID) -> list[float]:
    """Milliseconds of each insert, within one transaction: no disk is waited for."""
    times = []
    record = _record(user)
    async with here.database.service() as conn:
        for number in range(SETTLED + 200):
            call = replace(record, at=datetime.now(UTC))
            begun = time.perf_counter()
            await settle_call(conn, call)
            if number >= 200:
                times.append((time.perf_counter() - begun) * 1000)
    return times


async def run() -> None:
    """Measure and print."""
    rows = [await _cycles(size) for size in SIZES]
    show(
        f"A look of the guard: roll up {NEW_A_CYCLE} new calls, read, judge",
        [
            "calls on record",
            "p50 ms",
            "p95 ms",
            "max ms",
            "of it judging p50 ms",
            "rows read",
            "catching up, calls/s",
        ],
        rows,
        note=f"{CYCLES} looks, {RECENT:,} calls in the last 15 minutes at every size. Rows read a look: as "
        f"Postgres counts them. Goal: flat, p95 at most {GOAL_MS} ms.",
    )
    show(
        f"Roll-up lag, one look a second, {WRITERS} writers",
        ["calls committed/s", "commit to bucket p50 s", "p99 s", "the guard's own figure p99 s"],
        [await _lag()],
        note="A trigger sees a call at the next look in any case: what is not rolled up is counted live.",
    )
    show(
        "Keeping one call's record (settle_call), without and with the migration of signals",
        ["", "p50 us", "p95 us", "p99 us"],
        await _inserts(),
        note="Three rounds of each in turn, in one transaction. A column more, and two index entries a call.",
    )
