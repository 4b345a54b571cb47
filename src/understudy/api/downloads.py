"""The body of a stored object, sent as fast as the client reads and no faster."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from understudy.store.objects import BLOCK_BYTES, OpenObject


class ObjectResponse(Response):
    """Sends ``length`` bytes of ``reader`` from ``start``, then closes it, also when the client hangs up.

    At most one block is in memory: ``send`` returns when the socket has room for more. A failed read ends the
    body short of its ``Content-Length``, so the client sees a cut and never a whole answer.
    """

    def __init__(
        self, reader: OpenObject, start: int, length: int, *, status_code: int, headers: Mapping[str, str]
    ) -> None:
        super().__init__(status_code=status_code, headers=dict(headers))
        self.headers["content-length"] = str(length)
        self._reader = reader
        self._start = start
        self._length = length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        hung_up = asyncio.ensure_future(_until_disconnect(receive))
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            position, end = self._start, self._start + self._length
            if scope["method"] == "HEAD":
                position = end
            while position < end and not hung_up.done():
                block = await self._reader.read(position, min(BLOCK_BYTES, end - position))
                position += len(block)
                await send({"type": "http.response.body", "body": block, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            hung_up.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await hung_up
            await self._reader.close()


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
