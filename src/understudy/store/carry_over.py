"""Carrying voices over to another provider: who needs it, runs with a budget, and one intent a voice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection, Rollback
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from understudy.errors import ConflictError, StoreUnavailableError
from understudy.store import calls
from understudy.store.calls import CallRecord

Connection = AsyncConnection[DictRow]

VALVE = "carry-over"
_RUN_LOCK_KEY = 0x63617272


class Halt(StrEnum):
    """Why a run sends nothing more."""

    BUDGET = "budget"
    VALVE = "valve"
    FROZEN = "frozen"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where voices are to be spoken.

    Parameters
    ----------
    models
        By voice kind, the one model that a binding must be made for; empty where nothing is enrolled.
    strict
        A voice counts only where it was made (``VOICE_CARRY_OVER=off``).
    """

    provider: str
    models: Mapping[str, str]
    region: str
    strict: bool = False

    @property
    def values(self) -> dict[str, Any]:
        """What the statements here are given."""
        return {
            "provider": self.provider,
            "vc": self.models.get("vc"),
            "vd": self.models.get("vd"),
            "region": self.region,
            "strict": self.strict,
            "enrols": bool(self.models),
        }


@dataclass(frozen=True, slots=True)
class Candidate:
    """A live voice that does not speak there yet; ``last_used_at`` is its newest generation's time."""

    voice_id: UUID
    user_id: UUID
    reference_object_key: str | None
    reference_transcript: str | None
    reference_sha256: str | None
    language: str
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Intent:
    """One voice's carry-over, written before the provider is asked ``age_s`` seconds ago."""

    voice_id: UUID
    user_id: UUID
    provider: str
    target_model: str
    region: str
    label: str
    cost_microusd: int
    run_id: UUID
    age_s: float


@dataclass(frozen=True, slots=True)
class NewBinding:
    """How the provider knows the voice from now on."""

    voice_id: str
    target_model: str
    region: str | None
    request_id: str | None
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many voices, and tenants, a provider could serve.

    Parameters
    ----------
    used, used_covered
        Live voices spoken in the time looked at, and those of them that speak there.
    tenants, tenants_covered
        Tenants who used a voice in that time, and those all of whose used voices speak there.
    """

    live: int
    live_covered: int
    used: int
    used_covered: int
    tenants: int
    tenants_covered: int

    @property
    def share(self) -> float:
        """Covered part of the used voices; 1 when none was used."""
        return self.used_covered / self.used if self.used else 1.0


#: As ``speech.speakable.binding_of`` decides, for rows instead of one row.
SPEAKS = SQL(
    "((NOT %(strict)s OR v.tts_provider = %(provider)s) AND CASE WHEN %(enrols)s THEN"
    " v.provider_voice_id IS NOT NULL AND v.provider_target_model ="
    " CASE v.provider_voice_kind WHEN 'vc' THEN %(vc)s::text WHEN 'vd' THEN %(vd)s::text END"
    " AND coalesce(v.provider_region, %(region)s) = %(region)s"
    " ELSE coalesce(v.reference_object_key, '') <> '' AND coalesce(v.reference_transcript, '') <> '' END)"
)
_NOT_CANARY = SQL("NOT EXISTS (SELECT FROM understudy.synthetic_users s WHERE s.user_id = v.user_id)")
_CANDIDATES = SQL(
    "SELECT v.id AS voice_id, v.user_id, v.reference_object_key, v.reference_transcript, v.reference_sha256,"
    " v.language, u.last_used_at FROM public.voices v"
    " LEFT JOIN LATERAL (SELECT max(g.created_at) AS last_used_at FROM public.generations g"
    " WHERE g.voice_id = v.id AND g.user_id = v.user_id) u ON true"
    " WHERE v.deleted_at IS NULL AND NOT coalesce({speaks}, false)"
    " AND ((%(user)s::uuid IS NULL AND {not_canary}) OR v.user_id = %(user)s::uuid)"
    " ORDER BY u.last_used_at DESC NULLS LAST, v.created_at, v.id LIMIT %(limit)s"
).format(speaks=SPEAKS, not_canary=_NOT_CANARY)
_COVERAGE = SQL(
    "WITH voice AS (SELECT v.id, v.user_id, coalesce({speaks}, false) AS covered,"
    " EXISTS (SELECT FROM public.generations g WHERE g.voice_id = v.id AND g.user_id = v.user_id"
    " AND g.created_at >= clock_timestamp() - make_interval(days => %(days)s)) AS used"
    " FROM public.voices v WHERE v.deleted_at IS NULL AND {not_canary}),"
    " tenant AS (SELECT user_id, bool_and(covered) AS covered FROM voice WHERE used GROUP BY user_id)"
    " SELECT count(*)::int AS live, (count(*) FILTER (WHERE covered))::int AS live_covered,"
    " (count(*) FILTER (WHERE used))::int AS used,"
    " (count(*) FILTER (WHERE used AND covered))::int AS used_covered,"
    " (SELECT count(*)::int FROM tenant) AS tenants,"
    " (SELECT (count(*) FILTER (WHERE covered))::int FROM tenant) AS tenants_covered FROM voice"
).format(speaks=SPEAKS, not_canary=_NOT_CANARY)


async def coverage(conn: Connection, destination: Destination, *, days: int) -> Coverage:
    """Count what speaks at ``destination``, canaries left out."""
    async with conn.cursor(row_factory=class_row(Coverage)) as cursor:
        await cursor.execute(_COVERAGE, {**destination.values, "days": days})
        found = await cursor.fetchone()
    return found or Coverage(0, 0, 0, 0, 0, 0)


async def candidates(
    conn: Connection, destination: Destination, *, user_id: UUID | None = None, limit: int | None = None
) -> list[Candidate]:
    """Live voices that do not speak at ``destination``, the most recently used first.

    Canaries' voices are left out, unless their user is named.
    """
    async with conn.cursor(row_factory=class_row(Candidate)) as cursor:
        await cursor.execute(_CANDIDATES, {**destination.values, "user": user_id, "limit": limit})
        return await cursor.fetchall()


async def states_of(
    conn: Connection, destination: Destination, user_id: UUID, voice_ids: Sequence[UUID]
) -> dict[UUID, str]:
    """Return the state of each intent that there is for these voices of the user's to ``destination``."""
    cursor = await conn.execute(
        "SELECT voice_id, state FROM understudy.carry_overs WHERE voice_id = ANY(%s) AND user_id = %s"
        " AND provider = %s AND target_model = %s AND region = %s",
        (
            list(voice_ids),
            user_id,
            destination.provider,
            destination.models.get("vc", ""),
            destination.region,
        ),
    )
    return {row["voice_id"]: row["state"] for row in await cursor.fetchall()}


