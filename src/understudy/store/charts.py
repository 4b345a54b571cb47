"""What charts draw of calls: counts from the roll-ups, latencies ranked from the newest calls themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL

from understudy.store.calls import COUNTED
from understudy.store.rollups import buckets_of

Connection = AsyncConnection[DictRow]

#: Newest calls whose latencies are ranked; buckets of before have none.
CALLS_RANKED = 40_000


@dataclass(frozen=True, slots=True)
class Counted:
    """Users' calls at one provider that ended within the bucket from ``at`` on.

    Parameters
    ----------
    calls, failed
        Of the operation asked for; ``failed_transport`` and so on are parts of ``failed``.
    cost_microusd
        Of every operation.
    """

    at: datetime
    provider: str
    calls: int
    failed: int
    failed_transport: int
    failed_protocol: int
    failed_provider: int
    failed_unknown: int
    cost_microusd: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """How long users' successful calls of that bucket took: half, and 95 of 100, took this or less."""

    at: datetime
    provider: str
    latency_p50_ms: int
    latency_p95_ms: int
    first_audio_p50_ms: int | None
    first_audio_p95_ms: int | None


_BUCKET = SQL("date_bin(make_interval(secs => %(bucket_s)s), {}, timestamptz '1970-01-01 00:00:00+00')")
_COUNTED = (
    SQL("""
    with unrolled as (
        select * from understudy.provider_calls
        where recorded_xid >= (select watermark from understudy.rollup_state)
          and recorded_xid < pg_snapshot_xmax(pg_current_snapshot())
          and id > (select after_id from understudy.rollup_state) and at >= %(since)s
    ),
    parts as (
        select bucket_at, provider, operation = %(operation)s as asked, total, failed, failed_transport,
               failed_protocol, failed_provider, failed_unknown, cost_microusd
        from understudy.call_buckets where bucket_at >= %(since)s
        union all
        select bucket_at, provider, operation = %(operation)s as asked, total, failed, failed_transport,
               failed_protocol, failed_provider, failed_unknown, cost_microusd
        from ({live}) live
    )
    select {bucket} as at, provider,
           coalesce(sum(total) filter (where asked), 0)::int as calls,
           coalesce(sum(failed) filter (where asked), 0)::int as failed,
           coalesce(sum(failed_transport) filter (where asked), 0)::int as failed_transport,
           coalesce(sum(failed_protocol) filter (where asked), 0)::int as failed_protocol,
           coalesce(sum(failed_provider) filter (where asked), 0)::int as failed_provider,
           coalesce(sum(failed_unknown) filter (where asked), 0)::int as failed_unknown,
           sum(cost_microusd)::bigint as cost_microusd
    from parts group by 1, 2 having sum(total) > 0 order by 1, 2
    """)
    .format(live=buckets_of("unrolled"), bucket=_BUCKET.format(SQL("bucket_at")))
    .as_bytes()
)
_RANKED = (
    SQL("""
    with newest as (
        select at, provider, latency_ms, first_audio_ms from understudy.provider_calls
        where at >= %(since)s and operation = %(operation)s and outcome = 'ok' and not synthetic and {counted}
        order by at desc limit %(most)s
    )
    select at, provider, latency[1] as latency_p50_ms, latency[2] as latency_p95_ms,
           first_audio[1] as first_audio_p50_ms, first_audio[2] as first_audio_p95_ms
    from (
        select {bucket} as at, provider,
               percentile_disc(array[0.5, 0.95]) within group (order by latency_ms) as latency,
               percentile_disc(array[0.5, 0.95]) within group (order by first_audio_ms) as first_audio
        from newest group by 1, 2
    ) ranked
    order by 1, 2
    """)
    .format(counted=COUNTED, bucket=_BUCKET.format(SQL("at")))
    .as_bytes()
)


async def read_counted(conn: Connection, *, operation: str, since: datetime, bucket_s: int) -> list[Counted]:
    """Count users' calls from ``since`` (an edge) on, oldest first; a bucket without any is left out.

    Parameters
    ----------
    bucket_s
        Length of a bucket in seconds, a multiple of 5.
    """
    async with conn.cursor(row_factory=class_row(Counted)) as cursor:
        await cursor.execute(_COUNTED, {"operation": operation, "since": since, "bucket_s": bucket_s})
        return await cursor.fetchall()


async def read_ranked(
    conn: Connection, *, operation: str, since: datetime, bucket_s: int, most: int = CALLS_RANKED
) -> list[Ranked]:
    """Rank the newest ``most`` successful calls since then, bucket by bucket; the rest has no bucket here.

    The calls themselves, by the index on when they ended: buckets keep sums and maxima, of which no
    percentile can be made. The oldest bucket may be ranked by a part of its calls.
    """
    async with conn.cursor(row_factory=class_row(Ranked)) as cursor:
        await cursor.execute(
            _RANKED, {"operation": operation, "since": since, "bucket_s": bucket_s, "most": most}
        )
        return await cursor.fetchall()
