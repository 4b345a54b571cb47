"""A worker's ``/metrics``: the only port it has, and only when it is given one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiohttp import web

from understudy.clock import Clock
from understudy.logs import get_logger
from understudy.metrics import ProcessMetrics, exposition, may_read

LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"  # noqa: S104  (with a token only)
#: The worker that this one replaces may hold the port until it drains.
RETRY_S = 1.0

log = get_logger(__name__)


@asynccontextmanager
async def serving_metrics(
    metrics: ProcessMetrics, port: int, token: str, clock: Clock, stop: asyncio.Event
) -> AsyncIterator[None]:
    """Serve ``/metrics`` during the block, until ``stop`` at the latest: the port is the successor's then.

    Parameters
    ----------
    port
        0 serves nothing. One that is taken is tried again each second, and costs nothing but the metrics.
    token
        ``METRICS_TOKEN``; without one the port is on loopback only.
    """
    if not port:
        yield
        return
    serving = asyncio.create_task(_serve(metrics, port, token, clock, stop), name="worker-metrics")
    try:
        yield
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


async def _serve(metrics: ProcessMetrics, port: int, token: str, clock: Clock, stop: asyncio.Event) -> None:
    async def answer(request: web.Request) -> web.Response:
        access = may_read(token, request.headers.get, on_loopback=not token)
        if access.challenged:
            return web.json_response(
                {"detail": "Invalid or expired token"}, status=401, headers={"WWW-Authenticate": "Bearer"}
            )
        if not access.allowed:
            return web.json_response({"detail": "Not found."}, status=404)
        body, content_type = exposition(metrics.registry, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        warned = False
        while True:
            try:
                await web.TCPSite(runner, EVERYWHERE if token else LOOPBACK, port).start()
                break
            except OSError as error:
                if not warned:
                    log.warning("metrics_port_taken", port=port, cause=error.strerror)
                warned = True
                await clock.sleep(RETRY_S)
        log.info("metrics_served", port=port)
        await stop.wait()
    finally:
        await runner.cleanup()
