"""The write freeze's row and history, and what a freeze may not cost a task that waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL

CHANNEL = "understudy_freeze"
#: Writers take turns even while there is no row to lock yet.
_WRITER_LOCK_KEY = 0x66726565

Connection = AsyncConnection[DictRow]

_COLUMNS = SQL("frozen, actor, reason, changed_at")
_READ = SQL("select {} from understudy.write_freeze").format(_COLUMNS)
_WRITE = SQL("""
    insert into understudy.write_freeze (frozen, actor, reason, changed_at)
    values (%s, %s, %s, clock_timestamp())
    on conflict (only_row) do update set
        frozen = excluded.frozen, actor = excluded.actor, reason = excluded.reason,
        changed_at = excluded.changed_at
    returning {}
""").format(_COLUMNS)
_HISTORY = SQL("select {} from understudy.write_freeze_history order by id desc limit %s").format(_COLUMNS)


@dataclass(frozen=True, slots=True)
class FreezeRow:
    """Whether writes are frozen, and who said so when (UTC) and why."""

    frozen: bool
    actor: str
    reason: str
    changed_at: datetime


async def read_freeze(conn: Connection) -> FreezeRow | None:
    """Return the row, or ``None`` before the first freeze."""
    async with conn.cursor(row_factory=class_row(FreezeRow)) as cursor:
        await cursor.execute(_READ)
        return await cursor.fetchone()


async def write_freeze(
    conn: Connection, *, frozen: bool, actor: str, reason: str
) -> tuple[FreezeRow | None, bool]:
    """Freeze or thaw; return the row in force and whether this call changed it.

    Asking for what already is keeps the first actor and reason. A thaw gives every unfinished task the time
    back that it stood still.
    """
    await conn.execute("select pg_advisory_xact_lock(%s)", (_WRITER_LOCK_KEY,))
    current = await read_freeze(conn)
    if (current is not None and current.frozen) == frozen:
        return current, False
    if current is not None and current.frozen:
        await _give_time_back(conn, current.changed_at)
    async with conn.cursor(row_factory=class_row(FreezeRow)) as cursor:
        await cursor.execute(_WRITE, (frozen, actor, reason))
        written = await cursor.fetchone()
    assert written is not None  # noqa: S101  (INSERT ... RETURNING gives its row or raises)
    await conn.execute(
        "insert into understudy.write_freeze_history (frozen, actor, reason, changed_at)"
        " values (%s, %s, %s, %s)",
        (frozen, actor, reason, written.changed_at),
    )
    await conn.execute("select pg_notify(%s, %s)", (CHANNEL, "on" if frozen else "off"))
    return written, True


async def freeze_history(conn: Connection, limit: int = 50) -> list[FreezeRow]:
    """The last ``limit`` freezes and thaws, newest first."""
    async with conn.cursor(row_factory=class_row(FreezeRow)) as cursor:
        await cursor.execute(_HISTORY, (limit,))
        return await cursor.fetchall()


async def _give_time_back(conn: Connection, frozen_at: datetime) -> None:
    await conn.execute(
        "update public.tasks set deadline_at = deadline_at + (clock_timestamp() - greatest(%s, created_at))"
        " where status in ('pending', 'processing') and deadline_at is not null",
        (frozen_at,),
    )
