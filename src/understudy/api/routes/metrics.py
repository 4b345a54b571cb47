"""``/metrics``, for Prometheus: with the token, or from this machine alone."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from understudy.api.auth import ContextDep
from understudy.errors import NotFoundError, UnauthenticatedError
from understudy.metrics import exposition, may_read

PATH = "/metrics"

router = APIRouter(include_in_schema=False)


@router.get(PATH)
async def metrics(request: Request, ctx: ContextDep) -> Response:
    """Answer this process's metrics; 404 to whoever is not meant to know that there are any."""
    access = may_read(
        ctx.settings.metrics_token.get_secret_value(),
        request.headers.get,
        on_loopback=request.app.state.on_loopback,
    )
    if access.challenged:
        raise UnauthenticatedError
    if not access.allowed:
        raise NotFoundError
    body, content_type = exposition(ctx.metrics.registry, request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": content_type})
