"""Both versions of the CLI, from npm; a machine without them says so, continuous integration fails."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.clients.requirement import require
from tests.clients.supabase.project import Hosted, hosted

INSTALLED = Path(__file__).parent.parent / "supabase-cli"
MAJORS = (2, 3)


def program(major: int) -> Path:
    """Where npm puts the CLI of that major."""
    return INSTALLED / f"v{major}" / "node_modules" / ".bin" / "supabase"


def missing(major: int) -> str:
    """What this machine lacks to run the CLI of that major, or nothing."""
    if shutil.which("node") is None:
        return "node is not installed (20 or newer): the Supabase CLI comes from npm"
    if not program(major).exists():
        return f"version {major} of the Supabase CLI is not installed: make test-supabase"
    return ""


@pytest.fixture(params=MAJORS, ids=lambda major: f"v{major}")
def major(request: pytest.FixtureRequest) -> int:
    """Each major in turn."""
    chosen: int = request.param
    require(missing(chosen))
    return chosen


@pytest_asyncio.fixture
async def project(major: int, tmp_path: Path) -> AsyncIterator[Hosted]:
    async with hosted(tmp_path, (str(program(major)),)) as running:
        yield running
