"""Server-sent events of the guard: each journal entry, each change of its status, and its heartbeat."""

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
from understudy.store.journal import JournalEntry

#: Entries of this process are told at once; those of others are looked for so often, while anybody listens.
LOOK_EVERY_S = 0.25
#: The status is compared so often at most.
STATUS_EVERY_S = 0.5
#: Whoever hears no beat for longer than this looks at old data; it also keeps proxies from ending the stream.
BEAT_EVERY_S = 5.0
LISTENERS = 32
_BATCH = 200


class EventStream:
    """Serves any number of listeners up to :data:`LISTENERS`, each at its own place in the journal.

    Parameters
    ----------
    summary
        What is told as ``event: status`` whenever it is not what it was.
    cycle_age_s
        Seconds since the guard completed a look, where that is known: told with each beat.
    may_listen
        Whether the key that a request came with is good still: asked before each beat.
    """

    def __init__(
        self,
        store: GuardStore,
        summary: Callable[[], dict[str, Any]],
        clock: Clock,
        *,
        cycle_age_s: Callable[[], float | None] = lambda: None,
        may_listen: Callable[[web.Request], bool] = lambda _: True,
    ) -> None:
        self._store = store
        self._ask = summary
        self._clock = clock
        self._cycle_age_s = cycle_age_s
        self._may_listen = may_listen
        self._asked_at_s: float | None = None
        self._summary: dict[str, Any] = {}
        self._looked_at_s: float | None = None
        self._head = 0
        self._listeners = 0
        self._stopped = False
        self._bell = asyncio.Event()
        self._no_more_entries: Callable[[], None] | None = None

    def stop(self) -> None:
        """End every stream."""
        self._stopped = True
        self._ring()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Send events until the listener leaves, its key is revoked, or the guard stops.

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
        self._enter()
        try:
            return await self._send(request, seq)
        finally:
            self._leave()

    async def _send(self, request: web.Request, seq: int) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        told: dict[str, Any] | None = None
        beat_at_s = loop.time()
        while not self._stopped:
            is_due = loop.time() >= beat_at_s
            if is_due and not self._still_may(request):
                break
            bell, text, entries = self._bell, "", list[JournalEntry]()
            # The stream has begun: while the store is away it can only wait.
            with suppress(StoreUnavailableError):
                entries = self._store.entries_after(seq, limit=_BATCH) if seq < self._head_now() else []
                for entry in entries:
                    seq = entry.seq
                    text += _event("journal", entry_document(entry), seq)
                summary = self._summary_now()
                if summary != told:
                    told = summary
                    text += _event("status", summary)
            if is_due:
                beat_at_s = loop.time() + BEAT_EVERY_S
                text += _event("beat", self._beat())
            if text:
                await response.write(text.encode())
            if len(entries) < _BATCH:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await bell.wait()
        return response

    def _still_may(self, request: web.Request) -> bool:
        try:
            return self._may_listen(request)
        except StoreUnavailableError:
            # Whether it was revoked is not known, and an operator needs the stream most now.
            return True

    # --- news -----------------------------------------------------------------------------------------------

    def _enter(self) -> None:
        if self._listeners == 0:
            loop = asyncio.get_running_loop()

            def told() -> None:
                # The store may be written from any thread, and by one that outlives this loop.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._news)

            self._no_more_entries = self._store.on_entry(told)
        self._listeners += 1

    def _leave(self) -> None:
        self._listeners -= 1
        if self._listeners == 0 and self._no_more_entries is not None:
            self._no_more_entries()
            self._no_more_entries = None

    def _news(self) -> None:
        self._looked_at_s = None
        self._ring()

    def _ring(self) -> None:
        """Wake every listener: each waits for the bell that hung there before it looked."""
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()

    def _head_now(self) -> int:
        """Number of the newest entry: looked up once for all listeners."""
        now_s = self._clock.monotonic_s()
        if self._looked_at_s is None or now_s - self._looked_at_s >= LOOK_EVERY_S / 2:
            self._head = self._store.head()
            self._looked_at_s = now_s
        return self._head

    def _summary_now(self) -> dict[str, Any]:
        """Ask once for all listeners."""
        now_s = self._clock.monotonic_s()
        if self._asked_at_s is None or now_s - self._asked_at_s >= STATUS_EVERY_S:
            self._asked_at_s, self._summary = now_s, self._ask()
        return self._summary

    def _beat(self) -> dict[str, Any]:
        age_s = self._cycle_age_s()
        return {
            "now": self._clock.now().isoformat(),
            "cycle_age_s": round(age_s, 3) if age_s is not None else None,
        }


def _event(name: str, data: dict[str, Any], seq: int | None = None) -> str:
    number = f"id: {seq}\n" if seq is not None else ""
    return f"{number}event: {name}\ndata: {json.dumps(data, default=str)}\n\n"
