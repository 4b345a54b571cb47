"""Cancellation that cannot get lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def checkpoint() -> None:
    """Raise :class:`asyncio.CancelledError` when this task was cancelled and went on all the same.

    Before Python 3.12 ``asyncio.wait_for`` drops a cancellation that arrives together with its result, and
    psycopg's pool waits with it for a connection: seen here as a loop that no longer stopped.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def unbroken(work: Coroutine[Any, Any, T]) -> T:
    """Return what short ``work`` returns; a cancellation meanwhile is raised when it has ended.

    A connection whose statement is cut off must be cancelled by another one, and closed when that is cut off
    too; to let it end costs less than either.
    """
    working = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():
            # Asked once more it still waits: one cancellation is raised in the end.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({working})
        if not working.cancelled():
            working.exception()
        raise
