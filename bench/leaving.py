"""From a client's hang-up to the provider seeing it: before the first byte of speech, and in the middle."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import aiohttp

from bench import litellm_proxy
from bench.gateway import CHUNK_MS, CHUNKS, FIRST_MS, GAP_MS, Target, targets_of
from bench.load import Plan
from bench.stage import Load, load
from bench.stage import child as started
from bench.tables import percentile, show

LEAVERS = 160
AT_ONCE = 8
#: The provider speaks for this long; who has not told it by then never will.
OVER_S = (FIRST_MS + GAP_MS * CHUNKS) / 1000 + 0.5
#: Seconds after the request.
WHEN = {"before the first byte": 0.03, "in mid-speech": 0.3}


async def _ended(http: aiohttp.ClientSession, upstream: int) -> tuple[dict[int, float], set[int]]:
    """Numbers of the clips, as their text says: left, with the instant the upstream saw it; spoken out."""
    async with http.get(f"http://127.0.0.1:{upstream}/_ended") as answer:
        ended = await answer.json()
    return {_number(text): float(at) for text, at in ended["left"]}, set(map(_number, ended["spoken_out"]))


def _number(text: str) -> int:
    return int(text.rpartition(" ")[2])


async def _leave(
    target: Target, when: str, upstream: int, asking: Load, http: aiohttp.ClientSession
) -> list[object]:
    await _ended(http, upstream)
    plan = Plan(
        target.port,
        target.kind,
        target.requests,
        AT_ONCE,
        LEAVERS,
        spread_s=0.2,
        leave_after_s=WHEN[when],
    )
    result = await asking.carry_out(plan)
    await asyncio.sleep(OVER_S)
    seen, spoken_out = await _ended(http, upstream)
    took = [(seen[number] - left) * 1000 for number, left in result.left if number in seen]
    never = len(result.left) - len(took) - len(spoken_out)
    figures = [percentile(took, share) for share in (0.5, 0.95, 0.99)] if took else ["-"] * 3
    return [target.name, when, len(result.left), *figures, max(took) if took else "-", len(spoken_out), never]


async def run() -> None:
    """Measure and print."""
    async with AsyncExitStack() as stack:
        pacing = (str(figure) for figure in (FIRST_MS, GAP_MS, CHUNKS, CHUNK_MS))
        upstream, _ = await stack.enter_async_context(started("bench.paced", *pacing))
        asking = await stack.enter_async_context(load())
        http = await stack.enter_async_context(aiohttp.ClientSession())
        targets = await targets_of(stack, upstream)
        rows = [
            await _leave(target, when, upstream, asking, http)
            for target in targets
            if target.against
            for when in WHEN
        ]
    show(
        "Hang-up: from the client's reset to the provider's socket closed",
        ["target", "left", "clips", "p50 ms", "p95 ms", "p99 ms", "max ms", "spoken out", "not begun"],
        rows,
        note=(
            f"{AT_ONCE} at once; both ends on one clock. 'spoken out': the provider was never told. 'not "
            f"begun': it was not asked yet. Goal: 100 ms. {'' if len(targets) > 6 else litellm_proxy.ABSENT}"
        ),
    )
