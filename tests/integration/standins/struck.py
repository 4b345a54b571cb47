"""Sessions under faults, read to their end or to their silence."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.integration.standins.account import Account, Conversation, Json

TEXT = "One two three four five six seven eight nine. "
#: A wait that ends well, and one for what must not come.
DEADLINE_S, QUIET_S = 20.0, 0.3
ENDED = {
    aiohttp.WSMsgType.CLOSE,
    aiohttp.WSMsgType.CLOSED,
    aiohttp.WSMsgType.CLOSING,
    aiohttp.WSMsgType.ERROR,
}
DELTA, DONE, ERROR = '"response.audio.delta"', '"response.done"', '"type": "error"'


@dataclass(frozen=True)
class Seen:
    """Every text of a session, and how it ended (``None``: still open)."""

    texts: list[str]
    close_code: int | None

    @property
    def events(self) -> list[Json]:
        return [json.loads(text) for text in self.texts]


async def read_out(conversation: Conversation, stays_open_after: tuple[str, int] | None = None) -> Seen:
    """Read until the end; or until a text came that often, and then nothing for a while."""
    texts: list[str] = []
    while True:
        is_quiet_due = False
        if stays_open_after is not None:
            part, count = stays_open_after
            is_quiet_due = sum(part in text for text in texts) >= count
        try:
            message = await conversation.socket.receive(timeout=QUIET_S if is_quiet_due else DEADLINE_S)
        except TimeoutError:
            if is_quiet_due:
                return Seen(texts, None)
            raise
        if message.type in ENDED:
            return Seen(texts, conversation.socket.close_code)
        if message.type is aiohttp.WSMsgType.TEXT:
            texts.append(message.data)


async def struck(
    account: Account,
    voice: str,
    text: str = TEXT,
    *,
    stays_open_after: tuple[str, int] | None = None,
    session: dict[str, Any] | None = None,
    **faults: Any,
) -> Seen:
    """A session that is struck by ``faults``."""
    await account.faults(account.dashscope, **faults)
    async with account.realtime() as conversation:
        await conversation.update(voice=voice, **(session or {}))
        await conversation.append(text)
        await conversation.send("session.finish")
        return await read_out(conversation, stays_open_after)


def deltas(seen: Seen) -> int:
    """How many audio deltas came."""
    return sum(DELTA in text for text in seen.texts)


def statuses(seen: Seen) -> list[str]:
    """How each response ended."""
    return [event["response"]["status"] for event in seen.events if event["type"] == "response.done"]
