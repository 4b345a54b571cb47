"""Roll-ups: whatever order calls commit in and whoever rolls, buckets are what a recount of calls gives."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.conftest import DatabaseUrls
from tests.integration.store.rolling import rolled, rolled_to_the_end, rows
from understudy.restoration.signals.windows import BUCKET_S, USERS_KEPT
from understudy.store import erasures, retention, signals, signals_history
from understudy.store.calls import CallRecord, insert_calls
from understudy.store.database import Connection, Database
from understudy.store.drift import inspect
from understudy.store.rollups import EVERYBODY, make_partitions, roll_up

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC).replace(microsecond=0)
USERS = [UUID(int=number + 1) for number in range(20)]
OK = CallRecord(
    at=NOW, operation="speak", provider="qwen", model="m", outcome="ok", latency_ms=900, mode_epoch=4,
    first_audio_ms=310, characters=5, audio_ms=2000, cost_microusd=65, request_id="r",
)  # fmt: skip
FAILED = replace(
    OK, outcome="failed", category="provider_unavailable", failure_class="transport", first_audio_ms=None
)
KINDS = [
    OK,
    FAILED,
    replace(FAILED, failure_class="protocol"),
    replace(FAILED, failure_class=None),
    replace(FAILED, category="validation", failure_class="provider"),
    replace(OK, outcome="cancelled", category="cancelled"),
    replace(OK, synthetic=True),
    replace(FAILED, synthetic=True),
    replace(OK, provider="modal", operation="design", first_audio_ms=None),
]


def recount(records: list[CallRecord]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The same numbers, by other means."""
    buckets: dict[tuple[Any, ...], dict[str, Any]] = {}
    for call in records:
        if call.outcome == "cancelled" or call.category == "validation":
            continue
        second = int(call.at.timestamp())
        at = datetime.fromtimestamp(second - second % BUCKET_S, UTC)
        bucket = buckets.setdefault(
            (at, call.provider, call.mode_epoch, call.operation),
            defaultdict(int, failed_users=set(), ok_users=set()),
        )
        bad = call.outcome == "failed"
        if call.synthetic:
            bucket["synthetic_total"] += 1
            bucket["synthetic_failed"] += bad
            continue
        bucket["total"] += 1
        bucket["failed"] += bad
        bucket["cost_microusd"] += call.cost_microusd
        bucket["characters"] += call.characters
        if bad:
            bucket[f"failed_{call.failure_class or 'unknown'}"] += 1
        else:
            bucket["ok_latency_ms_sum"] += call.latency_ms
            bucket["ok_latency_ms_max"] = max(bucket["ok_latency_ms_max"], call.latency_ms)
            if call.first_audio_ms is not None:
                bucket["first_audio_calls"] += 1
                bucket["first_audio_ms_sum"] += call.first_audio_ms
                bucket["first_audio_ms_max"] = max(bucket["first_audio_ms_max"], call.first_audio_ms)
        if call.user_id:
            bucket["failed_users" if bad else "ok_users"].add(call.user_id)
    for bucket in buckets.values():
        for name in ("failed_users", "ok_users"):
            bucket[name] = sorted(bucket[name])[:USERS_KEPT]
    return buckets


