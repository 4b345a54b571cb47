"""Sources of calls: what each sees, and each way in which it must say that it sees nothing."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from tests.integration.conftest import CreateUser, DatabaseUrls
from understudy.clock import SystemClock
from understudy.errors import ConfigurationError, StoreUnavailableError
from understudy.restoration.signals.choosing import choose_source
from understudy.restoration.signals.product import ProductSource
from understudy.restoration.signals.prometheus import PrometheusSource
from understudy.restoration.signals.readings import Series
from understudy.restoration.signals.source import CallSource, Observed
from understudy.restoration.signals.supabase import SupabaseSource
from understudy.restoration.signals.windows import windows_of
from understudy.settings import settings_from
from understudy.store.calls import CallRecord, insert_calls
from understudy.store.database import Database
from understudy.store.mode import ProcessRow, heartbeat_process, write_mode

pytestmark = pytest.mark.integration

SPEAK = Series("qwen", 1, "speak")
USER = uuid.UUID(int=7)


class Wall(SystemClock):
    """The machine's clock, that a test sets forward or back."""

    ahead_s = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead_s)


def record(**changes: Any) -> CallRecord:
    call = CallRecord(
        at=datetime.now(UTC), operation="speak", provider="qwen", model="m", outcome="ok", latency_ms=9,
        mode_epoch=1, characters=5, user_id=USER,
    )  # fmt: skip
    if changes.get("outcome") == "failed":
        call = replace(call, category="provider_unavailable", failure_class="transport", code="closed_1006")
    return replace(call, **changes)


async def keep(database: Database, *records: CallRecord) -> None:
    async with database.service() as conn:
        await insert_calls(conn, records)


async def alive(database: Database) -> None:
    now = datetime.now(UTC)
    process = ProcessRow(uuid.uuid4(), "worker", 1, "h", "qwen", 1, "live", "qwen", now, now)
    async with database.service() as conn:
        await write_mode(conn, value="qwen", actor="a", reason="r", incident=None, env_value="qwen")
        await heartbeat_process(conn, process)


def product(database: Database, clock: Wall, **options: float) -> ProductSource:
    async def connect() -> Database:
        return database

    return ProductSource(connect, clock, **{"query_s": 5.0, "stale_after_s": 30.0, **options})


async def look(source: CallSource, span_s: float = 1800) -> Observed:
    return await source.read(span_s=span_s, operations={"speak"})


def total(observed: Observed, series: Series = SPEAK, window_s: int = 60) -> tuple[int, int]:
    windows = windows_of(observed.calls.calls(series), observed.at, window_s=window_s, limit=30)
    return sum(w.total for w in windows), sum(w.failed for w in windows)


