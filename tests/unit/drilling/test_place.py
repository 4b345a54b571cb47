"""A drill's own commands act on the drill's service, whatever this shell is set up for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from understudy.demo.service import Service
from understudy.drilling.following import DrillError
from understudy.drilling.place import Place

pytestmark = pytest.mark.unit


def test_a_command_of_a_drill_sees_nothing_of_a_real_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://real:real@127.0.0.1:1/real")
    monkeypatch.setenv("UNDERSTUDY_ENVIRONMENT", "prod")
    nothing: Any = None
    service = Service("", "", "", "", tmp_path, "")
    here = Place(service, nothing, (), nothing, nothing, ("", ""))
    with pytest.raises(DrillError, match="DATABASE_URL"):
        asyncio.run(here.command("mode", "show"))
