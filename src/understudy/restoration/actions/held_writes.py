"""Writes held on the broken database, from the first step that reaches it until the swap."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psycopg

from understudy.errors import StoreUnavailableError
from understudy.restoration.actions.restore_facts import ACTOR
from understudy.restoration.actions.step import Restoration
from understudy.rollout.cutover import return_everyone
from understudy.rollout.following import POLL_INTERVAL_S
from understudy.rollout.freeze import set_freeze
from understudy.store.freeze import read_freeze
from understudy.store.valves import CARRY_OVER, DESIGN_CREATES, set_valve

#: How statements fail on a database that has lost what they need.
DAMAGE = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)


def valves_to_close() -> tuple[str, ...]:
    """Creates that are billed, and of which a restored database would know nothing."""
    return (DESIGN_CREATES, CARRY_OVER)


def freeze_reason(run: Restoration) -> str:
    """Name the incident, so that only what it held is let go again."""
    return f"database restore, incident {run.incident}"


async def hold_writes(run: Restoration) -> Mapping[str, Any] | None:
    """Freeze, close the valves, bring everybody back from a cutover; why not, where the freeze cannot be set.

    Each by itself: what the damage has taken must not stop the others, nor the restore that mends it.
    """
    database = await run.connect()
    reason = freeze_reason(run)
    impossible: dict[str, Any] | None = None
    try:
        await set_freeze(database, frozen=True, actor=ACTOR, reason=reason)
    except DAMAGE as error:
        impossible = {"not_possible": first_line(error)}
    for valve in valves_to_close():
        with suppress(*DAMAGE):  # a create is a write: the freeze holds it too
            async with database.service() as conn:
                await set_valve(conn, valve, closed=True, actor=ACTOR, reason=reason)
    with suppress(*DAMAGE):  # then nobody is in a cutover any more
        await return_everyone(
            database,
            known_good=run.known_good,
            actor=ACTOR,
            reason=reason,
            incident=run.incident,
            minimum_epoch=run.store.highest_mode_epoch(),
        )
    return impossible


async def takes_writes(run: Restoration) -> bool:
    """Whether the broken database answers unfrozen: it was away when writes were held, and came back."""
    if not run.target.capabilities.live_switch:
        return False
    try:
        async with (await run.connect()).service() as conn:
            row = await read_freeze(conn)
    except (StoreUnavailableError, *DAMAGE):
        return False
    return row is None or not row.frozen


async def hold_late(run: Restoration) -> bool:
    """Hold writes on a broken database that came back; whether that changed anything."""
    if not await takes_writes(run) or await hold_writes(run) is not None:
        return False
    await run.clock.sleep(POLL_INTERVAL_S)  # what was let through before is then in the database
    return True


def first_line(error: Exception) -> str:
    """Return what an error says, without the statement below it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