async def test_our_database_gives_every_series_tails_probes_refusals_and_drops(database: Database) -> None:
    await alive(database)
    old, now = datetime.now(UTC) - timedelta(seconds=70), datetime.now(UTC)
    late, instance = datetime.now(UTC) - timedelta(hours=1), uuid.uuid4()
    await keep(
        database,
        *[record(at=old)] * 25,
        record(at=old, outcome="failed"),
        record(at=late, outcome="failed"),  # an hour late: of no window that is looked at
        record(at=old, provider="modal", operation="design"),
        record(at=old, provider="modal", synthetic=True),
        record(at=old, mode_epoch=0, outcome="failed"),
        record(at=old, outcome="cancelled"),
    )
    async with database.service() as conn:
        await conn.execute(
            "insert into understudy.refusals"
            " (bucket_at, provider, mode_epoch, operation, instance, asked, refused)"
            " select date_bin('5 s', %s, '2000-01-01Z'), 'qwen', 1, 'speak', u, 4, 1 from unnest(%s) u",
            (old, [instance, uuid.uuid4()]),
        )
        await conn.execute(
            "insert into understudy.signal_drops (process, instance, dropped) values ('worker:1', %s, 3)",
            (instance,),
        )
    clock = Wall()
    source = product(database, clock)
    for observed in (await look(source), await look(source)):  # a second look counts nothing twice
        assert observed.blind is None
        assert observed.calls.blind is None
        assert observed.mode is not None
        assert total(observed) == (26, 1)
        assert observed.calls.calls(Series("qwen", 1, "enroll")) == ()
        assert observed.calls.total == 28  # whatever a selector matches, this says that calls are seen
        assert len(observed.calls.tails[SPEAK]) == 20
        assert [call.ok for call in observed.calls.probes[Series("modal", 1, "speak")]] == [True]
        assert [(b.total, b.failed) for b in observed.calls.refused[SPEAK]] == [(8, 2)]
        assert observed.calls.dropped == 3
        assert observed.newest_call_at is not None
        assert observed.newest_call_at <= now
    (bucket,) = [b for b in observed.calls.calls(SPEAK) if b.failed]
    assert bucket.by_class == {"transport": 1}
    assert bucket.failed_users == bucket.ok_users == {str(USER)}
    assert (await look(source, 7200)).calls.total == 29
    assert await source.successes(SPEAK, old) == 25
    assert await source.first_failure(SPEAK, late) == late
    harm = await source.harm("speak", "qwen", old, now)
    assert (harm.calls, harm.failed, harm.users, harm.characters_failed) == (27, 2, 1, 10)


async def test_our_database_is_blind_rather_than_healthy(
    database: Database, database_urls: DatabaseUrls
) -> None:
    clock = Wall()
    source = product(database, clock)
    assert (await look(source)).blind == "no process has ever set a provider mode"
    await alive(database)
    assert (await look(source)).blind is None  # zero traffic is not blindness
    clock.ahead_s = 3600
    assert "jumped 3600 s forward" in str((await look(source)).blind)
    assert "behind the guard's" in str((await look(source)).blind)  # and stays so, as long as they disagree
    clock.ahead_s = 0
    assert "jumped 3600 s back" in str((await look(source)).blind)
    assert (await look(source)).blind is None
    silent = product(database, clock, stale_after_s=0.0)
    assert "no api or worker has reported" in str((await look(silent)).blind)
    await keep(database, record(at=datetime.now(UTC) + timedelta(minutes=5)))
    assert "the newest call is" in str((await look(source)).blind)
    async with await psycopg.AsyncConnection.connect(database_urls.owner.get_secret_value()) as owner:
        await owner.execute("delete from understudy.provider_calls")
        await owner.execute("delete from understudy.call_buckets")  # it may have been rolled up already
        await owner.commit()
        assert (await look(source)).blind is None
        # Slow: somebody holds the table.
        await owner.execute("lock table understudy.call_buckets in access exclusive mode")
        slow = product(database, clock, query_s=0.3)
        assert (await look(slow)).blind == "the database did not answer within 0.3 s"
    assert (await look(slow)).blind is None
    await keep(database, record(at=datetime.now(UTC) - timedelta(seconds=6)))
    async with await psycopg.AsyncConnection.connect(database_urls.owner.get_secret_value()) as owner:
        # Nobody can roll up, and everything is seen.
        await owner.execute("lock table understudy.tenant_minutes in exclusive mode")
        hindered = await look(product(database, clock, query_s=1.0))
    assert (hindered.blind, hindered.calls.total) == (None, 1)
    async with await psycopg.AsyncConnection.connect(database_urls.owner.get_secret_value()) as owner:
        await owner.execute("drop table understudy.call_buckets")
    assert (await look(source)).blind == "the signals cannot be read (UndefinedTable)"
    await database.close()
    stopped = await look(source)
    assert "the database cannot be read" in str(stopped.blind)
    assert stopped.calls.blind == stopped.blind
    assert stopped.calls.total == 0


