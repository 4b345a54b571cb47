"""Looks that are taken again and again beside the guard's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from understudy.logs import get_logger

log = get_logger(__name__)


async def repeat(
    look: Callable[[], Awaitable[None]], stop: asyncio.Event, *, every_s: float, broke: str
) -> None:
    """Take ``look`` every ``every_s`` seconds until ``stop``; never raises, for that would end the guard.

    Parameters
    ----------
    broke
        The event that a look which raises is logged as.
    """
    while not stop.is_set():
        try:
            await look()
        except Exception:  # must not end the guard
            log.exception(broke)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every_s)
