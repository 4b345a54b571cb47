"""A write freeze reaches every process at once, keeps its first reason, and costs no waiting task time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.clocks import ManualClock
from tests.integration.conftest import DatabaseUrls
from tests.integration.speech.conftest import Studio, make_studio, studio
from tests.integration.store.test_db_command import understudy
from understudy.clock import Clock, SystemClock
from understudy.errors import WritesFrozenError
from understudy.rollout.freeze import RETRY_AFTER_S, FreezeReader, set_freeze
from understudy.store.database import Database
from understudy.store.freeze import freeze_history
from understudy.store.synthetic import mark_synthetic

pytestmark = pytest.mark.integration

__all__ = ["make_studio", "studio"]

Start = Callable[..., "asyncio.Future[FreezeReader]"]


@pytest_asyncio.fixture
async def start(database: Database) -> AsyncIterator[Start]:
    readers: list[FreezeReader] = []

    async def begin(clock: Clock | None = None) -> FreezeReader:
        reader = FreezeReader(database, clock or SystemClock())
        await reader.start()
        readers.append(reader)
        return reader

    yield begin
    for reader in readers:
        await reader.stop()


async def test_a_freeze_is_in_force_in_every_process_with_its_notification(
    start: Start, database: Database, eventually
) -> None:
    # Their poll, which would see it within a second too, sleeps on a clock that nobody moves.
    readers = [await start(ManualClock()) for _ in range(3)]
    user, canary = uuid4(), uuid4()
    async with database.service() as conn:
        await mark_synthetic(conn, canary, "canary")
    for reader in readers:
        await reader.admit_write(user)
    await set_freeze(database, frozen=True, actor="ada", reason="restore")
    await eventually(lambda: all(r.frozen for r in readers), what="frozen everywhere")
    with pytest.raises(WritesFrozenError) as refused:
        await readers[0].admit_write(user)
    await readers[0].admit_write(canary)  # what a restoration proves itself by, before users may write
    with pytest.raises(WritesFrozenError):
        await readers[0].admit_write(None)
    assert (refused.value.status, refused.value.retry_after_s) == (503, RETRY_AFTER_S)
    assert (await start()).frozen
    await set_freeze(database, frozen=False, actor="ada", reason="done")
    await eventually(lambda: not any(r.frozen for r in readers), what="thawed everywhere")


async def test_a_lost_notification_is_made_good_by_the_poll(
    start: Start, database: Database, database_urls: DatabaseUrls, eventually
) -> None:
    reader = await start()
    async with database.service() as conn:
        await conn.execute(
            "insert into understudy.write_freeze (frozen, actor, reason) values (true, 'hand', 'no notice')"
        )
    await eventually(lambda: reader.frozen, what="frozen by the poll")


async def test_a_freeze_just_after_a_process_starts_does_not_wait_for_the_poll(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen = database.listen

    async def late(*channels: str, ready: Callable[[], None] | None = None) -> AsyncIterator[tuple[str, str]]:
        # Between the first reading and the LISTEN.
        await set_freeze(database, frozen=True, actor="ada", reason="restore")
        async for notice in listen(*channels, ready=ready):
            yield notice

    monkeypatch.setattr(database, "listen", late)
    # Its poll sleeps on a clock that nobody moves.
    reader = FreezeReader(database, ManualClock())
    await reader.start()
    try:
        assert reader.frozen
    finally:
        await reader.stop()


async def test_freezing_twice_keeps_the_first_actor_and_reason(database: Database) -> None:
    first, changed = await set_freeze(database, frozen=True, actor="ada", reason="restore")
    again, changed_again = await set_freeze(database, frozen=True, actor="bob", reason="other")
    assert (changed, changed_again) == (True, False)
    assert again == first
    nothing, changed = await set_freeze(database, frozen=False, actor="ada", reason="done")
    assert changed
    assert nothing is not None
    assert not nothing.frozen
    async with database.service() as conn:
        history = await freeze_history(conn)
    assert [(row.frozen, row.actor, row.reason) for row in history] == [
        (False, "ada", "done"),
        (True, "ada", "restore"),
    ]


async def test_thawing_what_was_never_frozen_changes_nothing(database: Database) -> None:
    assert await set_freeze(database, frozen=False, actor="ada", reason="done") == (None, False)


async def test_workers_stop_claiming_running_tasks_finish_and_time_is_given_back(studio: Studio) -> None:
    ann, ben = await studio.caller(), await studio.caller()
    running_voice, waiting_voice = await studio.voice(ann), await studio.voice(ben)
    studio.modal.gate.clear()
    running = await studio.speak(ann, running_voice)
    async with studio.working():
        await studio.until(lambda: studio.modal.submitted, "the first task is running")
        await set_freeze(studio.ctx.database, frozen=True, actor="ada", reason="restore")
        await studio.until(lambda: studio.ctx.freeze.frozen, "frozen here")
        waiting = await studio.speak(ben, waiting_voice)
        # As if the freeze had lasted until long after the task's deadline.
        await studio.sql(
            "UPDATE public.tasks SET created_at = created_at - interval '1 hour',"
            " deadline_at = deadline_at - interval '1 hour' WHERE id = %s",
            waiting.id,
        )
        await studio.sql("UPDATE understudy.write_freeze SET changed_at = changed_at - interval '1 hour'")
        studio.modal.gate.set()
        assert (await studio.ended(running.id)).status == "completed"
        assert (await studio.task(waiting.id)).status == "pending"
        assert len(studio.modal.submitted) == 1
        await set_freeze(studio.ctx.database, frozen=False, actor="ada", reason="done")
        assert (await studio.ended(waiting.id)).status == "completed"


async def test_the_command_freezes_tells_and_thaws(database_urls: DatabaseUrls, tmp_path) -> None:
    env = {"DATABASE_URL": database_urls.app.get_secret_value(), "UNDERSTUDY_HOME": str(tmp_path)}
    before = await understudy("freeze", "status", "--json", **env)
    assert (before.code, json.loads(before.out)["frozen"]) == (0, False), before.err
    on = await understudy("freeze", "on", "--reason", "restore", **env)
    assert on.code == 0, on.err
    assert "restore" in on.out
    again = await understudy("freeze", "on", "--reason", "other", "--json", **env)
    found = json.loads(again.out)
    assert (found["reason"], found["changed"], found["frozen"]) == ("restore", False, True)
    assert found["actor"].startswith("person:")
    empty = await understudy("freeze", "on", "--reason", " ", **env)
    assert (empty.code, "--reason is empty" in empty.err) == (1, True)
    off = await understudy("freeze", "off", **env)
    assert "Writes are not frozen." in off.out
    history = json.loads((await understudy("freeze", "status", "--json", **env)).out)["history"]
    assert [change["frozen"] for change in history] == [False, True]
