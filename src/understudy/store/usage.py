"""What tenants used and pay for, what was at our cost, and what is reserved for calls under way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class Usage:
    """What one tenant pays for.

    Parameters
    ----------
    calls
        Successful provider calls that are billed.
    cost_microusd
        Millionths of a US dollar at list price.
    """

    calls: int
    characters: int
    audio_ms: int
    cost_microusd: int


@dataclass(frozen=True, slots=True)
class UnknownSubmissions:
    """Tasks of which a worker died between its intent to submit and the provider's answer.

    Parameters
    ----------
    tasks
        How many there are, ended or not; one that its owner deleted is gone from here.
    calls, cost_microusd
        Repeated submissions that succeeded, and their cost: ours, whether or not the first was heard.
    """

    tasks: int
    calls: int
    cost_microusd: int


async def tenant_usage(conn: Connection, user_id: UUID, *, start: datetime, end: datetime) -> Usage:
    """Sum what a tenant pays for of the calls that ended in ``[start, end)``."""
    async with conn.cursor(row_factory=class_row(Usage)) as cursor:
        await cursor.execute(
            """
            select count(*)::int as calls, coalesce(sum(characters), 0)::bigint as characters,
                   coalesce(sum(audio_ms), 0)::bigint as audio_ms,
                   coalesce(sum(cost_microusd), 0)::bigint as cost_microusd
            from understudy.provider_calls
            where user_id = %s and at >= %s and at < %s and billable and outcome = 'ok' and not synthetic
            """,
            (user_id, start, end),
        )
        return await cursor.fetchone() or Usage(0, 0, 0, 0)


async def unknown_submissions(conn: Connection) -> UnknownSubmissions:
    """Count the tasks whose submission is unknown, and what repeating them cost."""
    async with conn.cursor(row_factory=class_row(UnknownSubmissions)) as cursor:
        await cursor.execute(
            """
            select (select count(*)::int from public.tasks
                    where metadata -> 'submit_unknown' is not null) as tasks,
                   count(*)::int as calls, coalesce(sum(cost_microusd), 0)::bigint as cost_microusd
            from understudy.provider_calls
            where outcome = 'ok' and not billable and not synthetic
            """
        )
        return await cursor.fetchone() or UnknownSubmissions(0, 0, 0)


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What one operation at one provider came to, canaries left out of all but ``canary_microusd``.

    Parameters
    ----------
    calls, characters, audio_ms, cost_microusd
        What tenants pay for.
    unpaid_calls, ours_microusd
        Calls that no tenant pays for (failed, cancelled, repeated), and what the provider bills us for them.
    """

    operation: str
    provider: str
    calls: int
    characters: int
    audio_ms: int
    cost_microusd: int
    unpaid_calls: int
    ours_microusd: int
    canary_microusd: int


@dataclass(frozen=True, slots=True)
class LedgerState:
    """Sums of the ledger's entries.

    Parameters
    ----------
    open_tasks, open_microusd
        Reserved, and not ended: what calls under way may come to.
    doubtful_tasks, doubt_microusd
        Sent, and nobody knows what came of it: what may be billed beyond what is settled.
    """

    open_tasks: int
    open_microusd: int
    settled_microusd: int
    doubtful_tasks: int
    doubt_microusd: int


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A call that the provider bills by other characters than we count."""

    at: datetime
    provider: str
    model: str
    user_id: UUID | None
    task_id: UUID | None
    request_id: str | None
    characters: int
    counted_characters: int


async def usage_between(
    conn: Connection, user_id: UUID | None, *, start: datetime, end: datetime
) -> list[UsageRow]:
    """Sum the calls that ended in ``[start, end)``, of one tenant or of all, by operation and provider."""
    async with conn.cursor(row_factory=class_row(UsageRow)) as cursor:
        await cursor.execute(
            """
            select operation, provider,
                   (count(*) filter (where paid))::int as calls,
                   coalesce(sum(characters) filter (where paid), 0)::bigint as characters,
                   coalesce(sum(audio_ms) filter (where paid), 0)::bigint as audio_ms,
                   coalesce(sum(cost_microusd) filter (where paid), 0)::bigint as cost_microusd,
                   (count(*) filter (where not paid and not synthetic))::int as unpaid_calls,
                   coalesce(sum(cost_microusd) filter (where not paid and not synthetic), 0)::bigint
                       as ours_microusd,
                   coalesce(sum(cost_microusd) filter (where synthetic), 0)::bigint as canary_microusd
            from (
                select *, billable and outcome = 'ok' and not synthetic as paid
                from understudy.provider_calls
                where at >= %(start)s and at < %(end)s
                  and (%(user_id)s::uuid is null or user_id = %(user_id)s)
            ) c
            group by operation, provider order by operation, provider
            """,
            {"start": start, "end": end, "user_id": user_id},
        )
        return await cursor.fetchall()


async def ledger_state(
    conn: Connection, user_id: UUID | None, *, start: datetime, end: datetime
) -> LedgerState:
    """Sum the entries that were reserved in ``[start, end)``; open ones whenever that was."""
    async with conn.cursor(row_factory=class_row(LedgerState)) as cursor:
        await cursor.execute(
            """
            select (count(*) filter (where state = 'reserved'))::int as open_tasks,
                   coalesce(sum(reserved_microusd) filter (where state = 'reserved'), 0)::bigint
                       as open_microusd,
                   coalesce(sum(settled_microusd), 0)::bigint as settled_microusd,
                   (count(*) filter (where doubt_microusd > 0))::int as doubtful_tasks,
                   coalesce(sum(doubt_microusd), 0)::bigint as doubt_microusd
            from understudy.ledger
            where ((at >= %(start)s and at < %(end)s) or state = 'reserved')
              and (%(user_id)s::uuid is null or user_id = %(user_id)s)
            """,
            {"start": start, "end": end, "user_id": user_id},
        )
        return await cursor.fetchone() or LedgerState(0, 0, 0, 0, 0)


async def disagreements(
    conn: Connection, user_id: UUID | None, *, start: datetime, end: datetime, limit: int = 100
) -> list[Disagreement]:
    """Calls of ``[start, end)`` whose characters the provider counts otherwise than we do, newest first."""
    async with conn.cursor(row_factory=class_row(Disagreement)) as cursor:
        await cursor.execute(
            """
            select at, provider, model, user_id, task_id, request_id, characters, counted_characters
            from understudy.provider_calls
            where at >= %(start)s and at < %(end)s and counted_characters <> characters
              and (%(user_id)s::uuid is null or user_id = %(user_id)s)
            order by at desc, id desc limit %(limit)s
            """,
            {"start": start, "end": end, "user_id": user_id, "limit": limit},
        )
        return await cursor.fetchall()


async def unbalanced(conn: Connection) -> list[UUID]:
    """Tasks whose ledger entry is not what it must be; none, ever.

    Open although the task has ended or is gone, or settled at another sum than its calls (of which none is
    older than the retention).
    """
    cursor = await conn.execute(
        """
        select l.task_id from understudy.ledger l
        left join public.tasks t on t.id = l.task_id
        where (l.state = 'reserved') <> coalesce(t.status in ('pending', 'processing'), false)
           or l.settled_microusd <> (select coalesce(sum(c.cost_microusd), 0) from understudy.provider_calls c
                                     where c.task_id = l.task_id)
        order by l.at
        """
    )
    return [row["task_id"] for row in await cursor.fetchall()]
