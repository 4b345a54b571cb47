"""Backups by schedule, the alarm when none is young enough, and a guard that follows a swap."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from tests.clocks import HandClock
from tests.integration.conftest import DatabaseUrls, in_database
from tests.integration.restoration.restore_stage import Stage, drop_restored
from understudy.envfile import set_in_env_file
from understudy.processes.environment import database_name
from understudy.processes.home import Home
from understudy.restoration.actions.restore_facts import NEWEST_PROVEN
from understudy.restoration.guard.backing_up import FIRST_AFTER_S, RETRY_AFTER_S, BackupKeeper
from understudy.restoration.guard.connecting import Connector, migrating_url, product_url

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def stage(database_urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[Stage]:
    one = Stage(tmp_path / "home", database_urls, clock=HandClock())  # type: ignore[arg-type]
    yield one
    await one.close()
    await drop_restored(database_urls)


def keeper_of(stage: Stage, *, leads: bool = True, busy: bool = False) -> BackupKeeper:
    return BackupKeeper(
        stage.target,
        stage.store,
        stage.clock,
        settings=stage.local.settings,
        leads=lambda: leads,
        busy=lambda: busy,
    )


async def test_a_backup_is_taken_when_it_is_due_and_an_old_one_is_said(stage: Stage) -> None:
    clock: HandClock = stage.clock  # type: ignore[assignment]
    set_in_env_file(stage.env_file, {"BACKUP_INTERVAL_S": "3600", "BACKUP_MAX_AGE_S": "7200"})
    keeper = keeper_of(stage)
    await keeper.look()
    assert (await stage.local.backups(), keeper.alarms()) == ((), {"backup": None})  # it has just started
    clock.advance(FIRST_AFTER_S)
    for other in (keeper_of(stage, leads=False), keeper_of(stage, busy=True)):
        clock.advance(FIRST_AFTER_S)
        await other.look()
    assert await stage.local.backups() == ()
    await keeper.look()
    taken = await stage.local.backups()
    assert [one.verified_at is not None for one in taken] == [True]
    assert keeper.newest_at == taken[0].created_at
    assert taken[0].id in (stage.store.meta(NEWEST_PROVEN) or "")
    await keeper.look()
    assert len(await stage.local.backups()) == 1

    # From now on the database is damaged: no later backup of it counts.
    async with await stage.broken() as conn:
        await conn.execute("alter table public.voices drop column description")
    clock.advance(3600)
    await keeper.look()
    assert "damaged already" in (keeper.alarms()["backup"] or "")
    assert keeper.newest_at == taken[0].created_at
    clock.advance(RETRY_AFTER_S - 1)
    await keeper.look()
    assert len(await stage.local.backups()) == 2  # not each minute
    assert keeper.alarms() == {"backup": None}  # the one there is, is young enough
    clock.advance(3600)
    await keeper_of(stage, leads=False).look()
    late = keeper_of(stage, busy=True)
    await late.look()
    assert "There is no usable backup" in (late.alarms()["backup"] or "")


async def test_an_installation_without_a_backup_is_late_only_after_a_while(stage: Stage) -> None:
    clock: HandClock = stage.clock  # type: ignore[assignment]
    set_in_env_file(stage.env_file, {"BACKUP_INTERVAL_S": "0", "BACKUP_MAX_AGE_S": "7200"})
    await keeper_of(stage).look()
    clock.advance(7200)
    keeper = keeper_of(stage)  # a restart does not begin anew
    await keeper.look()
    assert keeper.alarms() == {"backup": None}
    clock.advance(1)
    await keeper.look()
    assert "There is no usable backup" in (keeper.alarms()["backup"] or "")


async def test_the_guard_and_the_next_start_follow_a_swap(stage: Stage, database_urls: DatabaseUrls) -> None:
    settings = stage.local.settings()
    connect = Connector(product_url(stage.home, settings))
    owner = migrating_url(stage.home, settings)
    assert owner().get_secret_value() == database_urls.owner.get_secret_value()
    assert database_name(Home.at(stage.home)) == "understudy"  # a name of somebody else's is not taken over
    before = await connect()
    async with await psycopg.AsyncConnection.connect(
        database_urls.owner.get_secret_value(), autocommit=True
    ) as conn:
        await conn.execute("create database understudy_r7")
    fresh = in_database(database_urls.app, "understudy_r7")
    set_in_env_file(
        stage.env_file,
        {
            "DATABASE_URL": fresh.get_secret_value(),
            "MIGRATION_DATABASE_URL": in_database(database_urls.owner, "understudy_r7").get_secret_value(),
        },
    )
    try:
        after = await connect()
        assert after is not before
        async with after.service() as connected:
            row = await (await connected.execute("select current_database() as name")).fetchone()
        assert row == {"name": "understudy_r7"}
        assert owner().get_secret_value().endswith("/understudy_r7")
        assert database_name(Home.at(stage.home)) == "understudy_r7"
    finally:
        await connect.close()
