"""Two databases side by side: the restored one, and the broken one that knows what happened since its backup.

The broken one may lack any table or column: what it cannot tell is left out and said, and stops nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier, Literal
from psycopg.types.json import Jsonb

from understudy.store.freeze import FreezeRow
from understudy.store.tasks import DRIVEN, TERMINAL
from understudy.store.tombstones import Tombstone

Connection = AsyncConnection[DictRow]

#: What a tenant reads of a task whose outcome nobody knows: it may have been billed, so it is not sent again.
LOST = "The outcome was lost in a database restore; nothing was sent again. Please try again."
#: Columns that say when a row came to be.
_TIMES = (
    "created_at",
    "at",
    "requested_at",
    "received_at",
    "intended_at",
    "changed_at",
    "bucket_at",
    "minute_at",
)
_LISTED = 50


async def ask(conn: Connection, query: Any, values: Any = None) -> list[DictRow] | None:
    """Ask the broken database; None where it lacks what is asked for, or is damaged there."""
    try:
        async with conn.transaction():
            return await (await conn.execute(query, values)).fetchall()
    except psycopg.Error:
        if conn.broken:
            raise
        return None


async def tombstones_of(broken: Connection) -> list[Tombstone] | None:
    """Tombstones of the broken database, oldest first; None where it lost them."""
    rows = await ask(broken, "select kind, subject, at, user_id from understudy.tombstones order by at, id")
    return None if rows is None else [Tombstone(**row) for row in rows]


# --- what is lost -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Loss:
    """What the backup does not have.

    Parameters
    ----------
    rows
        By table, rows that came since the backup.
    microusd
        What their provider calls cost.
    unknown
        Tables that the broken database cannot tell about.
    """

    rows: Mapping[str, int]
    microusd: int | None
    ledger_gaps: int | None
    ledger_microusd: int | None
    unknown: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return it for journal and report."""
        return {
            "rows": dict(self.rows),
            "rows_total": sum(self.rows.values()),
            "microusd": self.microusd,
            "ledger_gaps": self.ledger_gaps,
            "ledger_microusd": self.ledger_microusd,
            "unknown_tables": list(self.unknown),
        }


async def measure_loss(restored: Connection, broken: Connection, since: datetime) -> Loss:
    """Count what the broken database has of after ``since``, the moment of the backup."""
    tables = await (
        await restored.execute(
            "select n.nspname as schema, c.relname as name, (select a.attname from pg_catalog.pg_attribute a"
            " where a.attrelid = c.oid and a.attname = any(%s) and not a.attisdropped"
            " order by array_position(%s, a.attname::text) limit 1) as clock"
            " from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace"
            " where c.relkind in ('r', 'p') and not c.relispartition and n.nspname !~ '^pg_'"
            " and n.nspname not in ('information_schema', 'queue') order by 1, 2",
            (list(_TIMES), list(_TIMES)),
        )
    ).fetchall()
    rows: dict[str, int] = {}
    unknown: list[str] = []
    for table in tables:
        label, place = f"{table['schema']}.{table['name']}", Identifier(table["schema"], table["name"])
        if table["clock"]:
            counted = await ask(
                broken,
                SQL("select count(*) as rows from {} where {} > %s").format(
                    place, Identifier(table["clock"])
                ),
                (since,),
            )
            newer = counted[0]["rows"] if counted else None
        else:
            there = await ask(broken, SQL("select count(*) as rows from {}").format(place))
            here = await (
                await restored.execute(SQL("select count(*) as rows from {}").format(place))
            ).fetchone()
            newer = max(0, there[0]["rows"] - here["rows"]) if there and here else None
        if newer is None:
            unknown.append(label)
        elif newer:
            rows[label] = int(newer)
    calls = await ask(
        broken,
        "select coalesce(sum(cost_microusd), 0)::bigint as money"
        " from understudy.provider_calls where at > %s",
        (since,),
    )
    ledger = await ask(
        broken,
        "select count(*) as gaps, coalesce(sum(settled_microusd + doubt_microusd), 0)::bigint as money"
        " from understudy.ledger where at > %s",
        (since,),
    )
    return Loss(
        rows,
        int(calls[0]["money"]) if calls else None,
        int(ledger[0]["gaps"]) if ledger else None,
        int(ledger[0]["money"]) if ledger else None,
        tuple(unknown),
    )


