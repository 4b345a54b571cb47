"""What processes saw that concerns secrets: hits of the scanners, and refusals of our key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row

Connection = AsyncConnection[DictRow]

ROWS_MOST = 100


@dataclass(frozen=True, slots=True)
class HitRow:
    """Where a secret, or a planted canary, stood; by its name. ``route`` is empty where it is not known."""

    at: datetime
    where: str
    process: str
    name: str
    count: int
    route: str


async def secret_hits(conn: Connection, since: datetime) -> list[HitRow]:
    """The newest hits since then, newest first."""
    async with conn.cursor(row_factory=class_row(HitRow)) as cursor:
        await cursor.execute(
            "select at, \"where\", process, name, count, coalesce(route, '') as route"
            " from understudy.secret_hits"
            " where at >= %s order by at desc, id desc limit %s",
            (since, ROWS_MOST),
        )
        return await cursor.fetchall()


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """A call that failed with one of some codes."""

    at: datetime
    provider: str
    code: str


async def refused_calls(
    conn: Connection, *, provider: str, codes: Sequence[str], since: datetime
) -> list[RefusalRow]:
    """The newest calls of ``provider`` that failed with one of ``codes``, canaries' too, newest first."""
    async with conn.cursor(row_factory=class_row(RefusalRow)) as cursor:
        await cursor.execute(
            "select at, provider, code from understudy.provider_calls"
            " where at >= %s and provider = %s and outcome = 'failed' and code = any(%s)"
            " order by at desc, id desc limit %s",
            (since, provider, list(codes), ROWS_MOST),
        )
        return await cursor.fetchall()
