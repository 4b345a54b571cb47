"""The last look at an answer: one in which a secret of ours stands does not leave.

It sees JSON and text, whole, before the first byte goes. Audio, and what is sent while it is made, passes
through untouched.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from pydantic import SecretStr
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from understudy.api.errors import error_response
from understudy.digests import UNGUESSABLE_CHARS
from understudy.logs import get_logger

#: Bytes of one answer that are looked at; the rest of a longer one follows unseen.
SEEN_BYTES: Final = 1024 * 1024
WITHHELD: Final = "This answer was withheld: it held something that must not leave the service."
_EVENTS: Final = "text/event-stream"

log = get_logger(__name__)


class Withholding:
    """ASGI middleware that answers 500 in place of what holds a secret.

    Parameters
    ----------
    watched
        By name: what must never leave. A value under :data:`UNGUESSABLE_CHARS` characters is left out: it may
        stand in an answer by chance, and a tenant who tries texts would learn it.
    on_leak
        Told the name, and the route as the API names it: ``GET /api/voices/{id}/preview``.
    """

    def __init__(
        self, app: ASGIApp, *, watched: Mapping[str, SecretStr], on_leak: Callable[[str, str], None]
    ) -> None:
        self._app = app
        self._on_leak = on_leak
        self._forms = [
            (form, name)
            for name, secret in watched.items()
            if len(secret.get_secret_value()) >= UNGUESSABLE_CHARS
            for form in _forms(secret.get_secret_value())
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or not self._forms:
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Answer(self, scope, receive, send))

    def name_in(self, body: bytes | bytearray) -> str | None:
        """Name of a secret that stands in ``body``."""
        return next((name for form, name in self._forms if form in body), None)

    async def withhold(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer something else, and say why to those who watch."""
        route = getattr(scope.get("route"), "path", "")
        log.error("answer_withheld", secret=name, method=scope["method"], route=route)
        self._on_leak(name, f"{scope['method']} {route}" if route else "")
        await error_response(Request(scope), 500, WITHHELD)(scope, receive, send)


class _Answer:
    """One answer on its way out: held until it was looked at, or passed on as it comes."""

    def __init__(self, looks: Withholding, scope: Scope, receive: Receive, send: Send) -> None:
        self._looks = looks
        self._scope = scope
        self._receive = receive
        self._send = send
        #: What is held; ``None`` once messages pass.
        self._held: list[Message] | None = []
        self._body = bytearray()
        self._withheld = False

    async def __call__(self, message: Message) -> None:
        """Take one message of the answer."""
        if self._held is None:
            if not self._withheld:
                await self._send(message)
            return
        if message["type"] == "http.response.start" and not _is_text(message):
            self._held = None
            await self._send(message)
            return
        self._held.append(message)
        if message["type"] != "http.response.body":
            return
        self._body += message.get("body", b"")
        if message.get("more_body", False) and len(self._body) < SEEN_BYTES:
            return
        held, self._held = self._held, None
        name = self._looks.name_in(self._body)
        if name is not None:
            self._withheld = True
            await self._looks.withhold(name, self._scope, self._receive, self._send)
            return
        for message_held in held:
            await self._send(message_held)


def _is_text(start: Message) -> bool:
    content_type = next((value for name, value in start["headers"] if name.lower() == b"content-type"), b"")
    kind = content_type.decode("latin-1").partition(";")[0].strip().lower()
    return kind != _EVENTS and (kind.startswith("text/") or kind.endswith("json"))


def _forms(value: str) -> set[bytes]:
    """``value`` as it would stand in text, and in JSON with and without escapes."""
    return {
        value.encode(),
        json.dumps(value)[1:-1].encode(),
        json.dumps(value, ensure_ascii=False)[1:-1].encode(),
    }
