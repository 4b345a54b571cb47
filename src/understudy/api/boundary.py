"""The outermost layer: request ids, security and CORS headers, body limits, the last word on failures."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from understudy.api.cors import CrossOrigin
from understudy.api.errors import BodyTooLargeError, error_response, unexpected_response
from understudy.api.streaming_response import StreamCutError
from understudy.logs import get_logger
from understudy.metrics import UNMATCHED, ProcessMetrics
from understudy.tracing import Traced, Tracing

REQUEST_ID_HEADER = "X-Request-Id"

#: 10000 code points as ``\\uXXXX\\uXXXX`` escapes are 120 kB; nothing else in a JSON body comes near.
JSON_BODY_BYTES = 256 * 1024
#: A designed voice in Modal mode brings up to 1 MB of audio (facts/api.md) and its form fields.
FORM_BODY_BYTES = 1536 * 1024
#: 50 MB of recording (facts/api.md) and its form around it.
TRANSCRIPTION_BODY_BYTES = 51 * 1024 * 1024
#: 50 events of a batch, each with every field as long as it may be.
PLAYBACK_BODY_BYTES = 64 * 1024

#: A recording somewhat over its 10 MB limit still gets its answer; a flood is cut off.
DISCARDED_BYTES = 16 * 1024 * 1024
DISCARDED_FOR_S = 5.0

#: 10 MB of recording and its form around it.
SAMPLE_BODY_BYTES = 11 * 1024 * 1024

_BODY_BYTES = {
    "/api/voices/design": FORM_BODY_BYTES,
    "/api/transcriptions": TRANSCRIPTION_BODY_BYTES,
    "/api/playback-events": PLAYBACK_BODY_BYTES,
    "/v1/audio/voices": SAMPLE_BODY_BYTES,
}
_OBJECTS_PREFIX = "/objects/"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}

log = get_logger(__name__)


@dataclass(slots=True)
class DrainState:
    """Whether this process is on its way out; shared by the server that sets it and the app that tells it."""

    draining: bool = False
    #: For those who wait: set with it.
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self) -> None:
        """Say so, and wake whoever waits."""
        self.draining = True
        self.begun.set()


def body_limit_bytes(path: str) -> int | None:
    """Return how many body bytes ``path`` takes; ``None`` where the route counts for itself."""
    if path.startswith(_OBJECTS_PREFIX):
        return None
    return _BODY_BYTES.get(path, JSON_BODY_BYTES)


class Boundary:
    """ASGI middleware around everything else.

    A failure before the response began becomes a JSON 500. After that the body must not end cleanly, so the
    exception goes on and the server cuts the connection.

    Parameters
    ----------
    limit
        Bytes that the body of a path may have; ``None`` where the route counts for itself.
    metrics, tracing
        Told of each request, by its route's template.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        drain: DrainState,
        cors: CrossOrigin,
        limit: Callable[[str], int | None],
        metrics: ProcessMetrics,
        tracing: Tracing,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing
        self._cors = cors
        self._drain = drain
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        with self._tracing.span("request", carrier=headers, server=True) as span:
            await self._handle(scope, receive, send, headers, span)

    async def _handle(
        self, scope: Scope, receive: Receive, send: Send, headers: Headers, span: Traced
    ) -> None:
        given = headers.get(REQUEST_ID_HEADER, "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        started_at_s = time.perf_counter()
        status = 0

        limit = self._limit(scope["path"])
        body = _Body(receive, headers, limit)

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = MutableHeaders(scope=message)
                self._mark(answered, request_id)
                self._cors.mark(headers.get("origin", ""), answered)
                if answered.get("connection") == "close":
                    await body.discard()
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                if limit is not None and body.announced > limit:
                    error = BodyTooLargeError(limit)
                    answer = error_response(Request(scope), 413, str(error.detail), headers=error.headers)
                    await answer(scope, body.receive, send_marked)
                elif (preflight := self._cors.preflight(scope["method"], headers)) is not None:
                    await preflight(scope, body.receive, send_marked)
                else:
                    await self._app(scope, body.receive, send_marked)
            except ClientDisconnect:
                log.info("client_hung_up", method=scope["method"], path=scope["path"])
            except Exception as error:
                _log_failure(scope, error, status)
                if status:
                    raise
                await unexpected_response(Request(scope))(scope, body.receive, send_marked)
            finally:
                took_s = time.perf_counter() - started_at_s
                log.info(
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    took_ms=round(took_s * 1000, 1),
                )
                self._count(scope, status, took_s, span)

    def _count(self, scope: Scope, status: int, took_s: float, span: Traced) -> None:
        # The router leaves the route that it chose; the path itself is the caller's word.
        route: str = getattr(scope.get("route"), "path", UNMATCHED)
        self._metrics.request(scope["method"], route, status, took_s)
        span.name(f"{scope['method']} {route}" if route != UNMATCHED else "request")
        span.put(
            http__request__method=scope["method"],
            http__route=route,
            http__response__status_code=status,
            understudy__request_id=scope["state"]["request_id"],
        )
        if status >= 500 or not status:
            span.fail()

    def _mark(self, headers: MutableHeaders, request_id: str) -> None:
        headers[REQUEST_ID_HEADER] = request_id
        for name, value in _SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        if self._drain.draining:
            # The client's next request opens a new connection, which the process that stays will accept.
            headers["Connection"] = "close"


def _log_failure(scope: Scope, error: Exception, status: int) -> None:
    if isinstance(error, StreamCutError):
        # On purpose: its task says why.
        log.info("stream_cut", path=scope["path"], cause=str(error))
    else:
        log.error(
            "request_crashed", method=scope["method"], path=scope["path"], started=status, exc_info=error
        )


class _Body:
    """A request's body on its way in: counted as it really arrives, for a chunked one announces nothing."""

    def __init__(self, receive: Receive, headers: Headers, limit: int | None) -> None:
        self._receive = receive
        self._limit = limit
        length = headers.get("content-length", "")
        self.announced = int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0
        self._arrived = 0
        self._ended = not self.announced and "transfer-encoding" not in headers
        self._invited = "expect" not in headers

    async def receive(self) -> Message:
        """Pass the next part on; raise :class:`BodyTooLargeError` once it is too much."""
        message = await self._next()
        if self._limit is not None and self._arrived > self._limit:
            raise BodyTooLargeError(self._limit)
        return message

    async def discard(self) -> None:
        """Read what is still on its way, within limits, before an answer that closes the connection.

        To close with bytes unread is to reset, and a client that is reset may never see the answer.
        """
        if not self._invited:
            return
        enough = self._arrived + DISCARDED_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DISCARDED_FOR_S):
                while not self._ended and self._arrived < enough:
                    await self._next()

    async def _next(self) -> Message:
        self._invited = True
        message = await self._receive()
        if message["type"] == "http.request":
            self._arrived += len(message.get("body", b""))
            self._ended = not message.get("more_body", False)
        else:
            self._ended = True
        return message
