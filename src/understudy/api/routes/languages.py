"""``GET /languages``: what the active provider can do."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from understudy.api import answers
from understudy.api.auth import ContextDep, recognise
from understudy.speech import capabilities

router = APIRouter(prefix="/api", tags=["languages"])


@router.get("/languages", summary="What the active provider can do", response_model=answers.Languages)
async def languages(request: Request, ctx: ContextDep) -> dict[str, Any]:
    """Answer languages, provider and capabilities of the mode in force now.

    With a token, of what serves its account: a cutover may have moved it already.
    """
    caller = await recognise(request)
    return capabilities.describe(ctx, caller.user_id if caller else None)
