"""Erased accounts: the tombstone, and the rows that go."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from understudy.logs import get_logger
from understudy.store import rollups

Connection = AsyncConnection[DictRow]

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Erasure:
    """One tombstone.

    Parameters
    ----------
    completed_at
        ``None`` while something of the account may be left.
    counts
        Rows and objects removed, by name; ``calls_kept`` are call records without the account.
    provider_voices
        Voices that the speech provider still holds: its delete API is never called.
    """

    user_id: UUID
    actor: str
    requested_at: datetime
    completed_at: datetime | None
    counts: dict[str, int]
    provider_voices: list[dict[str, Any]]


_COLUMNS = SQL(", ").join(Identifier(field.name) for field in fields(Erasure))

#: Tables of one account, children first; the column names the account.
_OWNED = (
    ("tasks", "public.tasks", "user_id"),
    ("generations", "public.generations", "user_id"),
    ("voices", "public.voices", "user_id"),
    ("sessions", "understudy.refresh_tokens", "user_id"),
    ("api_keys", "understudy.api_keys", "user_id"),
    ("profiles", "public.profiles", "id"),
    ("canaries", "understudy.synthetic_users", "user_id"),
    ("carry_overs", "understudy.carry_overs", "user_id"),
    ("idempotency_keys", "understudy.idempotency_keys", "user_id"),
    ("budgets", "understudy.budgets", "scope"),
    ("budget_counters", "understudy.budget_counters", "scope"),
    ("playback_events", "understudy.playback_events", "user_id"),
    ("quarantine", "understudy.quarantine", "user_id"),
    ("cutover_stays", "understudy.cutover_stays", "user_id"),
)

_EXISTS = SQL(
    "SELECT EXISTS (SELECT FROM auth.users WHERE id = %(user)s)"
    " OR EXISTS (SELECT FROM public.voices WHERE user_id = %(user)s) AS found"
)
_PROVIDER_VOICES = SQL(
    "SELECT coalesce(provider_metadata -> 'carried_over' ->> 'provider', tts_provider) AS provider,"
    " provider_voice_id AS voice_id, provider_target_model AS target_model, provider_region AS region"
    " FROM public.voices WHERE user_id = %(user)s AND provider_voice_id IS NOT NULL"
    # Bindings that a newer one replaced, and voices made for one that was deleted meanwhile.
    " UNION SELECT v.tts_provider, b ->> 'voice_id', b ->> 'target_model', b ->> 'region'"
    " FROM public.voices v, jsonb_array_elements(v.provider_metadata -> 'previous_bindings') b"
    " WHERE v.user_id = %(user)s"
    " UNION SELECT provider, provider_voice_id, target_model, region FROM understudy.carry_overs"
    " WHERE user_id = %(user)s AND provider_voice_id IS NOT NULL ORDER BY provider, voice_id"
)
# An account that is there again, from a backup, opens its tombstone again.
_BEGIN = SQL(
    "INSERT INTO understudy.erasures AS e (user_id, actor, requested_at, provider_voices)"
    " VALUES (%(user)s, %(actor)s, %(at)s, %(voices)s)"
    " ON CONFLICT (user_id) DO UPDATE SET completed_at = NULL,"
    " provider_voices = CASE WHEN %(voices)s::jsonb = '[]' THEN e.provider_voices ELSE %(voices)s::jsonb END"
    " RETURNING {columns}"
).format(columns=_COLUMNS)
_FIND = SQL("SELECT {columns} FROM understudy.erasures WHERE user_id = %s").format(columns=_COLUMNS)
_FINISH = SQL(
    "UPDATE understudy.erasures SET completed_at = coalesce(completed_at, %s)"
    " WHERE user_id = %s RETURNING {columns}"
).format(columns=_COLUMNS)


async def find_erasure(conn: Connection, user_id: UUID) -> Erasure | None:
    """Return the tombstone of an account, if it has one."""
    return await _one(conn, _FIND, (user_id,))


async def begin_erasure(conn: Connection, user_id: UUID, *, actor: str, at: datetime) -> Erasure | None:
    """Write the tombstone, close the account and cancel its tasks; ``None`` when nothing is known of it.

    From the commit on nobody signs in to it, and the erasure can be taken up by anybody.
    """
    cursor = await conn.execute(_EXISTS, {"user": user_id})
    row = await cursor.fetchone()
    if not (row and row["found"]):
        return await find_erasure(conn, user_id)
    cursor = await conn.execute(_PROVIDER_VOICES, {"user": user_id})
    voices = await cursor.fetchall()
    begun = await _one(
        conn, _BEGIN, {"user": user_id, "actor": actor, "at": at, "voices": Jsonb([dict(v) for v in voices])}
    )
    await _forgiving(
        conn, "UPDATE auth.users SET deleted_at = coalesce(deleted_at, %s) WHERE id = %s", at, user_id
    )
    await conn.execute(
        "UPDATE understudy.refresh_tokens SET revoked_at = coalesce(revoked_at, %s) WHERE user_id = %s",
        (at, user_id),
    )
    return begun


async def active_tasks(conn: Connection, user_id: UUID) -> list[UUID]:
    """Return the account's tasks that are not terminal."""
    cursor = await conn.execute(
        "SELECT id FROM public.tasks WHERE user_id = %s AND status IN ('pending', 'processing')", (user_id,)
    )
    return [row["id"] for row in await cursor.fetchall()]


