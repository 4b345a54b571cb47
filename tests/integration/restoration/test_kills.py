"""Every rung killed at every boundary of its journal, and inside its acts, and once more while it resumes.

A kill ends the engine where it stands, and the next one knows only what is in the guard's file. What counts
as an effect: a write to a row that a rung writes (noted by triggers in the database), a change of the
environment, a deployment. ``KILL_TABLE=FILE`` keeps what was counted; ``docs/kill-table.md`` has it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import DatabaseUrls
from tests.integration.restoration.kill_scenes import SCENES, Stage
from tests.integration.restoration.killing import Killing
from understudy.store.database import Database

pytestmark = pytest.mark.integration

#: A few kills of the cheap ones; every one of all of them among the long tests.
SAMPLES = {"throttle_tenant": 11, "quarantine_voices": 17, "reapply_settings": 23}


@pytest.mark.parametrize(
    ("rung", "every"),
    [
        *SAMPLES.items(),
        *(pytest.param(rung, 1, marks=(pytest.mark.long, pytest.mark.timeout(1800))) for rung in SCENES),
    ],
)
async def test_killed_anywhere_and_again_it_ends_as_without_and_repeats_nothing(
    rung: str, every: int, database: Database, database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    async with SCENES[rung](Stage(database, database_urls, tmp_path)) as scene:
        try:
            counted = await Killing(scene).everywhere(every)
        finally:
            scene.setting.book.store.close()
    assert counted.resumed == counted.kills > 0
    assert counted.killed_twice >= counted.kills - 2
    if every == 1:
        counted.write()