async def test_a_supabase_project_is_read_from_tasks_and_generations_alone(
    database: Database, database_urls: DatabaseUrls, create_user: CreateUser
) -> None:
    user = await create_user()
    async with await psycopg.AsyncConnection.connect(database_urls.owner.get_secret_value()) as owner:
        await owner.execute("drop schema understudy cascade")
        for task_type, status in [
            ("generate", "completed"), ("generate", "completed"), ("generate", "failed"),
            ("generate", "cancelled"), ("design_preview", "completed"), ("generate", "processing"),
        ]:  # fmt: skip
            ended = datetime.now(UTC) if status in {"completed", "failed"} else None
            await owner.execute(
                "insert into public.tasks (user_id, type, status, provider, completed_at)"
                " values (%s, %s, %s, 'qwen', %s)",
                (user, task_type, status, ended),
            )
        await owner.execute(
            "insert into public.generations (user_id, text, status, tts_provider, completed_at)"
            " values (%s, 'x', 'failed', 'qwen', now())",
            (user,),
        )

    async def connect() -> Database:
        return database

    named: list[str | None] = ["qwen"]
    source = SupabaseSource(connect, SystemClock(), mode=lambda: named[0], query_s=5, stale_after_s=30)
    observed = await look(source)
    series = Series("qwen", 0, "speak")
    assert observed.blind is None
    assert observed.mode is not None
    assert (observed.mode.value, observed.mode.epoch) == ("qwen", 0)
    buckets = observed.calls.calls(series)
    assert (sum(b.total for b in buckets), sum(b.failed for b in buckets)) == (4, 2)
    assert buckets[0].failed_users == {str(user)}
    assert observed.calls.total == 5
    assert sorted(call.ok for call in observed.calls.tails[series]) == [False, False, True, True]
    since = datetime.now(UTC) - timedelta(minutes=1)
    assert await source.successes(series, since) == 2
    assert await source.first_failure(series, since) is not None
    harm = await source.harm("speak", "qwen", since, datetime.now(UTC))
    assert (harm.calls, harm.failed, harm.users_failed) == (4, 2, 1)

    named[0] = None
    assert (await look(source)).blind == "the environment names no provider"
    named[0] = "qwen"
    async with await psycopg.AsyncConnection.connect(database_urls.owner.get_secret_value()) as owner:
        await owner.execute("delete from public.tasks where status <> 'processing'")
        await owner.execute("update public.tasks set created_at = now() - interval '10 minutes'")
    assert "none has ended since" in str((await look(source)).blind)


