"""Point-in-time recovery in place: asked for once, waited for, and never called done on somebody's word."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.clients.supabase.project import IMPATIENCE, Hosted
from understudy.errors import TargetError
from understudy.restoration.targets.base import Deployment, DeploymentState, RestorableDatabase

pytestmark = pytest.mark.supabase


async def ended(database: RestorableDatabase, key: str) -> Deployment:
    """The restore of that key once it no longer runs."""
    while True:
        found = await database.restoration(key)
        assert found is not None
        if found.state is not DeploymentState.RUNNING:
            return found
        await asyncio.sleep(0.05)


def an_hour_ago() -> str:
    return f"pitr:{int((datetime.now(UTC) - timedelta(hours=1)).timestamp())}"


async def test_a_restore_from_the_request_to_its_end(project: Hosted) -> None:
    database, point = project.target().database, an_hour_ago()
    begun = await database.begin_restore("r-1", point)
    assert begun.state is DeploymentState.RUNNING
    assert await database.restored("r-1") is None
    with pytest.raises(TargetError, match="has not ended well"):
        await database.swap("r-1")
    restarted = project.target().database
    done = await ended(restarted, "r-1")
    assert done.state is DeploymentState.DONE
    await restarted.swap("r-1")
    assert (await restarted.begin_restore("r-1", point)).state is DeploymentState.DONE
    assert project.project.restores == [int(point.removeprefix("pitr:"))]


async def test_without_recovery_it_says_what_to_do(project: Hosted) -> None:
    project.strike(pitr_disabled=1)
    database = project.target().database
    backups = await database.backups()
    assert [backup.id.split(":")[0] for backup in backups] == ["daily"] * 3
    assert all("fresh project" in (backup.problem or "") for backup in backups)
    with pytest.raises(TargetError, match="make a fresh project"):
        await database.begin_restore("r-1", an_hour_ago())
    assert project.project.restores == []


async def test_recovery_switched_off_meanwhile_is_refused_by_the_platform(project: Hosted) -> None:
    """The list still offered points: the refusal comes from the request itself."""
    project.strike(restore_refused=1)
    database = project.target().database
    failed = await database.begin_restore("r-1", (await database.backups())[0].id)
    assert failed.state is DeploymentState.FAILED
    assert "PITR is not enabled for this project." in (failed.error or "")
    assert "make a fresh project" in (failed.error or "")
    assert project.project.restores == []


async def test_a_restore_that_fails_is_told(project: Hosted) -> None:
    project.strike(restore_fails=1)
    database = project.target().database
    await database.begin_restore("r-1", an_hour_ago())
    failed = await ended(database, "r-1")
    assert failed.state is DeploymentState.FAILED
    assert "RESTORE_FAILED" in (failed.error or "")


async def test_an_answer_that_never_comes_is_looked_up(project: Hosted) -> None:
    project.strike(restore_hang=1, restore_s=60)
    database = project.target(patience=IMPATIENCE).database
    assert (await database.begin_restore("r-1", an_hour_ago())).state is DeploymentState.RUNNING
    assert project.project.status == "RESTORING"
    project.project.finish_restore()
    assert (await ended(database, "r-1")).state is DeploymentState.DONE
    assert len(project.project.restores) == 1


async def test_an_unhealthy_database_is_not_done(project: Hosted) -> None:
    project.strike(restore_s=60, database_unhealthy=1)
    database = project.target().database
    await database.begin_restore("r-1", an_hour_ago())
    project.project.finish_restore()
    for _ in range(3):
        found = await database.restoration("r-1")
        assert found is not None
        assert found.state is DeploymentState.RUNNING
    project.strike(database_unhealthy=0)
    assert (await ended(database, "r-1")).state is DeploymentState.DONE


@pytest.mark.parametrize(
    ("backup", "told"),
    [("daily:900", "only a point in time"), ("pitr:1", "outside what can be restored"), ("", "only a point")],
)
async def test_what_cannot_be_restored(project: Hosted, backup: str, told: str) -> None:
    database = project.target().database
    with pytest.raises(TargetError, match=told):
        await database.begin_restore("r-1", backup)
    with pytest.raises(TargetError, match=told):
        await database.verify_backup(backup)
    assert await database.restoration("r-1") is None
