"""The control socket: how the guard, a person's ``status`` and a redeploy reach the supervisor."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field
from pydantic import ValidationError as ModelError

from understudy.errors import UnauthenticatedError, UnderstudyError, ValidationError
from understudy.logs import get_logger
from understudy.processes.deployments import Deployments
from understudy.processes.home import Home, write_private
from understudy.processes.ports import LOOPBACK

log = get_logger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_BODY_BYTES = 64 * 1024


class DeploymentRequest(BaseModel):
    """Body of ``POST /v1/deployments``."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1, max_length=200)
    kinds: list[str] = Field(min_length=1, max_length=8)
    release: str | None = Field(default=None, min_length=1, max_length=100)


class ControlServer:
    """HTTP on loopback behind a bearer token that only the home's owner can read.

    Parameters
    ----------
    status
        Gives the answer of ``GET /v1/status``.
    request_stop
        Called by ``POST /v1/stop``.
    """

    def __init__(
        self,
        home: Home,
        *,
        status: Callable[[], dict[str, Any]],
        deployments: Deployments,
        request_stop: Callable[[], None],
    ) -> None:
        self.url = ""
        self._home = home
        self._status = status
        self._deployments = deployments
        self._request_stop = request_stop
        self._token = secrets.token_urlsafe(32)
        app = web.Application(middlewares=[self._guarded], client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/v1/status", self._get_status)
        app.router.add_post("/v1/deployments", self._post_deployment)
        app.router.add_get("/v1/deployments/{id}", self._get_deployment)
        app.router.add_post("/v1/stop", self._post_stop)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)

    async def start(self) -> None:
        """Listen on a free port and publish address and token in ``run/control.json`` (0600)."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://{LOOPBACK}:{port}"
        write_private(self._home.control_file, json.dumps({"url": self.url, "token": self._token}))

    async def stop(self) -> None:
        """Stop listening and take the published address back."""
        self._home.control_file.unlink(missing_ok=True)
        await self._runner.cleanup()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            given = request.headers.get("Authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
                raise UnauthenticatedError(
                    "The control token is missing or wrong; it is in run/control.json."
                )
            return await handler(request)
        except UnderstudyError as error:
            return web.json_response({"detail": error.message}, status=error.status)
        except web.HTTPException as error:
            return web.json_response({"detail": error.reason}, status=error.status)

    async def _get_status(self, _: web.Request) -> web.Response:
        return web.json_response(self._status())

    async def _post_deployment(self, request: web.Request) -> web.Response:
        try:
            wanted = DeploymentRequest.model_validate_json(await request.read())
        except ModelError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in problem["loc"]) or "body"
            raise ValidationError(f"{where}: {problem['msg']}.") from None
        deployment = self._deployments.request(wanted.id, wanted.kinds, release=wanted.release)
        log.info("deployment_requested", id=deployment.id, kinds=deployment.kinds, state=deployment.state)
        return web.json_response(asdict(deployment), status=202)

    async def _get_deployment(self, request: web.Request) -> web.Response:
        return web.json_response(asdict(self._deployments.get(request.match_info["id"])))

    async def _post_stop(self, _: web.Request) -> web.Response:
        self._request_stop()
        return web.json_response({"state": "stopping"}, status=202)
