"""Tenants whose players stream speech and report what they heard."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import aiohttp

from understudy.demo.tenant import Tenant

#: The route takes 60 batches a minute of one account (docs/streaming.md).
PAUSE_S = 1.1
STREAMS_AT_ONCE = 3
TEXT = "one two three"


class Heard(StrEnum):
    """What a player claims about every stream."""

    ENDED = "ended"
    DECODE_ERROR = "decode_error"
    STALLED = "stalled"
    NOT_COMPLETED = "not_completed"


_EVENTS = {
    Heard.ENDED: ("started", "ended"),
    Heard.DECODE_ERROR: ("started", "decode_error"),
    Heard.STALLED: ("started", "stalled", "stalled", "stalled", "ended"),
    Heard.NOT_COMPLETED: ("started",),
}


class Players:
    """Streams for several tenants; ``heard`` may be changed while they play.

    Parameters
    ----------
    tenants
        With the voice that each of them plays.
    """

    def __init__(self, http: aiohttp.ClientSession, api: str, tenants: Sequence[tuple[Tenant, str]]) -> None:
        self.heard = Heard.ENDED
        self._http = http
        self._api = api
        self._tenants = tenants

    async def run(self) -> None:
        """Stream and report until cancelled."""
        await asyncio.gather(*(self._play(tenant, voice) for tenant, voice in self._tenants))

    async def _play(self, tenant: Tenant, voice: str) -> None:
        headers = {"Authorization": f"Bearer {tenant.access_token}"}
        while True:
            streams = (self._stream(headers, voice) for _ in range(STREAMS_AT_ONCE))
            generations = [generation for generation in await asyncio.gather(*streams) if generation]
            if generations:
                events = [event for generation in generations for event in self._events(generation)]
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    url = f"{self._api}/api/playback-events"
                    async with self._http.post(url, json={"events": events}, headers=headers) as answer:
                        await answer.read()
            await asyncio.sleep(PAUSE_S)

    async def _stream(self, headers: dict[str, str], voice: str) -> str | None:
        body = {"voice_id": voice, "text": TEXT, "language": "English"}
        try:
            url = f"{self._api}/api/generate/stream"
            async with self._http.post(url, json=body, headers=headers) as answer:
                await answer.read()
                return answer.headers.get("X-Generation-Id") if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None

    def _events(self, generation: str) -> list[dict[str, Any]]:
        now = datetime.now(UTC)
        return [
            {
                "generation_id": generation,
                "event": name,
                "at": now.replace(microsecond=index).isoformat(),
                "client": "drill",
                "client_version": "1.0",
            }
            for index, name in enumerate(_EVENTS[self.heard])
        ]


@asynccontextmanager
async def playing(players: Players) -> AsyncIterator[Players]:
    """Let them play until the block ends."""
    task = asyncio.create_task(players.run(), name="players")
    try:
        yield players
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
