"""One HTTP session a provider, made when it is first needed: an adapter may be built before a loop runs."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

MAX_CONNECTIONS = 256


class ProviderSession:
    """A session of its own connections; the deadlines on each call are the adapter's.

    Parameters
    ----------
    connect_s
        Seconds a connection may take.
    headers
        Sent with every request.
    """

    def __init__(self, *, connect_s: float, headers: Mapping[str, str] | None = None) -> None:
        self._connect_s = connect_s
        self._headers = dict(headers or {})
        self._session: aiohttp.ClientSession | None = None

    def get(self) -> aiohttp.ClientSession:
        """The session, made now if there is none."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_s),
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
            )
        return self._session

    async def close(self) -> None:
        """Close every connection; a later call starts afresh."""
        if self._session is not None:
            await self._session.close()
            self._session = None
