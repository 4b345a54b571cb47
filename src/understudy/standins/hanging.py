"""Connections that a stand-in keeps open without another word."""

from __future__ import annotations

import asyncio

#: How often a silent connection looks whether its client has gone.
_CHECK_S = 0.05


class SilentConnections:
    """Holds connections until their client leaves or the server stops."""

    def __init__(self) -> None:
        self._stopping = asyncio.Event()

    async def hold(self, transport: asyncio.BaseTransport | None) -> None:
        """Return once the peer has closed the connection, or :meth:`release` was called."""
        while transport is not None and not transport.is_closing():
            try:
                await asyncio.wait_for(self._stopping.wait(), _CHECK_S)
            except TimeoutError:
                continue
            return

    def release(self) -> None:
        """Let go of every connection, now and later."""
        self._stopping.set()
