"""The same reads where there is no call record: from ``public.tasks`` and ``public.generations`` alone.

Columns of the product before this service took it over, and no schema ``understudy``: what a Supabase project
has that runs its own edge function. A task, or a generation without one, is one call once it has ended.
Which failure class it was is not known there. Of a big project, ``public.tasks (updated_at)`` and
``public.generations (completed_at)`` need an index, or a reading takes too long.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL

from understudy.store.calls import Harm
from understudy.store.signals import TAIL, Bucket, NewestCall

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class TasksState:
    """How much the project's database can be believed.

    Parameters
    ----------
    newest_call_at
        When the newest task ended.
    waiting_since
        When the oldest of the tasks began that have not ended.
    """

    at: datetime
    newest_call_at: datetime | None
    waiting_since: datetime | None


_ENDED = SQL("""
    with ended as (
        select coalesce(t.completed_at, t.updated_at) as at, t.provider,
               case t.type when 'generate' then 'speak' when 'clone' then 'enroll' else 'design' end
                   as operation,
               t.status = 'failed' as failed, t.user_id
        from public.tasks t
        where t.updated_at >= %(since)s and t.status in ('completed', 'failed')
        union all
        select g.completed_at, g.tts_provider, 'speak', g.status = 'failed', g.user_id
        from public.generations g
        where g.completed_at >= %(since)s and g.status in ('completed', 'failed')
          and not exists (select from public.tasks t where t.generation_id = g.id and t.user_id = g.user_id)
    ),
    calls as (select * from ended where at >= %(since)s)
""")
_BUCKETS = (
    _ENDED
    + SQL("""
    select date_bin('5 seconds', at, timestamptz '1970-01-01 00:00:00+00') as bucket_at,
           provider, 0 as mode_epoch, operation,
           count(*)::int as total, (count(*) filter (where failed))::int as failed,
           0 as failed_transport, 0 as failed_protocol, 0 as failed_provider,
           (count(*) filter (where failed))::int as failed_unknown,
           0 as synthetic_total, 0 as synthetic_failed, 0 as cost_microusd, 0 as characters,
           0 as ok_latency_ms_sum, 0 as first_audio_calls, 0 as first_audio_ms_sum,
           0 as ok_latency_ms_max, 0 as first_audio_ms_max,
           coalesce((array_agg(distinct user_id order by user_id) filter (where failed))[1:16], '{}')
               as failed_users,
           coalesce((array_agg(distinct user_id order by user_id) filter (where not failed))[1:16], '{}')
               as ok_users
    from calls group by 1, 2, 4 order by 1 desc
    """)
).as_bytes()
_TAILS = (
    _ENDED
    + SQL("""
    select provider, 0 as mode_epoch, operation, false as synthetic, at, not failed as ok, user_id,
           null as failure_class, null as code
    from (select *, row_number() over (partition by provider, operation order by at desc) as place
          from calls where operation = any(%(operations)s)) newest
    where place <= %(limit)s order by at desc
    """)
).as_bytes()
_STATE = b"""
    select clock_timestamp() as at,
           (select max(t.updated_at) from public.tasks t
            where t.updated_at >= %(since)s and t.status in ('completed', 'failed')) as newest_call_at,
           (select min(t.created_at) from public.tasks t
            where t.status in ('pending', 'processing') and t.created_at >= %(since)s) as waiting_since
"""
_ONE = (
    _ENDED
    + SQL("""
    select (count(*) filter (where not failed))::int as successes,
           min(at) filter (where failed) as first_failure_at
    from calls where provider = %(provider)s and operation = %(operation)s
    """)
).as_bytes()
_HARM = (
    _ENDED
    + SQL("""
    select count(*)::int as calls, (count(*) filter (where failed))::int as failed,
           count(distinct user_id)::int as users,
           (count(distinct user_id) filter (where failed))::int as users_failed, 0 as cost_microusd
    from calls where provider = %(provider)s and operation = %(operation)s and at <= %(until)s
    """)
).as_bytes()


async def read_buckets(conn: Connection, since: datetime) -> list[Bucket]:
    """Buckets of every series from ``since`` (an edge) on, newest first; the epoch of each is 0."""
    async with conn.cursor(row_factory=class_row(Bucket)) as cursor:
        await cursor.execute(_BUCKETS, {"since": since})
        return await cursor.fetchall()


async def read_tails(
    conn: Connection, operations: list[str], since: datetime, *, limit: int = TAIL
) -> list[NewestCall]:
    """The newest ends of these operations at each provider."""
    async with conn.cursor(row_factory=class_row(NewestCall)) as cursor:
        await cursor.execute(_TAILS, {"operations": operations, "since": since, "limit": limit})
        return await cursor.fetchall()


async def read_state(conn: Connection, since: datetime) -> TasksState | None:
    """The database's clock, the newest end, and since when a task waits."""
    async with conn.cursor(row_factory=class_row(TasksState)) as cursor:
        await cursor.execute(_STATE, {"since": since})
        return await cursor.fetchone()


async def successes(conn: Connection, provider: str, operation: str, since: datetime) -> int:
    """Count what succeeded since then."""
    cursor = await conn.execute(_ONE, {"provider": provider, "operation": operation, "since": since})
    row = await cursor.fetchone()
    return int(row["successes"]) if row else 0


async def first_failure_at(
    conn: Connection, provider: str, operation: str, since: datetime
) -> datetime | None:
    """When the first one failed since then, or None."""
    cursor = await conn.execute(_ONE, {"provider": provider, "operation": operation, "since": since})
    row = await cursor.fetchone()
    return row["first_failure_at"] if row else None


async def harm_between(
    conn: Connection, *, operation: str, provider: str, start: datetime, end: datetime
) -> Harm:
    """What users felt of a provider in that time; money is not known there."""
    async with conn.cursor(row_factory=class_row(Harm)) as cursor:
        await cursor.execute(
            _HARM, {"provider": provider, "operation": operation, "since": start, "until": end}
        )
        return await cursor.fetchone() or Harm(0, 0, 0, 0, 0)
