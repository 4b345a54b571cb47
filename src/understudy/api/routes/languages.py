"""``GET /languages``: what the active provider can do."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from understudy.api import answers
from understudy.api.auth import ContextDep
from understudy.speech import capabilities

router = APIRouter(prefix="/api", tags=["languages"])


@router.get("/languages", summary="What the active provider can do", response_model=answers.Languages)
async def languages(ctx: ContextDep) -> dict[str, Any]:
    """Answer languages, provider and capabilities of the mode in force now."""
    return capabilities.describe(ctx)