class FakePrometheus:
    """Answers what a test gives it."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.status = 200
        self.seen: list[dict[str, str]] = []

    async def answer(self, request: web.Request) -> web.Response:
        form = dict(await request.post())
        self.seen.append({"authorization": request.headers.get("authorization", ""), **form})  # type: ignore[dict-item]
        query = str(form["query"])
        if query == "time()":
            now_s = datetime.now(UTC).timestamp()
            result: Any = [now_s, str(now_s)]
            kind = "scalar"
        else:
            result, kind = self.answers.get(query, []), "matrix" if "step" in form else "vector"
        body = {"status": "success", "data": {"resultType": kind, "result": result}}
        return web.json_response(body, status=self.status)


@pytest_asyncio.fixture
async def prometheus() -> AsyncIterator[tuple[FakePrometheus, str]]:
    fake = FakePrometheus()
    app = web.Application()
    app.router.add_post("/api/v1/{what}", fake.answer)
    async with TestServer(app) as server:
        yield fake, str(server.make_url("/"))


@asynccontextmanager
async def asking(url: str) -> AsyncIterator[PrometheusSource]:
    source = PrometheusSource(
        url, SecretStr("t0ken"), SystemClock(), mode=lambda: None, query_s=2, stale_after_s=60
    )
    try:
        yield source
    finally:
        await source.close()


async def test_prometheus_counters_and_their_twin(prometheus: tuple[FakePrometheus, str]) -> None:
    fake, url = prometheus
    async with asking(url) as source:
        await look_at(fake, source)
    async with asking("http://127.0.0.1:9") as gone:
        assert (await look(gone)).blind == "Prometheus cannot be read (ClientConnectorError)"


async def look_at(fake: FakePrometheus, source: PrometheusSource) -> None:
    process = {"job": "u", "instance": "a"}
    now_s = datetime.now(UTC).timestamp()
    edge_s = int(now_s) // 5 * 5

    def tell(*values: object, **labels: str) -> dict[str, Any]:
        points = [[edge_s - 5 * (len(values) - 1 - i), str(value)] for i, value in enumerate(values)]
        return {"metric": {**process, **labels}, "values": points}

    speak = {"provider": "qwen", "operation": "speak", "mode_epoch": "1", "failure_class": ""}
    calls = "understudy_provider_calls_total"
    fake.answers = {
        calls: [tell(10, 14, 20, **speak, outcome="ok"), tell(1, **speak, outcome="failed")],
        "understudy_mode_epoch": [tell(1, 1, 1, 1)],
        "timestamp(understudy_mode_epoch)": [{"metric": process, "value": [now_s, str(now_s - 9)]}],
        "understudy_mode_epoch * on(job, instance) group_right() understudy_mode_info": [
            {"metric": {**process, "value": "qwen"}, "value": [now_s, "1"]}
        ],
    }

    observed = await look(source)
    assert observed.blind is None
    assert observed.mode is not None
    assert (observed.mode.value, observed.mode.epoch) == ("qwen", 1)
    buckets = observed.calls.calls(SPEAK)
    # Its process was scraped before the counter of failures came into sight: that one was a call.
    assert (sum(b.total for b in buckets), sum(b.failed for b in buckets)) == (11 + 10, 1)
    assert fake.seen[0]["authorization"] == "Bearer t0ken"
    assert (await source.harm("speak", "qwen", observed.calls.since, observed.at)).failed == 1

    silent = fake.answers.pop(calls)  # a selector that matches nothing: no data, and no health either
    nothing = await look(source)
    assert nothing.blind is None
    assert nothing.calls.total == 0
    assert nothing.calls.calls(SPEAK) == ()

    for bad in ("NaN", "-3"):
        fake.answers[calls] = [tell(1, bad, **speak, outcome="ok")]
        assert f"{calls} is {bad}" in str((await look(source)).blind)
    fake.answers[calls] = silent
    twin = fake.answers["timestamp(understudy_mode_epoch)"]
    twin[0]["value"][1] = str(now_s - 600)
    assert "the newest scrape is" in str((await look(source)).blind)
    fake.answers["timestamp(understudy_mode_epoch)"] = []
    assert "is absent" in str((await look(source)).blind)
    with pytest.raises(StoreUnavailableError):
        await source.successes(SPEAK, datetime.now(UTC))
    fake.status = 503
    assert "it answered 503" in str((await look(source)).blind)


async def test_the_settings_choose(database_urls: DatabaseUrls) -> None:
    async def connect() -> Database:
        raise AssertionError

    def chosen(**values: str) -> CallSource:
        settings = settings_from({f"GUARD_{name.upper()}": value for name, value in values.items()})
        return choose_source(
            settings, connect, SystemClock(), mode=lambda: "modal", query_s=1, stale_after_s=30
        )

    assert isinstance(chosen(), ProductSource)
    assert isinstance(chosen(signal_source="supabase"), SupabaseSource)
    with pytest.raises(ConfigurationError, match="GUARD_PROMETHEUS_URL"):
        chosen(signal_source="prometheus")
    with pytest.raises(ConfigurationError, match="only https"):
        chosen(signal_source="prometheus", prometheus_url="http://prometheus.example.org")
    found = chosen(signal_source="prometheus", prometheus_url="https://prometheus.example.org")
    assert isinstance(found, PrometheusSource)
    # Its own database is read, not the one that it was given.
    own = chosen(signal_database_url=database_urls.app.get_secret_value())
    try:
        assert (await look(own)).blind == "no process has ever set a provider mode"
    finally:
        await own.close()
