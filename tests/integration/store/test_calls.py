"""Windows over provider calls: what counts, where a window begins and ends."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.conftest import CreateUser
from understudy.store import calls, synthetic
from understudy.store.calls import CallRecord, WindowCounts
from understudy.store.database import Database

pytestmark = pytest.mark.integration

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
WINDOW = timedelta(seconds=60)
INSTANT = timedelta(microseconds=1)
OK = CallRecord(
    at=START, operation="speak", provider="qwen", model="m", outcome="ok", latency_ms=900, mode_epoch=4,
    first_audio_ms=310, characters=5, audio_ms=2000, cost_microusd=65, request_id="r",
)  # fmt: skip
FAILED = replace(
    OK, outcome="failed", category="provider_unavailable", failure_class="transport", code="closed_1006"
)
CANCELLED = replace(OK, outcome="cancelled", category="cancelled")
INVALID = replace(FAILED, category="validation", failure_class="provider")


async def keep(database: Database, *records: CallRecord) -> None:
    async with database.service() as conn:
        await calls.insert_calls(conn, records)


async def count(database: Database, start: datetime = START, end: datetime = START + WINDOW) -> WindowCounts:
    async with database.service() as conn:
        return await calls.window_counts(
            conn, operation="speak", provider="qwen", mode_epoch=4, start=start, end=end
        )


async def test_an_empty_window_counts_nothing(database: Database) -> None:
    await keep(database)
    assert await count(database) == WindowCounts(0, 0, {}, 0, 0)


async def test_what_counts_and_what_does_not(database: Database) -> None:
    await keep(
        database,
        OK,
        OK,
        FAILED,
        replace(FAILED, failure_class="protocol"),
        replace(FAILED, failure_class="protocol"),
        replace(FAILED, failure_class=None),
        CANCELLED,
        INVALID,
        replace(OK, operation="enroll"),
        replace(FAILED, provider="modal"),
        replace(FAILED, mode_epoch=5),
        replace(OK, synthetic=True),
        replace(FAILED, synthetic=True),
        replace(CANCELLED, synthetic=True),
    )
    assert await count(database) == WindowCounts(
        total=6,
        failed=4,
        by_class={"transport": 1, "protocol": 2, "unknown": 1},
        synthetic_total=2,
        synthetic_failed=1,
    )


@pytest.mark.parametrize(
    ("at", "inside"),
    [
        (START - INSTANT, False),
        (START, True),
        (START + INSTANT, True),
        (START + WINDOW - INSTANT, True),
        (START + WINDOW, False),
    ],
)
async def test_a_window_has_its_start_and_not_its_end(database: Database, at: datetime, inside: bool) -> None:
    await keep(database, replace(FAILED, at=at))
    assert (await count(database)).failed == int(inside)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    offsets_s=st.lists(st.integers(0, 299), max_size=25),
    edges_s=st.lists(st.integers(1, 299), max_size=6, unique=True),
    epoch=st.integers(10, 10_000_000),
)
async def test_windows_that_touch_count_every_call_once(
    database: Database, offsets_s: list[int], edges_s: list[int], epoch: int
) -> None:
    """Wherever the edges lie, on calls or between them. Each example's calls have an epoch of their own."""
    epoch += uuid.uuid4().int >> 80
    await keep(
        database,
        *(replace(FAILED, at=START + timedelta(seconds=offset), mode_epoch=epoch) for offset in offsets_s),
    )
    edges = [START + timedelta(seconds=edge) for edge in (0, *sorted(edges_s), 300)]
    counted = 0
    async with database.service() as conn:
        for start, end in itertools.pairwise(edges):
            window = await calls.window_counts(
                conn, operation="speak", provider="qwen", mode_epoch=epoch, start=start, end=end
            )
            expected = sum(start <= START + timedelta(seconds=offset) < end for offset in offsets_s)
            assert window.total == window.failed == expected
            counted += window.total
    assert counted == len(offsets_s)


