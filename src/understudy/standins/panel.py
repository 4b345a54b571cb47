"""The panel every stand-in carries: ``/_faults`` and ``/_stats``, reachable on loopback only."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from understudy.errors import ValidationError
from understudy.standins.faults import FaultPanel


def add_panel(app: web.Application, panel: FaultPanel, stats: Callable[[], dict[str, Any]]) -> None:
    """Add ``GET``, ``POST`` and ``DELETE /_faults`` and ``GET /_stats`` to ``app``."""

    async def read_faults(_: web.Request) -> web.Response:
        return web.json_response(panel.settings)

    async def change_faults(request: web.Request) -> web.Response:
        try:
            panel.change(json.loads(await request.text()))
        except json.JSONDecodeError:
            return web.json_response({"detail": "The body is not JSON."}, status=400)
        except ValidationError as error:
            return web.json_response({"detail": error.message}, status=400)
        return web.json_response(panel.settings)

    async def calm_faults(_: web.Request) -> web.Response:
        panel.calm()
        return web.json_response(panel.settings)

    async def read_stats(_: web.Request) -> web.Response:
        return web.json_response({**stats(), "faults_injected": panel.injected})

    app.router.add_get("/_faults", read_faults)
    app.router.add_post("/_faults", change_faults)
    app.router.add_delete("/_faults", calm_faults)
    app.router.add_get("/_stats", read_stats)
