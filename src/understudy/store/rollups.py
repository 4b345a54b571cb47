"""Calls rolled up into buckets and into tenants' minutes and hours: each once, while more are written.

A call carries the transaction that recorded it. One roller at a time takes the calls of all transactions from
the watermark up to the oldest one still running, and moves the watermark there in the same transaction. So no
call is taken twice or left out, whatever order transactions commit in and wherever a roller dies. What is not
rolled up yet is counted live, by the same statement (:mod:`understudy.store.signals`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL, Composed, Identifier, Literal

from understudy.store.calls import COUNTED

Connection = AsyncConnection[DictRow]

#: Calls taken in one step; the transaction that fills it up is left for the next.
ROWS_A_STEP = 50_000
#: More that wait are not counted.
WAITING_COUNTED = 100_000
#: The user of :data:`understudy.tenant_hours` that stands for everybody together.
EVERYBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class RolledUp:
    """One step.

    Parameters
    ----------
    rows
        Calls taken.
    lag_s
        Everything recorded longer ago than this is rolled up, in seconds.
    remaining
        Calls that another step can take now, at most :data:`WAITING_COUNTED`.
    busy
        Somebody else rolls up right now; nothing was done.
    """

    rows: int
    lag_s: float
    remaining: int
    busy: bool = False


_SUMS = (
    "total",
    "failed",
    "failed_transport",
    "failed_protocol",
    "failed_provider",
    "failed_unknown",
    "synthetic_total",
    "synthetic_failed",
    "cost_microusd",
    "characters",
    "ok_latency_ms_sum",
    "first_audio_calls",
    "first_audio_ms_sum",
)
_MAXIMA = ("ok_latency_ms_max", "first_audio_ms_max")
_USERS = ("failed_users", "ok_users")
BUCKET_KEY = ("bucket_at", "provider", "mode_epoch", "operation")
BUCKET_COLUMNS = (*BUCKET_KEY, *_SUMS, *_MAXIMA, *_USERS)

#: The calls of ``{calls}`` in buckets of 5 s: the one place that says what a bucket holds. Its users are the
#: first 16 by id, so that parts of a bucket give the same when they are put together as all of it at once.
_BUCKETS = SQL("""
    select date_bin('5 seconds', at, timestamptz '1970-01-01 00:00:00+00') as bucket_at,
           provider, mode_epoch, operation,
           (count(*) filter (where not synthetic))::int as total,
           (count(*) filter (where bad))::int as failed,
           (count(*) filter (where bad and failure_class = 'transport'))::int as failed_transport,
           (count(*) filter (where bad and failure_class = 'protocol'))::int as failed_protocol,
           (count(*) filter (where bad and failure_class = 'provider'))::int as failed_provider,
           (count(*) filter (where bad and coalesce(failure_class, '')
                                   not in ('transport', 'protocol', 'provider')))::int as failed_unknown,
           (count(*) filter (where synthetic))::int as synthetic_total,
           (count(*) filter (where synthetic and outcome = 'failed'))::int as synthetic_failed,
           coalesce(sum(cost_microusd) filter (where not synthetic), 0)::bigint as cost_microusd,
           coalesce(sum(characters) filter (where not synthetic), 0)::bigint as characters,
           coalesce(sum(latency_ms) filter (where good), 0)::bigint as ok_latency_ms_sum,
           (count(first_audio_ms) filter (where good))::int as first_audio_calls,
           coalesce(sum(first_audio_ms) filter (where good), 0)::bigint as first_audio_ms_sum,
           coalesce(max(latency_ms) filter (where good), 0)::int as ok_latency_ms_max,
           coalesce(max(first_audio_ms) filter (where good), 0)::int as first_audio_ms_max,
           coalesce((array_agg(distinct user_id order by user_id)
                     filter (where bad and user_id is not null))[1:16], '{{}}') as failed_users,
           coalesce((array_agg(distinct user_id order by user_id)
                     filter (where good and user_id is not null))[1:16], '{{}}') as ok_users
    from {calls}
    cross join lateral (select not synthetic and outcome = 'failed' as bad,
                               not synthetic and outcome = 'ok' as good) judged
    where {counted}
    group by 1, 2, 3, 4
""")
_USED = SQL("""
    select {user} as user_id, date_trunc({unit}, at, 'UTC') as {at}, operation, provider,
           (count(*) filter (where {counted}))::int as calls,
           (count(*) filter (where {counted} and outcome = 'failed'))::int as failed,
           sum(characters)::bigint as characters, sum(cost_microusd)::bigint as cost_microusd
    from rolling where not synthetic and ({user}) is not null
    group by 1, 2, 3, 4
