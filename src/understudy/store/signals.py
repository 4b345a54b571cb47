"""What triggers read of calls: buckets, the newest calls of a series, and what processes said beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL, Identifier

from understudy.store.calls import COUNTED
from understudy.store.rollups import BUCKET_COLUMNS, buckets_of

Connection = AsyncConnection[DictRow]

#: Newest calls of a series that a reading carries.
TAIL = 20


@dataclass(frozen=True, slots=True)
class Bucket:
    """Calls of one series that ended within the 5 s from ``bucket_at`` on.

    A bucket may come in two parts, what is rolled up and what is not; their numbers add up.
    """

    bucket_at: datetime
    provider: str
    mode_epoch: int
    operation: str
    total: int
    failed: int
    failed_transport: int
    failed_protocol: int
    failed_provider: int
    failed_unknown: int
    synthetic_total: int
    synthetic_failed: int
    cost_microusd: int
    characters: int
    ok_latency_ms_sum: int
    first_audio_calls: int
    first_audio_ms_sum: int
    ok_latency_ms_max: int
    first_audio_ms_max: int
    failed_users: Sequence[UUID]
    ok_users: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class NewestCall:
    """One of the newest calls of a series."""

    provider: str
    mode_epoch: int
    operation: str
    synthetic: bool
    at: datetime
    ok: bool
    user_id: UUID | None
    failure_class: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class Refusals:
    """Admissions asked for in 5 s, and those refused with 409 for the mode or a voice's coverage."""

    bucket_at: datetime
    provider: str
    mode_epoch: int
    operation: str
    asked: int
    refused: int


@dataclass(frozen=True, slots=True)
class SourceState:
    """How much the database itself can be believed.

    Parameters
    ----------
    at
        Its clock.
    lag_s
        How far the roll-up is behind, in seconds.
    newest_call_at
        End of the newest call on record, of any series.
    dropped
        Signals that processes had to drop.
    """

    at: datetime
    lag_s: float
    newest_call_at: datetime | None
    dropped: int


_COLUMNS = SQL(", ").join(map(Identifier, BUCKET_COLUMNS))
_READ = (
    SQL("""
    with unrolled as (
        select * from understudy.provider_calls
        where recorded_xid >= (select watermark from understudy.rollup_state)
          and recorded_xid < pg_snapshot_xmax(pg_current_snapshot())
          and id > (select after_id from understudy.rollup_state) and at >= %(since)s
    )
    select {columns} from understudy.call_buckets where bucket_at >= %(since)s
    union all
    select {columns} from ({live}) live
    order by bucket_at desc
    """)
    .format(columns=_COLUMNS, live=buckets_of("unrolled"))
    .as_bytes()
)
_TAILS = (
    SQL("""
    with series as (
        select distinct * from unnest(%(providers)s::text[], %(epochs)s::bigint[], %(operations)s::text[])
            as s (provider, mode_epoch, operation)
    )
    select s.*, false as synthetic, c.* from series s cross join lateral (
        select at, outcome = 'ok' as ok, user_id, failure_class, code from understudy.provider_calls
        where provider = s.provider and mode_epoch = s.mode_epoch and operation = s.operation
          and at >= %(since)s and not synthetic and {counted}
        order by at desc limit %(limit)s) c
    union all
    select s.*, true as synthetic, c.* from series s cross join lateral (
        select at, outcome = 'ok' as ok, user_id, failure_class, code from understudy.provider_calls
        where provider = s.provider and mode_epoch = s.mode_epoch and operation = s.operation
          and at >= %(since)s and synthetic and {counted}
        order by at desc limit %(limit)s) c
    order by at desc
    """)
    .format(counted=COUNTED)
    .as_bytes()
)
_STATE = b"""
    select clock_timestamp() as at,
           greatest(0, extract(epoch from clock_timestamp() - r.complete_at))::float8 as lag_s,
           (select at from understudy.provider_calls order by at desc limit 1) as newest_call_at,
           (select coalesce(sum(dropped), 0)::int from understudy.signal_drops
            where at >= %(since)s) as dropped
    from understudy.rollup_state r
"""
_REFUSALS = b"""
    select bucket_at, provider, mode_epoch, operation, sum(asked)::int as asked, sum(refused)::int as refused
    from understudy.refusals where bucket_at >= %(since)s
    group by 1, 2, 3, 4 order by 1 desc
"""


async def read_buckets(conn: Connection, since: datetime) -> list[Bucket]:
    """Buckets of every series from ``since`` (an edge) on, newest first: rolled up or not, each call once."""
    async with conn.cursor(row_factory=class_row(Bucket)) as cursor:
        await cursor.execute(_READ, {"since": since})
        return await cursor.fetchall()


async def read_tails(
    conn: Connection, series: Iterable[tuple[str, int, str]], since: datetime, *, limit: int = TAIL
) -> list[NewestCall]:
    """The newest calls of each ``(provider, epoch, operation)``: of users and of canaries, ``limit`` each."""
    asked = list(series)
    async with conn.cursor(row_factory=class_row(NewestCall)) as cursor:
        await cursor.execute(
            _TAILS,
            {
                "providers": [provider for provider, _, _ in asked],
                "epochs": [epoch for _, epoch, _ in asked],
                "operations": [operation for _, _, operation in asked],
                "since": since,
                "limit": limit,
            },
        )
        return await cursor.fetchall()


async def read_state(conn: Connection, since: datetime) -> SourceState | None:
    """The database's clock, the roll-up's lag, the newest call, what was dropped; None without a roll-up."""
    async with conn.cursor(row_factory=class_row(SourceState)) as cursor:
        await cursor.execute(_STATE, {"since": since})
        return await cursor.fetchone()


async def read_refusals(conn: Connection, since: datetime) -> list[Refusals]:
    """Admissions and refusals of every series from ``since`` on, newest first."""
    async with conn.cursor(row_factory=class_row(Refusals)) as cursor:
        await cursor.execute(_REFUSALS, {"since": since})
        return await cursor.fetchall()
