"""Kinds of reads that are closed: who closed each, and which epoch of it every process holds."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL, Identifier

CHANNEL = "understudy_reads"
VOICES = "voices"
GENERATIONS = "generations"
TASKS = "tasks"
AUDIO = "audio"
ACCOUNT = "account"
#: What can be closed; ``audio`` has the signed links in it, ``account`` who a caller is and what it used.
KINDS = (VOICES, GENERATIONS, TASKS, AUDIO, ACCOUNT)
#: Writers take turns: epochs grow over all kinds together, and there may be no row to lock yet.
_WRITER_LOCK_KEY = 0x72656164

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class ClosedRead:
    """A kind of reads as it was last set."""

    name: str
    closed: bool
    epoch: int
    actor: str
    reason: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Holder:
    """A live api process, and the newest epoch of closed reads it holds; None where its code knows none."""

    instance: UUID
    kind: str
    pid: int
    host: str
    reads_epoch: int | None


_COLUMNS = SQL(", ").join(Identifier(field.name) for field in fields(ClosedRead))
_READ = SQL("select {} from understudy.closed_reads order by name").format(_COLUMNS)
_SET = SQL("""
    insert into understudy.closed_reads as r (name, closed, epoch, actor, reason, changed_at)
    values (%(name)s, %(closed)s, %(epoch)s, %(actor)s, %(reason)s, clock_timestamp())
    on conflict (name) do update set
        closed = excluded.closed, epoch = excluded.epoch, actor = excluded.actor, reason = excluded.reason,
        changed_at = excluded.changed_at
    where r.closed <> excluded.closed
    returning {}
""").format(_COLUMNS)
_HISTORY = SQL("select {} from understudy.closed_reads_history order by id desc limit %s").format(_COLUMNS)


async def read_closed(conn: Connection) -> dict[str, ClosedRead]:
    """Every kind that was ever set, by name; one that is missing is open."""
    async with conn.cursor(row_factory=class_row(ClosedRead)) as cursor:
        await cursor.execute(_READ)
        return {row.name: row for row in await cursor.fetchall()}


async def set_closed(
    conn: Connection, names: Collection[str], *, closed: bool, actor: str, reason: str
) -> tuple[dict[str, ClosedRead], list[str]]:
    """Close or open kinds of reads; return every row now in force, and the names that this call changed.

    Asking for what already is keeps the first actor and reason; to open what was never closed leaves no row.
    """
    await conn.execute("select pg_advisory_xact_lock(%s)", (_WRITER_LOCK_KEY,))
    present = await read_closed(conn)
    epoch = max((row.epoch for row in present.values()), default=0) + 1
    changed = []
    for name in sorted(names):
        if not closed and name not in present:
            continue
        values = {"name": name, "closed": closed, "epoch": epoch, "actor": actor, "reason": reason}
        async with conn.cursor(row_factory=class_row(ClosedRead)) as cursor:
            await cursor.execute(_SET, values)
            row = await cursor.fetchone()
        if row is None:
            continue
        present[name] = row
        changed.append(name)
        await conn.execute(
            "insert into understudy.closed_reads_history (name, closed, epoch, actor, reason, changed_at)"
            " values (%s, %s, %s, %s, %s, %s)",
            (row.name, row.closed, row.epoch, row.actor, row.reason, row.changed_at),
        )
    if changed:
        await conn.execute("select pg_notify(%s, %s)", (CHANNEL, str(epoch)))
    return present, changed


async def closed_history(conn: Connection, limit: int = 50) -> list[ClosedRead]:
    """The last ``limit`` changes, newest first."""
    async with conn.cursor(row_factory=class_row(ClosedRead)) as cursor:
        await cursor.execute(_HISTORY, (limit,))
        return await cursor.fetchall()


async def report_epoch(conn: Connection, instance: UUID, epoch: int) -> None:
    """Say which epoch a process holds; nothing is written where that is on record already."""
    await conn.execute(
        "update understudy.processes set reads_epoch = %s"
        " where instance = %s and reads_epoch is distinct from %s",
        (epoch, instance, epoch),
    )


async def holders(conn: Connection, seen_within_s: float) -> list[Holder]:
    """Api processes that said they live within the last ``seen_within_s`` seconds."""
    async with conn.cursor(row_factory=class_row(Holder)) as cursor:
        await cursor.execute(
            "select instance, kind, pid, host, reads_epoch from understudy.processes"
            " where kind = 'api' and seen_at >= clock_timestamp() - make_interval(secs => %s)"
            " order by started_at, instance",
            (seen_within_s,),
        )
        return await cursor.fetchall()
