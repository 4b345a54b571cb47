"""The database restore under faults: killed at every boundary, the database lost, backups refused."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql

from tests.integration.conftest import DatabaseUrls
from tests.integration.restoration.kill_table import Counted
from tests.integration.restoration.restore_stage import Stage, drop_restored
from tests.integration.restoration.restore_tenants import go_on, settle
from tests.integration.restoration.test_database_restore import NAMES, evidence, prepared
from understudy.envfile import set_in_env_file
from understudy.restoration.actions.database_restore import STEPS
from understudy.store.addresses import database_of
from understudy.store.backups.manifest import DUMP
from understudy.store.freeze import read_freeze
from understudy.store.mode import mode_history

pytestmark = [pytest.mark.integration, pytest.mark.long]

#: What a process may die at: each commit of the journal, before and after, and the moment after each act.
BOUNDARIES = [
    f"{edge} {step.name}"
    for step in STEPS
    for edge in ("before intent", "after intent", "acted", "before outcome", "after outcome")
]


@pytest_asyncio.fixture
async def stage(database_urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[Stage]:
    one = Stage(tmp_path / "home", database_urls)
    yield one
    await one.close()
    await drop_restored(database_urls)


async def take_up(stage: Stage, incident: str, boundary: str = "") -> tuple[int, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.restoration.killed_restore"),
        *(str(stage.home), incident, *([boundary] if boundary else [])),
        env={
            **os.environ,
            "TEST_APP_URL": stage.urls.app.get_secret_value(),
            "TEST_OWNER_URL": stage.urls.owner.get_secret_value(),
        },
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    code = process.returncode
    assert code is not None
    return code, json.loads(out) if code == 0 else {}


@pytest.mark.timeout(1500)
async def test_a_restore_killed_at_every_boundary_is_done_once(stage: Stage) -> None:
    who = await prepared(stage)
    incident = stage.open()
    for boundary in BOUNDARIES:
        code, _ = await take_up(stage, incident, boundary)
        assert code == -signal.SIGKILL, (boundary, code)
    code, told = await take_up(stage, incident)
    assert code == 0
    assert told["outcomes"] == [[name, True, None] for name in NAMES]

    one = stage.reopen()
    try:
        entries = one.store.entries(incident)
        outcomes = [entry.step for entry in entries if entry.kind == "outcome"]
        assert outcomes == list(NAMES)  # each step ended once
        assert one.store.verify_chain().problems == ()
        made = await one.local.backups()
        assert len(made) == 2  # the schedule's, and one dump of the broken state
        assert len(one.target.deployed()) == 1
        database = await one.connect()
        async with database.service() as conn:
            changes = [change for change in await mode_history(conn, 100) if change.incident == incident]
            assert not (await read_freeze(conn)).frozen  # type: ignore[union-attr]
        assert len(changes) == 1
        async with await one.owner() as conn:
            names = await (
                await conn.execute("select datname from pg_database where datname like 'understudy_r%'")
            ).fetchall()
            gone = await (
                await conn.execute(
                    "select count(*) as n from public.generations where id = %s", (who.deleted_speech,)
                )
            ).fetchone()
        assert len(names) == 1
        assert gone == {"n": 0}
        # One run, killed again and again: all but the last resume died as well.
        killed = len(BOUNDARIES)
        Counted("database_restore", killed, 0, killed, killed - 1, resumed=killed).write()
    finally:
        await one.close()


@pytest.mark.timeout(600)
async def test_a_restore_killed_while_it_loads_begins_again_in_its_place(stage: Stage) -> None:
    await prepared(stage)
    incident = stage.open()
    await stage.climb(incident, upto="dump_broken")
    backup = next(one for one in await stage.local.backups() if one.problem is None)
    key = f"{incident}:restore:{backup.id}"
    began = await stage.local.begin_restore(key, backup.id)
    name = began.steps[0]["database"]
    await stage.local.close()  # as a killed process leaves it: running, says the file, and nobody runs it
    one = stage.reopen()
    try:
        ended = await one.climb(incident)
        assert [entry.body["ok"] for entry in ended] == [True] * len(NAMES)
        assert evidence(ended, "restore_beside")["database"] == name
        assert evidence(ended, "swap")["database"] == name
    finally:
        await one.close()


@pytest.mark.timeout(600)
async def test_a_lost_database_is_restored_and_its_deletions_come_from_the_copies(
    stage: Stage, database_urls: DatabaseUrls
) -> None:
    who = await prepared(stage)
    await stage.connect.close()
    name = database_of(database_urls.owner)
    server = database_urls.owner.get_secret_value().rsplit("/", 1)[0] + "/postgres"
    async with await psycopg.AsyncConnection.connect(server, autocommit=True) as conn:
        await conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
    try:
        incident = stage.open()
        one = stage.reopen()
        ended = await one.climb(incident)
        assert [(entry.step, entry.body["ok"], entry.body["problem"]) for entry in ended] == [
            (step, True, None) for step in NAMES
        ]
        assert "not_possible" in evidence(ended, "freeze_writes")
        assert "not_possible" in evidence(ended, "dump_broken")
        replayed = evidence(ended, "replay")
        assert replayed["sources"] == {"broken_database": None, "copies": replayed["tombstones"]}
        assert replayed["passwords_old_again"] == 1
        reconciled = evidence(ended, "reconcile")
        assert reconciled["tasks"] == {"ended": 0, "followed": 0, "waiting": 0, "failed": 5}
        assert reconciled["rpo"]["measured"] is False
        assert "loss-unknown" in {followup["id"] for followup in reconciled["followups"]}
        async with await one.owner() as conn:
            row = await (
                await conn.execute("select deleted_at from public.voices where id = %s", (who.deleted_voice,))
            ).fetchone()
        assert row is not None
        assert row["deleted_at"] is not None
        await one.close()
    finally:
        async with await psycopg.AsyncConnection.connect(server, autocommit=True) as conn:
            await conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))


@pytest.mark.timeout(600)
async def test_refused_backups_are_named_and_nothing_is_begun(stage: Stage) -> None:
    database = await stage.connect()
    await settle(database, stage.objects)
    older = await stage.local.take_backup("schedule:1", reason="schedule")
    await asyncio.sleep(1.1)  # an id tells seconds apart
    newer = await stage.local.take_backup("schedule:2", reason="schedule")
    path = stage.home / "backups" / newer.id / DUMP
    path.write_bytes(path.read_bytes()[:-10])
    incident = stage.open()
    chosen = (await stage.climb(incident, upto="precheck"))[0]
    assert chosen.body["evidence"]["backup"] == older.id
    assert "cut short" in chosen.body["evidence"]["refused"][0]["problem"]

    stage.parameters["backup"] = newer.id  # a person may name another, and is told why it is no good
    refused = (await stage.climb(incident, attempt=2))[-1]
    assert (refused.step, refused.body["ok"]) == ("precheck", False)
    assert "cut short" in refused.body["problem"]
    del stage.parameters["backup"]
    set_in_env_file(stage.env_file, {"BACKUP_MAX_AGE_S": "1"})
    refused = (await stage.climb(incident, attempt=3))[-1]
    assert "BACKUP_MAX_AGE_S" in refused.body["problem"]
    async with database.service() as conn:
        assert await read_freeze(conn) is None
    assert database_of(stage.local.settings().database_url) == database_of(stage.urls.app)


@pytest.mark.timeout(600)
async def test_a_failed_later_step_is_tried_again_on_the_same_restored_database(stage: Stage) -> None:
    database = await stage.connect()
    who = await settle(database, stage.objects)
    made = await stage.local.take_backup("schedule:1", reason="schedule")
    await go_on(database, stage.objects, who)
    incident = stage.open()
    stage.red = True
    first = await stage.climb(incident)
    assert (first[-1].step, first[-1].body["ok"]) == ("verification", False)
    frozen_on = await stage.connect()
    async with frozen_on.service() as conn:
        assert (await read_freeze(conn)).frozen  # type: ignore[union-attr]  # users wait until it is proven
    stage.red = False
    second = await stage.climb(incident, attempt=2)
    assert [entry.body["ok"] for entry in second] == [True] * len(NAMES)
    assert evidence(second, "restore_beside")["database"] == evidence(first, "restore_beside")["database"]
    assert evidence(second, "reconcile") == {"skipped": "processes start from the restored database already"}
    dumps = [one for one in await stage.local.backups() if one.id != made.id]
    assert len(dumps) == 1
