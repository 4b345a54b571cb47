"""The body of a stream: sent as it is spoken, cut when it breaks off, closed when nobody listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from understudy.errors import UnderstudyError
from understudy.speech.streaming import OpenStream

T = TypeVar("T")

#: A client that takes nothing for this long is cut off: what it did not read is held in memory.
STALLED_READER_S = 60.0


class StreamCutError(Exception):
    """The body must not end cleanly: whatever server runs this cuts the connection."""


async def until_hang_up(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` returns, or cancel it when the client hangs up first.

    The body of ``request`` must have been read.

    Raises
    ------
    ClientDisconnect
        It hung up.
    """
    working = asyncio.ensure_future(work)
    hung_up = asyncio.ensure_future(_until_disconnect(request.receive))
    try:
        await asyncio.wait({working, hung_up}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        for task in (working, hung_up):
            task.cancel()
        await asyncio.gather(working, hung_up, return_exceptions=True)


class AudioStreamResponse(Response):
    """Sends a stream chunk by chunk; its clean end means that the speech is whole and stored.

    Parameters
    ----------
    body
        What is sent, where it is not the provider's own audio; made of ``stream.chunks()``, and like those it
        raises when the speech breaks off.
    """

    def __init__(
        self,
        stream: OpenStream,
        *,
        body: AsyncGenerator[bytes, None] | None = None,
        media_type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        described = {
            "X-Provider": stream.provider,
            "X-Generation-Id": str(stream.generation_id),
            "X-Task-Id": str(stream.task_id),
            "X-Accel-Buffering": "no",
            "Cache-Control": "no-store",
            **(headers or {}),
        }
        super().__init__(headers=described, media_type=media_type or stream.audio_format.content_type)
        # The length is not known: chunked.
        del self.headers["content-length"]
        self._stream = stream
        self._body = body if body is not None else stream.chunks()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send it."""
        sending = asyncio.current_task()
        assert sending is not None  # noqa: S101  (a coroutine runs in a task)
        hung_up = False

        def hang_up(_: asyncio.Task[None]) -> None:
            nonlocal hung_up
            if not done:
                hung_up = True
                sending.cancel()

        done = False
        listening = asyncio.create_task(_until_disconnect(receive))
        listening.add_done_callback(hang_up)
        try:
            await self._send(send)
            done = True
        except asyncio.CancelledError:
            if not hung_up:
                # The process ends, and its deadline for what is in flight is over.
                self._stream.interrupt()
                raise
            sending.uncancel()
            raise ClientDisconnect from None
        except UnderstudyError as error:
            raise StreamCutError(error.code) from error
        except TimeoutError:
            raise StreamCutError("reader_stalled") from None
        finally:
            ended, done = done, True
            listening.cancel()
            if not ended:
                # Of a stream that is settled it changes nothing.
                await asyncio.shield(self._stream.aclose())

    async def _send(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._body) as body, asyncio.timeout(None) as patience:
            async for data in body:
                patience.reschedule(loop.time() + STALLED_READER_S)
                await send({"type": "http.response.body", "body": data, "more_body": True})
                patience.reschedule(None)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
