"""Valves: whether an operation that costs money is paused, who paused it, and why.

A closed valve is found inside the statement that reserves, so it is in force everywhere at its commit.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL, Identifier

DESIGN_CREATES = "design-creates"
CARRY_OVER = "carry-over"
GENERATION = "generation"
VALVES = (DESIGN_CREATES, CARRY_OVER, GENERATION)

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class ValveRow:
    """A valve as it was last set; ``epoch`` counts its changes."""

    name: str
    closed: bool
    epoch: int
    actor: str
    reason: str
    changed_at: datetime


_COLUMNS = SQL(", ").join(Identifier(field.name) for field in fields(ValveRow))
_READ = SQL("select {} from understudy.valves order by name").format(_COLUMNS)
# Asking for what already is keeps the first actor and reason.
_SET = SQL("""
    insert into understudy.valves as v (name, closed, epoch, actor, reason, changed_at)
    values (%(name)s, %(closed)s, 1, %(actor)s, %(reason)s, clock_timestamp())
    on conflict (name) do update set
        closed = excluded.closed, epoch = v.epoch + 1, actor = excluded.actor, reason = excluded.reason,
        changed_at = excluded.changed_at
    where v.closed <> excluded.closed
    returning {}
""").format(_COLUMNS)
_HISTORY = SQL("select {} from understudy.valve_history order by id desc limit %s").format(_COLUMNS)


async def read_valves(conn: Connection) -> dict[str, ValveRow]:
    """Every valve that was ever set, by name; one that is missing is open."""
    async with conn.cursor(row_factory=class_row(ValveRow)) as cursor:
        await cursor.execute(_READ)
        return {row.name: row for row in await cursor.fetchall()}


async def is_closed(conn: Connection, name: str) -> bool:
    """Whether a valve is closed now."""
    cursor = await conn.execute(
        "select 1 as found from understudy.valves where name = %s and closed", (name,)
    )
    return await cursor.fetchone() is not None


async def set_valve(
    conn: Connection, name: str, *, closed: bool, actor: str, reason: str
) -> tuple[ValveRow | None, bool]:
    """Close or open a valve; return its row, and whether this call changed it.

    To open one that was never closed changes nothing and leaves no row.
    """
    if not closed and name not in await read_valves(conn):
        return None, False
    values = {"name": name, "closed": closed, "actor": actor, "reason": reason}
    async with conn.cursor(row_factory=class_row(ValveRow)) as cursor:
        await cursor.execute(_SET, values)
        changed = await cursor.fetchone()
    if changed is None:
        return (await read_valves(conn)).get(name), False
    await conn.execute(
        "insert into understudy.valve_history (name, closed, epoch, actor, reason, changed_at)"
        " values (%s, %s, %s, %s, %s, %s)",
        (changed.name, changed.closed, changed.epoch, changed.actor, changed.reason, changed.changed_at),
    )
    return changed, True


async def valve_history(conn: Connection, limit: int = 50) -> list[ValveRow]:
    """The last ``limit`` changes, newest first."""
    async with conn.cursor(row_factory=class_row(ValveRow)) as cursor:
        await cursor.execute(_HISTORY, (limit,))
        return await cursor.fetchall()
