"""A drill that is stopped leaves nothing behind, however early the word comes."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from understudy.demo.service import cancelled_by_sigterm
from understudy.drilling import running
from understudy.drilling.scenarios import scenarios_of
from understudy.restoration.drills.history import read_rows

pytestmark = pytest.mark.unit


def test_a_drill_that_is_stopped_removes_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended: list[Path] = []

    @asynccontextmanager
    async def place(folder: Path, **_: Any) -> AsyncIterator[Any]:
        # Told before anything was started, and told again while it ends: once is enough.
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.Event().wait()
            yield None
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            for _turn in range(3):
                await asyncio.sleep(0)
            ended.append(folder)

    monkeypatch.setattr(running, "place", place)
    (scenario,) = scenarios_of("playback")
    home = tmp_path / "home"
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(running.run_drill(scenario, home=home, environment="local", say=lambda _: None))
    assert ended
    assert (list(tmp_path.iterdir()), read_rows(home)) == ([], [])


def test_the_outermost_listens_for_sigterm() -> None:
    async def told() -> None:
        with cancelled_by_sigterm():
            with cancelled_by_sigterm():
                pass
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(told())
