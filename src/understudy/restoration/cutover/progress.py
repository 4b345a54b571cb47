"""What both sides of a stage did, who would be left behind, and the step to the next stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from understudy.restoration.cutover.planning import share_of
from understudy.restoration.cutover.stages import PlannedStage
from understudy.rollout import cutover
from understudy.rollout.cutover import EVERYBODY
from understudy.store import cutover as rows
from understudy.store.cutover import Connection, CutoverRow, SideTotals, Stayer
from understudy.store.database import Database
from understudy.store.mode import ModeRow


async def both_sides(
    conn: Connection, row: CutoverRow, mode: ModeRow, operation: str
) -> tuple[SideTotals, SideTotals | None]:
    """Return what candidate and control did since the stage began; no control where nobody stayed."""
    since = row.stage_started_at
    candidate = await rows.side_totals(
        conn, provider=row.candidate, epoch=row.stage_epoch, operation=operation, since=since
    )
    if mode.value == row.candidate:
        return candidate, None
    control = await rows.side_totals(
        conn, provider=mode.value, epoch=mode.epoch, operation=operation, since=since
    )
    return candidate, control


async def left_behind(conn: Connection, row: CutoverRow) -> list[Stayer]:
    """Return who would be moved by the next stage with voices that do not speak there: at 100 % only."""
    following = PlannedStage.after(row)
    if following is None or following.percent != EVERYBODY:
        return []
    share = share_of(row.plan, EVERYBODY)
    _, stayers = await rows.share_of_tenants(
        conn, share.destination, percent=EVERYBODY, days=share.used_within_days
    )
    return stayers


async def go_on(
    database: Database,
    row: CutoverRow,
    *,
    actor: str,
    reason: str,
    watched_s: float,
    evidence: Mapping[str, Any],
) -> None:
    """Begin the next stage: a larger share, or everybody.

    Raises
    ------
    ConflictError
        The cutover changed since ``row`` was read, or has no next stage.
    """
    following = PlannedStage.after(row)
    if following is None or following.percent == EVERYBODY:
        await cutover.finish(database, row, actor=actor, reason=reason, evidence=evidence)
        return
    await cutover.advance(
        database,
        row,
        share_of(row.plan, following.percent),
        actor=actor,
        reason=reason,
        watched_s=watched_s,
        evidence=evidence,
    )
