"""What the caller used, what it costs, and what is left of the caller's budgets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from understudy.api import usage_answers as answers
from understudy.api.auth import AuthenticatedRoute, CallerDep, ContextDep, bearer_scheme
from understudy.errors import ValidationError
from understudy.speech import spending
from understudy.store.budgets import Standing
from understudy.store.usage import UsageRow

router = APIRouter(
    prefix="/api", tags=["usage"], route_class=AuthenticatedRoute, dependencies=[Depends(bearer_scheme)]
)

_PERIOD = "ISO 8601; UTC where no offset is given."
Since = Annotated[datetime | None, Query(description=f"{_PERIOD} Begin of this month when left out.")]
Until = Annotated[datetime | None, Query(description=f"{_PERIOD} Now when left out.")]


@router.get("/usage", summary="My usage", response_model=answers.UsageReport)
async def usage(
    ctx: ContextDep, caller: CallerDep, since: Since = None, until: Until = None
) -> dict[str, Any]:
    """Answer what you pay for of the calls that ended in a period, and your budgets as they stand now."""
    now = ctx.clock.now()
    start = _utc(since) if since else now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = _utc(until) if until else now
    if end <= start:
        raise ValidationError("until must be later than since.")
    rows, standings = await spending.usage_of(ctx, caller, start=start, end=end)
    paid = [_paid(row) for row in rows if row.calls]
    return {
        "since": start,
        "until": end,
        "usage": paid,
        "cost_microusd": sum(row["cost_microusd"] for row in paid),
        "budgets": [_budget(one) for one in standings],
    }


def _utc(given: datetime) -> datetime:
    try:
        return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
    except OverflowError:
        raise ValidationError("since and until must be times between the years 1 and 9999.") from None


def _paid(row: UsageRow) -> dict[str, Any]:
    return {
        "operation": row.operation,
        "provider": row.provider,
        "calls": row.calls,
        "characters": row.characters,
        "audio_seconds": row.audio_ms / 1000,
        "cost_microusd": row.cost_microusd,
    }


def _budget(one: Standing) -> dict[str, Any]:
    return {
        "budget": one.budget,
        "unit": "creates" if one.counts_creates else "microusd",
        "limit": one.most,
        "used": one.used,
        "left": one.left,
        "resets_at": one.ends_at,
    }
