"""Rung 0: one tenant's speech is capped, so that it answers 429 beyond the cap; the provider stays.

The cap is an operator's budget of the hour: it is read in the statement that reserves, so it is in force on
every process at its commit, for the next request, with what the hour has used already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from understudy.money import dollars
from understudy.restoration.actions.step import Progress, Restoration, Sighting, Step, StepError
from understudy.store.budgets import BudgetRow, list_budgets, set_budget, standing
from understudy.store.ledger import Caps

ACTION: Final = "throttle_tenant"
ACTOR = "guard"
BUDGET = "generation-hour"


@dataclass(frozen=True, slots=True)
class Cap:
    """What one tenant may spend on speech in an hour, in micro-dollars, and why so much."""

    user: UUID
    most: int
    why: str

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"user": str(self.user), "budget": BUDGET, "most_microusd": self.most, "why": self.why}


class Throttle:
    """Set the cap, where no lower one stands already."""

    name = "throttle"
    changes = True
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Name the tenants and their caps."""
        caps = caps_of(run)
        return {
            "caps": [cap.document() for cap in caps],
            "answers": "429 with Retry-After beyond it",
            "undo": [f"a person: {_clear(cap)}" for cap in caps],
        }

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002  # the row is its own key
        """Read the tenants' budgets."""
        caps = _caps_or_error(run)
        rows = await _rows(run)
        loose = [str(cap.user) for cap in caps if not _holds(run, cap, rows.get(cap.user))]
        if loose:
            return Sighting(Progress.ABSENT, f"not capped: {', '.join(loose)}")
        return Sighting(Progress.DONE, evidence={"tenants": [_told(cap, rows[cap.user]) for cap in caps]})

    async def act(self, run: Restoration, key: str) -> None:  # noqa: ARG002
        """Cap them; the row says why, at what incident, and what stood there before."""
        caps, rows = _caps_or_error(run), await _rows(run)
        async with (await run.connect()).service() as conn:
            for cap in caps:
                before = rows.get(cap.user)
                if _holds(run, cap, before):
                    continue
                stood = f"; before it was {before.most} by {before.actor}" if before else ""
                reason = f"{run.reason} ({run.incident}){stood}"
                most = _within(run, cap.most)
                await set_budget(conn, cap.user, BUDGET, most, actor=ACTOR, reason=reason)


class ReadBack:
    """Read the cap again as the next admission will: limit, use and end of the hour."""

    name = "read_back"
    changes = False
    required = True

    def plan(self, run: Restoration) -> Mapping[str, Any]:
        """Say what must be read."""
        return {"expect": {str(cap.user): f"at most {dollars(cap.most)} an hour" for cap in caps_of(run)}}

    async def look(self, run: Restoration, key: str) -> Sighting:  # noqa: ARG002
        """Read it."""
        caps, rows = _caps_or_error(run), await _rows(run)
        read, missing = [], []
        for cap in caps:
            row = rows.get(cap.user)
            if row is None or not _holds(run, cap, row):
                missing.append(f"{cap.user} has {f'{row.most}' if row else 'no cap'}")
                continue
            async with (await run.connect()).service() as conn:
                found = await standing(conn, cap.user, {BUDGET: Caps(0, 0)}, run.clock.now())
            used = found[0].used if found else 0
            until = found[0].ends_at.isoformat() if found else None
            read.append(_told(cap, row) | {"used_microusd": used, "hour_ends_at": until})
        if missing:
            return Sighting(Progress.PENDING, "; ".join(missing), {"tenants": read})
        undo = [_clear(cap) for cap in caps]
        detail = f"{len(caps)} capped; a person undoes it: {'; '.join(undo)}"
        return Sighting(Progress.DONE, evidence={"detail": detail, "tenants": read, "undo": undo})

    async def act(self, run: Restoration, key: str) -> None:
        """Nothing: this only reads."""


STEPS: tuple[Step, ...] = (Throttle(), ReadBack())


def caps_of(run: Restoration) -> list[Cap]:
    """The tenants that the findings name, each with its cap; the lowest where two findings name one."""
    caps: dict[UUID, Cap] = {}
    for finding in run.findings_for(ACTION):
        cap = cap_of(finding)
        if cap is not None and (cap.user not in caps or cap.most < caps[cap.user].most):
            caps[cap.user] = cap
    return [caps[user] for user in sorted(caps)]


def cap_of(finding: Mapping[str, Any]) -> Cap | None:
    """Return the cap that ends a finding; None where it points at no one tenant.

    A runaway tenant keeps what is usual for it, or as much as never trips, whichever is more. Of money that
    is unusual as a whole, the tenant that spent most keeps what leaves the whole below what never trips.
    """
    bounds, evidence = finding.get("bounds", {}), finding.get("evidence", {})
    most_of_it = evidence.get("most_of_it")
    if most_of_it is not None:
        others = finding["n"] - most_of_it["cost_microusd"]
        most = max(1, int(bounds["floor_microusd"]) - others)
        return Cap(UUID(most_of_it["user"]), most, "all together stay below what never trips")
    if finding.get("check") != "runaway_characters" or not finding.get("subject"):
        return None
    usual, floor = evidence.get("usual_characters") or 0, bounds["floor"]
    characters = max(usual, floor)
    most = max(1, int(evidence["cost_microusd"] * characters / max(1, finding["n"])))
    said = "usual for it" if usual > floor else "what never trips"
    return Cap(UUID(finding["subject"]), most, f"{characters:g} characters an hour, {said}")


def _caps_or_error(run: Restoration) -> list[Cap]:
    if not run.target.capabilities.live_switch:
        raise StepError(
            f"The target {run.target.name} does not ask our budgets: a person throttles there.", hopeless=True
        )
    caps = caps_of(run)
    if not caps:
        raise StepError("No one tenant stands out: nobody was capped. A person must decide.", hopeless=True)
    return caps


def _within(run: Restoration, most: int) -> int:
    """Never more than the settings allow every tenant: an operator's budget counts before theirs."""
    settings = run.settings() if run.settings is not None else None
    allowed = settings.budget_generation_tenant_hour_microusd if settings else 0
    return min(most, allowed) if allowed else most


def _holds(run: Restoration, cap: Cap, row: BudgetRow | None) -> bool:
    return row is not None and 0 < row.most <= _within(run, cap.most)


async def _rows(run: Restoration) -> dict[UUID, BudgetRow]:
    async with (await run.connect()).service() as conn:
        return {row.scope: row for row in await list_budgets(conn) if row.budget == BUDGET}


def _told(cap: Cap, row: BudgetRow) -> dict[str, Any]:
    return cap.document() | {
        "most_microusd": row.most,
        "actor": row.actor,
        "reason": row.reason,
        "changed_at": row.changed_at.isoformat(),
    }


def _clear(cap: Cap) -> str:
    return f"understudy budget clear {BUDGET} --user {cap.user}"
