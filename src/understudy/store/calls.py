"""What every provider call did, and the windows that triggers look through.

A window is half open: a call that ended exactly at ``start`` is in it, one that ended exactly at ``end`` is
in the next one. So windows that touch count every call once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL, Identifier, Placeholder

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One provider call, as kept.

    Parameters
    ----------
    at
        End of the call, UTC.
    outcome
        ``ok``, ``failed`` or ``cancelled``.
    category, failure_class, code
        Of a failure: :class:`understudy.errors.FailureCategory`, ``FailureClass``, the provider's own code.
    cost_microusd
        Millionths of a US dollar at list price.
    mode_epoch
        Epoch the call was admitted under: verdicts are per provider and epoch.
    synthetic
        A canary's call; left out of what users see.
    billable
        Whether the tenant pays: not for a canary, a failure, or what is repeated at our cost.
    counted_characters
        By our own count, beside the provider's ``characters``; ``None`` where they are not what is billed.
    subject_digest
        Of a billed design: SHA-256 of its normalised prompt.
    """

    at: datetime
    operation: str
    provider: str
    model: str
    outcome: str
    latency_ms: int
    mode_epoch: int
    category: str | None = None
    failure_class: str | None = None
    code: str | None = None
    first_audio_ms: int | None = None
    characters: int = 0
    audio_ms: int = 0
    cost_microusd: int = 0
    request_id: str | None = None
    user_id: UUID | None = None
    task_id: UUID | None = None
    synthetic: bool = False
    billable: bool = True
    counted_characters: int | None = None
    subject_digest: str | None = None


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """Users' calls of one window, and canaries' beside them.

    Parameters
    ----------
    total
        Calls that count: cancelled ones and callers' own mistakes (category ``validation``) do not.
    by_class
        Failures by failure class; ``unknown`` where none was recorded.
    """

    total: int
    failed: int
    by_class: Mapping[str, int]
    synthetic_total: int
    synthetic_failed: int


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed call, as evidence."""

    id: int
    failure_class: str | None
    category: str | None
    code: str | None
    at: datetime
    operation: str
    task_id: UUID | None
    request_id: str | None
    mode_epoch: int


@dataclass(frozen=True, slots=True)
class Harm:
    """What users felt of one provider over a time.

    Parameters
    ----------
    users, users_failed
        Distinct users who called, and who had at least one call fail.
    cost_microusd, characters_failed
        Spent on, and asked of, the calls that failed.
    audio_ms
        Speech delivered by all of them.
    """

    calls: int
    failed: int
    users: int
    users_failed: int
    cost_microusd: int
    audio_ms: int = 0
    characters_failed: int = 0


_COLUMNS = [field.name for field in fields(CallRecord)]
_INSERT = SQL("insert into understudy.provider_calls ({}) values ({})").format(
    SQL(", ").join(map(Identifier, _COLUMNS)), SQL(", ").join([SQL("%s")] * len(_COLUMNS))
)
_CANARY = SQL("exists (select from understudy.synthetic_users where user_id = %(user_id)s)")
_OWN_WORD = {
    "synthetic": SQL("%(synthetic)s or {canary}").format(canary=_CANARY),
    "billable": SQL("%(billable)s and not {canary}").format(canary=_CANARY),
}
#: Of a statement that keeps the one record of a call and settles it; it is given :func:`settled_values`.
NAMES = SQL(", ").join(map(Identifier, _COLUMNS))
VALUES = SQL(", ").join(_OWN_WORD.get(name, Placeholder(name)) for name in _COLUMNS)
SETTLED = SQL("understudy.settle_cost(task_id, cost_microusd, %(answer_lost)s)")
_SETTLE = (
    SQL(
        "with kept as (insert into understudy.provider_calls ({names}) values ({values})"
        " returning task_id, cost_microusd)"
        " select {settled} from kept where task_id is not null"
    )
    .format(names=NAMES, values=VALUES, settled=SETTLED)
    .as_bytes()
)

#: Codes of calls that were sent and of which nobody knows what they cost: all that is reserved may be billed.
ANSWER_LOST = frozenset({"interrupted", "submit_unknown", "create_unknown", "deadline"})

#: What a success rate counts; the one place that says so.
COUNTED = SQL("outcome <> 'cancelled' and category is distinct from 'validation'")
_FAILURE = SQL(", ").join(Identifier(field.name) for field in fields(Failure))


async def insert_calls(conn: Connection, records: Iterable[CallRecord]) -> None:
    """Keep ``records``; in the caller's transaction, so that a task's end and its bill are one."""
    async with conn.cursor() as cursor:
        await cursor.executemany(_INSERT, [astuple(record) for record in records])


async def settle_call(conn: Connection, record: CallRecord) -> None:
    """Keep the one record of a call, and add its cost to its task's in the ledger.

    In the transaction that ends the task, before or after. A canary's is marked as such, and nobody pays.
    """
    await conn.execute(_SETTLE, settled_values(record))


def settled_values(record: CallRecord) -> dict[str, object]:
    """What :data:`VALUES` and :data:`SETTLED` are given of a record."""
    given: dict[str, object] = {name: getattr(record, name) for name in _COLUMNS}
    given["answer_lost"] = record.code in ANSWER_LOST
    return given


async def window_counts(
    conn: Connection, *, operation: str, provider: str, mode_epoch: int, start: datetime, end: datetime
) -> WindowCounts:
    """Count the calls of one operation, provider and epoch that ended in ``[start, end)``."""
    cursor = await conn.execute(
        SQL("""
        select synthetic, outcome = 'failed' as failed, coalesce(failure_class, 'unknown') as failure_class,
               count(*) as calls
        from understudy.provider_calls
        where at >= %(start)s and at < %(end)s and operation = %(operation)s and provider = %(provider)s
          and mode_epoch = %(mode_epoch)s and {counted}
        group by 1, 2, 3
        """).format(counted=COUNTED),
        {
            "start": start,
            "end": end,
            "operation": operation,
            "provider": provider,
            "mode_epoch": mode_epoch,
        },
    )
    total = failed = synthetic_total = synthetic_failed = 0
    by_class: dict[str, int] = {}
    for row in await cursor.fetchall():
        calls = int(row["calls"])
        if row["synthetic"]:
            synthetic_total += calls
            synthetic_failed += calls if row["failed"] else 0
            continue
        total += calls
        if row["failed"]:
            failed += calls
            by_class[row["failure_class"]] = by_class.get(row["failure_class"], 0) + calls
    return WindowCounts(total, failed, by_class, synthetic_total, synthetic_failed)


async def recent_failures(
    conn: Connection, *, provider: str, since: datetime, limit: int = 20
) -> list[Failure]:
    """Users' failures of ``provider`` that ended at or after ``since``, newest first."""
    async with conn.cursor(row_factory=class_row(Failure)) as cursor:
        await cursor.execute(
            SQL("""
            select {failure} from understudy.provider_calls
            where provider = %s and at >= %s and outcome = 'failed' and {counted} and not synthetic
            order by at desc, id desc limit %s
            """).format(failure=_FAILURE, counted=COUNTED),
            (provider, since, limit),
        )
        return await cursor.fetchall()


