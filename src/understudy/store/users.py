"""Accounts of the embedded issuer: rows of ``auth.users``, shaped as GoTrue keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class UserRow:
    """One account. ``encrypted_password`` is a hash, named as in GoTrue's table."""

    id: UUID
    email: str | None
    encrypted_password: str | None
    raw_app_meta_data: dict[str, Any] | None
    raw_user_meta_data: dict[str, Any] | None
    email_confirmed_at: datetime | None
    last_sign_in_at: datetime | None
    created_at: datetime
    updated_at: datetime


_COLUMNS = SQL(", ").join(Identifier(field.name) for field in fields(UserRow))
_INSERT = SQL(
    "INSERT INTO auth.users (id, aud, role, email, encrypted_password, email_confirmed_at, last_sign_in_at,"
    " raw_app_meta_data, raw_user_meta_data, created_at, updated_at)"
    " VALUES (%(id)s, 'authenticated', 'authenticated', %(email)s, %(password)s, %(at)s, %(at)s,"
    " %(app)s, %(user)s, %(at)s, %(at)s) ON CONFLICT DO NOTHING RETURNING {columns}"
).format(columns=_COLUMNS)
_BY_EMAIL = SQL(
    "SELECT {columns} FROM auth.users WHERE lower(email) = lower(%s) AND deleted_at IS NULL"
).format(columns=_COLUMNS)
_BY_ID = SQL("SELECT {columns} FROM auth.users WHERE id = %s AND deleted_at IS NULL").format(columns=_COLUMNS)
_SIGNED_IN = SQL(
    "UPDATE auth.users SET last_sign_in_at = %(at)s, updated_at = %(at)s"
    " WHERE id = %(id)s RETURNING {columns}"
).format(columns=_COLUMNS)

_CHANGE = SQL(
    "UPDATE auth.users SET updated_at = %(at)s,"
    " encrypted_password = coalesce(%(password)s, encrypted_password),"
    " raw_user_meta_data = CASE WHEN %(user)s::jsonb IS NULL THEN raw_user_meta_data"
    " ELSE (coalesce(raw_user_meta_data, '{{}}') || %(user)s::jsonb)"
    " - ARRAY(SELECT key FROM jsonb_each(%(user)s::jsonb) WHERE value = 'null') END"
    " WHERE id = %(id)s AND deleted_at IS NULL RETURNING {columns}"
).format(columns=_COLUMNS)


async def create_user(
    conn: Connection,
    *,
    email: str,
    encrypted_password: str | None,
    user_metadata: Mapping[str, Any],
    at: datetime,
) -> UserRow | None:
    """Add a confirmed account; ``None`` when the address is taken, in whatever case it is written."""
    values = {
        "id": uuid4(),
        "email": email,
        "password": encrypted_password,
        "at": at,
        "app": Jsonb({"provider": "email", "providers": ["email"]}),
        "user": Jsonb(dict(user_metadata)),
    }
    async with conn.cursor(row_factory=class_row(UserRow)) as cursor:
        await cursor.execute(_INSERT, values)
        return await cursor.fetchone()


async def find_user_by_email(conn: Connection, email: str) -> UserRow | None:
    """Return the account of an address, ignoring case."""
    async with conn.cursor(row_factory=class_row(UserRow)) as cursor:
        await cursor.execute(_BY_EMAIL, (email,))
        return await cursor.fetchone()


async def find_user(conn: Connection, user_id: UUID) -> UserRow | None:
    """Return an account by its id."""
    async with conn.cursor(row_factory=class_row(UserRow)) as cursor:
        await cursor.execute(_BY_ID, (user_id,))
        return await cursor.fetchone()


async def record_sign_in(conn: Connection, user_id: UUID, at: datetime) -> UserRow | None:
    """Note the time of a sign-in and return the account as it now is."""
    async with conn.cursor(row_factory=class_row(UserRow)) as cursor:
        await cursor.execute(_SIGNED_IN, {"id": user_id, "at": at})
        return await cursor.fetchone()


async def change_user(
    conn: Connection,
    user_id: UUID,
    at: datetime,
    *,
    encrypted_password: str | None = None,
    user_metadata: Mapping[str, Any] | None = None,
) -> UserRow | None:
    """Set a new password hash, and merge metadata (null removes a field); ``None`` without such a user."""
    values = {
        "id": user_id,
        "at": at,
        "password": encrypted_password,
        "user": Jsonb(dict(user_metadata)) if user_metadata is not None else None,
    }
    async with conn.cursor(row_factory=class_row(UserRow)) as cursor:
        await cursor.execute(_CHANGE, values)
        return await cursor.fetchone()


async def ensure_user(conn: Connection, user_id: UUID) -> None:
    """Make the bare row of an account that another issuer keeps, unless it exists or was erased here."""
    await conn.execute(
        "INSERT INTO auth.users (id) SELECT %(user)s::uuid"
        " WHERE NOT EXISTS (SELECT FROM understudy.erasures WHERE user_id = %(user)s) ON CONFLICT DO NOTHING",
        {"user": user_id},
    )


async def issuer_keeps_accounts(conn: Connection) -> bool:
    """Whether GoTrue itself writes ``auth.users`` here: then a row that is missing is a deleted account."""
    cursor = await conn.execute("SELECT to_regclass('auth.schema_migrations') IS NOT NULL AS found")
    row = await cursor.fetchone()
    return bool(row and row["found"])
