"""The provider mode's row and history, and the processes that live under it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL
from psycopg.types.json import Jsonb

from understudy.errors import ConflictError, StoreUnavailableError

CHANNEL = "understudy_mode"
#: Writers of the mode take turns even while there is no row to lock yet.
_WRITER_LOCK_KEY = 0x6D6F6465

Connection = AsyncConnection[DictRow]

_MODE_COLUMNS = SQL("value, epoch, actor, reason, incident, env_value, changed_at")
_READ = SQL("select {} from understudy.provider_mode").format(_MODE_COLUMNS)
_WRITE = SQL("""
    insert into understudy.provider_mode (value, epoch, actor, reason, incident, env_value, changed_at)
    values (%(value)s, %(epoch)s, %(actor)s, %(reason)s, %(incident)s, %(env_value)s, clock_timestamp())
    on conflict (only_row) do update set
        value = excluded.value, epoch = excluded.epoch, actor = excluded.actor, reason = excluded.reason,
        incident = excluded.incident, env_value = excluded.env_value, changed_at = excluded.changed_at
    returning {}
""").format(_MODE_COLUMNS)

#: Whatever writes the mode ends the cutover that is on, in the same transaction.
_END_CUTOVER = SQL("""
    with ended as (
        update understudy.cutover set
            state = %(state)s, percent = %(percent)s, epoch = %(epoch)s, actor = %(actor)s,
            reason = %(reason)s, incident = %(incident)s, changed_at = clock_timestamp(),
            stage = case when %(finishing)s then stage + 1 else stage end,
            stage_epoch = case when %(finishing)s then %(epoch)s else stage_epoch end,
            stage_started_at = case when %(finishing)s then clock_timestamp() else stage_started_at end
        where state in ('running', 'paused') or (state = 'finishing' and candidate <> %(value)s)
        returning *
    )
    insert into understudy.cutover_history
        (epoch, seq, candidate, percent, stage, state, stage_epoch, owner, plan_sha256, actor, reason,
         incident, evidence, changed_at)
    select epoch, seq, candidate, percent, stage, state, stage_epoch, owner, plan_sha256, actor, reason,
           incident, %(evidence)s, changed_at
    from ended
""")


@dataclass(frozen=True, slots=True)
class CutoverEnd:
    """How a write of the mode ends the cutover that is on.

    Parameters
    ----------
    state
        ``finishing`` where the write itself is the cutover's last stage; otherwise ``returned`` or
        ``superseded``.
    percent
        Of tenants that the candidate serves from then on.
    evidence
        What it rests on; kept in the history.
    """

    state: str = "superseded"
    percent: int = 0
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModeRow:
    """The live mode.

    Parameters
    ----------
    value
        Name of the provider that serves.
    epoch
        Grows with every write, by one or more.
    env_value
        ``TTS_PROVIDER_MODE`` of the environment this row was written over.
    changed_at
        UTC.
    """

    value: str
    epoch: int
    actor: str
    reason: str
    incident: str | None
    env_value: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class ModeChange:
    """One entry of the history; ``previous_value`` is None for the first."""

    epoch: int
    previous_value: str | None
    value: str
    actor: str
    reason: str
    incident: str | None
    env_value: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One running process and the mode it holds. Times are UTC.

    Parameters
    ----------
    known_good_ok
        Whether the known-good provider passed this process's last check; ``None`` before the first.
    secret_digests
        Of the secrets it holds, by setting: see :meth:`understudy.settings.Settings.secret_digests`.
    cutover_epoch
        Newest epoch of a cutover that it holds; ``None`` before the first.
    """

    instance: UUID
    kind: str
    pid: int
    host: str
    mode_value: str | None
    mode_epoch: int | None
    mode_state: str | None
    env_value: str | None
    started_at: datetime
    seen_at: datetime
    known_good_ok: bool | None = None
    secret_digests: Mapping[str, str] = field(default_factory=dict, hash=False)
    cutover_epoch: int | None = None
    #: The revision that its code says it runs.
    revision: str | None = None

    @property
    def drifts(self) -> bool:
        """Whether the mode it holds is another than its environment says."""
        return self.env_value is not None and self.mode_value != self.env_value


async def read_mode(conn: Connection, *, for_update: bool = False) -> ModeRow | None:
    """Return the row, or None before the first write.

    Parameters
    ----------
    for_update
        Keep other writers out until this transaction ends, also while there is no row: for a decision that is
        written in the same transaction.
    """
    if for_update:
        await conn.execute("select pg_advisory_xact_lock(%s)", (_WRITER_LOCK_KEY,))
    async with conn.cursor(row_factory=class_row(ModeRow)) as cursor:
        await cursor.execute(_READ)
        return await cursor.fetchone()