async def seen(conn: Connection) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Every bucket as a reading has it: the parts of one put together."""
    buckets: dict[tuple[Any, ...], dict[str, Any]] = {}
    for part in await signals.read_buckets(conn, datetime(2000, 1, 1, tzinfo=UTC)):
        key = (part.bucket_at, part.provider, part.mode_epoch, part.operation)
        bucket = buckets.setdefault(key, defaultdict(int, failed_users=set(), ok_users=set()))
        for name in part.__dataclass_fields__:
            value = getattr(part, name)
            if name in {"failed_users", "ok_users"}:
                bucket[name] |= set(value)
            elif name.endswith("_max"):
                bucket[name] = max(bucket[name], value)
            elif isinstance(value, int) and name != "mode_epoch":
                bucket[name] += value
    for bucket in buckets.values():
        for name in ("failed_users", "ok_users"):
            bucket[name] = sorted(bucket[name])[:USERS_KEPT]
    return {key: {name: value for name, value in bucket.items() if value} for key, bucket in buckets.items()}


def nonzero(buckets: dict[tuple[Any, ...], dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {key: {name: value for name, value in bucket.items() if value} for key, bucket in buckets.items()}


def call(random_numbers: random.Random) -> CallRecord:
    """Any call: now, some minutes ago, an hour late, a little in the future."""
    late_s = random_numbers.choice([0, 1, 4, 5, 7, 61, 3600, 3601, 90_000, -3])
    return replace(
        random_numbers.choice(KINDS),
        at=NOW - timedelta(seconds=late_s, microseconds=random_numbers.randrange(10**6)),
        user_id=random_numbers.choice([None, UUID(EVERYBODY), *USERS]),
        latency_ms=random_numbers.randrange(2000),
        mode_epoch=random_numbers.choice([4, 4, 5]),
    )


#: Begin a transaction, insert in one, commit many calls in one, commit one, drop one, roll up (or be killed),
#: roll up thrice at once.
KINDS_OF_STEP = ["begin", "insert", "burst", "burst", "commit", "abort", "roll", "roll", "killed", "both"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(KINDS_OF_STEP),
        st.integers(0, 5),
    ),
    min_size=12,
    max_size=30,
)


async def carry_out(
    database: Database,
    numbers: random.Random,
    steps: list[tuple[str, int]],
    whole: AsyncExitStack,
    open_ones: list[tuple[AsyncExitStack, Connection, list[CallRecord]]],
    committed: list[CallRecord],
) -> None:
    """After each step, a reading is what a recount gives."""
    for step, number in steps:
        chosen = open_ones[number % len(open_ones)] if open_ones else None
        match step:
            case "begin" if len(open_ones) < 4:
                stack = await whole.enter_async_context(AsyncExitStack())
                conn = await stack.enter_async_context(database.service())
                await conn.execute(b"select pg_current_xact_id()")
                open_ones.append((stack, conn, []))
            case "insert" if chosen:
                batch = [call(numbers) for _ in range(numbers.randrange(1, 6))]
                await insert_calls(chosen[1], batch)
                chosen[2].extend(batch)
            case "burst":
                batch = [replace(call(numbers), at=NOW) for _ in range(numbers.randrange(1, 40))]
                async with database.service() as conn:
                    await insert_calls(conn, batch)
                committed += batch
            case "commit" if chosen:
                open_ones.remove(chosen)
                await chosen[0].aclose()
                committed += chosen[2]
            case "abort" if chosen:
                open_ones.remove(chosen)
                await chosen[1].execute(b"rollback")
                await chosen[0].aclose()
            case "roll":
                await rolled(database, limit=numbers.choice([1, 10, 50_000]))
            case "killed":
                with pytest.raises(RuntimeError):  # noqa: PT012
                    async with database.service() as conn:
                        await roll_up(conn)
                        raise RuntimeError
            case "both":
                await asyncio.gather(rolled(database, limit=20), rolled(database), rolled(database))
        async with database.service() as conn:
            assert await seen(conn) == nonzero(recount(committed))


@given(steps=STEPS, seed=st.integers(0, 2**32))
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_interleaving_of_calls_and_roll_ups_counts_each_committed_call_once(
    database: Database, steps: list[tuple[str, int]], seed: int
) -> None:
    await prove(database, steps, seed)


@pytest.mark.long
@given(steps=STEPS, seed=st.integers(0, 2**32))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_of_many_interleavings_counts_each_committed_call_once(
    database: Database, steps: list[tuple[str, int]], seed: int
) -> None:
    await prove(database, steps, seed)


async def prove(database: Database, steps: list[tuple[str, int]], seed: int) -> None:
    """Carry out the steps, roll up to the end: every table is what a recount gives."""
    numbers = random.Random(seed)
    async with database.service() as conn:
        for table in ("provider_calls", "call_buckets", "tenant_minutes", "tenant_hours"):
            await conn.execute(f"delete from understudy.{table}".encode())
    committed: list[CallRecord] = []
    async with AsyncExitStack() as whole:
        open_ones: list[tuple[AsyncExitStack, Connection, list[CallRecord]]] = []
        await carry_out(database, numbers, steps, whole, open_ones, committed)
        for stack, _, batch in open_ones:
            await stack.aclose()
            committed += batch
    await rolled_to_the_end(database, limit=3)
    async with database.service() as conn:
        assert await seen(conn) == nonzero(recount(committed))
        in_table = await rows(
            conn, "select coalesce(sum(total + synthetic_total), 0)::int as n from understudy.call_buckets"
        )
        counted = [c for c in committed if c.outcome != "cancelled" and c.category != "validation"]
        assert in_table == [{"n": len(counted)}]
        for table, everybody in (("tenant_minutes", False), ("tenant_hours", False), ("tenant_hours", True)):
            of = "=" if everybody else "<>"
            sums = await rows(
                conn,
                "select coalesce(sum(calls), 0)::int as calls, coalesce(sum(failed), 0)::int as failed,"
                " coalesce(sum(characters), 0)::int as characters,"
                " coalesce(sum(cost_microusd), 0)::int as cost"
                f" from understudy.{table} where user_id {of} %s",
                EVERYBODY,
            )
            nobody = {None, UUID(EVERYBODY)}
            theirs = [c for c in committed if not c.synthetic and (everybody or c.user_id not in nobody)]
            assert sums == [
                {
                    "calls": sum(c in counted for c in theirs),
                    "failed": sum(c in counted and c.outcome == "failed" for c in theirs),
                    "characters": sum(c.characters for c in theirs),
                    "cost": sum(c.cost_microusd for c in theirs),
                }
            ]


async def test_a_long_write_delays_nobody_and_lag_tells_how_far_the_roll_up_is(database: Database) -> None:
    since = NOW - timedelta(minutes=1)
    async with database.service() as slow:
        await insert_calls(slow, [FAILED])
        async with database.service() as conn:
            await insert_calls(conn, [OK, OK])
        assert (await rolled(database)).rows == 0  # recorded after the one that is still running
        async with database.service() as conn:
            assert sum(bucket.total for bucket in await signals.read_buckets(conn, since)) == 2
            state = await signals.read_state(conn, since)
        assert state is not None
        assert state.newest_call_at == NOW
        before = await rolled(database)
    assert sum(step.rows for step in await rolled_to_the_end(database)) == 3
    # A later one has seen that everything of before that has ended.
    last = await rolled(database)
    assert last.lag_s < 5
    assert before.busy is False
    async with database.service() as conn:
        (bucket,) = await signals.read_buckets(conn, since)
        assert (bucket.total, bucket.failed) == (3, 1)


async def test_history_is_left_alone_and_a_restore_on_another_server_starts_over(
    database: Database, database_urls: DatabaseUrls
) -> None:
    since = NOW - timedelta(hours=2)
    async with database.service() as conn:
        await insert_calls(conn, [OK, FAILED])
    await rolled_to_the_end(database)
    async with database.service() as conn:  # what was there before the migration
        await insert_calls(conn, [FAILED] * 3)
    async with await psycopg.AsyncConnection.connect(database_urls.owner.get_secret_value()) as owner:
        await owner.execute("update understudy.provider_calls set recorded_xid = null where id > 2")
        # Another server counted its transactions far further.
        await owner.execute(
            "update understudy.provider_calls set recorded_xid = '900000000' where recorded_xid is not null"
        )
        await owner.execute("update understudy.rollup_state set watermark = '900000001'")
    assert (await rolled(database)).rows == 0
    async with database.service() as conn:
        await insert_calls(conn, [OK, OK])
    await rolled_to_the_end(database)
    async with database.service() as conn:
        found = await signals.read_buckets(conn, since)
        watermark = await rows(
            conn, "select watermark::text::bigint as at, after_id from understudy.rollup_state"
        )
    assert (sum(bucket.total for bucket in found), sum(bucket.failed for bucket in found)) == (4, 1)
    assert watermark[0]["at"] < 900_000_000
    assert watermark[0]["after_id"] == 2
    # The state itself is lost: from there on, rather than twice.
    async with await psycopg.AsyncConnection.connect(database_urls.owner.get_secret_value()) as owner:
        await owner.execute("delete from understudy.rollup_state")
    assert (await rolled(database)).busy
    async with database.service() as conn:
        await insert_calls(conn, [FAILED])
    assert [step.rows for step in await rolled_to_the_end(database)] == [1]
    async with database.service() as conn:
        assert sum(bucket.total for bucket in await signals.read_buckets(conn, since)) == 5


async def test_a_transaction_with_more_calls_than_a_step_is_taken_whole(database: Database) -> None:
    async with database.service() as conn:
        await insert_calls(conn, [OK] * 7)
    async with database.service() as conn:
        await insert_calls(conn, [OK] * 2)
    first, second = await rolled_to_the_end(database, limit=3)
    assert (first.rows, second.rows) == (7, 2)
    async with database.service() as holder:
        await roll_up(holder)
        other = await rolled(database)
    assert (other.busy, other.rows) == (True, 0)


async def test_days_are_made_ahead_filled_from_the_default_dropped_when_old_and_are_no_drift(
    database: Database, database_urls: DatabaseUrls
) -> None:
    parts = "select relname as name from pg_class where relname ~ '^call_buckets_[0-9]+$' order by 1"
    lying = (
        "select bucket_at < now() as old from understudy.call_buckets"
        " where tableoid = 'understudy.{}'::regclass order by bucket_at"
    )
    ahead, old = NOW + timedelta(days=9), NOW - timedelta(days=40)
    async with database.service() as conn:
        await insert_calls(conn, [replace(OK, at=ahead), replace(OK, at=old), OK])
    await rolled_to_the_end(database)
    async with database.service() as conn:
        before = await rows(conn, parts)
        in_default = await rows(conn, lying.format("call_buckets_default"))
        assert await make_partitions(conn, 10) >= 2
        assert await make_partitions(conn, 10) == 0
        left = await rows(conn, lying.format("call_buckets_default"))
        moved = await rows(conn, lying.format(f"call_buckets_{ahead:%Y%m%d}"))
    assert [row["old"] for row in in_default] == [True, False]
    assert [row["old"] for row in left] == [True]
    assert [row["old"] for row in moved] == [False]
    # A day that is over: made as its days were, long ago.
    async with await psycopg.AsyncConnection.connect(database_urls.owner.get_secret_value()) as owner:
        await owner.execute(
            "create table understudy.call_buckets_20200101 partition of understudy.call_buckets"
            " for values from ('2020-01-01 00:00+00') to ('2020-01-02 00:00+00')"
        )
    found = await inspect(database_urls.owner)
    assert not found.exists, found.findings
    async with database.service() as conn:
        assert await retention.count_expired(conn, "call_buckets", NOW - timedelta(days=30)) == 1
        assert await retention.drop_buckets(conn, NOW - timedelta(days=30)) == 1
        after = await rows(conn, parts)
        assert await retention.drop_buckets(conn, NOW + timedelta(days=30)) == 0  # never of today
        assert await retention.drop_plain(conn, "tenant_hours", NOW - timedelta(days=30), 100) == 1
    assert {"name": "call_buckets_20200101"} not in after
    assert all(part in after for part in before)


async def test_an_erased_account_leaves_buckets_minutes_and_hours_and_the_sums_stay(
    database: Database,
) -> None:
    erased, other = USERS[0], USERS[1]
    whose = [replace(kind, user_id=user) for kind in (OK, FAILED) for user in (erased, other)]
    until = NOW + timedelta(hours=1)
    async with database.service() as conn:
        await insert_calls(conn, [*whose, replace(OK, user_id=erased, at=NOW - timedelta(minutes=2))])
    await rolled_to_the_end(database)
    async with database.service() as conn:
        await insert_calls(conn, [replace(OK, user_id=erased)])
        assert [
            use.calls
            for use in await signals_history.hourly(
                conn, [erased], since=NOW - timedelta(hours=1), until=until
            )
        ]
        await erasures.remove_rows(conn, erased)
    await rolled_to_the_end(database)
    async with database.service() as conn:
        found = await signals.read_buckets(conn, NOW - timedelta(hours=1))
        assert sum(bucket.total for bucket in found) == 6
        assert {user for bucket in found for user in (*bucket.failed_users, *bucket.ok_users)} == {other}
        theirs = await signals_history.hourly(
            conn, [erased, other], since=NOW - timedelta(hours=2), until=until, operations=["speak"]
        )
        assert {use.user_id: (use.calls, use.failed, use.characters) for use in theirs} == {other: (2, 1, 10)}
        everybody = await signals_history.hourly_totals(conn, since=NOW - timedelta(hours=2), until=until)
        assert sum(use.calls for use in everybody) == 6
        assert {use.user_id for use in everybody} == {None}
        top = await signals_history.top_users(conn, since=NOW - timedelta(hours=1))
        assert [(use.user_id, use.calls, use.cost_microusd) for use in top] == [(other, 2, 130)]
