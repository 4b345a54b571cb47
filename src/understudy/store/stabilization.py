"""What stabilization is judged by: how long one provider has served everybody, and its success by the day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class Service:
    """Who serves everybody, and since when without a break.

    Parameters
    ----------
    since
        None where the history does not say.
    cutover_in_force
        Whether a share of the tenants is served by another provider.
    """

    provider: str
    since: datetime | None
    cutover_in_force: bool


@dataclass(frozen=True, slots=True)
class Day:
    """Calls of one UTC day that count; synthetic ones beside them."""

    day: date
    total: int
    failed: int
    synthetic_total: int


_SERVICE = b"""
    select m.value as provider,
           (select min(h.changed_at) from understudy.provider_mode_history h
            where h.epoch > coalesce((select max(o.epoch) from understudy.provider_mode_history o
                                      where o.value <> m.value), 0)) as since,
           exists (select from understudy.cutover c
                   where c.state in ('running', 'paused') and c.epoch > m.epoch
                     and c.watched_until > now()) as cutover_in_force
    from understudy.provider_mode m
"""
_DAYS = b"""
    select (bucket_at at time zone 'UTC')::date as day, sum(total)::bigint as total,
           sum(failed)::bigint as failed, sum(synthetic_total)::bigint as synthetic_total
    from understudy.call_buckets
    where bucket_at >= %(since)s and bucket_at < %(until)s and provider = %(provider)s
      and operation = %(operation)s
    group by 1 order by 1
"""


async def read_service(conn: Connection) -> Service | None:
    """Return who serves everybody; None before the first mode was written."""
    async with conn.cursor(row_factory=class_row(Service)) as cursor:
        await cursor.execute(_SERVICE)
        return await cursor.fetchone()


async def read_days(
    conn: Connection, provider: str, operation: str, *, since: datetime, until: datetime
) -> list[Day]:
    """Days on which ``operation`` was called at ``provider``, from the roll-ups, oldest first."""
    async with conn.cursor(row_factory=class_row(Day)) as cursor:
        await cursor.execute(
            _DAYS, {"provider": provider, "operation": operation, "since": since, "until": until}
        )
        return await cursor.fetchall()
