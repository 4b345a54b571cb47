"""Routes of restorations that a person asks for: what one would do, whether it could begin, and doing it."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from understudy.errors import ConfigurationError, ConflictError, ValidationError
from understudy.logs import get_logger
from understudy.restoration.guard.by_hand import ByHand
from understudy.restoration.guard.console_asking import person_of, reason_in, text_or_none
from understudy.restoration.guard.console_parts import OPERATOR, ConsoleContext, ConsolePart, body_object
from understudy.restoration.guard.preparing import preparation
from understudy.restoration.triggers.cures import ACTIONS, ActionName, action_named

log = get_logger(__name__)


class Restorations(ConsolePart):
    """Plans, probes and asks for one rung of the ladder, as `understudy restore` does while a guard leads.

    What is asked for waits for its approvals like everything else, and never for those of who asked.
    """

    def __init__(self, context: ConsoleContext) -> None:
        self._context = context
        # A double click must not ask twice: what is asked again is found under way.
        self._one_request = asyncio.Lock()
        self._prepare = preparation(
            home=context.home,
            settings=context.settings,
            store=context.store,
            target=context.target,
            connect=context.connect,
            clock=context.clock,
            stale_after_s=context.guard.playbook.limits.source_stale_after_s,
        )

    def routes(self) -> list[web.RouteDef]:
        """Give what this part answers."""
        return [
            web.get("/restorations/plan", self._plan),
            web.post("/restorations/probe", self._probe),
            web.post("/restorations", self._ask),
        ]

    def _hand(self, person: str) -> ByHand:
        guard, context = self._context.guard, self._context
        return ByHand(
            store=context.store,
            target=context.target,
            playbook=guard.playbook,
            policy=guard.policy_file,
            prepare=self._prepare,
            clock=context.clock,
            environment=guard.book.environment,
            known_good=guard.known_good,
            person=person,
        )

    async def _plan(self, request: web.Request) -> web.Response:
        asked = {name: request.query[name] for name in ("incident", "backup") if request.query.get(name)}
        action = _action(request.query.get("action", ""))
        try:
            plan = self._hand(request[OPERATOR]).plan(
                action, incident=asked.get("incident"), parameters=_parameters(asked.get("backup"))
            )
        except ConfigurationError as error:
            raise ConflictError(error.message) from error
        return web.json_response(plan)

    async def _probe(self, request: web.Request) -> web.Response:
        body = await body_object(request)
        action, incident = _action(body.get("action")), text_or_none(body, "incident")
        parameters = _parameters(text_or_none(body, "backup"))
        try:
            async with self._one_request:
                probed = await self._hand(request[OPERATOR]).probe(
                    action, incident=incident, parameters=parameters
                )
        except ConfigurationError as error:
            raise ConflictError(error.message) from error
        steps = [step.document() for step in probed]
        ok = not any(step.state == "failed" for step in probed)
        return web.json_response({"action": action, "ok": ok, "steps": steps})

    async def _ask(self, request: web.Request) -> web.Response:
        person, body = person_of(request), await body_object(request)
        action, incident = _action(body.get("action")), text_or_none(body, "incident")
        parameters = _parameters(text_or_none(body, "backup"))
        reason = reason_in(body, self._context.redactor)
        self._check_led()
        hand = self._hand(person)
        try:
            async with self._one_request:
                already = hand.under_way(action, incident=incident, parameters=parameters)
                if already is not None:
                    return web.json_response({"incident": already, "already": True}, status=202)
                row = await hand.request(action, reason=reason, incident=incident, parameters=parameters)
        except ConfigurationError as error:
            raise ConflictError(error.message) from error
        log.warning("restoration_asked", incident=row.id, action=action, operator=person)
        return web.json_response({"incident": row.id, "already": False}, status=202)

    def _check_led(self) -> None:
        """Raise :class:`ConflictError` while nobody holds the lease: nobody would carry it out."""
        store = self._context.store
        lease = store.lease(self._context.guard.book.environment)
        if lease is None or lease.expires_at <= store.lease_now():
            raise ConflictError(
                "No guard leads now, so nobody would carry it out. Wait for one, or do it with "
                "`understudy restore --live`."
            )


def _action(name: Any) -> ActionName:
    found = action_named(name) if isinstance(name, str) else None
    if found is None:
        raise ValidationError(f"action is none of {', '.join(ACTIONS)}.")
    return found


def _parameters(backup: str | None) -> dict[str, Any]:
    return {"backup": backup} if backup else {}