async def first_failure_since(
    conn: Connection,
    *,
    provider: str,
    since: datetime,
    mode_epoch: int | None = None,
    operation: str | None = None,
) -> Failure | None:
    """The earliest users' failure of ``provider`` since then; of one epoch and operation, when given."""
    async with conn.cursor(row_factory=class_row(Failure)) as cursor:
        await cursor.execute(
            SQL("""
            select {failure} from understudy.provider_calls
            where provider = %(provider)s and at >= %(since)s and outcome = 'failed' and {counted}
              and not synthetic and (%(epoch)s::bigint is null or mode_epoch = %(epoch)s)
              and (%(operation)s::text is null or operation = %(operation)s)
            order by at, id limit 1
            """).format(failure=_FAILURE, counted=COUNTED),
            {"provider": provider, "since": since, "epoch": mode_epoch, "operation": operation},
        )
        return await cursor.fetchone()


async def harm_between(
    conn: Connection, *, operation: str, provider: str, start: datetime, end: datetime
) -> Harm:
    """Count users' calls that ended in ``[start, end]``, whatever epoch they were admitted under."""
    async with conn.cursor(row_factory=class_row(Harm)) as cursor:
        await cursor.execute(
            SQL("""
            select count(*)::int as calls,
                   count(*) filter (where outcome = 'failed')::int as failed,
                   count(distinct user_id)::int as users,
                   (count(distinct user_id) filter (where outcome = 'failed'))::int as users_failed,
                   coalesce(sum(cost_microusd) filter (where outcome = 'failed'), 0)::bigint as cost_microusd,
                   coalesce(sum(audio_ms), 0)::bigint as audio_ms,
                   coalesce(sum(characters) filter (where outcome = 'failed'), 0)::bigint as characters_failed
            from understudy.provider_calls
            where operation = %s and provider = %s and at >= %s and at <= %s and {counted} and not synthetic
            """).format(counted=COUNTED),
            (operation, provider, start, end),
        )
        harm = await cursor.fetchone()
    return harm or Harm(0, 0, 0, 0, 0)
