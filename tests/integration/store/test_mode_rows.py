"""The provider mode's row: epochs that only grow, writers at once, notices, processes."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.integration.conftest import DatabaseUrls
from understudy.errors import ConflictError
from understudy.store import mode
from understudy.store.database import Database

pytestmark = pytest.mark.integration


async def write(
    database: Database,
    value: str,
    *,
    actor: str = "test",
    expected_epoch: int | None = None,
    minimum_epoch: int = 0,
) -> mode.ModeRow:
    async with database.service() as conn:
        return await mode.write_mode(
            conn,
            value=value,
            actor=actor,
            reason="because",
            incident=None,
            env_value="modal",
            expected_epoch=expected_epoch,
            minimum_epoch=minimum_epoch,
        )


async def read(database: Database) -> mode.ModeRow | None:
    async with database.service() as conn:
        return await mode.read_mode(conn)


async def test_there_is_no_row_before_the_first_write(database: Database) -> None:
    assert await read(database) is None
    first = await write(database, "modal")
    assert (first.epoch, first.value, first.incident) == (1, "modal", None)
    assert first.changed_at.utcoffset() == timedelta(0)
    assert await read(database) == first


async def test_every_write_is_a_new_epoch_with_its_history(database: Database) -> None:
    for value in ("modal", "qwen", "qwen", "modal"):
        await write(database, value)
    async with database.service() as conn:
        history = await mode.mode_history(conn, 10)
        newest = await mode.mode_history(conn, 1)
    assert [change.epoch for change in history] == [4, 3, 2, 1]
    assert [change.previous_value for change in history] == ["qwen", "qwen", "modal", None]
    assert newest == history[:1]


@pytest.mark.parametrize(("minimum", "expected"), [(0, 3), (1, 3), (2, 3), (3, 4), (100, 101)])
async def test_the_new_epoch_is_above_all_the_caller_has_seen(
    database: Database, minimum: int, expected: int
) -> None:
    await write(database, "modal")
    await write(database, "qwen")
    assert (await write(database, "modal", minimum_epoch=minimum)).epoch == expected


async def test_a_row_that_was_lost_does_not_let_its_epochs_be_used_again(
    database: Database, database_urls: DatabaseUrls
) -> None:
    for value in ("modal", "qwen", "modal"):
        await write(database, value)
    async with await psycopg.AsyncConnection.connect(database_urls.owner.get_secret_value()) as conn:
        await conn.execute("delete from understudy.provider_mode")
    assert (await write(database, "qwen")).epoch == 4


async def test_no_statement_can_take_the_epoch_back(database: Database) -> None:
    await write(database, "modal")
    await write(database, "qwen")
    for change in ("epoch = 1", "value = 'modal'", "epoch = 1, value = 'modal'"):
        with pytest.raises(psycopg.errors.CheckViolation):
            async with database.service() as conn:
                await conn.execute(f"update understudy.provider_mode set {change}".encode())
    current = await read(database)
    assert current is not None
    assert (current.epoch, current.value) == (2, "qwen")


async def test_writers_at_once_get_epochs_of_their_own(database: Database) -> None:
    """The first write too: there is no row yet that they could wait for."""
    rows = await asyncio.gather(*(write(database, "qwen", actor=f"writer-{n}") for n in range(12)))
    assert sorted(row.epoch for row in rows) == list(range(1, 13))
    async with database.service() as conn:
        history = {change.epoch: change.actor for change in await mode.mode_history(conn, 100)}
    assert history == {row.epoch: row.actor for row in rows}


async def test_of_writers_that_expect_one_epoch_one_wins(database: Database) -> None:
    await write(database, "modal")
    results = await asyncio.gather(
        *(write(database, "qwen", expected_epoch=1) for _ in range(6)), return_exceptions=True
    )
    assert sum(isinstance(result, mode.ModeRow) for result in results) == 1
    refused = [result for result in results if not isinstance(result, mode.ModeRow)]
    assert all(isinstance(result, ConflictError) for result in refused)
    current = await read(database)
    assert current is not None
    assert current.epoch == 2


async def test_a_decision_read_for_update_is_not_overtaken(
    database: Database, database_urls: DatabaseUrls, eventually: Callable[..., Awaitable[None]]
) -> None:
    async def somebody_waits() -> bool:
        async with await psycopg.AsyncConnection.connect(database_urls.app.get_secret_value()) as conn:
            cursor = await conn.execute("select 1 from pg_locks where locktype = 'advisory' and not granted")
            return await cursor.fetchone() is not None

    async with database.service() as conn:
        assert await mode.read_mode(conn, for_update=True) is None
        other = asyncio.create_task(write(database, "qwen", actor="other"))
        await eventually(somebody_waits, what="the other writer waits for its turn")
        assert not other.done()
        mine = await mode.write_mode(
            conn, value="modal", actor="me", reason="r", incident=None, env_value="modal", expected_epoch=0
        )
    assert (mine.epoch, (await other).epoch) == (1, 2)


async def test_a_write_is_announced_when_it_commits_and_not_otherwise(
    database: Database, database_urls: DatabaseUrls
) -> None:
    async with await psycopg.AsyncConnection.connect(
        database_urls.app.get_secret_value(), autocommit=True
    ) as conn:
        await conn.execute("listen understudy_mode")
        await write(database, "modal")
        with pytest.raises(ConflictError):
            await write(database, "qwen", expected_epoch=7)
        await write(database, "qwen")
        heard = [notice.payload async for notice in conn.notifies(timeout=5, stop_after=2)]
    assert heard == ["1", "2"]


async def test_recording_the_environment_changes_nothing_else(database: Database) -> None:
    before = await write(database, "qwen")
    async with database.service() as conn:
        await mode.record_environment(conn, "qwen")
    assert await read(database) == replace(before, env_value="qwen")


async def test_processes_are_listed_while_they_are_heard_of(database: Database) -> None:
    now = datetime.now(UTC)
    api = mode.ProcessRow(uuid.uuid4(), "api", 10, "host", "modal", 1, "FRESH", "modal", now, now)
    worker = replace(api, instance=uuid.uuid4(), kind="worker", started_at=now + timedelta(seconds=1))
    async with database.service() as conn:
        for process in (worker, api, replace(api, mode_epoch=2)):
            await mode.heartbeat_process(conn, process)
        listed = await mode.list_processes(conn, 5)
        assert [(process.kind, process.mode_epoch) for process in listed] == [("api", 2), ("worker", 1)]
        await conn.execute(
            "update understudy.processes set seen_at = now() - interval '6 seconds' where kind = 'api'"
        )
        assert [process.kind for process in await mode.list_processes(conn, 5)] == ["worker"]
        await mode.remove_process(conn, worker.instance)
        assert await mode.list_processes(conn, 5) == []
