"""The cutover's row and history, who stays out of it, and what its two sides did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow, class_row
from psycopg.sql import SQL
from psycopg.types.json import Jsonb

from understudy.errors import ConflictError
from understudy.store import mode
from understudy.store.carry_over import SPEAKS, Destination
from understudy.store.rollups import buckets_of

#: Live: the candidate serves a share of the tenants.
LIVE_STATES = frozenset({"running", "paused"})
#: Of a cohort's share: hundredths of a percent.
BUCKETS = 10_000
#: Put before a tenant's id; another text would put every tenant elsewhere.
COHORT_TAG = "understudy.cutover:"

Connection = AsyncConnection[DictRow]

_COLUMNS = SQL(
    "seq, candidate, percent, stage, state, epoch, stage_epoch, owner, plan, plan_sha256, actor, reason,"
    " incident, started_at, stage_started_at, watched_until, membership, changed_at"
)
_READ = SQL(
    "select {}, extract(epoch from watched_until - clock_timestamp())::float8 as watch_left_s,"
    " extract(epoch from clock_timestamp() - stage_started_at)::float8 as stage_age_s"
    " from understudy.cutover"
).format(_COLUMNS)


@dataclass(frozen=True, slots=True)
class CutoverRow:
    """The newest cutover. Times are UTC.

    Parameters
    ----------
    seq
        Number of the cutover; the next one has the next.
    percent
        Of tenants, by stable hash, that the candidate serves.
    stage
        Index in the plan's stages.
    state
        ``running``, ``paused`` (stays as it is), ``finishing`` (everybody, the last stage is held),
        ``complete``, ``returned``, or ``superseded`` by another write of the mode.
    epoch
        Grows with every write, in one sequence with the provider mode's.
    stage_epoch
        Under which the candidate's calls of this stage are on record.
    plan
        What was planned: stages, settings, the preflight.
    membership
        Grows with every change of who stays out.
    watch_left_s
        Until the mode row serves everybody unless a guard looks again; negative when that is over.
    stage_age_s
        How long the stage has been on, by the database's clock.
    """

    seq: int
    candidate: str
    percent: int
    stage: int
    state: str
    epoch: int
    stage_epoch: int
    owner: str
    plan: Mapping[str, Any]
    plan_sha256: str
    actor: str
    reason: str
    incident: str | None
    started_at: datetime
    stage_started_at: datetime
    watched_until: datetime
    membership: int
    changed_at: datetime
    watch_left_s: float
    stage_age_s: float

    def in_force(self, mode_epoch: int) -> bool:
        """Whether the candidate serves a share beside the mode of that epoch, while somebody watches."""
        return self.state in LIVE_STATES and self.epoch > mode_epoch


@dataclass(frozen=True, slots=True)
class CutoverChange:
    """One entry of the history."""

    epoch: int
    seq: int
    candidate: str
    percent: int
    stage: int
    state: str
    stage_epoch: int
    owner: str
    plan_sha256: str
    actor: str
    reason: str
    incident: str | None
    evidence: Mapping[str, Any]
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Stayer:
    """A tenant of the share that stays: so many voices that it used do not speak at the candidate."""

    user_id: UUID
    voices: int


@dataclass(frozen=True, slots=True)
class SideTotals:
    """What one side of a stage did: users' calls of one operation, and requests refused with 409.

    Parameters
    ----------
    latency_ms, first_audio_ms
        Means over successful calls; ``None`` without any.
    asked, refused
        Admissions asked for, and those refused because of the mode or a voice's coverage.
    """

    total: int = 0
    failed: int = 0
    latency_ms: float | None = None
    first_audio_calls: int = 0
    first_audio_ms: float | None = None
    characters: int = 0
    cost_microusd: int = 0
    asked: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class NewCutover:
    """What a start writes."""

    candidate: str
    percent: int
    owner: str
    plan: Mapping[str, Any]
    plan_sha256: str
    watched_s: float


async def read_cutover(conn: Connection, *, for_update: bool = False) -> CutoverRow | None:
    """Return the newest cutover, or ``None`` before the first.

    Parameters
    ----------
    for_update
        Keep other writers of cutover and mode out until this transaction ends.
    """
    if for_update:
        await mode.read_mode(conn, for_update=True)
    async with conn.cursor(row_factory=class_row(CutoverRow)) as cursor:
        await cursor.execute(_READ)
        return await cursor.fetchone()


async def read_stays(conn: Connection) -> tuple[int, frozenset[UUID]]:
    """Return who stays out, with the membership that it is of: one snapshot."""
    cursor = await conn.execute(
        "select membership, array(select user_id from understudy.cutover_stays) as users"
        " from understudy.cutover"
    )
    row = await cursor.fetchone()
    return (int(row["membership"]), frozenset(row["users"])) if row else (0, frozenset())


async def list_stays(conn: Connection, limit: int = 1000) -> list[Stayer]:
    """Who stays out and for how many voices, most voices first; canaries have none."""
    async with conn.cursor(row_factory=class_row(Stayer)) as cursor:
        await cursor.execute(
            "select user_id, voices from understudy.cutover_stays where voices > 0"
            " order by voices desc, user_id limit %s",
            (limit,),
        )
        return await cursor.fetchall()


async def cutover_history(conn: Connection, limit: int = 50) -> list[CutoverChange]:
    """The last ``limit`` changes, newest first."""
    async with conn.cursor(row_factory=class_row(CutoverChange)) as cursor:
        await cursor.execute(
            "select epoch, seq, candidate, percent, stage, state, stage_epoch, owner, plan_sha256, actor,"
            " reason, incident, evidence, changed_at from understudy.cutover_history"
            " order by epoch desc limit %s",
            (limit,),
        )
        return await cursor.fetchall()


_START = SQL("""
    insert into understudy.cutover as c
        (seq, candidate, percent, stage, state, epoch, stage_epoch, owner, plan, plan_sha256, actor, reason,
         started_at, stage_started_at, watched_until, changed_at)
    values (1, %(candidate)s, %(percent)s, 0, 'running', %(epoch)s, %(epoch)s, %(owner)s, %(plan)s,
            %(plan_sha256)s, %(actor)s, %(reason)s, clock_timestamp(), clock_timestamp(),
            clock_timestamp() + make_interval(secs => %(watched_s)s), clock_timestamp())
    on conflict (only_row) do update set
        seq = c.seq + 1, candidate = excluded.candidate, percent = excluded.percent, stage = 0,
        state = 'running', epoch = excluded.epoch, stage_epoch = excluded.epoch, owner = excluded.owner,
        plan = excluded.plan, plan_sha256 = excluded.plan_sha256, actor = excluded.actor,
        reason = excluded.reason, incident = null, started_at = excluded.started_at,
        stage_started_at = excluded.stage_started_at, watched_until = excluded.watched_until,
        changed_at = excluded.changed_at
