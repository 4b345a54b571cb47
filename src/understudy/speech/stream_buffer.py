"""The hand-over of streamed speech from who speaks it to who listens."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

#: A reader that fell behind gets what it missed in pieces of at most this.
READ_BYTES = 64 * 1024


class StreamBuffer:
    """Audio that was spoken and not read yet, and how it ended.

    Writing never waits: a slow reader must not make the provider wait past its deadline for a gap. What is
    held is bounded by the length that the text can take (:mod:`understudy.audio.pace`), and is given up when
    the reader goes.
    """

    def __init__(self) -> None:
        self._unread: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._error: BaseException | None = None
        self._whole = False
        #: Past the commit point: valid audio arrived.
        self.heard = False

    def write(self, data: bytes) -> None:
        """Hand over valid audio; the first is the commit point."""
        self.heard = True
        self._unread.append(data)
        self._news.set()

    def finish(self) -> None:
        """It is whole."""
        self._whole = True
        self._news.set()

    def fail(self, error: BaseException) -> None:
        """It broke off; only the first end counts."""
        if self._error is None and not self._whole:
            self._error = error
            self._news.set()

    async def committed(self) -> None:
        """Return once valid audio is here; raise what happened instead."""
        while not self.heard:
            if self._error is not None:
                raise self._error
            await self._next()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the audio as it comes, up to the whole end; raise what broke it off."""
        unread = self._unread
        while True:
            if unread:
                pieces, size = [unread.popleft()], 0
                # Who fell behind gets more at once.
                while unread and (size := size + len(pieces[-1])) + len(unread[0]) <= READ_BYTES:
                    pieces.append(unread.popleft())
                yield pieces[0] if len(pieces) == 1 else b"".join(pieces)
            elif self._error is not None:
                raise self._error
            elif self._whole:
                return
            else:
                await self._next()

    async def _next(self) -> None:
        self._news.clear()
        await self._news.wait()