""")


def buckets_of(calls: str) -> Composed:
    """Return the statement that counts the calls of a table, or of a part of the same statement."""
    return _BUCKETS.format(calls=Identifier(calls), counted=COUNTED)


def _kept(table: str, column: str) -> Composed:
    return SQL("{}.{}").format(Identifier(table), Identifier(column))


def _added(table: str, columns: tuple[str, ...]) -> list[Composed]:
    return [
        SQL("{column} = {kept} + excluded.{column}").format(
            column=Identifier(column), kept=_kept(table, column)
        )
        for column in columns
    ]


def _used(unit: str, *, everybody: bool = False) -> Composed:
    all_of_them = SQL("{}::uuid").format(Literal(EVERYBODY))
    # An account whose id is that of everybody would stop the roll-up for good: it counts among all only.
    user = all_of_them if everybody else SQL("nullif(user_id, {})").format(all_of_them)
    return _USED.format(user=user, unit=Literal(unit), at=Identifier(f"{unit}_at"), counted=COUNTED)


_USE = ("calls", "failed", "characters", "cost_microusd")


def _into_use(table: str, at: str, rows: Composed) -> Composed:
    return SQL(
        "insert into understudy.{table} as kept (user_id, {at}, operation, provider, {columns}) {rows}"
        " on conflict (user_id, {at}, operation, provider) do update set {added}"
    ).format(
        table=Identifier(table),
        at=Identifier(at),
        columns=SQL(", ").join(map(Identifier, _USE)),
        rows=rows,
        added=SQL(", ").join(_added("kept", _USE)),
    )


_INTO_BUCKETS = SQL(
    "insert into understudy.call_buckets as kept ({columns}) select {columns} from ({rows}) counted"
    " on conflict ({key}) do update set {changes}"
).format(
    columns=SQL(", ").join(map(Identifier, BUCKET_COLUMNS)),
    rows=buckets_of("rolling"),
    key=SQL(", ").join(map(Identifier, BUCKET_KEY)),
    changes=SQL(", ").join(
        [
            *_added("kept", _SUMS),
            *(
                SQL("{column} = greatest({kept}, excluded.{column})").format(
                    column=Identifier(column), kept=_kept("kept", column)
                )
                for column in _MAXIMA
            ),
            *(
                SQL(
                    "{column} = array(select distinct one from unnest({kept} || excluded.{column}) one"
                    " order by one limit 16)"
                ).format(column=Identifier(column), kept=_kept("kept", column))
                for column in _USERS
            ),
        ]
    ),
)
_ROLL = (
    SQL("""
    with rolling as materialized (
        select id, at, provider, mode_epoch, operation, synthetic, outcome, category, failure_class, user_id,
               cost_microusd, characters, latency_ms, first_audio_ms
        from understudy.provider_calls
        where recorded_xid >= %(watermark)s::xid8 and recorded_xid < %(upto)s::xid8 and id > %(after_id)s
    ),
    buckets as ({buckets}),
    minutes as ({minutes}),
    hours as ({hours})
    select count(*)::int as rows, coalesce(max(id), 0) as highest_id from rolling
    """)
    .format(
        buckets=_INTO_BUCKETS,
        minutes=_into_use("tenant_minutes", "minute_at", _used("minute")),
        hours=_into_use(
            "tenant_hours",
            "hour_at",
            _used("hour") + SQL(" union all ") + _used("hour", everybody=True),
        ),
    )
    .as_bytes()
)
_STATE = b"""
    select watermark::text, after_id, highest_id from understudy.rollup_state for update skip locked
"""
#: Of one snapshot: what has ended (below ``ended``), what has begun (below ``begun``), and when that was.
_SNAPSHOT = b"""
    select pg_snapshot_xmin(s)::text as ended, pg_snapshot_xmax(s)::text as begun, statement_timestamp() as at
    from pg_current_snapshot() s
"""
_EDGE = b"""
    with ready as (
        select recorded_xid from understudy.provider_calls
        where recorded_xid >= %(watermark)s::xid8 and recorded_xid < %(ended)s::xid8 and id > %(after_id)s
        order by recorded_xid
    )
    select (select recorded_xid from ready limit 1)::text as first,
           (select recorded_xid from ready offset %(limit)s limit 1)::text as next
"""
_WAITING = b"""
    select count(*)::int as waiting from (
        select from understudy.provider_calls
        where recorded_xid >= %(upto)s::xid8 and recorded_xid < %(ended)s::xid8 and id > %(after_id)s
        limit %(most)s
    ) waiting
"""
_MOVE = b"""
    update understudy.rollup_state set
        watermark = %(upto)s::xid8, after_id = %(after_id)s,
        highest_id = greatest(highest_id, %(highest_id)s),
        complete_at = case when %(upto)s::xid8 >= %(begun)s::xid8 then %(at)s
                           when %(upto)s::xid8 >= horizon_xid then horizon_at else complete_at end,
        horizon_xid = case when %(upto)s::xid8 >= horizon_xid then %(begun)s::xid8 else horizon_xid end,
        horizon_at = case when %(upto)s::xid8 >= horizon_xid then %(at)s else horizon_at end
    returning greatest(0, extract(epoch from clock_timestamp() - complete_at))::float8 as lag_s
