"""What the console shows of one incident beside its journal: the story of it, and the checklist."""

from __future__ import annotations

from aiohttp import web

from understudy.restoration.guard.checklist import checklist_document
from understudy.restoration.guard.console_parts import ConsoleContext, ConsolePart
from understudy.restoration.guard.timeline import timeline_document


class IncidentViews(ConsolePart):
    """``/incidents/{id}/timeline`` and ``/checklist``, from the guard's store alone."""

    def __init__(self, context: ConsoleContext) -> None:
        self._store = context.store
        self._clock = context.clock
        self._board = context.board

    def routes(self) -> list[web.RouteDef]:
        """Give both."""
        return [
            web.get("/incidents/{id}/timeline", self._timeline),
            web.get("/incidents/{id}/checklist", self._checklist),
        ]

    async def _timeline(self, request: web.Request) -> web.Response:
        row = self._store.incident(request.match_info["id"])
        return web.json_response(timeline_document(row, self._store.entries(row.id), self._clock.now()))

    async def _checklist(self, request: web.Request) -> web.Response:
        row = self._store.incident(request.match_info["id"])
        entries = self._store.entries(row.id)
        return web.json_response(checklist_document(row, entries, self._board, self._clock.now()))