async def running_tasks(conn: Connection) -> int:
    """How many tasks a worker drives right now."""
    row = await (
        await conn.execute(
            "select count(*)::int as running from public.tasks"
            " where status = 'processing' and lease_expires_at > clock_timestamp()"
        )
    ).fetchone()
    return int(row["running"]) if row else 0


# --- tasks --------------------------------------------------------------------------------------------------

_TOLD = (
    "id, status, result, error, provider, provider_job_id, modal_job_id, provider_status, dispatched_at,"
    " completed_at, metadata, generation_id"
)
_GENERATION_FACTS = (
    "status", "audio_object_key", "duration_seconds", "generation_time_seconds", "error_message",
    "completed_at", "tts_provider", "provider_model", "output_format", "provider_metadata",
    "audio_content_type", "audio_sha256",
)  # fmt: skip


async def hold_tasks(restored: Connection, broken: Connection | None) -> dict[str, int]:
    """Decide every task that the backup has in flight; nothing billable is sent again blindly.

    Ended since: its end is taken over. Accepted by a provider: it is followed by its job id once writes go
    again. Never sent, as the broken database knows: it waits. Anything else fails: it may have been billed.

    Parameters
    ----------
    broken
        None where it cannot be asked.
    """
    flying = await (
        await restored.execute(
            "select id, type, delivery, provider_job_id, dispatched_at, generation_id from public.tasks"
            " where status in ('pending', 'processing') for update"
        )
    ).fetchall()
    ids = [row["id"] for row in flying]
    told = await _by_id(broken, f"select {_TOLD} from public.tasks where id = any(%s)", ids)  # noqa: S608
    spoken = await _by_id(
        broken,
        f"select id, {', '.join(_GENERATION_FACTS)} from public.generations where id = any(%s)",  # noqa: S608
        [row["generation_id"] for row in flying if row["generation_id"]],
    )
    fates = {"ended": 0, "followed": 0, "waiting": 0, "failed": 0}
    for task in flying:
        known = told.get(task["id"])
        speech = spoken.get(task["generation_id"]) if task["generation_id"] else None
        ended = known is not None and known["status"] in TERMINAL
        whole = task["generation_id"] is None or (speech is not None and speech["status"] in TERMINAL)
        job = (known or {}).get("provider_job_id") or task["provider_job_id"]
        sent = task["dispatched_at"] is not None or known is None or known["dispatched_at"] is not None
        queued = task["delivery"] == "queued" and task["type"] in DRIVEN
        if known is not None and ended and whole:
            await _take_over(restored, known, speech)
            fates["ended"] += 1
        elif job and queued and not ended:
            await _follow(restored, task["id"], job, known)
            fates["followed"] += 1
        elif not sent and queued:
            await _wait(restored, task["id"])
            fates["waiting"] += 1
        else:
            await _fail(restored, task["id"], task["generation_id"])
            fates["failed"] += 1
    return fates


async def jobs_without_rows(restored: Connection, broken: Connection) -> list[dict[str, Any]]:
    """Jobs at a provider, of tasks that came after the backup and have not ended."""
    found = await ask(
        broken,
        "select id, provider, provider_job_id from public.tasks where status in ('pending', 'processing')"
        " and provider_job_id is not null order by created_at",
    )
    ids = [row["id"] for row in found or ()]
    have = await (await restored.execute("select id from public.tasks where id = any(%s)", (ids,))).fetchall()
    known = {row["id"] for row in have}
    return [
        {"task": str(row["id"]), "provider": row["provider"], "job": row["provider_job_id"]}
        for row in found or ()
        if row["id"] not in known
    ]


async def _by_id(broken: Connection | None, query: str, ids: Sequence[UUID]) -> dict[UUID, DictRow]:
    found = await ask(broken, query.encode(), (list(ids),)) if broken is not None and ids else None
    return {row["id"]: row for row in found or ()}


