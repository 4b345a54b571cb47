"""Rows of ``understudy.operators``: which accounts may operate the service, and who said so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.errors import ForeignKeyViolation
from psycopg.rows import DictRow, class_row

from understudy.errors import NotFoundError

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One operator; ``email`` is ``None`` where another issuer keeps the accounts."""

    user_id: UUID
    email: str | None
    granted_by: str
    granted_at: datetime


async def is_operator(conn: Connection, user_id: UUID) -> bool:
    """Whether this account operates the service now."""
    cursor = await conn.execute("select 1 as found from understudy.operators where user_id = %s", (user_id,))
    return await cursor.fetchone() is not None


async def grant_operator(conn: Connection, user_id: UUID, *, actor: str) -> bool:
    """Make an account an operator, with its trace; false when it is one already.

    Raises
    ------
    NotFoundError
        There is no such account.
    """
    try:
        cursor = await conn.execute(
            "insert into understudy.operators (user_id, granted_by) values (%s, %s) on conflict do nothing",
            (user_id, actor),
        )
    except ForeignKeyViolation:
        raise NotFoundError(f"There is no account {user_id}.") from None
    if cursor.rowcount:
        await _note(conn, user_id, "granted", actor)
    return bool(cursor.rowcount)


async def revoke_operator(conn: Connection, user_id: UUID, *, actor: str) -> bool:
    """Take the role away, with its trace; false when the account did not have it."""
    cursor = await conn.execute("delete from understudy.operators where user_id = %s", (user_id,))
    if cursor.rowcount:
        await _note(conn, user_id, "revoked", actor)
    return bool(cursor.rowcount)


async def list_operators(conn: Connection) -> list[OperatorRow]:
    """Every operator, oldest first."""
    async with conn.cursor(row_factory=class_row(OperatorRow)) as cursor:
        await cursor.execute(
            "select o.user_id, u.email, o.granted_by, o.granted_at from understudy.operators o"
            " join auth.users u on u.id = o.user_id order by o.granted_at, o.user_id"
        )
        return await cursor.fetchall()


async def _note(conn: Connection, user_id: UUID, change: str, actor: str) -> None:
    await conn.execute(
        "insert into understudy.operator_changes (user_id, change, actor) values (%s, %s, %s)",
        (user_id, change, actor),
    )