class RunLock:
    """The right to be the one run of this database: held by a connection, so it ends with the process."""

    def __init__(self, conn: AsyncConnection[Any]) -> None:
        self._conn = conn

    async def confirm(self) -> None:
        """Raise :class:`StoreUnavailableError` when the lock may be another's by now."""
        try:
            await self._conn.execute("SELECT 1")
        except psycopg.Error as error:
            raise StoreUnavailableError("The connection that held this run's lock was lost.") from error


@asynccontextmanager
async def run_lock(url: SecretStr) -> AsyncIterator[RunLock]:
    """Be the only carry-over of this database.

    Raises
    ------
    ConflictError
        Another run is under way.
    StoreUnavailableError
        The database does not answer.
    """
    try:
        conn = await AsyncConnection.connect(
            url.get_secret_value(), autocommit=True, application_name="understudy-carry-over"
        )
    except psycopg.OperationalError as error:
        raise StoreUnavailableError from error
    async with conn:
        cursor = await conn.execute("SELECT pg_try_advisory_lock(%s)", (_RUN_LOCK_KEY,))
        row = await cursor.fetchone()
        if not (row and row[0]):
            raise ConflictError("Another carry-over is under way; let it finish, or stop it.")
        yield RunLock(conn)


async def begin_run(conn: Connection, *, run_id: UUID, provider: str, actor: str, budget: int) -> None:
    """Write down a run and what it may spend, in micro-dollars."""
    await conn.execute(
        "INSERT INTO understudy.carry_over_runs (id, provider, actor, budget_microusd)"
        " VALUES (%s, %s, %s, %s)",
        (run_id, provider, actor, budget),
    )


async def end_run(conn: Connection, run_id: UUID) -> int:
    """Write down that a run ended; return what it reserved or spent, in micro-dollars."""
    cursor = await conn.execute(
        "UPDATE understudy.carry_over_runs SET ended_at = clock_timestamp() WHERE id = %s"
        " RETURNING reserved_microusd",
        (run_id,),
    )
    row = await cursor.fetchone()
    return int(row["reserved_microusd"]) if row else 0


_INTENT = SQL(
    "voice_id, user_id, provider, target_model, region, label, cost_microusd, run_id,"
    " extract(epoch FROM clock_timestamp() - intended_at)::float8 AS age_s"
)
_INTEND = SQL(
    "INSERT INTO understudy.carry_overs (voice_id, provider, target_model, region, user_id, run_id, label,"
    " state, cost_microusd) SELECT v.id, %(provider)s, %(vc)s, %(region)s, v.user_id, %(run)s, %(label)s,"
    " 'intended', %(cost)s FROM public.voices v"
    " WHERE v.id = %(voice)s AND v.user_id = %(user)s AND v.deleted_at IS NULL"
    " ON CONFLICT (voice_id, provider, target_model, region) DO UPDATE SET run_id = excluded.run_id,"
    " state = 'intended', cost_microusd = excluded.cost_microusd, attempts = carry_overs.attempts + 1,"
    " error = NULL, intended_at = clock_timestamp(), ended_at = NULL"
    # What was done before and is a candidate again lost its binding by hand; what is intended may be billed.
    " WHERE carry_overs.state IN ('failed', 'done') RETURNING {intent}"
).format(intent=_INTENT)


