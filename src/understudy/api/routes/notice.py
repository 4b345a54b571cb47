"""``GET /api/notice``: the plain sentence to tenants while something is not as usual."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from understudy.api import studio_answers
from understudy.api.auth import ContextDep
from understudy.api.notice_board import NoticeBoard

router = APIRouter(prefix="/api", tags=["studio"])


@router.get("/notice", summary="Is all well?", response_model=studio_answers.CurrentNotice)
async def notice(request: Request, response: Response, ctx: ContextDep) -> dict[str, Any]:
    """Answer one sentence while an incident runs or something is paused, else null; no cause, no names."""
    board: NoticeBoard = request.app.state.notices
    found = await board.now()
    response.headers["Cache-Control"] = "no-store"
    if found is None:
        return {"notice": None}
    return {
        "notice": {
            "code": found.code,
            "sentence": found.sentence,
            "since": found.since,
            "writes_frozen": ctx.freeze.frozen,
        }
    }
