"""Idempotency keys: who runs the request of a key now, what task it made, and what was answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL
from psycopg.types.json import Jsonb

from understudy.errors import KeyInFlightError, ValidationError

Connection = AsyncConnection[DictRow]

#: An answer is kept this long; then the key is free again.
KEPT_FOR = timedelta(hours=24)
#: A request that stops extending its lease is dead after this long, and its key may run again.
LEASE_S = 15.0
RETRY_AFTER_S = 2


@dataclass(slots=True, eq=False)
class KeyClaim:
    """The right to run the request of a key: held by one request at a time.

    Parameters
    ----------
    task_id
        The task that the key stands for: of an earlier request that died, until this one makes its own.
    since
        When the key was first used.
    ran
        This request created a task itself.
    """

    user_id: UUID
    route: str
    key: str
    holder: UUID = field(default_factory=uuid4)
    task_id: UUID | None = None
    since: datetime | None = None
    ran: bool = False

    @property
    def values(self) -> dict[str, object]:
        """What every statement's fence is given."""
        return {"user_id": self.user_id, "route": self.route, "key": self.key, "holder": self.holder}


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What a request with this key was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


_KEY = SQL("user_id = %(user_id)s and route = %(route)s and key = %(key)s")
_MINE = SQL("{} and holder = %(holder)s").format(_KEY)

_BEGIN = b"""
    insert into understudy.idempotency_keys as k
        (user_id, route, key, fingerprint, holder, lease_expires_at, created_at)
    values (%(user_id)s, %(route)s, %(key)s, %(fingerprint)s, %(holder)s, %(lease_ends)s, %(at)s)
    on conflict (user_id, route, key) do update set
        fingerprint = excluded.fingerprint, holder = excluded.holder,
        lease_expires_at = excluded.lease_expires_at,
        task_id = case when k.created_at <= %(forgotten)s then null else k.task_id end,
        status = null, headers = '{}', body = null,
        created_at = case when k.created_at <= %(forgotten)s then excluded.created_at else k.created_at end
    where k.created_at <= %(forgotten)s
       or (k.status is null and k.lease_expires_at <= %(at)s and k.fingerprint = excluded.fingerprint)
    returning task_id, created_at
"""
_FIND = SQL("select fingerprint, status, headers, body from understudy.idempotency_keys where {}").format(
    _KEY
)
_EXTEND = SQL("update understudy.idempotency_keys set lease_expires_at = %(lease_ends)s where {}").format(
    _MINE
)
_BIND = SQL("update understudy.idempotency_keys set task_id = %(task_id)s where {}").format(_MINE)
_FINISH = SQL(
    "update understudy.idempotency_keys set status = %(status)s, headers = %(headers)s, body = %(body)s"
    " where {}"
).format(_MINE)
_LET_GO = SQL("update understudy.idempotency_keys set lease_expires_at = %(at)s where {}").format(_MINE)
_FORGET = SQL("delete from understudy.idempotency_keys where {} and task_id is null").format(_MINE)


async def begin(conn: Connection, claim: KeyClaim, fingerprint: str, at: datetime) -> StoredAnswer | None:
    """Take the key for this request, or return what was answered before; ``claim.task_id`` is filled in.

    Raises
    ------
    ValidationError
        The key stands for another request.
    KeyInFlightError
        Another request with it runs right now.
    """
    values = {
        **claim.values,
        "fingerprint": fingerprint,
        "at": at,
        "lease_ends": at + timedelta(seconds=LEASE_S),
        "forgotten": at - KEPT_FOR,
    }
    row = await (await conn.execute(_BEGIN, values)).fetchone()
    if row is not None:
        claim.task_id, claim.since = row["task_id"], row["created_at"]
        return None
    row = await (await conn.execute(_FIND, claim.values)).fetchone()
    if row is not None and row["fingerprint"] != fingerprint:
        raise ValidationError("This Idempotency-Key was used for another request; use a new key.")
    if row is None or row["status"] is None:
        # Gone: the request that had it was refused just now, and this one may be sent again.
        raise KeyInFlightError(retry_after_s=RETRY_AFTER_S)
    return StoredAnswer(row["status"], row["headers"], bytes(row["body"] or b""))


async def extend(conn: Connection, claim: KeyClaim, at: datetime) -> bool:
    """Extend the lease; false when another request took the key over."""
    values = {**claim.values, "lease_ends": at + timedelta(seconds=LEASE_S)}
    return (await conn.execute(_EXTEND, values)).rowcount == 1


async def bind(conn: Connection, claim: KeyClaim, task_id: UUID) -> None:
    """Write the task of the key, in the transaction that creates it: one key, one task, whoever dies.

    Raises
    ------
    KeyInFlightError
        This request was thought dead and another has the key: its transaction must end.
    """
    bound = await conn.execute(_BIND, {**claim.values, "task_id": task_id})
    if bound.rowcount != 1:
        raise KeyInFlightError(retry_after_s=RETRY_AFTER_S)
    claim.task_id, claim.ran = task_id, True


async def finish(conn: Connection, claim: KeyClaim, answer: StoredAnswer) -> None:
    """Keep the answer."""
    values = {"status": answer.status, "headers": Jsonb(dict(answer.headers)), "body": answer.body}
    await conn.execute(_FINISH, {**claim.values, **values})


async def let_go(conn: Connection, claim: KeyClaim, at: datetime) -> None:
    """Free the key of a request that stored no answer; a task that was made stays bound to it."""
    if (await conn.execute(_FORGET, claim.values)).rowcount == 0:
        await conn.execute(_LET_GO, {**claim.values, "at": at})
