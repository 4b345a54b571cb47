"""Rows of ``public.profiles``: what a tenant shows of themselves. Writes are the service's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.errors import ForeignKeyViolation, UniqueViolation
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL, Identifier

from understudy.errors import NotFoundError, ValidationError

Connection = AsyncConnection[DictRow]

#: What a tenant may change; everything else in the row is the service's.
EDITABLE = frozenset({"handle", "display_name", "avatar_url"})


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """One profile; its id is the user's."""

    id: UUID
    handle: str | None
    display_name: str | None
    avatar_url: str | None
    subscription_tier: str
    credits_remaining: int
    created_at: datetime
    updated_at: datetime


_COLUMNS = SQL(", ").join(Identifier(field.name) for field in fields(ProfileRow))
_BY_ID = SQL("SELECT {columns} FROM public.profiles WHERE id = %s").format(columns=_COLUMNS)


async def find_profile(conn: Connection, user_id: UUID) -> ProfileRow | None:
    """Return a user's profile, if there is one."""
    async with conn.cursor(row_factory=class_row(ProfileRow)) as cursor:
        await cursor.execute(_BY_ID, (user_id,))
        return await cursor.fetchone()


async def create_profile(conn: Connection, user_id: UUID) -> None:
    """Make the empty profile of a user unless it exists; :class:`NotFoundError` without such a user."""
    try:
        await conn.execute(
            "INSERT INTO public.profiles (id) VALUES (%s) ON CONFLICT (id) DO NOTHING", (user_id,)
        )
    except ForeignKeyViolation:
        raise NotFoundError from None


async def update_profile(conn: Connection, user_id: UUID, changes: Mapping[str, str | None]) -> ProfileRow:
    """Change some fields of a user's own profile.

    Raises
    ------
    ValidationError
        The handle is someone else's, in whatever case it is written.
    NotFoundError
        There is no profile.
    """
    names = sorted(changes)
    if not names or not EDITABLE.issuperset(names):
        raise ValidationError("No valid fields to update.")
    assignments = SQL(", ").join(SQL("{} = %s").format(Identifier(name)) for name in names)
    statement = SQL("UPDATE public.profiles SET {} WHERE id = %s RETURNING {}").format(assignments, _COLUMNS)
    async with conn.cursor(row_factory=class_row(ProfileRow)) as cursor:
        try:
            await cursor.execute(statement, (*(changes[name] for name in names), user_id))
        except UniqueViolation:
            raise ValidationError("Handle is already taken.") from None
        row = await cursor.fetchone()
    if row is None:
        raise NotFoundError
    return row
