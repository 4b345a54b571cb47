"""A provider that is called while the stream's admission commits: its socket opens, its text waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Self
from uuid import UUID

from understudy.providers.base import Provider, Reference, SpeakRequest, SpeechEvent
from understudy.speech.stream_orders import Casting, StreamOrder


class Opening:
    """The events of a call, the first of them awaited from now on; :meth:`aclose` it whatever happens.

    Nothing that may be billed is sent before :meth:`go`.
    """

    def __init__(self, provider: Provider, request: SpeakRequest) -> None:
        assert request.go is not None  # noqa: S101  (speak_request made it)
        self._go = request.go
        self._events: AsyncGenerator[SpeechEvent, None] = provider.speak(request)
        self._first: asyncio.Task[SpeechEvent] | None = asyncio.create_task(
            self._next(), name=f"open-{request.request_id}"
        )

    def go(self) -> Self:
        """The admission is committed: speak."""
        self._go.set()
        return self

    def __aiter__(self) -> Self:
        """Iterate once."""
        return self

    async def __anext__(self) -> SpeechEvent:
        """Return the next event."""
        if self._first is None:
            return await self._next()
        # Who is cancelled here cancels that too.
        event = await self._first
        self._first = None
        return event

    async def aclose(self) -> None:
        """Close the provider."""
        first, self._first = self._first, None
        if first is not None:
            first.cancel()
            # What it failed with is nobody's any more.
            await asyncio.gather(first, return_exceptions=True)
        await self._events.aclose()

    async def _next(self) -> SpeechEvent:
        return await anext(self._events)


def speak_request(
    order: StreamOrder,
    language: str,
    casting: Casting,
    task_id: UUID,
    *,
    reference: Reference | None = None,
    go: asyncio.Event | None = None,
) -> SpeakRequest:
    """What a provider is asked for."""
    return SpeakRequest(
        text=order.text,
        language=language,
        voice=casting.binding,
        reference=reference,
        audio_format=casting.audio_format,
        request_id=str(task_id),
        go=go,
    )


def open_ahead(order: StreamOrder, language: str, casting: Casting, task_id: UUID) -> Opening | None:
    """Begin to call a provider that streams from what it knows; ``None`` of any other."""
    able = casting.provider.capabilities
    if not (able.streaming and able.needs_enrolment):
        return None
    request = speak_request(order, language, casting, task_id, go=asyncio.Event())
    return Opening(casting.provider, request)
