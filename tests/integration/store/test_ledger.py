"""The ledger's arithmetic: whatever happens in whatever order, counters sum up what the ledger holds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from tests.integration.conftest import DatabaseUrls

pytestmark = pytest.mark.integration

NOON = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
EVERYBODY = UUID(int=0)
TENANTS = (UUID(int=1), UUID(int=2))
TASKS = tuple(UUID(int=100 + number) for number in range(6))
BUDGETS = ("generation-hour", "generation-day", "creates-hour", "creates-day")
LIMITS = {name: {"tenant": 3 if name == "creates-hour" else 900, "everybody": 1500} for name in BUDGETS}

Conn = psycopg.Connection[dict[str, Any]]

cents = st.integers(0, 500)
operations = st.one_of(
    st.tuples(
        st.just("reserve"),
        st.sampled_from(TASKS),
        st.sampled_from(TENANTS),
        st.sampled_from(["speak", "design", "enroll"]),
        cents,
        st.booleans(),
        st.integers(0, 3),
    ),
    st.tuples(st.just("settle"), st.sampled_from(TASKS), cents, st.booleans()),
    st.tuples(st.just("close"), st.sampled_from(TASKS), st.booleans()),
    st.tuples(st.just("move"), st.sampled_from(TASKS), cents, st.booleans()),
)


@pytest.fixture
def conn(database_urls: DatabaseUrls) -> Iterator[Conn]:
    url = database_urls.owner.get_secret_value()
    with psycopg.connect(url, row_factory=dict_row) as opened:
        yield opened
        opened.rollback()


def one(conn: Conn, statement: str, values: Any) -> Any:
    row = conn.execute(statement.encode(), values).fetchone()
    assert row is not None
    return next(iter(row.values()))


def reserve(
    conn: Conn,
    task: UUID,
    tenant: UUID,
    amount: int,
    *,
    operation: str = "speak",
    canary: bool = False,
    at: datetime = NOON,
    limits: dict[str, dict[str, int]] | None = None,
) -> dict[str, Any] | None:
    refused: dict[str, Any] | None = one(
        conn,
        "select understudy.reserve_cost(%s, %s, %s, 'qwen', %s, %s, %s, %s, %s)",
        (
            task,
            tenant,
            operation,
            amount,
            operation != "speak",
            canary,
            at,
            Jsonb(LIMITS if limits is None else limits),
        ),
    )
    return refused


def do(conn: Conn, operation: tuple[Any, ...], costs: dict[UUID, int]) -> None:
    kind, task = operation[0], operation[1]
    if kind == "reserve":
        _, _, tenant, what, amount, canary, hours = operation
        if one(conn, "select count(*) from understudy.ledger where task_id = %s", (task,)):
            return
        at = NOON + timedelta(hours=hours * 5)
        if reserve(conn, task, tenant, amount, operation=what, canary=canary, at=at) is None:
            costs[task] = 0
    elif kind == "settle":
        _, _, cost, lost = operation
        one(conn, "select understudy.settle_cost(%s, %s, %s)", (task, cost, lost))
        if task in costs:
            costs[task] += cost
    elif kind == "close":
        one(conn, "select understudy.close_reservation(%s, %s)", (task, operation[2]))
    else:
        one(conn, "select understudy.move_reservation(%s, 'modal', %s, %s)", (task, *operation[2:]))


def check(conn: Conn, costs: dict[UUID, int]) -> None:
    entries = conn.execute("select * from understudy.ledger").fetchall()
    assert {entry["task_id"]: entry["settled_microusd"] for entry in entries} == costs
    counters = conn.execute("select * from understudy.budget_counters").fetchall()
    for counter in counters:
        purse, _, window = counter["budget"].partition("-")
        ends_at = counter["starts_at"] + timedelta(hours=1 if window == "hour" else 24)
        held = [
            entry
            for entry in entries
            if entry["purse"] == purse
            and not entry["synthetic"]
            and counter["starts_at"] <= entry["at"] < ends_at
            and counter["scope"] in (EVERYBODY, entry["user_id"])
        ]
        if counter["budget"] == "creates-hour":
            expected = sum(entry["state"] != "released" for entry in held)
        else:
            expected = sum(
                entry["reserved_microusd"]
                if entry["state"] == "reserved"
                else entry["settled_microusd"] + entry["doubt_microusd"]
                for entry in held
            )
        assert counter["used"] == expected >= 0


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(operations, max_size=25))
def test_counters_are_what_the_ledger_holds(conn: Conn, steps: list[tuple[Any, ...]]) -> None:
    conn.rollback()
    costs: dict[UUID, int] = {}
    for step in steps:
        do(conn, step, costs)
        check(conn, costs)
    for task in TASKS:
        one(conn, "select understudy.close_reservation(%s, false)", (task,))
    check(conn, costs)
    assert one(conn, "select count(*) from understudy.ledger where state = 'reserved'", ()) == 0


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(TENANTS), cents), max_size=12))
def test_a_limit_is_never_passed_and_never_refuses_what_fits(
    conn: Conn, asked: list[tuple[UUID, int]]
) -> None:
    conn.rollback()
    spent = dict.fromkeys(TENANTS, 0)
    for number, (tenant, amount) in enumerate(asked):
        refused = reserve(conn, UUID(int=1000 + number), tenant, amount)
        mine, all_of_us = spent[tenant] + amount > 900, sum(spent.values()) + amount > 1500
        assert (refused is not None) == (mine or all_of_us)
        if refused is None:
            spent[tenant] += amount
        else:
            assert refused["everybody"] is not mine
            assert refused["ends_at"] in {"2026-11-24T13:00:00+00:00", "2026-11-25T00:00:00+00:00"}


def test_what_was_refused_left_nothing(conn: Conn) -> None:
    assert reserve(conn, TASKS[0], TENANTS[0], 901) is not None
    assert one(conn, "select count(*) from understudy.ledger", ()) == 0
    assert one(conn, "select coalesce(sum(used), 0) from understudy.budget_counters", ()) == 0


def test_a_new_limit_counts_what_its_window_has_used(conn: Conn) -> None:
    assert reserve(conn, TASKS[0], TENANTS[0], 700, limits={}) is None
    assert one(conn, "select count(*) from understudy.budget_counters", ()) == 0
    assert reserve(conn, TASKS[1], TENANTS[0], 201) is not None
    assert reserve(conn, TASKS[1], TENANTS[0], 200) is None


def test_a_limit_of_one_tenant_goes_before_the_settings(conn: Conn) -> None:
    conn.execute(
        "insert into understudy.budgets (scope, budget, most, actor, reason)"
        " values (%s, 'generation-day', 10, 'ada', 'runaway'), (%s, 'generation-hour', 0, 'ada', 'trusted')",
        (TENANTS[0], TENANTS[1]),
    )
    refused = reserve(conn, TASKS[0], TENANTS[0], 11)
    assert refused is not None
    assert (refused["budget"], refused["most"], refused["everybody"]) == ("generation-day", 10, False)
    limits = {"generation-hour": {"tenant": 5, "everybody": 0}}
    assert reserve(conn, TASKS[1], TENANTS[1], 400, limits=limits) is None


def test_a_window_is_over_when_it_is_over(conn: Conn) -> None:
    assert reserve(conn, TASKS[0], TENANTS[0], 900) is None
    assert reserve(conn, TASKS[1], TENANTS[0], 1, at=NOON + timedelta(minutes=29, seconds=59)) is not None
    limits = {"generation-hour": LIMITS["generation-hour"]}
    assert reserve(conn, TASKS[1], TENANTS[0], 1, at=NOON + timedelta(minutes=30), limits=limits) is None


def test_the_difference_is_given_back_at_the_end_and_not_before(conn: Conn) -> None:
    assert reserve(conn, TASKS[0], TENANTS[0], 900) is None
    one(conn, "select understudy.settle_cost(%s, 300, false)", (TASKS[0],))
    assert reserve(conn, TASKS[1], TENANTS[0], 1) is not None
    one(conn, "select understudy.close_reservation(%s, true)", (TASKS[0],))
    assert reserve(conn, TASKS[1], TENANTS[0], 600) is None
    assert reserve(conn, TASKS[2], TENANTS[0], 1) is not None


def test_what_was_sent_and_never_heard_of_stays_counted_in_doubt(conn: Conn) -> None:
    assert reserve(conn, TASKS[0], TENANTS[0], 900) is None
    one(conn, "select understudy.close_reservation(%s, true)", (TASKS[0],))
    (entry,) = conn.execute("select * from understudy.ledger").fetchall()
    assert (entry["state"], entry["settled_microusd"], entry["doubt_microusd"]) == ("settled", 0, 900)
    assert reserve(conn, TASKS[1], TENANTS[0], 1) is not None


def test_calls_that_older_code_recorded_are_settled_at_the_end(conn: Conn) -> None:
    assert reserve(conn, TASKS[0], TENANTS[0], 900) is None
    conn.execute(
        "insert into understudy.provider_calls (at, operation, provider, model, outcome, latency_ms,"
        " mode_epoch, cost_microusd, task_id) values (now(), 'speak', 'qwen', 'm', 'ok', 5, 1, 300, %s)",
        (TASKS[0],),
    )
    one(conn, "select understudy.close_reservation(%s, true)", (TASKS[0],))
    (entry,) = conn.execute("select * from understudy.ledger").fetchall()
    assert (entry["state"], entry["settled_microusd"], entry["doubt_microusd"]) == ("settled", 300, 0)
    assert reserve(conn, TASKS[1], TENANTS[0], 601) is not None
    assert reserve(conn, TASKS[1], TENANTS[0], 600) is None


@pytest.mark.parametrize("valve", ["design-creates", "generation"])
def test_a_closed_valve_refuses_its_operation_only(conn: Conn, valve: str) -> None:
    conn.execute(
        "insert into understudy.valves (name, closed, epoch, actor, reason) values (%s, true, 1, 'ada', 'x')",
        (valve,),
    )
    own, other = ("design", "speak") if valve == "design-creates" else ("speak", "design")
    assert reserve(conn, TASKS[0], TENANTS[0], 1, operation=own) == {"valve": valve}
    assert reserve(conn, TASKS[1], TENANTS[0], 1, operation=other) is None
    assert reserve(conn, TASKS[2], TENANTS[0], 1, operation="enroll") is None
    assert reserve(conn, TASKS[3], TENANTS[0], 1, operation=own, canary=True) is None
