"""A cutover as processes live it: a share by hash, one sequence of epochs, and every way back is at once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from tests.clocks import ManualClock
from tests.integration.conftest import DatabaseUrls
from tests.integration.rollout.test_mode import PollingClock
from tests.integration.speech.conftest import Studio, make_studio, studio
from understudy.clock import SystemClock
from understudy.errors import ConflictError, UnservedError
from understudy.rollout import cutover
from understudy.rollout.cutover import Share, cohort_bucket, in_cohort
from understudy.rollout.mode import ModeReader, adopt_environment, set_mode
from understudy.settings import load_settings
from understudy.speech.carrying import destination_of
from understudy.speech.context import Caller
from understudy.store import cutover as rows
from understudy.store.carry_over import Destination
from understudy.store.cutover import CutoverRow, NewCutover
from understudy.store.database import Database
from understudy.store.mode import list_processes, read_mode

pytestmark = pytest.mark.integration

__all__ = ["make_studio", "studio"]

QWEN = Destination("qwen", {"vc": "model-vc", "vd": "model-vd"}, "intl")


def tenant(*, below: int, at_least: int = 0) -> uuid.UUID:
    """A tenant whose place lies in that part of the hundred."""
    while True:
        user = uuid.uuid4()
        if at_least * 100 <= cohort_bucket(user) < below * 100:
            return user


async def begin(
    database: Database, percent: int, *, destination: Destination = QWEN, watched_s: float = 600
) -> CutoverRow:
    new = NewCutover("qwen", percent, "ada", {"stages": [percent, 100]}, "0" * 64, watched_s)
    return await cutover.start(database, new, Share(percent, destination, 30), actor="ada", reason="go")


async def go_on(database: Database, row: CutoverRow, percent: int) -> CutoverRow:
    return await cutover.advance(
        database, row, Share(percent, QWEN, 30), actor="ada", reason="clean", watched_s=600, evidence={"n": 1}
    )


async def back(database: Database) -> Any:
    return await cutover.return_everyone(database, known_good="modal", actor="guard", reason="it failed")


async def newest(database: Database) -> CutoverRow:
    async with database.service() as conn:
        row = await rows.read_cutover(conn)
    assert row is not None
    return row


Start = Callable[..., "asyncio.Future[ModeReader]"]


@pytest_asyncio.fixture
async def start(database: Database) -> AsyncIterator[Start]:
    readers: list[ModeReader] = []

    async def reader(clock: Any = None) -> ModeReader:
        settings = load_settings(tts_provider_mode="modal")
        one = ModeReader(database, settings, kind="api", clock=clock or SystemClock())
        await one.start()
        readers.append(one)
        return one

    yield reader
    for one in readers:
        await one.stop()


async def test_a_share_is_served_by_the_candidate_and_the_rest_as_before(start: Start, database) -> None:
    reader = await start()
    row = await begin(database, 25)
    await reader.refresh()
    inside, outside = tenant(below=25), tenant(below=100, at_least=25)
    served = reader.admit(inside)
    assert (served.value, served.epoch, served.cohort) == ("qwen", row.stage_epoch, "candidate")
    kept = reader.admit(outside)
    assert (kept.value, kept.cohort) == ("modal", "mode")
    assert (reader.admit().value, reader.view().value) == ("modal", "modal")
    assert kept.epoch < row.stage_epoch
    assert (reader.serves("qwen"), reader.serves("modal")) == (True, True)
    # Who has come in stays in.
    wider = await go_on(database, row, 50)
    await reader.refresh()
    assert reader.admit(inside).epoch == wider.stage_epoch > row.stage_epoch
    async with database.service() as conn:
        (process,) = await list_processes(conn, 5)
    assert process.cutover_epoch == wider.epoch


async def test_every_way_back_is_in_force_in_every_process_with_its_notification(
    start: Start, database, eventually
) -> None:
    # Their poll, which would see it within a second too, sleeps on a clock that nobody moves.
    readers = [await start(ManualClock()) for _ in range(3)]
    inside = tenant(below=50)

    async def by_return() -> None:
        assert await back(database) is not None

    async def by_switch() -> None:
        await set_mode(database, "modal", actor="guard", reason="incident")

    async def by_environment() -> None:
        await adopt_environment(database, "qwen")
        await adopt_environment(database, "modal")

    for number, way in enumerate((by_return, by_switch, by_environment), 1):
        row = await begin(database, 50)
        await eventually(
            lambda: all(one.admit(inside).value == "qwen" for one in readers),
            what=f"the share is served, {number}",
        )
        await way()
        await eventually(
            lambda: all(one.admit(inside).value == "modal" for one in readers),
            what=f"everybody is back, {number}",
        )
        ended = await newest(database)
        assert ended.state in {"returned", "superseded"}
        assert (ended.seq, ended.percent) == (number, 0)
        assert ended.epoch > row.epoch
        assert all(not one.serves("qwen") for one in readers)


async def test_epochs_of_mode_and_cutover_are_one_sequence(start: Start, database) -> None:
    reader = await start()
    seen = [reader.view().epoch]
    row = await begin(database, 1)
    seen.append(row.epoch)
    row = await go_on(database, row, 5)
    seen.append(row.epoch)
    row = await cutover.pause(database, row, actor="ada", reason="look")
    seen.append(row.epoch)
    assert row.stage_epoch < row.epoch  # the sample goes on
    row = await cutover.resume(database, row, actor="ada", reason="fine")
    seen.append(row.epoch)
    flipped = await cutover.finish(database, row, actor="guard", reason="all", evidence={})
    seen.append(flipped.epoch)
    done = await newest(database)
    assert (flipped.value, done.state, done.percent) == ("qwen", "finishing", 100)
    assert (done.stage_epoch, done.stage) == (flipped.epoch, row.stage + 1)
    seen.append((await back(database)).epoch)
    assert seen == sorted(set(seen))
    async with database.service() as conn:
        history = await rows.cutover_history(conn)
    assert [change.state for change in history] == [
        "returned",
        "finishing",
        "running",
        "paused",
        "running",
        "running",
    ]
    assert history[4].evidence == {"n": 1}


async def test_an_older_row_takes_nothing_back(
    start: Start, database: Database, database_urls: DatabaseUrls
) -> None:
    """A cutover that a restored database brings back is not followed: the mode is above it."""
    reader = await start()
    row = await begin(database, 50)
    await back(database)
    async with database.service() as conn:
        with pytest.raises(Exception, match="cannot follow"):
            await conn.execute(
                "update understudy.cutover set state = 'running', percent = 50, epoch = %s", (row.epoch,)
            )
    url = database_urls.owner.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url) as conn:
        await conn.execute("alter table understudy.cutover disable trigger keep_cutover_epoch")
        await conn.execute("update understudy.cutover set state = 'running', percent = 50")
    await reader.refresh()
    assert reader.admit(tenant(below=50)).value == "modal"


async def test_a_cutover_that_nobody_watches_serves_nobody(database: Database) -> None:
    hand = ManualClock()
    reader = ModeReader(
        database, load_settings(tts_provider_mode="modal"), kind="api", clock=PollingClock(hand)
    )
    await reader.start()
    try:
        await begin(database, 50, watched_s=30)
        await reader.refresh()
        inside = tenant(below=50)
        assert reader.admit(inside).value == "qwen"
        async with database.service() as conn:
            assert await rows.watch_cutover(conn, watched_s=30)
            await conn.execute("update understudy.cutover set watched_until = clock_timestamp()")
        await reader.refresh()
        assert reader.admit(inside).value == "modal"
        # And it does not come back by itself.
        async with database.service() as conn:
            assert not await rows.watch_cutover(conn, watched_s=30)
    finally:
        await reader.stop()


async def test_two_who_decide_at_once_decide_once(database: Database) -> None:
    await adopt_environment(database, "modal")
    row = await begin(database, 5)
    answers = await asyncio.gather(*(go_on(database, row, 25) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(answer, CutoverRow) for answer in answers) == 1
    assert sum(isinstance(answer, ConflictError) for answer in answers) == 3
    with pytest.raises(ConflictError, match="end it first"):
        await begin(database, 1)


async def test_the_share_in_sql_is_the_share_in_python(database: Database) -> None:
    users = [uuid.uuid4() for _ in range(400)]
    async with database.service() as conn:
        for percent in (1, 5, 25, 50, 100):
            cursor = await conn.execute(
                b"select u from unnest(%(users)s::uuid[]) u where "
                + rows.IN_SHARE.format(user=rows.SQL("u")).as_bytes(),
                {"users": users, "percent": percent, "tag": rows.COHORT_TAG, "buckets": rows.BUCKETS},
            )
            found = {row["u"] for row in await cursor.fetchall()}
            assert found == {user for user in users if in_cohort(user, percent)}


@asynccontextmanager
async def cut_over(studio: Studio, percent: int = 100 - 1) -> AsyncIterator[CutoverRow]:
    destination = destination_of(studio.qwen, studio.ctx.settings)
    row = await begin(studio.ctx.database, percent, destination=destination)
    await studio.ctx.mode.refresh()
    yield row


async def joining(studio: Studio) -> Caller:
    while not in_cohort((caller := await studio.caller()).user_id, 99):
        pass
    return caller


async def test_a_tenant_whose_voices_do_not_all_speak_there_stays_and_is_listed(studio: Studio) -> None:
    stays, joins = await joining(studio), await joining(studio)
    voice = await studio.voice(stays)
    async with studio.working():
        await studio.ended((await studio.speak(stays, voice)).id)
    async with cut_over(studio):
        assert studio.ctx.mode.admit(stays.user_id).value == "modal"
        assert studio.ctx.mode.admit(joins.user_id).value == "qwen"
        async with studio.ctx.database.service() as conn:
            assert [(one.user_id, one.voices) for one in await rows.list_stays(conn)] == [(stays.user_id, 1)]
        # What it makes is made where it is served, and speaks there.
        fresh = await studio.voice(joins)
        assert fresh.tts_provider == "qwen"
        admitted = await studio.speak(joins, fresh)
        assert (admitted.provider, admitted.mode_epoch) == (
            "qwen",
            studio.ctx.mode.admit(joins.user_id).epoch,
        )
        # Carried over, it joins at the next look.
        await studio.sql(
            "update public.voices set provider_voice_id = 'v', provider_voice_kind = 'vc',"
            " provider_target_model = %s, provider_region = %s where id = %s",
            studio.ctx.settings.qwen_vc_target_model,
            studio.ctx.settings.dashscope_region,
            voice.id,
        )
        destination = destination_of(studio.qwen, studio.ctx.settings)
        async with studio.ctx.database.service() as conn:
            assert await rows.renew_stays(conn, destination, percent=99, days=30)
            assert not await rows.renew_stays(conn, destination, percent=99, days=30)
        await studio.ctx.mode.refresh()
        assert studio.ctx.mode.admit(stays.user_id).value == "qwen"


async def test_tasks_keep_their_provider_while_the_cutover_is_on_and_go_back_when_it_ends(
    studio: Studio,
) -> None:
    caller = await joining(studio)
    async with cut_over(studio):
        voice = await studio.voice(caller)
        first = await studio.speak(caller, voice)
        async with studio.working():
            done = await studio.ended(first.id)
        assert (done.status, done.provider, "rerouted" in done.metadata) == ("completed", "qwen", False)
        waiting = await studio.speak(caller, voice)
        await back(studio.ctx.database)
        await studio.ctx.mode.refresh()
        async with studio.working():
            moved = await studio.ended(waiting.id)
        assert (moved.status, moved.provider) == ("completed", "modal")
        assert moved.metadata["rerouted"]["from"] == "qwen"


async def test_a_voice_from_before_is_refused_there_with_guidance(studio: Studio) -> None:
    caller = await joining(studio)
    old = await studio.voice(caller)  # never spoken with, so it keeps nobody back
    async with cut_over(studio):
        with pytest.raises(UnservedError, match="Clone it again"):
            await studio.speak(caller, old)


async def test_the_mode_that_serves_the_candidate_already_begins_nothing(database: Database) -> None:
    await adopt_environment(database, "qwen")
    with pytest.raises(ConflictError, match="serves everybody already"):
        await begin(database, 1)
    assert await back(database) is None
    async with database.service() as conn:
        row = await read_mode(conn)
    assert row is not None
    assert row.value == "qwen"
