"""The page in docs/examples says what runs."""

from __future__ import annotations

import pytest

from tests.clients.requirement import require
from tests.clients.supabase.conftest import MAJORS, missing, program
from tests.clients.supabase.project import TOKEN
from tests.clients.supabase.transcript import PAGE, page

pytestmark = pytest.mark.supabase


async def test_the_transcript_is_what_runs() -> None:
    for major in MAJORS:
        require(missing(major))
    made = await page({major: program(major) for major in MAJORS})
    assert TOKEN not in made
    assert made == PAGE.read_text()
