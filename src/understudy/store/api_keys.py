"""Rows of ``understudy.api_keys``: keys of programs, as hashes."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID, uuid4

from psycopg import AsyncConnection
from psycopg.errors import ForeignKeyViolation
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL, Identifier

from understudy.errors import NotFoundError

Connection = AsyncConnection[DictRow]

KEY_PREFIX = "usk_"
SPEECH = "speech"
#: What a person recognises a key by: ``usk_`` and this many random characters, not counted as secret.
VISIBLE_CHARS = 8
SECRET_BYTES = 32
#: A busy key would write a row a request; a minute is exact enough to find the unused ones.
LAST_USED_STEP_S = 60


@dataclass(frozen=True, slots=True)
class ApiKeyRow:
    """One key; neither it nor its hash is in here."""

    id: UUID
    user_id: UUID
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


_COLUMNS = SQL(", ").join(Identifier(field.name) for field in fields(ApiKeyRow))
_INSERT = SQL(
    "INSERT INTO understudy.api_keys (id, user_id, name, prefix, key_sha256, scopes, created_at, expires_at)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING {columns}"
).format(columns=_COLUMNS)
_USABLE = SQL(
    "SELECT {columns} FROM understudy.api_keys WHERE key_sha256 = %(hash)s AND revoked_at IS NULL"
    " AND (expires_at IS NULL OR expires_at > %(at)s)"
).format(columns=_COLUMNS)
_TOUCH = SQL(
    "UPDATE understudy.api_keys SET last_used_at = %(at)s WHERE id = %(id)s"
    " AND (last_used_at IS NULL OR last_used_at <= %(at)s - make_interval(secs => %(step)s))"
)
_LIST = SQL(
    "SELECT {columns} FROM understudy.api_keys WHERE %(user)s::uuid IS NULL OR user_id = %(user)s::uuid"
    " ORDER BY created_at, id"
).format(columns=_COLUMNS)
_REVOKE = SQL(
    "UPDATE understudy.api_keys SET revoked_at = coalesce(revoked_at, %(at)s)"
    " WHERE id::text = %(key)s OR prefix = %(key)s RETURNING {columns}"
).format(columns=_COLUMNS)


def hash_key(key: str) -> str:
    """Return what is stored of a key: 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


async def create_key(
    conn: Connection, *, user_id: UUID, name: str, at: datetime, expires_at: datetime | None
) -> tuple[ApiKeyRow, str]:
    """Make a key and return it with its row: this is the only time that it is known.

    Raises
    ------
    NotFoundError
        There is no such account.
    """
    prefix = KEY_PREFIX + secrets.token_hex(VISIBLE_CHARS // 2)
    key = f"{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
    values = (uuid4(), user_id, name, prefix, hash_key(key), [SPEECH], at, expires_at)
    async with conn.cursor(row_factory=class_row(ApiKeyRow)) as cursor:
        try:
            await cursor.execute(_INSERT, values)
        except ForeignKeyViolation:
            raise NotFoundError(f"There is no account {user_id}.") from None
        row = await cursor.fetchone()
    assert row is not None  # noqa: S101  (INSERT ... RETURNING gives its row or raises)
    return row, key


async def use_key(conn: Connection, key_sha256: str, at: datetime) -> ApiKeyRow | None:
    """Return the row of a key that is good now, and note its use at most once a minute."""
    async with conn.cursor(row_factory=class_row(ApiKeyRow)) as cursor:
        await cursor.execute(_USABLE, {"hash": key_sha256, "at": at})
        row = await cursor.fetchone()
    if row is not None:
        last_s = (at - row.last_used_at).total_seconds() if row.last_used_at else LAST_USED_STEP_S
        if last_s >= LAST_USED_STEP_S:
            await conn.execute(_TOUCH, {"id": row.id, "at": at, "step": LAST_USED_STEP_S})
    return row


async def list_keys(conn: Connection, user_id: UUID | None = None) -> list[ApiKeyRow]:
    """Return keys, revoked ones too, oldest first: of one account, or of all for an operator."""
    async with conn.cursor(row_factory=class_row(ApiKeyRow)) as cursor:
        await cursor.execute(_LIST, {"user": user_id})
        return await cursor.fetchall()


async def revoke_key(conn: Connection, key: str, at: datetime) -> ApiKeyRow | None:
    """Revoke the key that an id or a visible prefix names; ``None`` when there is none. Safe to repeat."""
    async with conn.cursor(row_factory=class_row(ApiKeyRow)) as cursor:
        await cursor.execute(_REVOKE, {"key": key, "at": at})
        return await cursor.fetchone()
