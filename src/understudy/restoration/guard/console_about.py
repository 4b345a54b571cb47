"""What the guard's console says about itself, and to whom: its OpenAPI document, and whose key this is."""

from __future__ import annotations

import json
from functools import cache

from aiohttp import web

from understudy.restoration.guard.console_parts import OPERATOR, ConsolePart, without_key
from understudy.restoration.guard.contract import openapi_document
from understudy.store.guard import MACHINE_KEY


@cache
def _document() -> str:
    return json.dumps(openapi_document())


@without_key
async def openapi(_: web.Request) -> web.Response:
    """Answer with the document of the whole API."""
    return web.Response(text=_document(), content_type="application/json")


async def me(request: web.Request) -> web.Response:
    """Say whose key this is; the machine's own is nobody's word."""
    label = request[OPERATOR]
    return web.json_response({"label": label, "may_approve": label != MACHINE_KEY})


class About(ConsolePart):
    """``/openapi.json`` and ``/me``."""

    def routes(self) -> list[web.RouteDef]:
        """Give both."""
        return [web.get("/openapi.json", openapi), web.get("/me", me)]
