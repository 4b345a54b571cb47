"""Rung 0: close the valve of billed voice creates. What exists goes on speaking; nothing is switched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from understudy.restoration.actions.step import Progress, Restoration, Sighting, Step
from understudy.store.valves import DESIGN_CREATES, ValveRow, read_valves, set_valve

ACTOR = "guard"
#: Opening is never automatic: what made the creates run away is known to a person, or to nobody yet.
REOPEN = f'understudy valve open {DESIGN_CREATES} --reason "..."'


class CloseValve:
    """Refuse new voice designs everywhere; a valve that is closed already is left as it is."""

    name = "close_valve"
    changes = True
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Say which valve is closed, and how it is opened again."""
        return {"close": DESIGN_CREATES, "reason": run.reason, "reopen": f"a person: {REOPEN}"}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002  # the row is its own key
        """Read the valve."""
        row = await _read(run)
        if row is None or not row.closed:
            return Sighting(Progress.ABSENT, f"the valve {DESIGN_CREATES} is open")
        return Sighting(Progress.DONE, evidence=valve_document(row))

    async def act(self, run: Restoration, key: str) -> None:  # noqa: ARG002
        """Close it; the row says why, and at what incident."""
        async with (await run.connect()).service() as conn:
            await set_valve(
                conn, DESIGN_CREATES, closed=True, actor=ACTOR, reason=f"{run.reason} ({run.incident})"
            )


class ReadBackValve:
    """Read the valve again, in a transaction of its own: it is in force at its commit, everywhere."""

    name = "read_back"
    changes = False
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:  # noqa: ARG002
        """Say what must be read."""
        return {"expect": f"{DESIGN_CREATES} closed"}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002
        """Read it."""
        row = await _read(run)
        if row is None or not row.closed:
            return Sighting(Progress.PENDING, f"the valve {DESIGN_CREATES} reads open")
        detail = f"{DESIGN_CREATES} is closed (epoch {row.epoch}); a person opens it: {REOPEN}"
        return Sighting(Progress.DONE, evidence={"detail": detail, **valve_document(row)})

    async def act(self, run: Restoration, key: str) -> None:
        """Nothing: this only reads."""


STEPS: tuple[Step, ...] = (CloseValve(), ReadBackValve())


def valve_document(row: ValveRow) -> dict[str, Any]:
    """Return a valve as plain data."""
    return {
        "valve": row.name,
        "closed": row.closed,
        "epoch": row.epoch,
        "actor": row.actor,
        "reason": row.reason,
        "changed_at": row.changed_at.isoformat(),
    }


async def _read(run: Restoration) -> ValveRow | None:
    async with (await run.connect()).service() as conn:
        return (await read_valves(conn)).get(DESIGN_CREATES)
