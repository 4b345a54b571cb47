"""What stands closed now, and by whom: writes that are frozen, kinds of reads, valves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row

ClosureKind = Literal["writes", "reads", "valve"]

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class Closure:
    """One of them; ``name`` is empty for writes, ``since`` is in UTC."""

    kind: ClosureKind
    name: str
    since: datetime
    actor: str
    reason: str


_READ = """
    select 'writes' as kind, '' as name, changed_at as since, actor, reason
    from understudy.write_freeze where frozen
    union all
    select 'reads', name, changed_at, actor, reason from understudy.closed_reads where closed
    union all
    select 'valve', name, changed_at, actor, reason from understudy.valves where closed
    order by kind, name
"""


async def read_closures(conn: Connection) -> Sequence[Closure]:
    """Return everything that is closed now."""
    async with conn.cursor(row_factory=class_row(Closure)) as cursor:
        await cursor.execute(_READ)
        return await cursor.fetchall()
