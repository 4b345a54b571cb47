"""Routes of the cutover: what is on, forward again with limits, and back without any."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from understudy.logs import get_logger
from understudy.restoration.cutover import desk as work
from understudy.restoration.cutover.desk import Desk
from understudy.restoration.cutover.moves import MoveLimits
from understudy.restoration.guard.console_asking import check_product, person_of, reason_in, text_or_none
from understudy.restoration.guard.console_parts import OPERATOR, ConsoleContext, ConsolePart, body_object
from understudy.restoration.incidents import person_named
from understudy.store.cutover import CutoverRow

log = get_logger(__name__)


class Cutover(ConsolePart):
    """Reads and orders the cutover of the guard's environment.

    Whoever moves tenants away from known-good, or thaws such moves, must be a person; back is anybody's whose
    key is good.
    """

    def __init__(self, context: ConsoleContext) -> None:
        self._context = context
        # A double click must not take two moves: what is asked twice is looked at a second time.
        self._one_order = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """Give what this part answers."""
        return [
            web.get("/cutover", self._status),
            web.post("/cutover/next", self._next),
            web.post("/cutover/pause", self._pause),
            web.post("/cutover/resume", self._resume),
            web.post("/cutover/return", self._return),
            web.post("/mode/thaw", self._thaw),
        ]

    async def _desk(self, request: web.Request) -> Desk:
        context = self._context
        check_product(context.environment)
        return Desk(
            environment=context.guard.book.environment,
            playbook=context.guard.playbook,
            store=context.store,
            database=await context.connect(),
            clock=context.clock,
            actor=person_named(request[OPERATOR]),
        )

    async def _status(self, request: web.Request) -> web.Response:
        return web.json_response(await work.describe(await self._desk(request)))

    async def _next(self, request: web.Request) -> web.Response:
        person_of(request)
        body = await body_object(request)
        reason, behind = reason_in(body, self._context.redactor), text_or_none(body, "leave_behind")
        leave_behind = self._context.redactor(behind) if behind is not None else None
        return await self._ordered(
            request, "next", lambda desk: work.go_on(desk, reason=reason, leave_behind=leave_behind)
        )

    async def _pause(self, request: web.Request) -> web.Response:
        reason = await self._reason(request)
        return await self._ordered(request, "pause", lambda desk: work.pause(desk, reason=reason))

    async def _resume(self, request: web.Request) -> web.Response:
        person_of(request)
        reason = await self._reason(request)
        return await self._ordered(request, "resume", lambda desk: work.resume(desk, reason=reason))

    async def _ordered(
        self, request: web.Request, order: str, give: Callable[[Desk], Awaitable[CutoverRow]]
    ) -> web.Response:
        async with self._one_order:
            desk = await self._desk(request)
            row = await give(desk)
        log.warning("cutover_ordered", order=order, cutover=row.seq, operator=request[OPERATOR])
        return web.json_response(await work.told(desk, row))

    async def _return(self, request: web.Request) -> web.Response:
        """Bring everybody back: no limit, no lock and no state is in its way."""
        context = self._context
        check_product(context.environment)
        reason = await self._reason(request)
        found = await work.bring_back(
            await context.connect(),
            known_good=context.guard.known_good,
            actor=person_named(request[OPERATOR]),
            reason=reason,
            minimum_epoch=context.store.highest_mode_epoch(),
        )
        log.warning("cutover_ordered", order="return", operator=request[OPERATOR], **found)
        return web.json_response(found)

    async def _thaw(self, request: web.Request) -> web.Response:
        context = self._context
        person = person_named(person_of(request))
        reason = await self._reason(request)
        limits = MoveLimits(
            context.store,
            context.guard.playbook.cutover.limits,
            context.clock,
            context.guard.book.environment,
        )
        was = limits.thaw(person, reason)
        log.warning("moves_thawed", operator=request[OPERATOR], frozen=was)
        return web.json_response({"thawed": was})

    async def _reason(self, request: web.Request) -> str:
        return reason_in(await body_object(request), self._context.redactor)
