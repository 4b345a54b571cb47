"""What a person does with a cutover that is on, and sees of it: from a command and from the guard's API."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from understudy.clock import Clock
from understudy.errors import ConflictError
from understudy.restoration.cutover import memory, progress
from understudy.restoration.cutover.moves import MoveLimits, MoveRecord
from understudy.restoration.cutover.power import calls_needed
from understudy.restoration.cutover.stages import PlannedStage
from understudy.restoration.playbook.policy import Playbook
from understudy.rollout import cutover
from understudy.rollout.mode import LIVE_WITHIN_S
from understudy.store import cutover as rows
from understudy.store.cutover import LIVE_STATES, CutoverRow
from understudy.store.database import Database
from understudy.store.guard import GuardStore
from understudy.store.mode import list_processes, read_mode

#: A judgement of the guard that is older, in seconds, says nothing about now.
JUDGED_WITHIN_S = 20.0
#: A change is in force on every process within a second; so long it is waited for, in seconds.
IN_FORCE_WITHIN_S = 5.0
#: Changes of the history that are shown.
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Desk:
    """What one person works with.

    Parameters
    ----------
    environment
        Its name.
    actor
        Who sits there, as the histories name them.
    """

    environment: str
    playbook: Playbook
    store: GuardStore
    database: Database
    clock: Clock
    actor: str

    @property
    def moves(self) -> MoveLimits:
        """The limits of moves away."""
        return MoveLimits(self.store, self.playbook.cutover.limits, self.clock, self.environment)

    async def newest(self) -> CutoverRow:
        """Return the newest cutover; :class:`ConflictError` where none was ever begun."""
        async with self.database.service() as conn:
            row = await rows.read_cutover(conn)
        if row is None:
            raise ConflictError("No cutover has ever been begun here: understudy cutover plan")
        return row


# --- forward ------------------------------------------------------------------------------------------------


async def go_on(desk: Desk, *, reason: str, leave_behind: str | None) -> CutoverRow:
    """Begin the next stage, where the guard's newest judgement says that it may.

    Parameters
    ----------
    leave_behind
        Why tenants whose voices do not speak at the candidate may be refused, where there are any.

    Raises
    ------
    ConflictError
        It may not, or nobody has judged it lately.
    """
    row = await desk.newest()
    judged = memory.last_judgement(desk.store, desk.environment)
    refused = _why_not_on(desk, row, judged)
    if refused is not None or judged is None:
        raise ConflictError(refused or "No guard has judged this stage.")
    left = judged["left_behind"]
    if left and leave_behind is None:
        who = "1 tenant uses" if left == 1 else f"{left} tenants use"
        raise ConflictError(
            f"{who} voices that do not speak at {row.candidate}; they would be "
            f"refused. Carry them over (understudy voices carry-over --to {row.candidate}), or say why that "
            f'is right: --leave-behind "..."'
        )
    next_at = desk.moves.next_at()
    if next_at is not None and desk.moves.frozen() is None:
        # Waiting is part of the plan: to ask for a stage too early freezes nothing.
        raise ConflictError(f"{_from_when(row, next_at)} Nothing was changed.")
    desk.moves.take(f"stage {row.stage + 2} of cutover {row.seq}", desk.actor)
    await progress.go_on(
        desk.database,
        row,
        actor=desk.actor,
        reason=reason if leave_behind is None else f"{reason}; left behind: {leave_behind}",
        watched_s=desk.playbook.cutover.watched_s,
        evidence=judged,
    )
    return await desk.newest()


def _why_not_on(desk: Desk, row: CutoverRow, judged: dict[str, Any] | None) -> str | None:
    """Say why the stage may not be left, whatever the limits of moves say; None where it may."""
    if row.state != "running":
        return f"Cutover {row.seq} is {row.state}; only a running one goes on."
    fresh = judged is not None and _age_s(judged["at"], desk.clock.now()) <= JUDGED_WITHIN_S
    if judged is None or judged["epoch"] != row.epoch or not fresh:
        return "No guard has judged this stage lately: understudy status, and then again."
    standing = [*judged["failing"], *judged["waiting"]]
    return f"Stage {row.stage + 1} is not done: {'; '.join(standing)}." if standing else None


def _from_when(row: CutoverRow, at: datetime) -> str:
    return (
        f"Stage {row.stage + 2} may begin from {at:%Y-%m-%d %H:%M:%S} UTC: the policy limits moves away from "
        f"known-good."
    )


async def pause(desk: Desk, *, reason: str) -> CutoverRow:
    """Keep the share as it is; guardrails stay in force. The limits of moves are not asked."""
    return await cutover.pause(desk.database, await desk.newest(), actor=desk.actor, reason=reason)


async def resume(desk: Desk, *, reason: str) -> CutoverRow:
    """Let stages follow again; it counts as a move away.

    Raises
    ------
    ConflictError
        It is not paused, or moves away are FROZEN or come too soon.
    """
    row = await desk.newest()
    if row.state != "paused":
        raise ConflictError(f"Cutover {row.seq} is {row.state}, not paused.")
    desk.moves.take(f"resuming cutover {row.seq}", desk.actor)
    return await cutover.resume(desk.database, row, actor=desk.actor, reason=reason)


# --- back ---------------------------------------------------------------------------------------------------


async def bring_back(
    database: Database, *, known_good: str, actor: str, reason: str, minimum_epoch: int
) -> dict[str, Any]:
    """Bring everybody back to the known-good provider at once; never refused, and no limit is asked."""
    row = await cutover.return_everyone(
        database, known_good=known_good, actor=actor, reason=reason, minimum_epoch=minimum_epoch
    )
    return {
        "returned": row is not None,
        "mode": row.value if row else None,
        "epoch": row.epoch if row else None,
    }


# --- what is seen -------------------------------------------------------------------------------------------


async def laggards(desk: Desk, epoch: int) -> list[str]:
    """Wait until every live process holds that epoch; return those that do not."""
    deadline_s = desk.clock.monotonic_s() + IN_FORCE_WITHIN_S
    while True:
        async with desk.database.service() as conn:
            live = await list_processes(conn, LIVE_WITHIN_S)
        behind = [
            f"{process.kind} {process.pid}"
            for process in live
            if process.kind in {"api", "worker"}
            and max(process.cutover_epoch or 0, process.mode_epoch or 0) < epoch
        ]
        if not behind or desk.clock.monotonic_s() > deadline_s:
            return behind
        await asyncio.sleep(0.1)


async def describe(desk: Desk) -> dict[str, Any]:
    """Return everything that `cutover status` tells, as plain data."""
    async with desk.database.service() as conn:
        row, mode = await rows.read_cutover(conn), await read_mode(conn)
        stays = await rows.list_stays(conn)
        history = await rows.cutover_history(conn, SHOWN)
    record, clock = desk.moves.record(), memory.stabilization_clock(desk.store, desk.environment)
    counts = clock is not None and mode is not None and (mode.value, mode.epoch) == _of(clock)
    judged = memory.last_judgement(desk.store, desk.environment)
    next_at = desk.moves.next_at()
    told: dict[str, Any] = plain(
        {
            "environment": desk.environment,
            "cutover": asdict(row) if row else None,
            "in_force": row is not None and mode is not None and row.in_force(mode.epoch),
            "mode": {"value": mode.value, "epoch": mode.epoch} if mode else None,
            "judgement": judged,
            "stays": [asdict(one) for one in stays],
            "moves": {**asdict(record), "next_at": next_at},
            "stabilization": asdict(clock) if clock is not None and counts else None,
            "history": [asdict(change) for change in history],
            "stages": stages_of(desk.playbook, row),
            "may": _may(desk, row, judged, record, next_at),
        }
    )
    return told


async def told(desk: Desk, row: CutoverRow) -> dict[str, Any]:
    """Return :func:`describe` after a change, with who does not hold it yet."""
    behind = await laggards(desk, row.epoch)
    return {**(await describe(desk)), "not_in_force_on": behind}


def stages_of(playbook: Playbook, row: CutoverRow | None = None) -> list[dict[str, Any]]:
    """Return the stages of a cutover, or of the policy, each with the clean calls that it needs."""
    planned = row.plan["stages"] if row else [stage.model_dump() for stage in playbook.cutover.stages]
    return [
        {**stage, "clean_calls": calls_needed(0, stage["exclude_percent"] / 100, playbook.cutover.error)}
        for stage in planned
    ]


def _may(
    desk: Desk,
    row: CutoverRow | None,
    judged: dict[str, Any] | None,
    record: MoveRecord,
    next_at: datetime | None,
) -> dict[str, str | None]:
    """Say of each order why it would change nothing or be refused now, and None where it may be given.

    Going on may still want a word about tenants who are left behind.
    """
    if row is None or row.state not in {*LIVE_STATES, "finishing"}:
        return dict.fromkeys(("next", "pause", "resume", "return"), "No cutover is on.")
    frozen = f"Moves away are FROZEN: {record.frozen.why}." if record.frozen else None
    following = PlannedStage.after(row)
    on = _why_not_on(desk, row, judged) if following else "It is the last stage."
    soon = _from_when(row, next_at) if next_at else None
    if row.state == "paused":
        again = frozen or (f"Moves away are allowed again from {next_at:%H:%M:%S} UTC." if next_at else None)
    else:
        again = f"It is {row.state}, not paused."
    return {
        "next": on or frozen or soon,
        "pause": None if row.state == "running" else f"It is {row.state}, not running.",
        "resume": again,
        "return": None,
    }


def plain(value: Any) -> Any:
    """Return it with times as ISO 8601 and everything else that JSON does not know as text."""
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _of(clock: memory.StabilizationClock) -> tuple[str, int]:
    return clock.candidate, clock.mode_epoch


def _age_s(at: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(at)).total_seconds()
