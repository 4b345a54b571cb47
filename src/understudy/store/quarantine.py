"""Quarantine: rows and objects that broke an invariant, kept from use; nothing is ever deleted here.

A row names the invariants it is in quarantine for (``quarantined_for``); the entry here says since when, by
whom, what repair made of it, and how it came out again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

Connection = AsyncConnection[DictRow]

VOICE = "voice"
GENERATION = "generation"
TASK = "task"
OBJECT = "object"
LEDGER = "ledger"
#: By invariant: the kind of what it names; of ``missing_provider_metadata`` each name begins with its own.
KINDS: Mapping[str, str] = {
    "missing_provider_metadata": "",
    "orphaned_generations": GENERATION,
    "orphaned_tasks": TASK,
    "completed_without_audio": GENERATION,
    "audio_without_row": OBJECT,
    "unreadable_references": VOICE,
    "ledger_unbalanced": LEDGER,
}
_TABLES = {VOICE: "voices", GENERATION: "generations", TASK: "tasks"}


@dataclass(frozen=True, slots=True)
class Subject:
    """One row or object: its kind, and its id (of an object, ``bucket/key``; of the ledger, the task's)."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


def subject_of(invariant: str, name: str) -> Subject:
    """Return what an invariant's look calls ``name``."""
    kind = KINDS[invariant]
    if kind:
        return Subject(kind, name)
    kind, _, row_id = name.partition(" ")
    return Subject(kind, row_id)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row or object in quarantine for one invariant.

    Parameters
    ----------
    outcome
        ``repaired``, ``failed`` (ended honestly), ``needs_enrolment``, ``unrepaired`` or ``listed``; None
        before repair.
    replaced
        By column, what repair wrote over.
    owed_microusd
        What its tenant paid for and does not have.
    """

    id: int
    kind: str
    subject: str
    user_id: UUID | None
    invariant: str
    incident: str | None
    actor: str
    reason: str
    quarantined_at: datetime
    outcome: str | None
    detail: str | None
    repaired_at: datetime | None
    replaced: dict[str, Any]
    owed_microusd: int
    released_at: datetime | None
    released_by: str | None
    release_reason: str | None

    @property
    def what(self) -> Subject:
        """The row or object."""
        return Subject(self.kind, self.subject)


_COLUMNS = SQL(", ").join(Identifier(field.name) for field in fields(Entry))
_MARK = SQL(
    "update {table} r set quarantined_for = quarantined_for || %(invariant)s::text"
    " where r.id = any(%(ids)s) and not %(invariant)s = any(r.quarantined_for)"
)
_UNMARK = SQL(
    "update {table} r set quarantined_for = array_remove(quarantined_for, %(invariant)s::text)"
    " where r.id = any(%(ids)s) and %(invariant)s = any(r.quarantined_for)"
)
_OWNERS = SQL("select id::text as subject, user_id from {table} where id = any(%(ids)s)")
_ENTER = SQL("""
    insert into understudy.quarantine (kind, subject, user_id, invariant, incident, actor, reason)
    select %(kind)s, e.subject, e.user_id, %(invariant)s, %(incident)s, %(actor)s, %(reason)s
    from unnest(%(subjects)s::text[], %(users)s::uuid[]) as e (subject, user_id)
    on conflict (invariant, kind, subject) where released_at is null do nothing
""")


async def quarantine(
    conn: Connection,
    subjects: Sequence[Subject],
    *,
    invariant: str,
    incident: str | None,
    actor: str,
    reason: str,
) -> int:
    """Put rows and objects into quarantine; return how many were not in it for this invariant before.

    What is gone meanwhile is left out. The tasks of a generation that is kept from use are kept with it.
    """
    entered = 0
    for kind in sorted({subject.kind for subject in subjects}):
        named = [subject.id for subject in subjects if subject.kind == kind]
        owners = await _owners(conn, kind, named)
        values = {
            "kind": kind,
            "invariant": invariant,
            "incident": incident,
            "actor": actor,
            "reason": reason,
            "subjects": list(owners),
            "users": list(owners.values()),
        }
        entered += (await conn.execute(_ENTER, values)).rowcount
        await _mark(conn, _MARK, kind, list(owners), invariant)
    return entered


async def _owners(conn: Connection, kind: str, named: Sequence[str]) -> dict[str, UUID | None]:
    if kind == OBJECT:
        return dict.fromkeys(named)
    if kind == LEDGER:
        cursor = await conn.execute(
            "select task_id::text as subject, user_id from understudy.ledger where task_id = any(%s)",
            ([UUID(name) for name in named],),
        )
    else:
        cursor = await conn.execute(
            _OWNERS.format(table=Identifier("public", _TABLES[kind])), {"ids": [UUID(name) for name in named]}
        )
    return {row["subject"]: row["user_id"] for row in await cursor.fetchall()}


async def _mark(conn: Connection, statement: SQL, kind: str, named: Sequence[str], invariant: str) -> None:
    table = _TABLES.get(kind)
    if table is None:
        return
    values = {"ids": [UUID(name) for name in named], "invariant": invariant}
    await conn.execute(statement.format(table=Identifier("public", table)), values)
    if kind == GENERATION:
        cursor = await conn.execute(
            "select t.id from public.tasks t join public.generations g"
            " on g.id = t.generation_id and g.user_id = t.user_id"
            " where g.id = any(%s) and t.type = 'generate'",
            (values["ids"],),
        )
        tasks = [str(row["id"]) for row in await cursor.fetchall()]
        await _mark(conn, statement, TASK, tasks, invariant)


async def open_entries(
    conn: Connection,
    *,
    invariants: Sequence[str] | None = None,
    unrepaired_only: bool = False,
    after: int = 0,
    limit: int = 500,
) -> list[Entry]:
    """Entries that were not released, oldest first, after one of them.

    Parameters
    ----------
    invariants
        Of these only; of all where it is None.
    unrepaired_only
        Only those that repair has not looked at.
    """
    query = SQL(
        "select {} from understudy.quarantine where released_at is null and id > %(after)s"
        " and (%(invariants)s::text[] is null or invariant = any(%(invariants)s))"
        " and (outcome is null or not %(unrepaired)s) order by id limit %(limit)s"
    ).format(_COLUMNS)
    async with conn.cursor(row_factory=class_row(Entry)) as cursor:
        await cursor.execute(
            query,
            {
                "invariants": list(invariants) if invariants is not None else None,
                "unrepaired": unrepaired_only,
                "after": after,
                "limit": limit,
            },
        )
        return await cursor.fetchall()


async def entries_of(conn: Connection, incident: str) -> list[Entry]:
    """Every entry that an incident made, released ones too, oldest first."""
    query = SQL("select {} from understudy.quarantine where incident = %s order by id").format(_COLUMNS)
    async with conn.cursor(row_factory=class_row(Entry)) as cursor:
        await cursor.execute(query, (incident,))
        return await cursor.fetchall()


async def find_entries(conn: Connection, ids: Sequence[int]) -> list[Entry]:
    """Return the entries of these numbers, locked until commit, released ones too."""
    query = SQL("select {} from understudy.quarantine where id = any(%s) order by id for update").format(
        _COLUMNS
    )
    async with conn.cursor(row_factory=class_row(Entry)) as cursor:
        await cursor.execute(query, (list(ids),))
        return await cursor.fetchall()


async def list_entries(
    conn: Connection, *, released: bool = False, limit: int = 100
) -> tuple[list[Entry], int, int]:
    """Return the newest entries, how many there are, and what is owed for them, in micro-dollars."""
    where = SQL("where released_at is null") if not released else SQL("where true")
    query = SQL("select {} from understudy.quarantine {} order by id desc limit %s").format(_COLUMNS, where)
    async with conn.cursor(row_factory=class_row(Entry)) as cursor:
        await cursor.execute(query, (limit,))
        found = await cursor.fetchall()
    counted = await conn.execute(
        SQL(
            "select count(*)::int as entries, coalesce(sum(owed_microusd), 0)::bigint as owed"
            " from understudy.quarantine {}"
        ).format(where)
    )
    row = await counted.fetchone()
    return found, row["entries"] if row else 0, row["owed"] if row else 0


async def conclude(
    conn: Connection,
    entry: Entry,
    outcome: str,
    detail: str,
    *,
    replaced: Mapping[str, Any] | None = None,
    owed_microusd: int = 0,
) -> None:
    """Write down what repair made of an entry, once; what is whole again is released with it."""
    cursor = await conn.execute(
        "update understudy.quarantine set outcome = %s, detail = %s, repaired_at = clock_timestamp(),"
        " replaced = %s, owed_microusd = %s where id = %s and outcome is null",
        (outcome, detail, Jsonb(dict(replaced or {})), owed_microusd, entry.id),
    )
    if cursor.rowcount and outcome == "repaired":
        await release(conn, entry, actor=entry.actor, reason=detail)


async def release(conn: Connection, entry: Entry, *, actor: str, reason: str) -> bool:
    """Let a row or object out of quarantine; false when it was out already."""
    cursor = await conn.execute(
        "update understudy.quarantine set released_at = clock_timestamp(), released_by = %s,"
        " release_reason = %s where id = %s and released_at is null",
        (actor, reason, entry.id),
    )
    if not cursor.rowcount:
        return False
    await _mark(conn, _UNMARK, entry.kind, [entry.subject], entry.invariant)
    return True


async def is_open(conn: Connection, invariant: str, subject: Subject) -> bool:
    """Whether a row or object is in quarantine for an invariant."""
    cursor = await conn.execute(
        "select 1 as found from understudy.quarantine"
        " where invariant = %s and kind = %s and subject = %s and released_at is null",
        (invariant, subject.kind, subject.id),
    )
    return await cursor.fetchone() is not None


async def counts_in_quarantine(conn: Connection) -> dict[str, int]:
    """How many open entries there are, by invariant."""
    cursor = await conn.execute(
        "select invariant, count(*)::int as entries from understudy.quarantine"
        " where released_at is null group by invariant"
    )
    return {row["invariant"]: row["entries"] for row in await cursor.fetchall()}


async def objects_in_quarantine(conn: Connection, bucket: str, keys: Sequence[str]) -> set[str]:
    """Return those of a bucket's keys whose object is in quarantine."""
    cursor = await conn.execute(
        "select substr(subject, %(skip)s) as key from understudy.quarantine"
        " where kind = 'object' and released_at is null and subject = any(%(subjects)s)",
        {"skip": len(bucket) + 2, "subjects": [f"{bucket}/{key}" for key in keys]},
    )
    return {row["key"] for row in await cursor.fetchall()}
