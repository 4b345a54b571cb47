"""Speech as server-sent events, as OpenAI's ``stream_format=sse`` has them."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from understudy.api.openai_errors import error_object
from understudy.errors import UnderstudyError

MEDIA_TYPE = "text/event-stream"


async def as_events(audio: AsyncGenerator[bytes, None], *, characters: int) -> AsyncGenerator[bytes, None]:
    """Yield ``audio`` as ``speech.audio.delta`` events, then ``speech.audio.done``.

    An abnormal end is an ``error`` event, and the error is raised on: a listener who reads no events must not
    take the cut for an end.

    Parameters
    ----------
    characters
        Of the text. Providers here bill characters or seconds, so the tokens of ``usage`` are 0.
    """
    try:
        async with aclosing(audio) as pieces:
            async for piece in pieces:
                yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()})
    except UnderstudyError as error:
        yield _event({"type": "error", **error_object(error.status, error.message, code=error.code)})
        raise
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "characters": characters}
    yield _event({"type": "speech.audio.done", "usage": usage})


def _event(body: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(body)}\n\n".encode()
