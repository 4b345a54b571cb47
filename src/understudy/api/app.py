"""The HTTP application: routes, auth, errors and the boundary, over one :class:`SpeechContext`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.types import Lifespan

import understudy
from understudy.api import gotrue
from understudy.api.boundary import Boundary, DrainState, body_limit_bytes
from understudy.api.closing import ClosedReads
from understudy.api.contract import install_contract
from understudy.api.cors import CrossOrigin
from understudy.api.errors import install_error_handlers
from understudy.api.identities import Identities
from understudy.api.notice_board import NoticeBoard
from understudy.api.rates import UserRate
from understudy.api.routes import all_routers, documentation, studio
from understudy.api.withholding import Withholding
from understudy.audio.encode import Encoders
from understudy.logs import get_logger
from understudy.rollout.reads import ReadsReader
from understudy.speech.context import SpeechContext
from understudy.speech.watching import TaskWatch

_DESCRIPTION = """
A voice service that can always step back.
Sign up at `/auth/v1/signup` and send the `access_token` as a bearer token.
Every error outside `/auth/v1` and `/v1` is `{"detail": "<one sentence>"}`.
Under `/v1` the official `openai` package works: give it an API key and this server's `/v1` as `base_url`.
"""

log = get_logger(__name__)


def create_app(ctx: SpeechContext, *, drain: DrainState | None = None, on_loopback: bool = False) -> FastAPI:
    """Build the application.

    Parameters
    ----------
    ctx
        Open, with a started mode reader; it is closed by whoever opened it.
    drain
        Set by the server when this process is on its way out.
    on_loopback
        Whether it is served on loopback only: then ``/metrics`` needs no token.

    Raises
    ------
    ConfigurationError
        What ``AUTH_VERIFIER`` needs is missing or weak.
    """
    state = drain or DrainState()
    identities = Identities(ctx)
    watch = TaskWatch(ctx)
    encoders = Encoders()
    reads = ReadsReader(ctx.database, ctx.clock, instance=ctx.mode.instance)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        log.info("api_ready", instance=str(ctx.mode.instance), mode=ctx.mode.view().value)
        await reads.start()
        await identities.start()
        await watch.start()
        try:
            yield
        finally:
            # Past the drain's deadline: what still streams ends as interrupted.
            await ctx.streams.close()
            await watch.close()
            await encoders.close()
            await identities.close()
            await reads.stop()
        # Requests are done by now; what they left behind is the context's to close.
        log.info("api_drained", instance=str(ctx.mode.instance))

    app = _bare(lifespan)
    app.state.ctx = ctx
    app.state.drain = state
    app.state.identities = identities
    app.state.watch = watch
    app.state.encoders = encoders
    app.state.reads = reads
    app.state.notices = NoticeBoard(ctx, reads)
    app.state.on_loopback = on_loopback
    app.state.frontend = studio.studio_frontend(ctx.settings)
    app.state.playback_rate = UserRate(ctx.settings.playback_batches_a_minute)
    install_error_handlers(app)
    embedded = ctx.settings.auth_verifier == "embedded"
    if embedded:
        app.state.accounts = gotrue.Accounts(ctx)
    _add_routes(app, embedded=embedded)
    app.add_middleware(
        Withholding,
        watched=ctx.settings.watched(),
        on_leak=lambda name, route: ctx.signals.leak("response", name, route),
    )
    app.add_middleware(ClosedReads, reads=reads)
    app.add_middleware(
        Boundary,
        drain=state,
        cors=CrossOrigin(ctx.settings),
        limit=body_limit_bytes,
        metrics=ctx.metrics,
        tracing=ctx.tracing,
    )
    return app


def openapi_document() -> dict[str, Any]:
    """Return what ``/openapi.json`` answers where the embedded issuer serves; needs no database."""
    app = _bare(None)
    _add_routes(app, embedded=True)
    return app.openapi()


def _bare(lifespan: Lifespan[FastAPI] | None) -> FastAPI:
    return FastAPI(
        title="Understudy",
        version=understudy.__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url=documentation.OPENAPI_PATH,
    )


def _add_routes(app: FastAPI, *, embedded: bool) -> None:
    if embedded:
        app.include_router(gotrue.router)
    for router in all_routers():
        app.include_router(router)
    install_contract(app)
