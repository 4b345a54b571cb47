"""``GET /charts``: what the console draws while an incident runs."""

from __future__ import annotations

from aiohttp import web

from understudy.restoration.guard.charting import Charting
from understudy.restoration.guard.console_parts import ConsoleContext, ConsolePart, number_in

MINUTES = 60
LEAST_MINUTES = 5
MOST_MINUTES = 1440


class Charts(ConsolePart):
    """Answers with calls over time, verdicts and marks; as last known while the database is away."""

    def __init__(self, context: ConsoleContext) -> None:
        self._charting = Charting(context.guard, context.store, context.connect, context.clock)

    def routes(self) -> list[web.RouteDef]:
        """Give ``/charts``."""
        return [web.get("/charts", self._charts)]

    async def _charts(self, request: web.Request) -> web.Response:
        minutes = number_in(request, "minutes", MINUTES, lowest=LEAST_MINUTES, highest=MOST_MINUTES)
        return web.json_response(await self._charting.document(minutes))
