"""What is spent, by our own ledger: counted when it is admitted, not when a provider's bill comes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row

Connection = AsyncConnection[DictRow]

#: Newest calls whose ledger entries are looked up, to see whether the ledger is still written.
CALLS_COMPARED = 100


@dataclass(frozen=True, slots=True)
class RepeatRow:
    """Billed designs of one tenant from one prompt."""

    user_id: UUID
    prompt_digest: str
    creates: int
    first_at: datetime
    last_at: datetime


async def design_repeats(conn: Connection, *, since: datetime, limit: int = 50) -> list[RepeatRow]:
    """Tenants that were billed for designs since then, by prompt, most first; canaries left out."""
    async with conn.cursor(row_factory=class_row(RepeatRow)) as cursor:
        await cursor.execute(
            """
            select user_id, subject_digest as prompt_digest, count(*)::int as creates,
                   min(at) as first_at, max(at) as last_at
            from understudy.provider_calls
            where at >= %s and subject_digest is not null and operation = 'design' and cost_microusd > 0
              and user_id is not null and not synthetic
            group by user_id, subject_digest order by count(*) desc, user_id, subject_digest limit %s
            """,
            (since, limit),
        )
        return await cursor.fetchall()


# A create that was admitted counts until it is known that nothing was billed for it.
_CREATES = b"""
    from understudy.ledger
    where purse = 'creates' and at >= %(since)s and at < %(until)s and not synthetic
      and (state = 'reserved' or settled_microusd + doubt_microusd > 0)
"""


async def creates_by_user(conn: Connection, *, since: datetime, until: datetime) -> dict[UUID | None, int]:
    """Billed creates that were admitted in ``[since, until)``, in flight too, by tenant (None: erased)."""
    cursor = await conn.execute(
        b"select user_id, count(*)::int as creates" + _CREATES + b" group by user_id",
        {"since": since, "until": until},
    )
    return {row["user_id"]: int(row["creates"]) for row in await cursor.fetchall()}


async def creates_by_hour(conn: Connection, *, since: datetime, until: datetime) -> dict[int, int]:
    """Billed creates in ``[since, until)`` by how many whole hours before ``until`` they were admitted."""
    cursor = await conn.execute(
        b"select floor(extract(epoch from %(until)s - at) / 3600)::int as hours_ago, count(*)::int as creates"
        + _CREATES
        + b" group by 1",
        {"since": since, "until": until},
    )
    return {int(row["hours_ago"]): int(row["creates"]) for row in await cursor.fetchall()}


async def first_entry_at(conn: Connection) -> datetime | None:
    """When the ledger's oldest entry was made."""
    cursor = await conn.execute("select min(at) as at from understudy.ledger")
    row = await cursor.fetchone()
    return row["at"] if row else None


async def spent_since(conn: Connection, since: datetime) -> int:
    """Micro-dollars of users' calls in the whole minutes from ``since`` on."""
    cursor = await conn.execute(
        "select coalesce(sum(cost_microusd), 0)::bigint as spent from understudy.tenant_minutes"
        " where minute_at >= %s",
        (since,),
    )
    row = await cursor.fetchone()
    return int(row["spent"]) if row else 0


@dataclass(frozen=True, slots=True)
class LedgerPulse:
    """Newest calls of tasks, and those of them that have a ledger entry."""

    calls: int
    entered: int


async def ledger_pulse(conn: Connection, *, since: datetime, until: datetime) -> LedgerPulse:
    """Look whether the newest calls that ended in ``[since, until)`` are in the ledger."""
    async with conn.cursor(row_factory=class_row(LedgerPulse)) as cursor:
        await cursor.execute(
            """
            select count(*)::int as calls, count(l.task_id)::int as entered
            from (select task_id from understudy.provider_calls
                  where at >= %s and at < %s and task_id is not null order by at desc limit %s) c
            left join understudy.ledger l on l.task_id = c.task_id
            """,
            (since, until, CALLS_COMPARED),
        )
        return await cursor.fetchone() or LedgerPulse(0, 0)
