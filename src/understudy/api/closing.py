"""Reads that are closed: 503 before anybody is recognised, and nothing that was asked before comes after.

A request that waited, such as a long poll, is looked at again when its answer begins; a body on its way is
cut.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from understudy.api.errors import error_response
from understudy.api.streaming_response import StreamCutError
from understudy.errors import ReadsClosedError
from understudy.rollout.reads import ReadsReader, kinds_of

Admit = Callable[[], None]


class ClosedReads:
    """ASGI middleware that answers 503 for the kinds of reads that are closed."""

    def __init__(self, app: ASGIApp, *, reads: ReadsReader) -> None:
        self._app = app
        self._reads = reads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        kinds = kinds_of(scope["method"], scope["path"]) if scope["type"] == "http" else frozenset()
        if not kinds:
            await self._app(scope, receive, send)
            return
        try:
            self._reads.admit(kinds)
        except ReadsClosedError as error:
            await _refuse(error, scope, receive, send)
            return
        answer = _Answer(lambda: self._reads.admit(kinds), scope, receive, send)
        await self._app(scope, receive, answer)


class _Answer:
    """One answer on its way out."""

    def __init__(self, admit: Admit, scope: Scope, receive: Receive, send: Send) -> None:
        self._admit = admit
        self._scope = scope
        self._receive = receive
        self._send = send
        self._refused = False

    async def __call__(self, message: Message) -> None:
        """Take one message of the answer; what follows a refusal goes nowhere."""
        if self._refused:
            return
        try:
            self._admit()
        except ReadsClosedError as error:
            if message["type"] == "http.response.start":
                self._refused = True
                await _refuse(error, self._scope, self._receive, self._send)
                return
            raise StreamCutError("reads were closed") from error
        await self._send(message)


async def _refuse(error: ReadsClosedError, scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"Retry-After": str(error.retry_after_s)}
    answer = error_response(Request(scope), error.status, error.message, headers=headers, error=error)
    await answer(scope, receive, send)
