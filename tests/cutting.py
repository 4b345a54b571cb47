"""Work that is cancelled at each of the places where it waits."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any


async def cut_at(work: Coroutine[Any, Any, Any], at: int) -> bool:
    """Run ``work``, and cancel it where it waits for the ``at``-th time; false when it waited less often."""
    cut = False

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None

        def cancel() -> None:
            nonlocal cut
            cut = True
            task.cancel()

        await _stepping(work, at, cancel)

    ended = await asyncio.gather(asyncio.create_task(run()), return_exceptions=True)
    if cut:
        assert isinstance(ended[0], asyncio.CancelledError), ended
    else:
        assert ended == [None]
    return cut


@types.coroutine
def _stepping(work: Coroutine[Any, Any, Any], at: int, cut: Callable[[], None]) -> Generator[Any, Any, Any]:
    waited = 0
    step: Callable[[Any], Any] = work.send
    value: Any = None
    while True:
        try:
            awaited = step(value)
        except StopIteration as stop:
            return stop.value
        waited += 1
        if waited == at:
            cut()
        try:
            step, value = work.send, (yield awaited)
        except BaseException as error:
            step, value = work.throw, error
