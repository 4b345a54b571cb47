"""A worker as a process of its own, for tests that kill it.

Run as ``python -m tests.integration.speech.worker_process``; the database's URL is the environment's.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from pydantic import SecretStr

from tests.integration.scripted_provider import ScriptedProvider
from understudy.clock import SystemClock
from understudy.rollout.freeze import FreezeReader
from understudy.rollout.mode import ModeReader
from understudy.settings import Settings
from understudy.speech.context import SpeechContext
from understudy.speech.worker import Worker, WorkerTimes
from understudy.store.database import Database
from understudy.store.objects import LocalObjects


async def main() -> None:
    """Work until SIGTERM; ``hold`` in a provider's folder keeps its jobs running, or its sessions open."""
    home = Path(os.environ["UNDERSTUDY_HOME"])
    settings = Settings(_env_file=None)
    clock = SystemClock()
    modal = ScriptedProvider("modal", False, Path(os.environ["MODAL_JOBS"]))
    qwen = ScriptedProvider("qwen", True, Path(os.environ["QWEN_JOBS"]))
    qwen.gate.clear()
    database = await Database.connect(settings.database_url, application_name="killed-worker")
    mode = ModeReader(database, settings, kind="worker", clock=clock)
    await mode.start()
    freeze = FreezeReader(database, clock)
    await freeze.start()
    objects = LocalObjects(home / "objects", SecretStr("o" * 32), 900, clock)
    ctx = SpeechContext(database, objects, {"modal": modal, "qwen": qwen}, mode, settings, clock, freeze)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await Worker(ctx, "killed", WorkerTimes(lease_s=1.0, sweep_interval_s=0.05)).run(stop)


if __name__ == "__main__":
    asyncio.run(main())