async def intend(
    conn: Connection,
    destination: Destination,
    candidate: Candidate,
    *,
    run_id: UUID,
    label: str,
    cost: int,
) -> Intent | Halt | None:
    """Reserve the cost in the run's budget and write the intent, in one transaction of the caller's.

    Returns
    -------
    Intent, Halt or None
        ``None`` when there is nothing to carry: the voice was deleted, or an intent is there already.
    """
    cursor = await conn.execute(
        "SELECT EXISTS (SELECT FROM understudy.valves WHERE name = %s AND closed) AS closed,"
        " EXISTS (SELECT FROM understudy.write_freeze WHERE frozen) AS frozen",
        (VALVE,),
    )
    held = await cursor.fetchone()
    if held and held["closed"]:
        return Halt.VALVE
    if held and held["frozen"]:
        return Halt.FROZEN
    values = {**destination.values, "voice": candidate.voice_id, "user": candidate.user_id}
    result: Intent | Halt | None = None
    async with conn.transaction() as written:
        async with conn.cursor(row_factory=class_row(Intent)) as intents:
            await intents.execute(_INTEND, {**values, "run": run_id, "label": label, "cost": cost})
            result = await intents.fetchone()
        if result is not None and not await _reserve(conn, run_id, cost):
            result = Halt.BUDGET
            raise Rollback(written)
    return result


async def _reserve(conn: Connection, run_id: UUID, cost: int) -> bool:
    cursor = await conn.execute(
        "UPDATE understudy.carry_over_runs SET reserved_microusd = reserved_microusd + %(cost)s"
        " WHERE id = %(run)s AND reserved_microusd + %(cost)s <= budget_microusd",
        {"cost": cost, "run": run_id},
    )
    return cursor.rowcount == 1


async def unsettled(conn: Connection, provider: str) -> list[Intent]:
    """Intents of runs that died or lost an answer: whether the provider made the voice is not known."""
    async with conn.cursor(row_factory=class_row(Intent)) as cursor:
        await cursor.execute(
            SQL(
                "SELECT {} FROM understudy.carry_overs WHERE provider = %s AND state = 'intended'"
                " ORDER BY intended_at, voice_id"
            ).format(_INTENT),
            (provider,),
        )
        return await cursor.fetchall()


_BIND = b"""
    update public.voices v set
        provider_voice_id = %(bound)s, provider_target_model = %(model)s, provider_voice_kind = 'vc',
        provider_region = %(bound_region)s, provider_request_id = %(request)s,
        provider_metadata = coalesce(v.provider_metadata, '{}') || %(metadata)s || case
            when v.provider_voice_id is null or v.provider_voice_id = %(bound)s then '{}'::jsonb
            else jsonb_build_object('previous_bindings',
                coalesce(v.provider_metadata -> 'previous_bindings', '[]') || jsonb_build_array(
                    jsonb_build_object('voice_id', v.provider_voice_id,
                        'target_model', v.provider_target_model, 'kind', v.provider_voice_kind,
                        'region', v.provider_region, 'request_id', v.provider_request_id))) end
    where v.id = %(voice)s and v.user_id = %(user)s and v.deleted_at is null
"""


async def finish(conn: Connection, intent: Intent, bound: NewBinding, record: CallRecord) -> bool:
    """Bind the voice and settle its intent; false when the voice was deleted meanwhile.

    Parameters
    ----------
    record
        Of the call that made it.
    """
    facts = {"provider": intent.provider, "label": intent.label, "run_id": str(intent.run_id)}
    cursor = await conn.execute(
        _BIND,
        {
            "bound": bound.voice_id,
            "model": bound.target_model,
            "bound_region": bound.region,
            "request": bound.request_id,
            "metadata": Jsonb({**bound.metadata, "carried_over": facts}),
            "voice": intent.voice_id,
            "user": intent.user_id,
        },
    )
    is_bound = cursor.rowcount == 1
    await _settle(conn, intent, "done" if is_bound else "deleted", voice_id=bound.voice_id)
    await calls.settle_call(conn, record)
    return is_bound


async def fail(conn: Connection, intent: Intent, error: str, record: CallRecord | None) -> None:
    """Settle an intent that made no voice, and give back what was reserved for it."""
    await _settle(conn, intent, "failed", error=error)
    await conn.execute(
        "UPDATE understudy.carry_over_runs SET reserved_microusd = reserved_microusd - %s WHERE id = %s",
        (intent.cost_microusd, intent.run_id),
    )
    if record is not None:
        await calls.settle_call(conn, record)


async def _settle(
    conn: Connection, intent: Intent, state: str, *, voice_id: str | None = None, error: str | None = None
) -> None:
    await conn.execute(
        "UPDATE understudy.carry_overs SET state = %s, provider_voice_id = %s, error = %s,"
        " ended_at = clock_timestamp() WHERE voice_id = %s AND provider = %s AND target_model = %s"
        " AND region = %s",
        (state, voice_id, error, intent.voice_id, intent.provider, intent.target_model, intent.region),
    )
