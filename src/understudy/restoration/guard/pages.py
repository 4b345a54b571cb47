"""The operations console's pages and files, served by the guard itself: there when the product is not."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from understudy.frontend import ICONS, OPERATIONS, Frontend, Served
from understudy.restoration.guard.console_parts import ConsolePart, without_key

OPERATIONS_PATH: Final = "/operations/"

#: On every answer of the guard; a page brings a policy of its own.
_SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class Pages(ConsolePart):
    """Everything under ``/operations`` and ``/assets``: open to everybody, for none of it holds data."""

    def __init__(self, frontend: Frontend) -> None:
        self._frontend = frontend

    def routes(self) -> list[web.RouteDef]:
        """Give what this part answers."""
        return [
            web.get("/", self._home),
            web.get("/operations", self._page),
            web.get("/operations/{rest:.*}", self._page),
            web.get("/assets/{path:.*}", self._asset),
            *(web.get(f"/{name}", self._icon) for name in ICONS),
        ]

    async def close(self) -> None:
        """Nothing to give back."""

    @without_key
    async def _home(self, _: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": OPERATIONS_PATH})

    @without_key
    async def _page(self, _: web.Request) -> web.Response:
        return _answer(self._frontend.page(OPERATIONS))

    @without_key
    async def _asset(self, request: web.Request) -> web.Response:
        found = self._frontend.asset(
            request.match_info["path"],
            accept_encoding=request.headers.get("Accept-Encoding", ""),
            if_none_match=request.headers.get("If-None-Match", ""),
        )
        return _answer(found)

    @without_key
    async def _icon(self, request: web.Request) -> web.Response:
        return _answer(self._frontend.icon(request.path.removeprefix("/")))


async def secure(_: web.Request, response: web.StreamResponse) -> None:
    """Give an answer of the guard the headers that all have, before it goes out."""
    for name, value in _SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    # It names versions, which helps nobody who may be here.
    response.headers.pop("Server", None)


def _answer(served: Served) -> web.Response:
    return web.Response(body=served.body or None, status=served.status, headers=served.headers)
