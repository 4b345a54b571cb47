"""What players reported, session by session, and which delivered streams any player reported of at all.

Ordered by our own clock: a player's may be wrong by days, its events late, doubled or out of order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row

Connection = AsyncConnection[DictRow]

#: Newest events that are read at most, and of one user: none crowds the others out by reporting much.
EVENTS_MOST = 50_000
EVENTS_OF_A_USER = 400
#: Newest calls of streams that are looked at.
STREAMS_MOST = 2_000
#: Of each hour of the day before, for what is usual.
STREAMS_AN_HOUR = 50


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One player's events of one generation.

    Parameters
    ----------
    started_at, last_at
        When the first and the newest event were received.
    status, duration_seconds
        Of the generation; None where that is gone, or not ended.
    """

    generation_id: UUID
    user_id: UUID
    provider: str
    mode_epoch: int
    client: str
    client_version: str
    started_at: datetime
    last_at: datetime
    finished: bool
    ended_early: bool
    stalls: int
    decode_errors: int
    status: str | None
    duration_seconds: float | None


# A session that began before is left out as a whole: its late events would pass for a session of their own.
_SESSIONS = b"""
    with newest as (
        select * from understudy.playback_events
        where received_at >= %(since)s and received_at <= %(until)s and not synthetic
        order by received_at desc limit %(most)s
    ), fair as (
        select * from (
            select *, row_number() over (partition by user_id order by received_at desc, id desc) as nth
            from newest) n
        where nth <= %(of_a_user)s
    ), sessions as (
        select generation_id, client, client_version,
               min(user_id::text)::uuid as user_id, min(provider) as provider,
               coalesce(max(mode_epoch), 0) as mode_epoch,
               min(received_at) as started_at, max(received_at) as last_at,
               bool_or(event = 'ended') as finished, bool_or(event = 'ended_early') as ended_early,
               (count(*) filter (where event = 'stalled'))::int as stalls,
               (count(*) filter (where event = 'decode_error'))::int as decode_errors
        from fair group by generation_id, client, client_version
    )
    select s.*, g.status, g.duration_seconds
    from sessions s left join public.generations g on g.id = s.generation_id and g.user_id = s.user_id
    where not exists (
        select from understudy.playback_events e
        where e.generation_id = s.generation_id and e.received_at < %(since)s)
    order by s.started_at desc, s.generation_id
"""


async def sessions_between(conn: Connection, *, since: datetime, until: datetime) -> list[SessionRow]:
    """Users' sessions that began in that time, newest first."""
    async with conn.cursor(row_factory=class_row(SessionRow)) as cursor:
        await cursor.execute(
            _SESSIONS, {"since": since, "until": until, "most": EVENTS_MOST, "of_a_user": EVENTS_OF_A_USER}
        )
        return await cursor.fetchall()


@dataclass(frozen=True, slots=True)
class DeliveredRow:
    """Streams of one mode epoch that were sent whole, and those of them that a player reported of."""

    mode_epoch: int
    delivered: int
    reported: int


_DELIVERED = b"""
    select c.mode_epoch, count(*)::int as delivered,
           (count(*) filter (where exists (
               select from understudy.playback_events e
               where e.generation_id = t.generation_id)))::int as reported
    from (
        select mode_epoch, task_id from understudy.provider_calls
        where at >= %(since)s and at < %(until)s and operation = 'speak' and outcome = 'ok' and not synthetic
        order by at desc limit %(most)s
    ) c
    join public.tasks t on t.id = c.task_id and t.delivery = 'stream' and t.status = 'completed'
    where t.generation_id is not null
    group by c.mode_epoch
"""


async def delivered_between(conn: Connection, *, since: datetime, until: datetime) -> list[DeliveredRow]:
    """Count the streams that were delivered to users in ``[since, until)``, the newest of them at most."""
    async with conn.cursor(row_factory=class_row(DeliveredRow)) as cursor:
        await cursor.execute(_DELIVERED, {"since": since, "until": until, "most": STREAMS_MOST})
        return await cursor.fetchall()


_USUAL = b"""
    select count(*)::int as delivered,
           (count(*) filter (where exists (
               select from understudy.playback_events e
               where e.generation_id = t.generation_id)))::int as reported
    from generate_series(
        %(since)s::timestamptz, %(until)s::timestamptz - interval '1 hour', interval '1 hour') h
    cross join lateral (
        select task_id from understudy.provider_calls
        where at >= h and at < h + interval '1 hour' and operation = 'speak' and outcome = 'ok'
          and not synthetic
        order by at desc limit %(most)s
    ) c
    join public.tasks t on t.id = c.task_id and t.delivery = 'stream' and t.status = 'completed'
    where t.generation_id is not null
"""


async def usual_share(conn: Connection, *, until: datetime, at_least: int) -> float | None:
    """Share of streams that players reported of in the day before ``until``; None of fewer than ``at_least``.

    Some of each hour are looked at: it is what the day was like, however busy its last minutes were.
    """
    cursor = await conn.execute(
        _USUAL, {"since": until - timedelta(days=1), "until": until, "most": STREAMS_AN_HOUR}
    )
    row = await cursor.fetchone()
    if row is None or row["delivered"] < at_least:
        return None
    return float(row["reported"]) / float(row["delivered"])