async def _take_over(restored: Connection, known: DictRow, speech: DictRow | None) -> None:
    if speech is not None:
        settings = SQL(", ").join(SQL("{} = %({})s").format(Identifier(n), SQL(n)) for n in _GENERATION_FACTS)
        values = {**speech, "provider_metadata": Jsonb(speech["provider_metadata"])}
        await restored.execute(
            SQL("update public.generations set {} where id = %(id)s").format(settings), values
        )
    await restored.execute(
        "update public.tasks set status = %(status)s, result = %(result)s, error = %(error)s,"
        " provider = %(provider)s, provider_job_id = %(provider_job_id)s, modal_job_id = %(modal_job_id)s,"
        " provider_status = %(provider_status)s, dispatched_at = %(dispatched_at)s,"
        " completed_at = %(completed_at)s, metadata = %(metadata)s, lease_expires_at = null"
        " where id = %(id)s",
        {
            **known,
            "result": Jsonb(known["result"]) if known["result"] is not None else None,
            "metadata": Jsonb(known["metadata"]),
        },
    )


# The time that a restore took is not the task's: its deadline is as far off as when it was made.
_FOLLOW = (
    "update public.tasks set status = 'processing', claimed_by = null, lease_expires_at = null,"
    " provider_job_id = %(job)s, provider = coalesce(%(provider)s, provider), modal_job_id ="
    " case when coalesce(%(provider)s, provider) = 'modal' then %(job)s else modal_job_id end,"
    " dispatched_at = coalesce(dispatched_at, %(sent)s, clock_timestamp()),"
    " deadline_at = clock_timestamp() + (deadline_at - created_at) where id = %(id)s"
)
_WAIT = (
    "update public.tasks set claimed_by = null, lease_expires_at = null,"
    " deadline_at = clock_timestamp() + (deadline_at - created_at) where id = %s"
)


async def _follow(restored: Connection, task_id: UUID, job: str, known: DictRow | None) -> None:
    await restored.execute(
        _FOLLOW,
        {
            "id": task_id,
            "job": job,
            "provider": known["provider"] if known else None,
            "sent": known["dispatched_at"] if known else None,
        },
    )


async def _wait(restored: Connection, task_id: UUID) -> None:
    await restored.execute(_WAIT, (task_id,))


async def _fail(restored: Connection, task_id: UUID, generation_id: UUID | None) -> None:
    await restored.execute(
        "update public.generations set status = 'failed', error_message = %s,"
        " completed_at = clock_timestamp() where id = %s and status in ('pending', 'processing')",
        (LOST, generation_id),
    )
    await restored.execute(
        "update public.tasks set status = 'failed', error = %s, completed_at = clock_timestamp(),"
        " lease_expires_at = null where id = %s",
        (LOST, task_id),
    )


# --- accounts and voices ------------------------------------------------------------------------------------


async def renew_passwords(restored: Connection, broken: Connection, since: datetime, *, dry: bool) -> int:
    """Take over passwords that were changed since the backup: the old ones may be known to somebody.

    Parameters
    ----------
    dry
        Only count them.
    """
    found = await ask(
        broken,
        "select id, encrypted_password as password, updated_at from auth.users"
        " where updated_at > %s and deleted_at is null",
        (since,),
    )
    changed = 0
    count = "select from auth.users"
    renew = "update auth.users set encrypted_password = %(password)s, updated_at = %(updated_at)s"
    for row in found or ():
        cursor = await restored.execute(
            f"{count if dry else renew}"
            " where id = %(id)s and encrypted_password is distinct from %(password)s".encode(),
            row,
        )
        changed += cursor.rowcount
    return changed


async def rows_of_provider_voices(
    broken: Connection, provider: str, voice_ids: Sequence[str]
) -> dict[str, Any]:
    """Live rows of the broken database that speak with these voices of a provider, by the provider's id."""
    found = await ask(
        broken,
        "select v.provider_voice_id as voice, to_jsonb(v) as row from public.voices v"
        " where v.tts_provider = %s and v.provider_voice_id = any(%s) and v.deleted_at is null",
        (provider, list(voice_ids)),
    )
    return {row["voice"]: row["row"] for row in found or ()}


