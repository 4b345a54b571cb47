"""What processes noticed: admissions refused, secrets that stood where none may, signals lost."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow

Connection = AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class AdmissionCount:
    """Admissions of one process in one bucket.

    Parameters
    ----------
    bucket_at
        Its start, UTC.
    asked
        All of them so far: those that the provider could serve, and those refused.
    refused
        Those refused because of the mode, or because the provider does not cover the voice.
    """

    bucket_at: datetime
    provider: str
    mode_epoch: int
    operation: str
    asked: int
    refused: int


@dataclass(frozen=True, slots=True)
class HitCount:
    """How often one secret, or planted canary, stood in a log line (``log``) or an answer (``response``).

    Parameters
    ----------
    route
        Whose answer it was, without ids; empty where that is not known.
    """

    at: datetime
    where: str
    name: str
    count: int
    route: str = ""


async def write_admissions(conn: Connection, instance: UUID, counts: Sequence[AdmissionCount]) -> None:
    """Keep the counts of one process; written again they count once, for each is a total."""
    await conn.execute(
        """
        insert into understudy.refusals
            (bucket_at, provider, mode_epoch, operation, instance, asked, refused)
        select counted.bucket_at, counted.provider, counted.mode_epoch, counted.operation, %s,
               counted.asked, counted.refused
        from unnest(%s::timestamptz[], %s::text[], %s::bigint[], %s::text[], %s::int[], %s::int[])
             as counted (bucket_at, provider, mode_epoch, operation, asked, refused)
        on conflict (bucket_at, provider, mode_epoch, operation, instance) do update set
            asked = greatest(refusals.asked, excluded.asked),
            refused = greatest(refusals.refused, excluded.refused)
        """,
        (
            instance,
            [count.bucket_at for count in counts],
            [count.provider for count in counts],
            [count.mode_epoch for count in counts],
            [count.operation for count in counts],
            [count.asked for count in counts],
            [count.refused for count in counts],
        ),
    )


async def write_hits(conn: Connection, process: str, instance: UUID, hits: Sequence[HitCount]) -> None:
    """Keep which secrets were seen; names only."""
    await conn.execute(
        """
        insert into understudy.secret_hits (at, "where", process, instance, name, count, route)
        select hit.at, hit."where", %s, %s, hit.name, hit.count, nullif(hit.route, '')
        from unnest(%s::timestamptz[], %s::text[], %s::text[], %s::int[], %s::text[])
             as hit (at, "where", name, count, route)
        """,
        (
            process,
            instance,
            [hit.at for hit in hits],
            [hit.where for hit in hits],
            [hit.name for hit in hits],
            [hit.count for hit in hits],
            [hit.route for hit in hits],
        ),
    )


async def write_drops(conn: Connection, process: str, instance: UUID, dropped: int) -> None:
    """Keep how many signals a process had to drop."""
    await conn.execute(
        "insert into understudy.signal_drops (process, instance, dropped) values (%s, %s, %s)",
        (process, instance, dropped),
    )


async def synthetic_among(conn: Connection, user_ids: Collection[UUID]) -> set[UUID]:
    """Those of ``user_ids`` that are canaries: what they ask is nothing that users see."""
    if not user_ids:
        return set()
    cursor = await conn.execute(
        "select user_id from understudy.synthetic_users where user_id = any(%s)", (list(user_ids),)
    )
    return {row["user_id"] for row in await cursor.fetchall()}