""")
_CHANGE = SQL("""
    update understudy.cutover set
        state = %(state)s, epoch = %(epoch)s, actor = %(actor)s, reason = %(reason)s,
        percent = coalesce(%(percent)s, percent), stage = coalesce(%(stage)s, stage),
        stage_epoch = case when %(stage)s::int is null then stage_epoch else %(epoch)s end,
        stage_started_at = case when %(stage)s::int is null then stage_started_at
                                else clock_timestamp() end,
        watched_until = case when %(watched_s)s::float8 is null then watched_until
                             else clock_timestamp() + make_interval(secs => %(watched_s)s) end,
        changed_at = clock_timestamp()
""")
_RECORD = SQL("""
    insert into understudy.cutover_history
        (epoch, seq, candidate, percent, stage, state, stage_epoch, owner, plan_sha256, actor, reason,
         incident, evidence, changed_at)
    select epoch, seq, candidate, percent, stage, state, stage_epoch, owner, plan_sha256, actor, reason,
           incident, %s, changed_at from understudy.cutover
""")


async def start_cutover(
    conn: Connection, new: NewCutover, *, actor: str, reason: str, minimum_epoch: int = 0
) -> CutoverRow:
    """Write the first stage of the next cutover and tell every listener, when the transaction commits.

    Raises
    ------
    ConflictError
        One is on already.
    """
    current = await read_cutover(conn, for_update=True)
    if current is not None and current.state in {*LIVE_STATES, "finishing"}:
        raise ConflictError(f"Cutover {current.seq} is {current.state}; end it first.")
    await conn.execute(
        _START,
        {
            "candidate": new.candidate,
            "percent": new.percent,
            "epoch": await _next_epoch(conn, minimum_epoch),
            "owner": new.owner,
            "plan": Jsonb(dict(new.plan)),
            "plan_sha256": new.plan_sha256,
            "actor": actor,
            "reason": reason,
            "watched_s": new.watched_s,
        },
    )
    return await _written(conn, {})


async def change_cutover(
    conn: Connection,
    *,
    expected_epoch: int,
    state: str,
    actor: str,
    reason: str,
    percent: int | None = None,
    stage: int | None = None,
    watched_s: float | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> CutoverRow:
    """Write the next epoch of the cutover that is on; with a ``stage`` its sample begins anew.

    Raises
    ------
    ConflictError
        It changed since ``expected_epoch``.
    """
    current = await read_cutover(conn, for_update=True)
    if current is None or current.epoch != expected_epoch:
        raise ConflictError("The cutover changed meanwhile; look at `understudy cutover status` again.")
    await conn.execute(
        _CHANGE,
        {
            "state": state,
            "epoch": await _next_epoch(conn, 0),
            "actor": actor,
            "reason": reason,
            "percent": percent,
            "stage": stage,
            "watched_s": watched_s,
        },
    )
    return await _written(conn, evidence or {})


async def watch_cutover(conn: Connection, *, watched_s: float) -> bool:
    """Say that somebody looks at the cutover that is on; false when the watch has lapsed, or none is on."""
    cursor = await conn.execute(
        "update understudy.cutover set watched_until = clock_timestamp() + make_interval(secs => %s)"
        " where state in ('running', 'paused') and watched_until > clock_timestamp()",
        (watched_s,),
    )
    return cursor.rowcount == 1


async def _next_epoch(conn: Connection, minimum_epoch: int) -> int:
    current = await mode.read_mode(conn)
    return max(current.epoch if current else 0, await mode.highest_known_epoch(conn), minimum_epoch) + 1


async def _written(conn: Connection, evidence: Mapping[str, Any]) -> CutoverRow:
    await conn.execute(_RECORD, (Jsonb(dict(evidence)),))
    row = await read_cutover(conn)
    assert row is not None  # noqa: S101  (it was written in this transaction)
    await conn.execute("select pg_notify(%s, %s)", (mode.CHANNEL, str(row.epoch)))
    return row


# --- who joins ----------------------------------------------------------------------------------------------

IN_SHARE = SQL(
    "('x' || encode(substring(sha256(convert_to(%(tag)s, 'UTF8') || uuid_send({user})) from 1 for 4), 'hex'))"
    "::bit(32)::bigint %% %(buckets)s < %(percent)s * 100"
)
_USED = SQL(
    "select v.user_id, (count(*) filter (where not coalesce({speaks}, false)))::int as voices"
    " from public.voices v where v.deleted_at is null"
    " and not exists (select from understudy.synthetic_users s where s.user_id = v.user_id)"
    " and exists (select from public.generations g where g.voice_id = v.id and g.user_id = v.user_id"
    " and g.created_at >= clock_timestamp() - make_interval(days => %(days)s))"
    " and {in_share} group by v.user_id"
).format(speaks=SPEAKS, in_share=IN_SHARE.format(user=SQL("v.user_id")))
_RENEW = SQL("""
    with fresh as (
        select user_id, voices from ({used}) used where voices > 0
        union all
        select user_id, 0 from understudy.synthetic_users
    ),
    gone as (
        delete from understudy.cutover_stays s
        where not exists (select from fresh f where f.user_id = s.user_id) returning 1
    ),
    come as (
        insert into understudy.cutover_stays as s (user_id, voices) select user_id, voices from fresh
        on conflict (user_id) do update set voices = excluded.voices where s.voices <> excluded.voices
        returning 1
    )
    select (select count(*) from gone) + (select count(*) from come) as changes
