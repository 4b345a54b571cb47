"""The DashScope server: customization over HTTP, realtime speech over a WebSocket."""

from __future__ import annotations

import json
import weakref
from typing import Any

from aiohttp import WSCloseCode, web

from understudy.clock import Clock
from understudy.errors import UnderstudyError
from understudy.logs import get_logger
from understudy.standins.access import KeyVerdict, judge_key
from understudy.standins.billing import DashScopeCounters
from understudy.standins.configuration import StandInSettings
from understudy.standins.customization import Customization, Order
from understudy.standins.faults import (
    DASHSCOPE_FAULTS,
    DASHSCOPE_NUMBERS,
    DASHSCOPE_WORDS,
    FaultPanel,
    reset_connection,
)
from understudy.standins.hanging import SilentConnections
from understudy.standins.models import REALTIME_MODELS
from understudy.standins.panel import add_panel
from understudy.standins.realtime import RealtimeServices, RealtimeSession
from understudy.standins.refusals import (
    RefusalError,
    access_denied,
    answer_response,
    internal_error,
    invalid_key,
    invalid_parameter,
    model_not_found,
    refusal_response,
)
from understudy.standins.throttling import RateLimiter, rate_quota
from understudy.standins.voices import VoiceShelf
from understudy.voicebox.client import Voicebox

CUSTOMIZATION_PATH = "/api/v1/services/audio/tts/customization"
REALTIME_PATH = "/api-ws/v1/realtime"
#: Above the vendor's 10 MB of base64, so that the answer is its refusal and not the server's 413.
_MAX_BODY_BYTES = 24 * 1024 * 1024


class DashScopeServer:
    """State and routes of the stand-in."""

    def __init__(
        self, settings: StandInSettings, shelf: VoiceShelf, voicebox: Voicebox, clock: Clock
    ) -> None:
        self._log = get_logger("standins.dashscope")
        self._settings = settings
        self._counters = DashScopeCounters()
        self._shelf = shelf
        self._panel = FaultPanel(
            DASHSCOPE_FAULTS,
            settings.fault_seed,
            {
                **DASHSCOPE_NUMBERS,
                "session_idle_s": settings.session_idle_s,
                "voices_per_account": float(settings.voices_per_account),
            },
            {**DASHSCOPE_WORDS, "voice_mismatch_code": settings.voice_mismatch_code},
        )
        self._limiter = RateLimiter(self._panel, clock)
        self._silent = SilentConnections()
        self._customization = Customization(shelf, voicebox, self._panel, self._counters, clock)
        self._services = RealtimeServices(
            shelf, voicebox, self._panel, self._counters, settings, clock, self._silent
        )
        self._sockets: weakref.WeakSet[web.WebSocketResponse] = weakref.WeakSet()

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_post(CUSTOMIZATION_PATH, self._customize)
        app.router.add_get(REALTIME_PATH, self._realtime)
        add_panel(app, self._panel, self._stats)
        app.on_shutdown.append(self._close_sockets)
        return app

    def _stats(self) -> dict[str, Any]:
        return {**self._counters.to_json(), "voices": len(self._shelf), "open_sessions": len(self._sockets)}

    async def _customize(self, request: web.Request) -> web.StreamResponse:
        try:
            self._admit(request)
            return await self._manage(request)
        except RefusalError as refusal:
            return refusal_response(refusal)
        except UnderstudyError as error:
            self._log.warning("customization_failed", error=error.message)
            return refusal_response(internal_error())

    async def _manage(self, request: web.Request) -> web.StreamResponse:
        """Answer one management call, or strike it: before its work, or after a create that is billed."""
        body = await _read_json(request)
        self._strike_access("customization")
        if self._panel.strikes("customization_500"):
            raise internal_error()
        if self._panel.strikes("customization_hang"):
            return await self._hang(request)
        if isinstance(body, dict):
            self._limit(str(body.get("model")))
        order = Order.from_body(body)
        answer = await self._customization.answer(order)
        if self._panel.strikes("customization_garbage"):
            return web.Response(text='{"output": {"voice', content_type="application/json")
        if order.action == "create":
            if self._panel.strikes("create_hang"):
                return await self._hang(request)
            if self._panel.strikes("create_answer_lost"):
                reset_connection(request.transport)
                return web.Response()
        return answer_response(answer)

    async def _realtime(self, request: web.Request) -> web.StreamResponse:
        model = request.query.get("model", "")
        try:
            self._admit(request)
            if not model:
                # "Missing model: connection drops at once" (facts/dashscope.md section 1).
                reset_connection(request.transport)
                return web.Response()
            if self._panel.strikes("handshake_hang"):
                return await self._hang(request)
            self._strike_access("handshake")
            if model not in REALTIME_MODELS:
                raise model_not_found()
            self._limit(model)
        except RefusalError as refusal:
            return refusal_response(refusal)
        socket = web.WebSocketResponse(max_msg_size=4 * 1024 * 1024, timeout=2.0)
        await socket.prepare(request)
        self._counters.sessions += 1
        self._sockets.add(socket)
        try:
            await RealtimeSession(socket, request.transport, model, self._services).run()
        finally:
            self._sockets.discard(socket)
        return socket

    def _strike_access(self, place: str) -> None:
        """Refuse what would be let through: 401, 403 or 429."""
        for status, refusal in ((401, invalid_key), (403, access_denied), (429, rate_quota)):
            if self._panel.strikes(f"{place}_{status}"):
                raise refusal()

    def _limit(self, model: str) -> None:
        try:
            self._limiter.admit(model)
        except RefusalError:
            self._counters.throttled += 1
            raise

    async def _hang(self, request: web.Request) -> web.Response:
        """Answer nothing until the client leaves or the server stops."""
        await self._silent.hold(request.transport)
        reset_connection(request.transport)
        return web.Response()

    def _admit(self, request: web.Request) -> None:
        verdict = judge_key(request.headers.get("Authorization"), self._settings)
        if verdict is KeyVerdict.ACCEPTED:
            return
        self._counters.refused_keys += 1
        self._counters.wrong_lane_keys += verdict is KeyVerdict.WRONG_LANE
        raise invalid_key()

    async def _close_sockets(self, _: web.Application) -> None:
        self._silent.release()
        for socket in list(self._sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY)


async def _read_json(request: web.Request) -> Any:
    try:
        return json.loads(await request.text())
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise invalid_parameter("The request body is not valid JSON.") from None
