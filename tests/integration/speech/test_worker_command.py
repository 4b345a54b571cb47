"""``understudy worker`` as its own process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from tests.integration.speech.conftest import Studio

pytestmark = pytest.mark.integration


def environment(studio: Studio, **changes: str) -> dict[str, str]:
    """A clean environment with every setting a worker needs; the providers are addresses nobody answers."""
    settings = studio.ctx.settings
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "UNDERSTUDY_HOME": str(settings.understudy_home),
        "TTS_PROVIDER_MODE": "modal",
        "JWT_SECRET": "j" * 32,
        "OBJECT_URL_SECRET": settings.object_url_secret.get_secret_value(),
        "DASHSCOPE_API_KEY": "sk-nobody-0000",
        **dict.fromkeys(
            (
                "MODAL_JOB_SUBMIT",
                "MODAL_JOB_STATUS",
                "MODAL_JOB_RESULT",
                "MODAL_JOB_CANCEL",
                "MODAL_ENDPOINT_VOICE_DESIGN",
            ),
            "http://127.0.0.1:9/",
        ),
        **changes,
    }


async def start(studio: Studio, **changes: str) -> asyncio.subprocess.Process:
    """The command, running."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "understudy.cli.app",
        "worker",
        "--name",
        "by-hand",
        env=environment(studio, **changes),
        stderr=asyncio.subprocess.PIPE,
    )


async def test_a_worker_process_works_and_leaves_on_sigterm(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    process = await start(studio)

    async def listed() -> bool:
        rows = await studio.sql(
            "SELECT kind FROM understudy.processes WHERE kind = 'worker' AND pid = %s", process.pid
        )
        return bool(rows)

    await studio.until(listed, "worker listed")
    task = await studio.ended((await studio.speak(caller, voice)).id)
    # Nobody answers at the provider's address: the task ends all the same, in words.
    assert (task.status, task.metadata["failure"]["failure_class"]) == ("failed", "transport")
    assert (task.claimed_by or "").startswith("by-hand/")
    process.send_signal(signal.SIGTERM)
    _, log = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 0
    assert b"worker_stopped" in log
    assert b"sk-nobody" not in log
    assert not await listed()


async def test_a_worker_without_a_database_says_what_to_do(studio: Studio) -> None:
    process = await start(studio, DATABASE_URL="postgresql://nobody:secret-word@127.0.0.1:9/none")
    _, log = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 1
    assert b"DATABASE_URL" in log
    assert b"secret-word" not in log
