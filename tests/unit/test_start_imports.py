"""What a process loads before it does anything: paid at every start."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("started", "unneeded"),
    [
        ("understudy.cli.incident", {"numpy", "aiohttp", "understudy.restoration.guard.loop"}),
        ("understudy.cli.status", {"numpy", "understudy.restoration.guard.loop", "understudy.providers"}),
        ("understudy.voicebox.worker", {"asyncio", "structlog", "understudy.voicebox.client"}),
    ],
)
def test_nothing_heavy_is_loaded_without_need(started: str, unneeded: set[str]) -> None:
    code = f"import sys, {started}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not unneeded & set(loaded.stdout.split())


def test_what_is_loaded_late_is_there_all_the_same() -> None:
    code = (
        "from understudy.restoration.guard import Guard, GuardOptions, run_guard\n"
        "from understudy.voicebox import Voicebox, VoiceShape\n"
        "from understudy import restoration, voicebox\n"
        "print(hasattr(restoration.guard, 'Nothing'), hasattr(voicebox, 'Nothing'))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]
