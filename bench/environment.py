"""The whole service for a benchmark, on throw-away data."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from understudy.demo.service import Service, running_service
from understudy.envfile import read_env_file
from understudy.settings import Settings, settings_from


@asynccontextmanager
async def service(*, mode: str, window_s: int = 60) -> AsyncIterator[Service]:
    """Everything ``understudy up`` starts, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="understudy-bench-"))
    try:
        async with running_service(folder / "home", mode=mode, window_s=window_s) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def settings_of(running: Service) -> Settings:
    """The settings its processes run with."""
    return settings_from(read_env_file(running.home / "understudy.env"))