"""
_BEHIND = b"""
    select greatest(0, extract(epoch from clock_timestamp() - complete_at))::float8 as lag_s
    from understudy.rollup_state
"""
_BEGIN = b"""
    insert into understudy.rollup_state
        (watermark, after_id, highest_id, horizon_xid, horizon_at, complete_at)
    select pg_snapshot_xmin(s),
           (select coalesce(max(id), 0) from understudy.provider_calls
            where recorded_xid >= pg_snapshot_xmax(s)),
           (select coalesce(max(id), 0) from understudy.provider_calls),
           pg_snapshot_xmax(s), statement_timestamp(), statement_timestamp()
    from pg_current_snapshot() s
    on conflict do nothing
"""
_START_OVER = b"""
    update understudy.rollup_state set
        after_id = highest_id, horizon_xid = %(begun)s::xid8, horizon_at = %(at)s,
        watermark = least(%(ended)s::xid8, coalesce(
            (select c.recorded_xid from understudy.provider_calls c
             where c.id > highest_id and c.recorded_xid is not null order by c.recorded_xid limit 1),
            %(ended)s::xid8))
    returning watermark::text, after_id, highest_id
"""

#: The account's minutes say in which buckets it can stand.
_FORGET_IN_BUCKETS = b"""
    update understudy.call_buckets b set
        failed_users = array_remove(b.failed_users, %(user)s), ok_users = array_remove(b.ok_users, %(user)s)
    from (select distinct minute_at from understudy.tenant_minutes where user_id = %(user)s) m
    where b.bucket_at >= m.minute_at and b.bucket_at < m.minute_at + interval '1 minute'
      and (%(user)s = any(b.failed_users) or %(user)s = any(b.ok_users))
"""


async def roll_up(conn: Connection, *, limit: int = ROWS_A_STEP) -> RolledUp:
    """Take the next calls, at most ``limit`` (a single transaction's are never split), in this transaction.

    Nothing is taken until the caller commits; a transaction that is rolled back has taken nothing.
    """
    state = await _one(conn, _STATE)
    if state is None:
        behind = await _one(conn, _BEHIND)
        if behind is None:
            # Lost, by hand or in a restore. From here on, then: to begin before would count calls twice.
            await conn.execute(_BEGIN)
        return RolledUp(0, float(behind["lag_s"]) if behind else 0.0, 0, busy=True)
    snapshot = await _found(conn, _SNAPSHOT)
    if int(state["watermark"]) > int(snapshot["begun"]):
        # Restored from another server, whose transactions had higher numbers: theirs are done with.
        state = await _found(conn, _START_OVER, snapshot)
    bounds: dict[str, object] = {**state, **snapshot, "limit": limit, "most": WAITING_COUNTED}
    edge = await _found(conn, _EDGE, bounds)
    upto = snapshot["ended"]
    if edge["next"] is not None:
        upto = edge["next"] if edge["next"] != edge["first"] else str(int(edge["first"]) + 1)
    bounds["upto"] = upto
    taken = {"rows": 0, "highest_id": 0}
    if edge["first"] is not None:
        taken = await _found(conn, _ROLL, bounds)
    waiting = 0
    if edge["next"] is not None:
        waiting = int((await _found(conn, _WAITING, bounds))["waiting"])
    bounds["highest_id"] = taken["highest_id"]
    moved = await _found(conn, _MOVE, bounds)
    return RolledUp(int(taken["rows"]), float(moved["lag_s"]), waiting)


async def make_partitions(conn: Connection, days_ahead: int) -> int:
    """Make the partitions of today and the days after it; return how many were missing.

    One that cannot be had at once, because its table is being read, is left for the next time.
    """
    try:
        async with conn.transaction():
            made = await _found(
                conn, b"select understudy.make_bucket_partitions(%(days)s) as made", {"days": days_ahead}
            )
    except psycopg.errors.LockNotAvailable:
        return 0
    return int(made["made"])


async def forget_user(conn: Connection, user_id: UUID) -> int:
    """Take an erased account out of everything that was rolled up; return how many minutes it had.

    In the transaction that takes it out of the calls. Nobody rolls up meanwhile: whoever had read its calls
    before would name it again.
    """
    await conn.execute(b"select from understudy.rollup_state for update")
    values = {"user": user_id}
    await conn.execute(_FORGET_IN_BUCKETS, values)
    await conn.execute(b"delete from understudy.tenant_hours where user_id = %(user)s", values)
    cursor = await conn.execute(b"delete from understudy.tenant_minutes where user_id = %(user)s", values)
    return cursor.rowcount


async def _one(
    conn: Connection, statement: bytes, values: Mapping[str, object] | None = None
) -> DictRow | None:
    cursor = await conn.execute(statement, values)
    return await cursor.fetchone()


async def _found(conn: Connection, statement: bytes, values: Mapping[str, object] | None = None) -> DictRow:
    row = await _one(conn, statement, values)
    assert row is not None  # noqa: S101  (each of these statements gives one row)
    return row
