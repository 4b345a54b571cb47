"""A database of 1 GB restored, from the backup to users writing again, and what was lost.

``BENCH_DATABASE_MB`` makes it smaller.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from uuid import uuid4

import psycopg

from bench.environment import service, settings_of
from bench.tables import show
from understudy.clock import SystemClock
from understudy.restoration.actions.database_restore import STEPS
from understudy.restoration.guard.connecting import Connector, product_url
from understudy.restoration.guard.preparing import preparation
from understudy.restoration.incidents import IncidentBook
from understudy.restoration.playbook.stepping import Stepper
from understudy.restoration.targets.local import LocalTarget
from understudy.restoration.targets.local_database import LocalDatabase
from understudy.restoration.triggers.verdict import Finding, Verdict
from understudy.settings import ENV_FILE_VARIABLE
from understudy.store.guard import GuardStore, IncidentRow

MEGABYTES = int(os.environ.get("BENCH_DATABASE_MB", "1000"))
GOAL_S = 900.0
AFTER = 1000
#: A generation with so many bytes of text that no compression makes smaller: just below what Postgres toasts.
ROW_BYTES = 1900
_FILL = """
insert into public.generations (id, user_id, text, status, audio_object_key, completed_at)
select gen_random_uuid(), %(user)s,
       (select string_agg(md5(random()::text || g || i), '') from generate_series(1, 58) i),
       'completed', 'none', now()
from generate_series(1, %(rows)s) g
"""


async def run() -> None:
    """Fill, back up, lose a column, restore step by step; print the seconds of each."""
    clock = SystemClock()
    async with service(mode="modal") as running:
        os.environ[ENV_FILE_VARIABLE] = str(running.home / "understudy.env")  # as every process has it
        settings = settings_of(running)
        owner = settings.migration_database_url.get_secret_value()
        database = LocalDatabase(running.home, settings, clock)
        seconds: list[tuple[str, float]] = []

        async def timed(name: str, started_s: float) -> None:
            seconds.append((name, clock.monotonic_s() - started_s))

        async with await psycopg.AsyncConnection.connect(owner, autocommit=True) as conn:
            user = uuid4()
            await conn.execute("insert into auth.users (id) values (%s)", (user,))
            rows = MEGABYTES * 1_000_000 // ROW_BYTES
            for _ in range(10):
                await conn.execute(_FILL, {"user": user, "rows": rows // 10})
            size = await (await conn.execute("select pg_database_size(current_database())")).fetchone()
            started_s = clock.monotonic_s()
            made = await database.take_backup("bench", reason="bench")
            await timed("back up", started_s)
            started_s = clock.monotonic_s()
            await database.verify_backup(made.id)
            await timed("prove by a trial restore", started_s)
            await conn.execute(_FILL, {"user": user, "rows": AFTER})
            await conn.execute(
                "insert into understudy.provider_calls (at, operation, provider, model, outcome, latency_ms,"
                " cost_microusd, mode_epoch) select clock_timestamp(), 'speak', 'qwen', 'm', 'ok', 9, 1300, 1"
                " from generate_series(1, %s)",
                (AFTER,),
            )
            await conn.execute("alter table public.voices drop column description")
        lost = await _restore(running.home, database, seconds)
    whole = sum(value for name, value in seconds if name in {step.name for step in STEPS})
    show(
        f"Database restore: {(size[0] if size else 0) / 1e6:,.0f} MB on disk,"
        f" a backup of {(made.size_bytes or 0) / 1e6:,.0f} MB",
        ["step", "seconds"],
        [*seconds, ["whole restore", whole]],
        note=f"Goal: {GOAL_S:g} s for 1 GB. Lost since the backup, as measured: {lost['rows_total']} rows,"
        f" {lost['microusd']} micro-dollars.",
    )


async def _restore(home: Path, database: LocalDatabase, seconds: list[tuple[str, float]]) -> dict[str, int]:
    clock = SystemClock()
    settings = database.settings()
    connect = Connector(product_url(home, settings))
    with GuardStore(home / "bench-guard.db", clock) as store:
        book = IncidentBook(store, "bench", clock)
        book.lease = store.acquire("bench", "bench", lifetime_s=3600)
        at = clock.now()
        finding = Finding(
            trigger="data_integrity",
            check="schema_drift",
            verdict=Verdict.FAIL,
            mode="pause",
            cures=("database_restore",),
            evaluated_at=at,
            detail="column public.voices.description is missing",
        )
        row: IncidentRow = book.open(
            finding, onset=at, facts={"workflow_version": 3}, action="database_restore"
        )
        prepare = preparation(
            home=home,
            settings=settings,
            store=store,
            target=LocalTarget(home, database=database),
            connect=connect,
            clock=clock,
            stale_after_s=10,
        )
        run = prepare(row, 1, book.entries(row.id)[0].body["finding"])
        stepper = Stepper(book, clock, step_retry_s=1)
        lost: dict[str, int] = {}
        try:
            for step in STEPS:
                started_s = clock.monotonic_s()
                ended = await stepper.take(run, step, "database_restore", box_s=3600)
                seconds.append((step.name, clock.monotonic_s() - started_s))
                if ended is None or not ended.body["ok"]:
                    sys.exit(f"{step.name}: {ended.body['problem'] if ended else 'never begun'}")
                lost = ended.body["evidence"].get("rpo") or lost
        finally:
            await connect.close()
    return lost
