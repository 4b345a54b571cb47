"""Sessions of the embedded issuer: a chain of refresh tokens, each good once. Only hashes are stored."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL, Identifier

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class RefreshTokenRow:
    """One refresh token; ``used_at`` is when it was exchanged for the next."""

    token_hash: str
    user_id: UUID
    session_id: UUID
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None


_COLUMNS = SQL(", ").join(Identifier(field.name) for field in fields(RefreshTokenRow))
_LOCK = SQL("SELECT {columns} FROM understudy.refresh_tokens WHERE token_hash = %s FOR UPDATE").format(
    columns=_COLUMNS
)


async def add_refresh_token(
    conn: Connection,
    *,
    token_hash: str,
    user_id: UUID,
    session_id: UUID,
    parent_hash: str | None,
    created_at: datetime,
    expires_at: datetime,
) -> None:
    """Add a token to its session, and forget the user's expired ones, so that the table stays small."""
    await conn.execute(
        "DELETE FROM understudy.refresh_tokens WHERE user_id = %s AND expires_at < %s", (user_id, created_at)
    )
    await conn.execute(
        "INSERT INTO understudy.refresh_tokens"
        " (token_hash, user_id, session_id, parent_hash, created_at, expires_at)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (token_hash, user_id, session_id, parent_hash, created_at, expires_at),
    )


async def lock_refresh_token(conn: Connection, token_hash: str) -> RefreshTokenRow | None:
    """Return a token, locked until the transaction ends: two exchanges at one instant cannot both win."""
    async with conn.cursor(row_factory=class_row(RefreshTokenRow)) as cursor:
        await cursor.execute(_LOCK, (token_hash,))
        return await cursor.fetchone()


async def mark_used(conn: Connection, token_hash: str, at: datetime) -> None:
    """Note that a token was exchanged."""
    await conn.execute(
        "UPDATE understudy.refresh_tokens SET used_at = %s WHERE token_hash = %s", (at, token_hash)
    )


async def revoke_session(conn: Connection, session_id: UUID, at: datetime) -> None:
    """End one session: none of its tokens works again."""
    await conn.execute(
        "UPDATE understudy.refresh_tokens SET revoked_at = %s WHERE session_id = %s AND revoked_at IS NULL",
        (at, session_id),
    )


async def revoke_user_sessions(
    conn: Connection, user_id: UUID, at: datetime, *, keep: UUID | None = None
) -> None:
    """End all sessions of a user, but for ``keep``."""
    await conn.execute(
        "UPDATE understudy.refresh_tokens SET revoked_at = %(at)s"
        " WHERE user_id = %(user)s AND revoked_at IS NULL"
        " AND (%(keep)s::uuid IS NULL OR session_id <> %(keep)s::uuid)",
        {"at": at, "user": user_id, "keep": keep},
    )


async def session_is_open(conn: Connection, session_id: UUID, user_id: UUID) -> bool:
    """Whether the session still has a token that was not revoked."""
    cursor = await conn.execute(
        "SELECT EXISTS (SELECT FROM understudy.refresh_tokens"
        " WHERE session_id = %s AND user_id = %s AND revoked_at IS NULL) AS found",
        (session_id, user_id),
    )
    row = await cursor.fetchone()
    return bool(row and row["found"])
