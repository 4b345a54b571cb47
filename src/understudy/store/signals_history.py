"""What was used by the hour, for baselines: rows of hours and tenants are read, never calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row

from understudy.store.rollups import EVERYBODY

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class HourlyUse:
    """What one tenant used in the hour from ``hour_at`` on; ``user_id`` None is everybody together.

    Parameters
    ----------
    calls, failed
        Calls that count.
    characters, cost_microusd
        Of every call, cancelled ones and callers' mistakes too.
    """

    user_id: UUID | None
    hour_at: datetime
    calls: int
    failed: int
    characters: int
    cost_microusd: int


@dataclass(frozen=True, slots=True)
class UserUse:
    """What one tenant used since an instant; numbers as in :class:`HourlyUse`."""

    user_id: UUID
    calls: int
    failed: int
    characters: int
    cost_microusd: int


_SUMS = (
    b"sum(calls)::int as calls, sum(failed)::int as failed, sum(characters)::bigint as characters,"
    b" sum(cost_microusd)::bigint as cost_microusd"
)
_HOURLY = b"""
    select nullif(user_id, %(everybody)s::uuid) as user_id, hour_at, __sums__
    from understudy.tenant_hours
    where user_id = any(%(users)s) and hour_at >= %(since)s and hour_at < %(until)s
      and (%(operations)s::text[] = '{}' or operation = any(%(operations)s))
    group by user_id, hour_at order by user_id, hour_at desc
""".replace(b"__sums__", _SUMS)
_TOP = b"""
    select user_id, __sums__ from understudy.tenant_minutes
    where minute_at >= %(since)s and (%(operations)s::text[] = '{}' or operation = any(%(operations)s))
    group by user_id order by 4 desc, user_id limit %(limit)s
""".replace(b"__sums__", _SUMS)


async def hourly(
    conn: Connection,
    users: Sequence[UUID],
    *,
    since: datetime,
    until: datetime,
    operations: Sequence[str] = (),
) -> list[HourlyUse]:
    """Hours of ``users`` in ``[since, until)`` in which they called, newest first; all operations if none."""
    async with conn.cursor(row_factory=class_row(HourlyUse)) as cursor:
        await cursor.execute(
            _HOURLY,
            {
                "everybody": EVERYBODY,
                "users": list(users),
                "since": since,
                "until": until,
                "operations": list(operations),
            },
        )
        return await cursor.fetchall()


async def hourly_totals(
    conn: Connection, *, since: datetime, until: datetime, operations: Sequence[str] = ()
) -> list[HourlyUse]:
    """The same of everybody together, canaries left out."""
    return await hourly(conn, [UUID(EVERYBODY)], since=since, until=until, operations=operations)


async def top_users(
    conn: Connection, *, since: datetime, operations: Sequence[str] = (), limit: int = 50
) -> list[UserUse]:
    """The tenants that spoke most characters in the whole minutes from ``since`` on, most first."""
    async with conn.cursor(row_factory=class_row(UserUse)) as cursor:
        await cursor.execute(_TOP, {"since": since, "operations": list(operations), "limit": limit})
        return await cursor.fetchall()
