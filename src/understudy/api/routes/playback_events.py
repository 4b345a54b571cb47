"""Beacons of players: what became of a stream once it had left."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import AwareDatetime, BaseModel, Field

from understudy.api import answers
from understudy.api.auth import AuthenticatedRoute, CallerDep, ContextDep, bearer_scheme
from understudy.api.rates import UserRate
from understudy.api.text import Text
from understudy.speech import playback
from understudy.store.playback import PlaybackEvent

router = APIRouter(
    prefix="/api",
    tags=["generations"],
    route_class=AuthenticatedRoute,
    dependencies=[Depends(bearer_scheme)],
)

EVENTS_A_BATCH = 50
#: A player's clock may be wrong, but not by decades.
_EARLIEST, _LATEST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


class Beacon(BaseModel):
    """One thing a player saw."""

    generation_id: UUID
    event: Literal["started", "stalled", "decode_error", "ended_early", "ended"]
    at: Annotated[AwareDatetime, Field(ge=_EARLIEST, lt=_LATEST, description="By the player's clock.")]
    position_ms: int | None = Field(default=None, ge=0, lt=2**31, description="How far it had played.")
    client: Annotated[Text, Field(min_length=1, max_length=100, examples=["studio-web"])]
    client_version: Annotated[Text, Field(min_length=1, max_length=100)]
    detail: Annotated[Text, Field(max_length=500)] | None = None


class Beacons(BaseModel):
    """Body of ``/playback-events``."""

    events: list[Beacon] = Field(min_length=1, max_length=EVENTS_A_BATCH)


@router.post("/playback-events", summary="What a player saw", response_model=answers.PlaybackReceipt)
async def playback_events(
    request: Request, ctx: ContextDep, caller: CallerDep, body: Beacons
) -> dict[str, int]:
    """Keep what a player saw of your streams; sending a batch again changes nothing."""
    rate: UserRate = request.app.state.playback_rate
    rate.admit(caller.user_id)
    accepted = await playback.keep_events(
        ctx, caller, [PlaybackEvent(**beacon.model_dump()) for beacon in body.events]
    )
    return {"accepted": accepted, "ignored": len(body.events) - accepted}
