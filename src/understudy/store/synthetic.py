"""Canary identities: accounts whose calls are probes, not users."""

from __future__ import annotations

from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow

Connection = AsyncConnection[DictRow]

#: Addresses of canaries: a domain that never receives mail (RFC 2606).
CANARY_DOMAIN = "@understudy.invalid"


async def is_synthetic(conn: Connection, user_id: UUID) -> bool:
    """Whether the calls of ``user_id`` are probes."""
    cursor = await conn.execute(
        "select 1 as found from understudy.synthetic_users where user_id = %s", (user_id,)
    )
    return await cursor.fetchone() is not None


async def mark_synthetic(conn: Connection, user_id: UUID, label: str) -> None:
    """Count every later call of ``user_id`` as synthetic; ``label`` says whose canary it is."""
    await conn.execute(
        """
        insert into understudy.synthetic_users (user_id, label) values (%s, %s)
        on conflict (user_id) do update set label = excluded.label
        """,
        (user_id, label),
    )
