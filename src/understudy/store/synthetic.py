"""Canary identities: accounts whose calls are probes, not users."""

from __future__ import annotations

from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow

Connection = AsyncConnection[DictRow]


async def mark_synthetic(conn: Connection, user_id: UUID, label: str) -> None:
    """Count every later call of ``user_id`` as synthetic; ``label`` says whose canary it is."""
    await conn.execute(
        """
        insert into understudy.synthetic_users (user_id, label) values (%s, %s)
        on conflict (user_id) do update set label = excluded.label
        """,
        (user_id, label),
    )