async def test_failures_are_listed_newest_first_as_evidence(database: Database) -> None:
    task = uuid.uuid4()
    await keep(
        database,
        replace(FAILED, at=START - INSTANT),
        replace(FAILED, at=START, code="first"),
        replace(FAILED, at=START + WINDOW, code="last", task_id=task),
        replace(FAILED, at=START + INSTANT, synthetic=True),
        replace(INVALID, at=START + INSTANT),
        replace(OK, at=START + INSTANT),
        replace(FAILED, at=START + INSTANT, provider="modal"),
    )
    async with database.service() as conn:
        found = await calls.recent_failures(conn, provider="qwen", since=START)
        newest = await calls.recent_failures(conn, provider="qwen", since=START, limit=1)
    assert [failure.code for failure in found] == ["last", "first"]
    assert newest == found[:1]
    assert (found[0].task_id, found[0].failure_class, found[0].at) == (task, "transport", START + WINDOW)


async def test_the_first_failure_since_a_moment(database: Database) -> None:
    async with database.service() as conn:
        assert await calls.first_failure_since(conn, provider="qwen", since=START) is None
    await keep(
        database,
        replace(FAILED, at=START - INSTANT, code="before"),
        replace(FAILED, at=START + 2 * INSTANT, code="second"),
        replace(FAILED, at=START + INSTANT, code="first"),
        replace(FAILED, at=START + 3 * INSTANT, code="later epoch", mode_epoch=9),
    )
    async with database.service() as conn:
        first = await calls.first_failure_since(conn, provider="qwen", since=START)
        of_epoch = await calls.first_failure_since(conn, provider="qwen", since=START, mode_epoch=9)
    assert first is not None
    assert of_epoch is not None
    assert (first.code, of_epoch.code) == ("first", "later epoch")


async def test_a_record_is_kept_as_it_was_given(database: Database) -> None:
    record = replace(FAILED, user_id=uuid.uuid4(), task_id=uuid.uuid4(), synthetic=True)
    await keep(database, record)
    async with database.service() as conn:
        row = await (await conn.execute("select * from understudy.provider_calls")).fetchone()
    assert row is not None
    assert row.pop("id")
    assert row.pop("recorded_xid")
    assert CallRecord(**row) == record


async def test_the_record_of_a_call_belongs_to_the_callers_transaction(database: Database) -> None:
    async def keep_and_fail() -> None:
        async with database.service() as conn:
            await calls.insert_calls(conn, [OK])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await keep_and_fail()
    assert (await count(database)).total == 0


async def test_canaries_are_known_by_their_account(database: Database, create_user: CreateUser) -> None:
    canary, user = await create_user(), await create_user()
    async with database.service() as conn:
        await synthetic.mark_synthetic(conn, canary, "smoke-a")
        await synthetic.mark_synthetic(conn, canary, "smoke-b")
        await calls.settle_call(conn, replace(OK, user_id=canary))
        await calls.settle_call(conn, replace(OK, user_id=user))
    counts = await count(database)
    assert (counts.total, counts.synthetic_total) == (1, 1)


async def test_harm_counts_users_and_failures_over_every_epoch(
    database: Database, create_user: CreateUser
) -> None:
    ada, ben, canary = [await create_user() for _ in range(3)]
    end = START + WINDOW
    await keep(
        database,
        replace(OK, user_id=ada),
        replace(FAILED, user_id=ada, cost_microusd=13),
        replace(FAILED, user_id=ada, at=end, mode_epoch=5, cost_microusd=7),
        replace(OK, user_id=ben),
        replace(INVALID, user_id=ben),
        replace(CANCELLED, user_id=ben),
        replace(FAILED, user_id=canary, synthetic=True),
        replace(FAILED, user_id=ben, at=START - INSTANT),
        replace(FAILED, user_id=ben, at=end + INSTANT),
        replace(FAILED, user_id=ben, provider="modal"),
    )
    async with database.service() as conn:
        harm = await calls.harm_between(conn, operation="speak", provider="qwen", start=START, end=end)
    assert harm == calls.Harm(
        calls=4, failed=2, users=2, users_failed=1, cost_microusd=20, audio_ms=8000, characters_failed=10
    )
