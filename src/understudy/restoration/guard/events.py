"""Server-sent events of the guard: each journal entry, and each change of its status."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import web

from understudy.clock import Clock
from understudy.errors import StoreUnavailableError, ThrottledError, ValidationError
from understudy.restoration.guard.documents import entry_document
from understudy.store.guard import GuardStore

LOOK_EVERY_S = 0.5
#: A proxy ends what is silent for longer.
COMMENT_EVERY_S = 15.0
LISTENERS = 32
_BATCH = 200


class EventStream:
    """Serves any number of listeners up to :data:`LISTENERS`, each at its own place in the journal.

    Parameters
    ----------
    summary
        What is told as ``event: status`` whenever it is not what it was.
    """

    def __init__(self, store: GuardStore, summary: Callable[[], dict[str, Any]], clock: Clock) -> None:
        self._store = store
        self._ask = summary
        self._clock = clock
        self._asked_at_s: float | None = None
        self._summary: dict[str, Any] = {}
        self._listeners = 0
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End every stream."""
        self._stopping.set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Send events until the listener leaves or the guard stops.

        ``Last-Event-ID`` (or ``?after=``) is a journal entry's ``seq``: everything after it is sent. Without
        it, only what happens from now on.

        Raises
        ------
        ThrottledError
            :data:`LISTENERS` listen already.
        ValidationError
            That is no number.
        """
        given = request.headers.get("Last-Event-ID") or request.query.get("after")
        if given is not None and not given.isdecimal():
            raise ValidationError("Last-Event-ID is not the number of a journal entry.")
        if self._listeners >= LISTENERS:
            raise ThrottledError(f"{LISTENERS} listen to the guard's events already.")
        seq = int(given) if given is not None else self._store.head()
        self._listeners += 1
        try:
            return await self._send(request, seq)
        finally:
            self._listeners -= 1

    async def _send(self, request: web.Request, seq: int) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        told: dict[str, Any] | None = None
        silent_s = 0.0
        while not self._stopping.is_set():
            text = ""
            # The stream has begun: while the store is away it can only wait.
            with suppress(StoreUnavailableError):
                for entry in self._store.entries_after(seq, limit=_BATCH):
                    seq = entry.seq
                    text += _event("journal", entry_document(entry), seq)
                summary = self._summary_now()
                if summary != told:
                    told = summary
                    text += _event("status", summary)
            silent_s = 0.0 if text else silent_s + LOOK_EVERY_S
            if silent_s >= COMMENT_EVERY_S:
                text, silent_s = ": still here\n\n", 0.0
            if text:
                await response.write(text.encode())
            await self._pause()
        return response

    def _summary_now(self) -> dict[str, Any]:
        """Ask once for all listeners."""
        now_s = self._clock.monotonic_s()
        if self._asked_at_s is None or now_s - self._asked_at_s >= LOOK_EVERY_S:
            self._asked_at_s, self._summary = now_s, self._ask()
        return self._summary

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(LOOK_EVERY_S):
                await self._stopping.wait()
        except TimeoutError:
            return


def _event(name: str, data: dict[str, Any], seq: int | None = None) -> str:
    number = f"id: {seq}\n" if seq is not None else ""
    return f"{number}event: {name}\ndata: {json.dumps(data, default=str)}\n\n"