async def write_mode(
    conn: Connection,
    *,
    value: str,
    actor: str,
    reason: str,
    incident: str | None,
    env_value: str,
    expected_epoch: int | None = None,
    minimum_epoch: int = 0,
    cutover: CutoverEnd | None = None,
) -> ModeRow:
    """Write the next epoch with its history row and tell every listener, all when the transaction commits.

    A cutover that is on ends with it.

    Parameters
    ----------
    cutover
        How it ends.
    expected_epoch
        Refuse when the row has another epoch by now (0: when there is a row); None writes over any.
    minimum_epoch
        Highest epoch the caller has seen anywhere: the new one is above it, even on a restored database.

    Raises
    ------
    ConflictError
        Another writer came first.
    """
    current = await read_mode(conn, for_update=True)
    epoch_now = current.epoch if current else 0
    if expected_epoch is not None and expected_epoch != epoch_now:
        raise ConflictError(
            f"The provider mode changed meanwhile: epoch {epoch_now}, not {expected_epoch}. Decide again."
        )
    async with conn.cursor(row_factory=class_row(ModeRow)) as cursor:
        await cursor.execute(
            _WRITE,
            {
                "value": value,
                "epoch": max(epoch_now, await highest_known_epoch(conn), minimum_epoch) + 1,
                "actor": actor,
                "reason": reason,
                "incident": incident,
                "env_value": env_value,
            },
        )
        written = await cursor.fetchone()
    if written is None:
        raise StoreUnavailableError("The provider mode could not be written.")
    await conn.execute(
        """
        insert into understudy.provider_mode_history
            (epoch, previous_value, value, actor, reason, incident, env_value, changed_at)
        values (%s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            written.epoch,
            current.value if current else None,
            written.value,
            written.actor,
            written.reason,
            written.incident,
            written.env_value,
            written.changed_at,
        ),
    )
    end = cutover or CutoverEnd()
    await conn.execute(
        _END_CUTOVER,
        {
            "state": end.state,
            "finishing": end.state == "finishing",
            "percent": end.percent,
            "epoch": written.epoch,
            "actor": actor,
            "reason": reason,
            "incident": incident,
            "value": value,
            "evidence": Jsonb(dict(end.evidence)),
        },
    )
    await conn.execute("select pg_notify(%s, %s)", (CHANNEL, str(written.epoch)))
    return written


async def record_environment(conn: Connection, env_value: str) -> None:
    """Note that the environment now says ``env_value``; mode and epoch stay."""
    await conn.execute("update understudy.provider_mode set env_value = %s", (env_value,))


async def mode_history(conn: Connection, limit: int = 50) -> list[ModeChange]:
    """The last ``limit`` changes, newest first."""
    async with conn.cursor(row_factory=class_row(ModeChange)) as cursor:
        await cursor.execute(
            """
            select epoch, previous_value, value, actor, reason, incident, env_value, changed_at
            from understudy.provider_mode_history order by epoch desc limit %s
            """,
            (limit,),
        )
        return await cursor.fetchall()


async def heartbeat_process(conn: Connection, process: ProcessRow) -> None:
    """Say that ``process`` lives. ``seen_at`` is the database's time: ages then compare across machines."""
    await conn.execute(
        """
        insert into understudy.processes
            (instance, kind, pid, host, mode_value, mode_epoch, mode_state, env_value, started_at, seen_at,
             known_good_ok, secret_digests, cutover_epoch, revision)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp(), %s, %s, %s, %s)
        on conflict (instance) do update set
            kind = excluded.kind, pid = excluded.pid, host = excluded.host,
            mode_value = excluded.mode_value, mode_epoch = excluded.mode_epoch,
            mode_state = excluded.mode_state, env_value = excluded.env_value,
            started_at = excluded.started_at, seen_at = excluded.seen_at,
            known_good_ok = excluded.known_good_ok, secret_digests = excluded.secret_digests,
            cutover_epoch = excluded.cutover_epoch, revision = excluded.revision
        """,
        (
            process.instance,
            process.kind,
            process.pid,
            process.host,
            process.mode_value,
            process.mode_epoch,
            process.mode_state,
            process.env_value,
            process.started_at,
            process.known_good_ok,
            Jsonb(dict(process.secret_digests)),
            process.cutover_epoch,
            process.revision,
        ),
    )


async def list_processes(conn: Connection, seen_within_s: float) -> list[ProcessRow]:
    """Processes that said they live within the last ``seen_within_s`` seconds, oldest first."""
    async with conn.cursor(row_factory=class_row(ProcessRow)) as cursor:
        await cursor.execute(
            """
            select instance, kind, pid, host, mode_value, mode_epoch, mode_state, env_value,
                   started_at, seen_at, known_good_ok, secret_digests, cutover_epoch, revision
            from understudy.processes
            where seen_at >= clock_timestamp() - make_interval(secs => %s)
            order by started_at, instance
            """,
            (seen_within_s,),
        )
        return await cursor.fetchall()


async def remove_process(conn: Connection, instance: UUID) -> None:
    """Take a process that stops off the list."""
    await conn.execute("delete from understudy.processes where instance = %s", (instance,))


async def highest_known_epoch(conn: Connection) -> int:
    """Highest epoch of mode and cutover on record, and of what processes report that they hold.

    A row restored alone must not reuse a number; after a restore of everything, processes that ran through it
    say again what they had seen, and would refuse a lower one.
    """
    cursor = await conn.execute(
        "select greatest((select max(epoch) from understudy.provider_mode_history),"
        " (select max(epoch) from understudy.cutover_history),"
        " (select max(greatest(mode_epoch, cutover_epoch)) from understudy.processes), 0) as epoch"
    )
    row = await cursor.fetchone()
    return int(row["epoch"]) if row else 0
