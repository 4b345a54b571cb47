"""Whether this process lives (``/health``) and may be sent traffic (``/ready``)."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from understudy.api import answers
from understudy.api.auth import ContextDep
from understudy.api.boundary import DrainState
from understudy.errors import StoreUnavailableError
from understudy.rollout.mode import ModeState
from understudy.speech.context import SpeechContext
from understudy.store.migrations import status

router = APIRouter(tags=["health"])


@router.get("/api/health", summary="Is the process alive?", response_model=answers.Healthy)
async def health() -> dict[str, bool]:
    """Answer exactly ``{"ok": true}``, whatever else is down."""
    return {"ok": True}


@router.get(
    "/api/ready",
    summary="May it be sent traffic?",
    response_model=answers.Readiness,
    responses={503: {"model": answers.Readiness, "description": "Send nothing here now."}},
)
@router.get("/ready", include_in_schema=False)
async def ready(request: Request, ctx: ContextDep) -> JSONResponse:
    """Answer 200 when the store answers, the mode is known and the process stays; 503 otherwise.

    ``schema`` is the newest migration in the database; ``instance`` tells processes behind one address apart.
    """
    drain: DrainState = request.app.state.drain
    mode = ctx.mode.view()
    # A stale mode says already that the store is out of reach; asking again would only wait.
    schema = await _schema(ctx) if mode.state is ModeState.FRESH else None
    is_ready = schema is not None and mode.state is ModeState.FRESH and not drain.draining
    body: dict[str, Any] = {
        "ready": is_ready,
        "mode": mode.value,
        "epoch": mode.epoch,
        "schema": schema,
        "draining": drain.draining,
        "frozen": ctx.freeze.frozen,
        "env_value": mode.env_value,
        "drifting": mode.drifting,
        "state": str(mode.state),
        "instance": str(ctx.mode.instance),
    }
    return JSONResponse(body, status_code=200 if is_ready else 503)


async def _schema(ctx: SpeechContext) -> str | None:
    try:
        async with ctx.database.service() as conn:
            return (await status(conn)).head
    except StoreUnavailableError:
        return None