""").format(used=_USED)


def _share(destination: Destination, *, percent: int, days: int) -> dict[str, Any]:
    return {
        **destination.values,
        "percent": percent,
        "days": days,
        "tag": COHORT_TAG,
        "buckets": BUCKETS,
    }


async def renew_stays(conn: Connection, destination: Destination, *, percent: int, days: int) -> bool:
    """Write down who of the share stays out now: canaries, and who uses a voice that would not speak there.

    Returns
    -------
    bool
        Whether anything changed; every process then reads it again.
    """
    cursor = await conn.execute(_RENEW, _share(destination, percent=percent, days=days))
    row = await cursor.fetchone()
    if not (row and row["changes"]):
        return False
    await conn.execute("update understudy.cutover set membership = membership + 1")
    await conn.execute("select pg_notify(%s, 'membership')", (mode.CHANNEL,))
    return True


async def share_of_tenants(
    conn: Connection, destination: Destination, *, percent: int, days: int
) -> tuple[int, list[Stayer]]:
    """Return how many tenants of a share used a voice lately, and those of them who would stay."""
    async with conn.cursor(row_factory=class_row(Stayer)) as cursor:
        await cursor.execute(_USED, _share(destination, percent=percent, days=days))
        tenants = await cursor.fetchall()
    return len(tenants), sorted(
        (one for one in tenants if one.voices), key=lambda one: (-one.voices, one.user_id)
    )


# --- what both sides did ------------------------------------------------------------------------------------

_TOTALS = SQL("""
    with unrolled as (
        select * from understudy.provider_calls
        where recorded_xid >= (select watermark from understudy.rollup_state)
          and recorded_xid < pg_snapshot_xmax(pg_current_snapshot())
          and id > (select after_id from understudy.rollup_state) and at >= %(since)s
    ),
    parts as (
        select total, failed, ok_latency_ms_sum, first_audio_calls, first_audio_ms_sum, characters,
               cost_microusd, bucket_at, provider, mode_epoch, operation from understudy.call_buckets
        union all
        select total, failed, ok_latency_ms_sum, first_audio_calls, first_audio_ms_sum, characters,
               cost_microusd, bucket_at, provider, mode_epoch, operation from ({live}) live
    ),
    admissions as (
        select coalesce(sum(asked), 0)::int as asked, coalesce(sum(refused), 0)::int as refused
        from understudy.refusals where bucket_at >= %(since)s and provider = %(provider)s
          and mode_epoch = %(epoch)s and operation = %(operation)s
    )
    select coalesce(sum(total), 0)::int as total, coalesce(sum(failed), 0)::int as failed,
           (sum(ok_latency_ms_sum) / nullif(sum(total - failed), 0))::float8 as latency_ms,
           coalesce(sum(first_audio_calls), 0)::int as first_audio_calls,
           (sum(first_audio_ms_sum) / nullif(sum(first_audio_calls), 0))::float8 as first_audio_ms,
           coalesce(sum(characters), 0)::bigint as characters,
           coalesce(sum(cost_microusd), 0)::bigint as cost_microusd,
           (select asked from admissions) as asked, (select refused from admissions) as refused
    from parts
    where bucket_at >= %(since)s and provider = %(provider)s and mode_epoch = %(epoch)s
      and operation = %(operation)s
""").format(live=buckets_of("unrolled"))


async def side_totals(
    conn: Connection, *, provider: str, epoch: int, operation: str, since: datetime
) -> SideTotals:
    """Sum what one side did since then; the bucket that holds the instant counts whole."""
    async with conn.cursor(row_factory=class_row(SideTotals)) as cursor:
        await cursor.execute(
            _TOTALS,
            {
                "provider": provider,
                "epoch": epoch,
                "operation": operation,
                "since": since.replace(second=since.second - since.second % 5, microsecond=0),
            },
        )
        found = await cursor.fetchone()
    return found or SideTotals()
