"""Budgets: limits that an operator set, and how much of each a window has used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL, Identifier

from understudy.store.ledger import EVERYBODY, Caps

BUDGETS = ("generation-hour", "generation-day", "creates-hour", "creates-day")

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """A limit that an operator set; it counts before the settings', and 0 lifts theirs.

    Parameters
    ----------
    scope
        The tenant, or :data:`understudy.store.ledger.EVERYBODY`.
    """

    scope: UUID
    budget: str
    most: int
    actor: str
    reason: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """One limit and what is used of it in the window that runs now.

    Parameters
    ----------
    most, used
        Micro-dollars; creates for ``creates-hour``.
    set_by_operator
        The limit is an operator's, not the settings'.
    """

    scope: UUID
    budget: str
    most: int
    used: int
    starts_at: datetime
    set_by_operator: bool

    @property
    def counts_creates(self) -> bool:
        """Whether the unit is one create; else it is one micro-dollar."""
        return self.budget == "creates-hour"

    @property
    def left(self) -> int:
        """What still fits."""
        return max(0, self.most - self.used)

    @property
    def ends_at(self) -> datetime:
        """When the window is over, UTC."""
        return self.starts_at + timedelta(hours=1 if self.budget.endswith("-hour") else 24)


_COLUMNS = SQL(", ").join(Identifier(field.name) for field in fields(BudgetRow))
_LIST = SQL("select {} from understudy.budgets order by scope, budget").format(_COLUMNS)
_SET = SQL("""
    insert into understudy.budgets (scope, budget, most, actor, reason, changed_at)
    values (%s, %s, %s, %s, %s, clock_timestamp())
    on conflict (scope, budget) do update set
        most = excluded.most, actor = excluded.actor, reason = excluded.reason,
        changed_at = excluded.changed_at
    returning {}
""").format(_COLUMNS)
_STANDING = """
    select l.scope, l.budget, coalesce(o.most, l.most) as most, l.starts_at,
           o.most is not null as set_by_operator,
           coalesce(c.used, understudy.budget_used(l.scope, l.budget, l.starts_at)) as used
    from (
        select %(scope)s::uuid as scope, k.budget, k.most,
               understudy.budget_window(k.budget, %(at)s) as starts_at
        from unnest(%(budgets)s::text[], %(limits)s::bigint[]) as k (budget, most)
    ) l
    left join understudy.budgets o on o.scope = l.scope and o.budget = l.budget
    left join understudy.budget_counters c
        on c.scope = l.scope and c.budget = l.budget and c.starts_at = l.starts_at
    where coalesce(o.most, l.most) > 0
    order by l.budget
"""


async def list_budgets(conn: Connection) -> list[BudgetRow]:
    """Every limit that an operator set."""
    async with conn.cursor(row_factory=class_row(BudgetRow)) as cursor:
        await cursor.execute(_LIST)
        return await cursor.fetchall()


async def set_budget(
    conn: Connection, scope: UUID, budget: str, most: int, *, actor: str, reason: str
) -> BudgetRow:
    """Set a limit; what the running window has used already counts against it."""
    async with conn.cursor(row_factory=class_row(BudgetRow)) as cursor:
        await cursor.execute(_SET, (scope, budget, most, actor, reason))
        row = await cursor.fetchone()
    assert row is not None  # noqa: S101  (INSERT ... RETURNING gives its row or raises)
    return row


async def clear_budget(conn: Connection, scope: UUID, budget: str) -> bool:
    """Go back to the settings' limit; false when no operator had set one."""
    cursor = await conn.execute(
        "delete from understudy.budgets where scope = %s and budget = %s", (scope, budget)
    )
    return cursor.rowcount == 1


async def standing(conn: Connection, scope: UUID, caps: Mapping[str, Caps], at: datetime) -> list[Standing]:
    """Return each limit in force for a tenant or :data:`EVERYBODY`, with what ``at``'s window has used."""
    most = {name: one.everybody if scope == EVERYBODY else one.tenant for name, one in caps.items()}
    async with conn.cursor(row_factory=class_row(Standing)) as cursor:
        await cursor.execute(
            _STANDING,
            {"scope": scope, "at": at, "budgets": list(most), "limits": list(most.values())},
        )
        return await cursor.fetchall()
