"""Asking again until something is so; nothing here waits for a fixed time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 25.0
_AGAIN_S = 0.1


async def until(
    ask: Callable[[], Awaitable[T]],
    fits: Callable[[T], bool] = bool,
    *,
    what: str,
    within_s: float = PATIENCE_S,
) -> T:
    """Ask until the answer fits, and return it.

    Raises
    ------
    AssertionError
        It never did; the last answer is in the message.
    """
    deadline = time.monotonic() + within_s
    while True:
        answer = await ask()
        if fits(answer):
            return answer
        assert time.monotonic() < deadline, f"{what}: not within {within_s:g} s, at last {answer!r}"
        await asyncio.sleep(_AGAIN_S)
