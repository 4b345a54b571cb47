"""The same from a process as users start it: its own event loop, its own encoder, its own end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import openai
import pytest

from tests.integration.api.openai_dialect.conftest import DIGITS, Program, digits_missed
from tests.integration.api.processes import start_on
from tests.integration.test_encode import children_of, ended
from understudy.audio.encode import NAMES
from understudy.settings import Settings

pytestmark = pytest.mark.integration


async def test_a_real_process_speaks_every_format_and_takes_its_encoder_with_it(
    program: Program,
    voice: str,
    settings: Settings,
    tmp_path: Path,
    eventually: Callable[..., Awaitable[None]],
) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        process = await start_on(settings, tmp_path / "api.log", listener, uuid4())
        base = "http://{}:{}/v1".format(*listener.getsockname())
        try:
            async with openai.AsyncOpenAI(base_url=base, api_key=program.key, max_retries=0) as client:

                async def missed(name: str) -> float:
                    answer = await client.audio.speech.create(
                        model="tts-1",
                        input=DIGITS,
                        voice=voice,
                        response_format=name,  # type: ignore[arg-type]
                        extra_body={"language": "English"},
                    )
                    return await digits_missed(answer.content, name)

                # At once: the encoder serves them side by side.
                assert max(await asyncio.gather(*map(missed, NAMES))) <= 0.2
            encoders = children_of(process.process.pid)
            assert len(encoders) == 1
            await eventually(lambda: children_of(encoders[0]) == [], what="the streams' children to be gone")
        finally:
            process.terminate()
            code = await process.exit_code()
    assert code == 0, process.text()
    await eventually(lambda: ended(encoders[0]), what="the encoder to be gone")
