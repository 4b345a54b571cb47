"""The switch: a typed environment wins, a live override reaches every process, staleness admits nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from urllib.parse import urlsplit

import psycopg
import pytest
import pytest_asyncio
from pydantic import SecretStr

from tests.clocks import HandClock, ManualClock
from tests.conformance.fault_proxy import fault_proxy
from tests.integration.conftest import DatabaseUrls
from understudy.clock import SystemClock
from understudy.errors import ConflictError, FailureClass, ProviderUnavailableError, StoreUnavailableError
from understudy.rollout.mode import (
    CHECK_INTERVAL_S,
    FRESH_FOR_S,
    POLL_INTERVAL_S,
    ModeReader,
    ModeState,
    adopt_environment,
    set_mode,
)
from understudy.settings import load_settings
from understudy.store.database import Database
from understudy.store.mode import list_processes, mode_history, read_mode

pytestmark = pytest.mark.integration

Start = Callable[..., "asyncio.Future[ModeReader]"]


class PollingClock:
    """Sleeps by the real clock, tells the time of a hand."""

    def __init__(self, hand: HandClock) -> None:
        self._hand = hand

    def now(self) -> datetime:
        return self._hand.now()

    def monotonic_s(self) -> float:
        return self._hand.monotonic_s()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest_asyncio.fixture
async def start(database: Database) -> AsyncIterator[Start]:
    readers: list[ModeReader] = []

    async def begin(env_value: str, *, clock: SystemClock | ManualClock | None = None) -> ModeReader:
        settings = load_settings(tts_provider_mode=env_value)
        reader = ModeReader(database, settings, kind="api", clock=clock or SystemClock())
        await reader.start()
        readers.append(reader)
        return reader

    yield begin
    for reader in readers:
        await reader.stop()


async def test_the_first_start_takes_the_environment(start: Start) -> None:
    view = (await start("qwen")).view()
    assert (view.value, view.epoch, view.state) == ("qwen", 1, ModeState.FRESH)


async def test_a_restart_with_the_same_environment_leaves_a_live_override_alone(
    start: Start, database: Database
) -> None:
    await start("qwen")
    await set_mode(database, "modal", actor="ada", reason="drill")
    assert (await start("qwen")).view().value == "modal"


async def test_a_changed_environment_wins_over_the_row(start: Start, database: Database, eventually) -> None:
    running = await start("qwen")
    epoch = running.view().epoch
    restarted = await start("modal")
    assert (restarted.view().value, restarted.view().epoch) == ("modal", epoch + 1)
    await eventually(lambda: running.view().value == "modal", what="Modal everywhere", within_s=2)
    async with database.service() as conn:
        newest = (await mode_history(conn, 1))[0]
    assert newest.actor == "environment"
    assert newest.reason == "TTS_PROVIDER_MODE changed from qwen to modal"


async def test_a_typed_modal_wins_over_a_live_qwen(start: Start, database: Database) -> None:
    await start("qwen")
    await set_mode(database, "modal", actor="guard", reason="incident")
    await set_mode(database, "qwen", actor="ada", reason="forward again")
    assert (await start("modal")).view().value == "modal"


async def test_the_durable_half_of_a_live_switch_starts_no_new_epoch(
    start: Start, database: Database
) -> None:
    await start("qwen")
    switched = await set_mode(database, "modal", actor="guard", reason="incident")
    assert (await start("modal")).view().epoch == switched.epoch
    async with database.service() as conn:
        row = await read_mode(conn)
    assert row is not None
    assert (row.value, row.env_value, row.actor) == ("modal", "modal", "guard")


async def test_many_processes_starting_on_a_changed_environment_write_one_epoch(database: Database) -> None:
    await adopt_environment(database, "qwen")
    rows = await asyncio.gather(*(adopt_environment(database, "modal") for _ in range(8)))
    assert {(row.value, row.epoch) for row in rows} == {("modal", 2)}


async def test_epochs_grow_above_the_highest_ever_seen(database: Database) -> None:
    await adopt_environment(database, "qwen")
    row = await set_mode(database, "modal", actor="guard", reason="restored database", minimum_epoch=40)
    assert row.epoch == 41


async def test_a_switch_is_in_force_on_every_process_within_a_second(
    start: Start, database: Database
) -> None:
    readers = [await start("qwen") for _ in range(4)]
    arrivals = [asyncio.create_task(reader.changed()) for reader in readers]
    await asyncio.sleep(0)
    began = time.monotonic()
    await set_mode(database, "modal", actor="guard", reason="incident")
    await asyncio.wait_for(asyncio.gather(*arrivals), 5)
    assert time.monotonic() - began <= 1.0
    assert {reader.view().value for reader in readers} == {"modal"}


async def test_each_process_reports_what_it_holds(start: Start, database: Database, eventually) -> None:
    readers = [await start("qwen") for _ in range(2)]
    row = await set_mode(database, "modal", actor="guard", reason="incident")

    async def reported() -> bool:
        async with database.service() as conn:
            processes = await list_processes(conn, seen_within_s=5)
        return [(p.mode_value, p.mode_epoch, p.mode_state) for p in processes] == [
            ("modal", row.epoch, "FRESH")
        ] * 2

    await eventually(reported, what="both processes report the new epoch")
    await readers[0].stop()
    async with database.service() as conn:
        left = await list_processes(conn, seen_within_s=5)
    assert [process.instance for process in left] == [readers[1].instance]


async def test_without_the_store_nothing_new_is_admitted(start: Start, database: Database) -> None:
    clock = ManualClock()
    reader = await start("qwen", clock=clock)
    assert reader.admit().value == "qwen"
    await database.close()
    clock.advance(FRESH_FOR_S)
    assert reader.admit().value == "qwen"
    clock.advance(0.01)
    view = reader.view()
    assert (view.state, view.value) == (ModeState.STALE, "modal")
    with pytest.raises(StoreUnavailableError):
        reader.admit()


async def test_a_known_good_provider_that_failed_its_check_is_nothing_to_fall_back_to(
    database: Database, eventually
) -> None:
    clock = ManualClock()
    answers = [ProviderUnavailableError(failure_class=FailureClass.TRANSPORT, provider="modal")]
    asked = 0

    async def check() -> None:
        nonlocal asked
        asked += 1
        if answers:
            raise answers.pop()

    settings = load_settings(tts_provider_mode="qwen")
    reader = ModeReader(database, settings, kind="api", clock=clock, check=check)
    await reader.start()
    try:
        await eventually(lambda: reader.view().known_good_ok is False, what="the first check failed")

        async def reported() -> bool:
            clock.advance(POLL_INTERVAL_S)
            async with database.service() as conn:
                return [p.known_good_ok for p in await list_processes(conn, seen_within_s=60)] == [False]

        await eventually(reported, what="the failed check is told")
        await database.close()

        def stale() -> bool:
            # A reading that was under way when the store went may still arrive, and is then fresh.
            if reader.view().state is ModeState.FRESH:
                clock.advance(FRESH_FOR_S + 1)
            return reader.view().state is ModeState.STALE

        await eventually(stale, what="the last reading is old")
        assert reader.view().value == "qwen"
        with pytest.raises(StoreUnavailableError):
            reader.admit()
        clock.advance(CHECK_INTERVAL_S)
        await eventually(
            lambda: stale() and reader.view().value == "modal", what="it passes again: that is fallen back to"
        )
        assert asked >= 2
    finally:
        await reader.stop()


async def test_epochs_grow_above_what_running_processes_hold_after_a_restore(
    start: Start, database: Database, database_urls: DatabaseUrls
) -> None:
    running = await start("qwen")
    row = await set_mode(database, "modal", actor="guard", reason="incident", minimum_epoch=40)
    await running.refresh()
    # An old dump brings row and history back; the process that ran through it says what it has seen.
    url = database_urls.owner.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url) as conn:
        await conn.execute("alter table understudy.provider_mode disable trigger keep_mode_epoch")
        await conn.execute("update understudy.provider_mode set epoch = 1, value = 'qwen'")
        await conn.execute("alter table understudy.provider_mode enable trigger keep_mode_epoch")
        await conn.execute("delete from understudy.provider_mode_history where epoch > 1")
    await running.refresh()
    assert (running.view().value, running.view().epoch) == ("modal", row.epoch)
    again = await set_mode(database, "modal", actor="ada", reason="restored")
    assert again.epoch == row.epoch + 1
    await running.refresh()
    assert running.view().epoch == again.epoch


async def test_a_switch_decided_on_an_old_epoch_is_refused(start: Start, database: Database) -> None:
    epoch = (await start("qwen")).view().epoch
    await set_mode(database, "modal", actor="ada", reason="drill", expected_epoch=epoch)
    with pytest.raises(ConflictError, match=f"epoch {epoch + 1}, not {epoch}"):
        await set_mode(database, "qwen", actor="bob", reason="late", expected_epoch=epoch)


async def test_a_process_cut_off_during_a_flip_admits_nothing_and_catches_up(
    start: Start, database: Database, database_urls: DatabaseUrls, eventually
) -> None:
    parts = urlsplit(database_urls.app.get_secret_value())
    async with fault_proxy(parts.port or 5432) as wire:
        behind = SecretStr(
            parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{wire.port}")).geturl()
        )
        cut_off = await Database.connect(behind, application_name="cut-off")
        clock = HandClock()
        reader = ModeReader(
            cut_off, load_settings(tts_provider_mode="qwen"), kind="api", clock=PollingClock(clock)
        )
        await reader.start()
        beside = await start("qwen")
        try:
            epoch = reader.admit().epoch
            await wire.stop()
            row = await set_mode(database, "modal", actor="guard", reason="incident")
            await eventually(lambda: beside.view().epoch == row.epoch, what="in force beside it")
            # For 5 s what was admitted goes on under the old mode; then it holds the known-good one, stale.
            assert (reader.view().value, reader.view().epoch) == ("qwen", epoch)
            clock.advance(FRESH_FOR_S + 0.1)
            assert (reader.view().value, reader.view().state) == ("modal", ModeState.STALE)
            with pytest.raises(StoreUnavailableError) as refused:
                reader.admit()
            assert (refused.value.status, refused.value.retry_after_s) == (503, 2)
            await wire.start()
            await eventually(
                lambda: reader.view().epoch == row.epoch and reader.view().state is ModeState.FRESH,
                what="caught up",
                within_s=20,
            )
            assert reader.admit().value == "modal"
        finally:
            await reader.stop()
            await cut_off.close()
