"""Tombstones: what was deleted or revoked, copied beside the stored audio, and replayed after a restore.

Triggers write them (migrations/..._tombstones.sql), so that every way to delete leaves one. A tombstone that
the restored database already had is part of the backup; every other one is replayed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row

from understudy.errors import NotFoundError
from understudy.logs import get_logger
from understudy.store.buckets import TOMBSTONES
from understudy.store.database import Database
from understudy.store.objects import ObjectStore

Connection = AsyncConnection[DictRow]

COPIED_A_STEP = 500
#: They must outlive the oldest backup that anybody may restore from.
KEPT = timedelta(days=400)

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One deletion or revocation; ``subject`` is the id of what went.

    Parameters
    ----------
    kind
        ``voice``, ``generation``, ``account``, ``api_key``, ``session``, ``operator``, ``consent`` or
        ``password``.
    """

    kind: str
    subject: str
    at: datetime
    user_id: UUID | None = None


async def read_tombstones(conn: Connection) -> list[Tombstone]:
    """Every tombstone, oldest first."""
    async with conn.cursor(row_factory=class_row(Tombstone)) as cursor:
        await cursor.execute("select kind, subject, at, user_id from understudy.tombstones order by at, id")
        return await cursor.fetchall()


async def copy_tombstones(database: Database, objects: ObjectStore) -> int:
    """Put those that are not copied yet beside the stored audio; return how many.

    A process that dies in between copies them again: a copy replays the same.
    """
    copied = 0
    while True:
        async with database.service() as conn:
            rows = await (
                await conn.execute(
                    "select id, kind, subject, user_id, at from understudy.tombstones"
                    " where copied_at is null order by id limit %s for update skip locked",
                    (COPIED_A_STEP,),
                )
            ).fetchall()
            if not rows:
                return copied
            lines = [
                {"kind": row["kind"], "subject": row["subject"], "at": row["at"].isoformat()}
                | {"user_id": str(row["user_id"]) if row["user_id"] else None}
                for row in rows
            ]
            first, last = rows[0], rows[-1]
            # By the day first, so that a restore reads the days since its backup only. The instant keeps
            # ids of before and after a restore, which may be the same, apart.
            at_us = int(first["at"].timestamp() * 1_000_000)
            key = f"{first['at']:%Y%m%d}/{at_us}-{first['id']}-{last['id']}.json"
            await objects.put(TOMBSTONES, key, json.dumps(lines).encode(), "application/json")
            await conn.execute(
                "update understudy.tombstones set copied_at = clock_timestamp() where id = any(%s)",
                ([row["id"] for row in rows],),
            )
        copied += len(rows)


async def copied_tombstones(objects: ObjectStore, since: datetime) -> list[Tombstone]:
    """Read the copies of what was deleted since an instant (and some of before), oldest first."""
    found: set[Tombstone] = set()
    # A copy lies under the day of its oldest line; one that was made late holds younger ones too.
    first_day = f"{since - timedelta(days=2):%Y%m%d}"
    async for item in objects.list(TOMBSTONES):
        if item.key < first_day and item.modified_at < since:
            continue
        try:
            lines = json.loads(await objects.get(TOMBSTONES, item.key))
        except NotFoundError:
            continue
        found |= {_from_copy(line) for line in lines}
    return sorted(found, key=lambda one: (one.at, one.kind, one.subject))


async def forget_old(database: Database, objects: ObjectStore, before: datetime) -> int:
    """Remove copied tombstones from before an instant, and their copies; return how many rows went."""
    last_day = f"{before:%Y%m%d}"
    old = []
    async for item in objects.list(TOMBSTONES):
        if item.key >= last_day:
            break
        old.append(item.key)
    for key in old:
        await objects.delete(TOMBSTONES, key)
    async with database.service() as conn:
        cursor = await conn.execute(
            "delete from understudy.tombstones where at < %s and copied_at is not null", (before,)
        )
        return cursor.rowcount


async def unreplayed(conn: Connection, found: Sequence[Tombstone]) -> list[Tombstone]:
    """Those that the database at ``conn`` does not have: they are of after its backup."""
    have = {(one.kind, one.subject, one.at) for one in await read_tombstones(conn)}
    return [one for one in found if (one.kind, one.subject, one.at) not in have]


#: What each kind does to a row that a backup brought back; none of them fails where the row is not there.
_REPLAY: Mapping[str, str] = {
    "voice": "update public.voices set deleted_at = %(at)s where id = %(id)s and deleted_at is null",
    "generation": "delete from public.generations where id = %(id)s",
    "consent": "update public.voices set consent_statement = null, consent_name = null, consent_at = null,"
    " consent_reference_sha256 = null where id = %(id)s and consent_at is not null",
    "api_key": "update understudy.api_keys set revoked_at = %(at)s where id = %(id)s and revoked_at is null",
    "session": "update understudy.refresh_tokens set revoked_at = %(at)s"
    " where session_id = %(id)s and revoked_at is null",
    "operator": "delete from understudy.operators where user_id = %(id)s",
}
#: The collection takes the unfinished erasure up, and finishes it: rows, audio and all.
_ERASE_AGAIN = (
    "insert into understudy.erasures (user_id, actor, requested_at)"
    " select %(id)s::uuid, 'restore', %(at)s where exists (select from auth.users where id = %(id)s)"
    " on conflict (user_id) do update set completed_at = null"
)
_ACCOUNT = (
    "update auth.users set deleted_at = coalesce(deleted_at, %(at)s) where id = %(id)s",
    "update understudy.refresh_tokens set revoked_at = %(at)s where user_id = %(id)s and revoked_at is null",
    "update understudy.api_keys set revoked_at = %(at)s where user_id = %(id)s and revoked_at is null",
    _ERASE_AGAIN,
)


async def replay(conn: Connection, found: Sequence[Tombstone]) -> dict[str, int]:
    """Delete and revoke again, and keep the tombstones; return how many rows each kind changed.

    In one transaction of the caller. A ``password`` is not replayed here: only the broken database has the
    new one.
    """
    changed: dict[str, int] = {}
    for one in found:
        values = {"id": one.subject, "at": one.at}
        statements = (
            _ACCOUNT if one.kind == "account" else (_REPLAY[one.kind],) if one.kind in _REPLAY else ()
        )
        rows = 0
        for statement in statements:
            rows = max(rows, (await conn.execute(statement.encode(), values)).rowcount)
        changed[one.kind] = changed.get(one.kind, 0) + rows
        await conn.execute(
            "insert into understudy.tombstones (kind, subject, user_id, at, copied_at)"
            " values (%s, %s, %s, %s, clock_timestamp()) on conflict do nothing",
            (one.kind, one.subject, one.user_id, one.at),
        )
    return changed


def _from_copy(line: Mapping[str, str | None]) -> Tombstone:
    user = line.get("user_id")
    return Tombstone(
        str(line["kind"]),
        str(line["subject"]),
        datetime.fromisoformat(str(line["at"])),
        UUID(user) if user else None,
    )