async def remove_rows(conn: Connection, user_id: UUID) -> None:
    """Remove every row of the account and count them on its tombstone.

    Call records and the ledger lose the account only.

    Where another issuer keeps ``auth.users`` and this user may not delete there, the account's own row stays
    (closed on this side) and ``auth_user_left`` says so.
    """
    counts: dict[str, int] = {}
    for name, table, column in _OWNED:
        schema, _, relation = table.partition(".")
        found = await conn.execute("SELECT to_regclass(%s) IS NOT NULL AS found", (table,))
        row = await found.fetchone()
        if not (row and row["found"]):
            continue
        cursor = await conn.execute(
            SQL("DELETE FROM {} WHERE {} = %s").format(Identifier(schema, relation), Identifier(column)),
            (user_id,),
        )
        counts[name] = cursor.rowcount
    kept = await conn.execute(
        "UPDATE understudy.provider_calls SET user_id = NULL, subject_digest = NULL WHERE user_id = %s",
        (user_id,),
    )
    counts["calls_kept"] = kept.rowcount
    counts["minutes"] = await rollups.forget_user(conn, user_id)
    await conn.execute("UPDATE understudy.ledger SET user_id = NULL WHERE user_id = %s", (user_id,))
    removed = await _forgiving(conn, "DELETE FROM auth.users WHERE id = %s", user_id)
    # The account's own tombstone stands for those of all that it had.
    await conn.execute("DELETE FROM understudy.tombstones WHERE user_id = %s", (user_id,))
    counts["accounts" if removed is not None else "auth_user_left"] = 1 if removed is None else removed
    await add_counts(conn, user_id, counts)


async def add_counts(conn: Connection, user_id: UUID, counts: dict[str, int]) -> None:
    """Add to the numbers on a tombstone."""
    cursor = await conn.execute(
        "SELECT counts FROM understudy.erasures WHERE user_id = %s FOR UPDATE", (user_id,)
    )
    row = await cursor.fetchone()
    before: dict[str, int] = row["counts"] if row else {}
    total = {name: before.get(name, 0) + counts.get(name, 0) for name in {**before, **counts}}
    if "auth_user_left" in total:
        total["auth_user_left"] = 1
    await conn.execute(
        "UPDATE understudy.erasures SET counts = %s WHERE user_id = %s", (Jsonb(total), user_id)
    )


async def finish_erasure(conn: Connection, user_id: UUID, at: datetime) -> Erasure:
    """Mark the erasure as complete."""
    finished = await _one(conn, _FINISH, (at, user_id))
    assert finished is not None  # noqa: S101  (its tombstone was written first)
    return finished


async def unfinished_erasures(conn: Connection, before: datetime, limit: int) -> list[UUID]:
    """Accounts whose erasure began before an instant and is not complete: its process died."""
    cursor = await conn.execute(
        "SELECT user_id FROM understudy.erasures WHERE completed_at IS NULL AND requested_at < %s"
        " ORDER BY requested_at LIMIT %s",
        (before, limit),
    )
    return [row["user_id"] for row in await cursor.fetchall()]


async def erased_among(conn: Connection, users: list[UUID]) -> set[UUID]:
    """Which of these accounts are completely erased."""
    cursor = await conn.execute(
        "SELECT user_id FROM understudy.erasures WHERE user_id = ANY(%s) AND completed_at IS NOT NULL",
        (users,),
    )
    return {row["user_id"] for row in await cursor.fetchall()}


async def _one(conn: Connection, statement: SQL | Any, values: Any) -> Erasure | None:
    async with conn.cursor(row_factory=class_row(Erasure)) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchone()


async def _forgiving(conn: Connection, statement: str, *values: object) -> int | None:
    """Rows changed, or ``None`` where ``auth.users`` is not this service's to change."""
    try:
        async with conn.transaction():
            return (await conn.execute(statement.encode(), values)).rowcount
    except psycopg.errors.InsufficientPrivilege:
        log.warning("auth_users_not_ours")
        return None