async def adopt_voice(restored: Connection, row: Mapping[str, Any]) -> bool:
    """Insert a voice's row as the broken database has it; false where that does not give enough.

    Its account must be there and live; a lost column leaves a null where there may be none.
    """
    owner = await (
        await restored.execute(
            "select 1 as found from auth.users where id = %s and deleted_at is null", (row.get("user_id"),)
        )
    ).fetchone()
    if owner is None:
        return False
    columns = SQL(", ").join(Identifier(name) for name in sorted(row))
    try:
        async with restored.transaction():
            cursor = await restored.execute(
                SQL(
                    "insert into public.voices ({columns}) select {columns}"
                    " from jsonb_populate_record(null::public.voices, %s) on conflict do nothing"
                ).format(columns=columns),
                (Jsonb(dict(row)),),
            )
    except psycopg.Error:
        if restored.broken:
            raise
        return False
    return cursor.rowcount == 1


# --- before anything starts on it ---------------------------------------------------------------------------

#: What was in force in the broken database and protects somebody: it must not be lost with the restore.
#: Rows in quarantine are not among it: an invariant that the restored rows break too is found again.
_PROTECTIONS = ("understudy.closed_reads", "understudy.valves", "understudy.budgets")


async def keep_protections(restored: Connection, broken: Connection) -> dict[str, int]:
    """Copy closed reads, valves and budgets that the backup lacks or has otherwise."""
    copied: dict[str, int] = {}
    for label in _PROTECTIONS:
        schema, _, name = label.partition(".")
        rows = await ask(broken, SQL("select to_jsonb(t) as row from {} t").format(Identifier(schema, name)))
        key = await _primary_key(restored, label)
        if not rows or not key:
            continue
        place = Identifier(schema, name)
        for row in rows:
            others = [column for column in row["row"] if column not in key]
            columns = SQL(", ").join(Identifier(column) for column in row["row"])
            settings = SQL(", ").join(
                SQL("{0} = excluded.{0}").format(Identifier(column)) for column in others
            )
            statement = SQL(
                "insert into {place} ({columns}) overriding system value select {columns}"
                " from jsonb_populate_record(null::{place}, %s) on conflict ({key}) do update set {settings}"
            ).format(
                place=place,
                columns=columns,
                key=SQL(", ").join(Identifier(column) for column in key),
                settings=settings or SQL("{0} = excluded.{0}").format(Identifier(key[0])),
            )
            try:
                async with restored.transaction():
                    cursor = await restored.execute(statement, (Jsonb(row["row"]),))
            except psycopg.Error:
                if restored.broken:
                    raise
                continue
            copied[label] = copied.get(label, 0) + cursor.rowcount
    return copied


async def freeze_in_force(broken: Connection) -> FreezeRow | None:
    """Return the write freeze that stands in the broken database; None where there is none, or it is lost."""
    rows = await ask(broken, "select frozen, actor, reason, changed_at from understudy.write_freeze")
    return FreezeRow(**rows[0]) if rows and rows[0]["frozen"] else None


async def highest_epoch(broken: Connection) -> int:
    """Return the highest epoch of mode and cutover that the broken database remembers; 0 where it is lost."""
    found = [
        await ask(broken, SQL("select max(epoch) as epoch from understudy.{}").format(Identifier(table)))
        for table in ("provider_mode", "provider_mode_history", "cutover_history")
    ]
    return max((int(rows[0]["epoch"] or 0) for rows in found if rows), default=0)


async def forget_processes(restored: Connection) -> int:
    """Remove the processes of the backup's time: none of them lives, and their epochs are history."""
    return (await restored.execute("delete from understudy.processes")).rowcount


async def _primary_key(conn: Connection, table: str) -> list[str]:
    rows = await (
        await conn.execute(
            SQL(
                "select a.attname as name from pg_catalog.pg_index i join pg_catalog.pg_attribute a"
                " on a.attrelid = i.indrelid and a.attnum = any(i.indkey)"
                " where i.indrelid = to_regclass({}) and i.indisprimary order by a.attnum"
            ).format(Literal(table))
        )
    ).fetchall()
    return [row["name"] for row in rows]
