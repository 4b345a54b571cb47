"""The cutover: a share of tenants, by stable hash, that the candidate serves beside the provider mode.

It is in force while its row is above the mode's epoch and a guard keeps watching, so any write of the mode,
and a guard that is gone, bring everybody back. Backward is never staged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from understudy.errors import ConflictError
from understudy.store import cutover as rows
from understudy.store.carry_over import Destination
from understudy.store.cutover import BUCKETS, COHORT_TAG, CutoverRow, NewCutover
from understudy.store.database import Database
from understudy.store.mode import CutoverEnd, ModeRow, read_mode, write_mode

#: Whom a percentage of 100 leaves nobody out of.
EVERYBODY = 100


def cohort_bucket(user_id: UUID) -> int:
    """Return the tenant's place in 0 to 9999: the same for every cutover, process and restart."""
    digest = hashlib.sha256(COHORT_TAG.encode() + user_id.bytes).digest()
    return int.from_bytes(digest[:4], "big") % BUCKETS


def in_cohort(user_id: UUID, percent: int) -> bool:
    """Whether a tenant belongs to that share; whoever belongs to a share belongs to every larger one."""
    return cohort_bucket(user_id) * EVERYBODY < percent * BUCKETS


@dataclass(frozen=True, slots=True)
class Share:
    """How the tenants of a stage are chosen.

    Parameters
    ----------
    destination
        Where every voice they used must speak.
    used_within_days
        Voices used in so many days count.
    """

    percent: int
    destination: Destination
    used_within_days: int


async def start(
    database: Database, new: NewCutover, share: Share, *, actor: str, reason: str, minimum_epoch: int = 0
) -> CutoverRow:
    """Begin the first stage, in force on every process within a second.

    Raises
    ------
    ConflictError
        A cutover is on, or the candidate serves already.
    """
    async with database.service() as conn:
        mode = await read_mode(conn, for_update=True)
        if mode is None or mode.value == new.candidate:
            raise ConflictError(f"{new.candidate} serves everybody already; there is nothing to cut over to.")
        row = await rows.start_cutover(conn, new, actor=actor, reason=reason, minimum_epoch=minimum_epoch)
        await _choose(conn, share)
        return await rows.read_cutover(conn) or row


async def advance(
    database: Database,
    row: CutoverRow,
    share: Share,
    *,
    actor: str,
    reason: str,
    watched_s: float,
    evidence: Mapping[str, Any],
) -> CutoverRow:
    """Go to the next stage, below 100 %.

    Raises
    ------
    ConflictError
        The cutover changed since ``row`` was read.
    """
    async with database.service() as conn:
        written = await rows.change_cutover(
            conn,
            expected_epoch=row.epoch,
            state="running",
            actor=actor,
            reason=reason,
            percent=share.percent,
            stage=row.stage + 1,
            watched_s=watched_s,
            evidence=evidence,
        )
        await _choose(conn, share)
        return await rows.read_cutover(conn) or written


async def finish(
    database: Database, row: CutoverRow, *, actor: str, reason: str, evidence: Mapping[str, Any]
) -> ModeRow:
    """Give everybody the candidate: the mode row itself flips, and the last stage begins.

    Raises
    ------
    ConflictError
        The cutover changed since ``row`` was read.
    """
    async with database.service() as conn:
        mode = await read_mode(conn, for_update=True)
        current = await rows.read_cutover(conn)
        if mode is None or current is None or current.epoch != row.epoch or not current.in_force(mode.epoch):
            raise ConflictError("The cutover changed meanwhile; look at `understudy cutover status` again.")
        return await write_mode(
            conn,
            value=row.candidate,
            actor=actor,
            reason=reason,
            incident=None,
            env_value=mode.env_value,
            cutover=CutoverEnd("finishing", EVERYBODY, evidence),
        )


async def complete(database: Database, row: CutoverRow, *, actor: str, reason: str) -> CutoverRow:
    """Close a cutover whose last stage has held."""
    async with database.service() as conn:
        return await rows.change_cutover(
            conn, expected_epoch=row.epoch, state="complete", actor=actor, reason=reason
        )


async def pause(database: Database, row: CutoverRow, *, actor: str, reason: str) -> CutoverRow:
    """Keep the share as it is; no stage follows until it is resumed. Guardrails stay in force."""
    return await _turn(database, row, "running", "paused", actor=actor, reason=reason)


async def resume(database: Database, row: CutoverRow, *, actor: str, reason: str) -> CutoverRow:
    """Let stages follow again."""
    return await _turn(database, row, "paused", "running", actor=actor, reason=reason)


async def return_everyone(
    database: Database,
    *,
    known_good: str,
    actor: str,
    reason: str,
    incident: str | None = None,
    minimum_epoch: int = 0,
    evidence: Mapping[str, Any] | None = None,
) -> ModeRow | None:
    """Bring everybody back at once, whichever stage it is: the mode row is written anew.

    Returns
    -------
    ModeRow or None
        ``None``: no cutover was on; nothing was changed.
    """
    async with database.service() as conn:
        mode = await read_mode(conn, for_update=True)
        current = await rows.read_cutover(conn)
        if mode is None or current is None or current.state not in {*rows.LIVE_STATES, "finishing"}:
            return None
        return await write_mode(
            conn,
            value=known_good,
            actor=actor,
            reason=reason,
            incident=incident,
            env_value=mode.env_value,
            minimum_epoch=minimum_epoch,
            cutover=CutoverEnd("returned", 0, evidence or {}),
        )


async def _turn(
    database: Database, row: CutoverRow, now: str, then: str, *, actor: str, reason: str
) -> CutoverRow:
    if row.state != now:
        raise ConflictError(f"The cutover is {row.state}, not {now}.")
    async with database.service() as conn:
        return await rows.change_cutover(
            conn, expected_epoch=row.epoch, state=then, actor=actor, reason=reason
        )


async def _choose(conn: rows.Connection, share: Share) -> None:
    await rows.renew_stays(conn, share.destination, percent=share.percent, days=share.used_within_days)
