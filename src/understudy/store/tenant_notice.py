"""What tenants are told while an incident runs: one row, written by the guard, which expires by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row

NoticeCode = Literal["degraded", "stepping_back", "verifying", "recovered"]

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class TenantNotice:
    """What is told, and since when that is so (UTC)."""

    code: NoticeCode
    since: datetime


async def read_notice(conn: Connection) -> TenantNotice | None:
    """Return what is told now; ``None`` where nothing is, or what was has expired."""
    async with conn.cursor(row_factory=class_row(TenantNotice)) as cursor:
        await cursor.execute(
            "select code, since from understudy.tenant_notice where expires_at > clock_timestamp()"
        )
        return await cursor.fetchone()


async def write_notice(conn: Connection, notice: TenantNotice | None, *, lives_s: float) -> None:
    """Tell ``notice`` for ``lives_s`` seconds from now, by the database's clock; ``None`` takes it back."""
    if notice is None:
        await conn.execute("delete from understudy.tenant_notice")
        return
    await conn.execute(
        "insert into understudy.tenant_notice (code, since, expires_at)"
        " values (%(code)s, %(since)s, clock_timestamp() + make_interval(secs => %(lives)s))"
        " on conflict (only_row) do update set code = excluded.code, since = excluded.since,"
        " expires_at = excluded.expires_at",
        {"code": notice.code, "since": notice.since, "lives": lives_s},
    )
