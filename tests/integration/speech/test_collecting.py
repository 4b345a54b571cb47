"""The collection: what goes, what stays, and what is only listed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.clocks import HandClock
from tests.integration.speech.conftest import Studio
from understudy.errors import ConflictError, StoreUnavailableError
from understudy.rollout.freeze import set_freeze
from understudy.speech import references, voices
from understudy.speech.collecting import Collector
from understudy.speech.context import Caller
from understudy.speech.worker import Worker
from understudy.store import sightings
from understudy.store.buckets import GENERATIONS, REFERENCES
from understudy.store.objects import LocalObjects
from understudy.store.voices import VoiceRow

pytestmark = pytest.mark.integration

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


class Night:
    """A collector whose clock a test moves; objects are as old as they really are."""

    def __init__(self, studio: Studio, **settings: Any) -> None:
        self.studio = studio
        self.clock = HandClock(datetime.now(UTC))
        ctx = studio.ctx
        self.settings = ctx.settings.model_copy(update=settings)
        self.collector = Collector(ctx.database, ctx.objects, self.settings, self.clock)

    async def run(self, after_s: float = 0.0) -> Any:
        self.clock.advance(after_s)
        return await self.collector.run(dry_run=False)

    async def keys(self, bucket: str) -> list[str]:
        return [item.key async for item in self.studio.ctx.objects.list(bucket)]


async def spoken(studio: Studio, caller: Caller, voice: VoiceRow, *, days_old: float) -> UUID:
    """A completed generation with audio and an ended task, of so many days ago."""
    generation_id, at = uuid4(), datetime.now(UTC) - timedelta(days=days_old)
    key = f"{caller.user_id}/{generation_id}.wav"
    await studio.ctx.objects.put(GENERATIONS, key, b"RIFF", "audio/wav")
    await studio.sql(
        "INSERT INTO public.generations (id, user_id, voice_id, text, status, audio_object_key, created_at,"
        " completed_at) VALUES (%s, %s, %s, 'Four.', 'completed', %s, %s, %s)",
        generation_id, caller.user_id, voice.id, key, at, at,
    )  # fmt: skip
    await studio.sql(
        "INSERT INTO public.tasks"
        " (user_id, type, status, generation_id, created_at, updated_at, completed_at)"
        " VALUES (%s, 'generate', 'completed', %s, %s, %s, %s)",
        caller.user_id, generation_id, at, at, at,
    )  # fmt: skip
    await studio.sql(
        "INSERT INTO understudy.provider_calls (at, operation, provider, model, outcome, latency_ms, user_id,"
        " mode_epoch) VALUES (%s, 'speak', 'modal', 'm', 'ok', 1, %s, 1)",
        at, caller.user_id,
    )  # fmt: skip
    return generation_id


async def bucketed(studio: Studio, caller: Caller, *, days_old: float) -> None:
    """A call of so many days ago, as it was rolled up."""
    at = datetime.now(UTC) - timedelta(days=days_old)
    await studio.sql(
        "INSERT INTO understudy.call_buckets (bucket_at, provider, mode_epoch, operation, total, failed,"
        " failed_transport, failed_protocol, failed_provider, failed_unknown, synthetic_total,"
        " synthetic_failed, failed_users, ok_users, cost_microusd, characters, ok_latency_ms_sum,"
        " ok_latency_ms_max, first_audio_calls, first_audio_ms_sum, first_audio_ms_max)"
        " VALUES (%s, 'modal', 1, 'speak', 1, 0, 0, 0, 0, 0, 0, 0, '{}', '{}', 0, 0, 0, 0, 0, 0, 0)",
        at,
    )
    for table in ("tenant_minutes", "tenant_hours"):
        await studio.sql(
            f"INSERT INTO understudy.{table} VALUES (%s, %s, 'speak', 'modal', 1, 0, 5, 0)",
            caller.user_id,
            at,
        )


async def ids(studio: Studio, table: str) -> list[Any]:
    return [row["id"] for row in await studio.sql(f"SELECT id FROM {table} ORDER BY id")]


async def test_by_default_audio_stays_and_signals_go_after_thirty_days(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    old = await spoken(studio, caller, voice, days_old=31)
    young = await spoken(studio, caller, voice, days_old=29)
    await bucketed(studio, caller, days_old=40)
    await bucketed(studio, caller, days_old=20)
    dry = await Night(studio).collector.run(dry_run=True)
    report = await Night(studio).run()
    rolled_up = ("call_buckets", "tenant_minutes", "tenant_hours")
    assert {report.removed[name] for name in rolled_up} == {dry.removed[name] for name in rolled_up} == {1}
    assert len(await studio.sql("SELECT bucket_at FROM understudy.call_buckets")) == 1
    days = (
        "SELECT relname FROM pg_class WHERE relname = 'call_buckets_' || to_char(%s::timestamptz, 'YYYYMMDD')"
    )
    assert await studio.sql(days, datetime.now(UTC) + timedelta(days=7))
    assert set(await ids(studio, "public.generations")) == {old, young}
    assert len(await ids(studio, "public.tasks")) == 1
    assert len(await studio.calls()) == 1
    assert (report.removed["tasks"], report.removed["calls"], report.orphans, report.missing) == (1, 1, 0, 0)
    assert len(await Night(studio).keys(GENERATIONS)) == 2


async def test_old_generations_go_with_their_audio_and_running_ones_stay(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    await spoken(studio, caller, voice, days_old=8)
    young = await spoken(studio, caller, voice, days_old=6)
    running = await studio.speak(caller, voice)
    await studio.sql(
        "UPDATE public.generations SET created_at = now() - interval '9 days' WHERE status = 'pending'"
    )
    night = Night(studio, retention_generations_days=7, retention_signals_days=0)
    dry = await night.collector.run(dry_run=True)
    assert dry.removed["generations"] == 1
    assert len(await night.keys(GENERATIONS)) == 2
    assert (await night.run()).removed["generations"] == 1
    assert set(await ids(studio, "public.generations")) == {young, running.generation_id}
    assert await night.keys(GENERATIONS) == [f"{caller.user_id}/{young}.wav"]
    assert (await studio.task(running.id)).status == "pending"
    assert len(await studio.calls()) == 2


async def test_the_recording_of_a_deleted_voice_goes_when_nothing_needs_it(studio: Studio) -> None:
    caller = await studio.caller()
    kept, gone, busy, shared, live = [await studio.voice(caller) for _ in range(5)]
    await studio.speak(caller, busy)
    await studio.sql(
        "UPDATE public.voices SET reference_object_key = %s WHERE id = %s",
        shared.reference_object_key,
        live.id,
    )
    for voice in (gone, busy, shared):
        await voices.delete_voice(studio.ctx, caller, voice.id)
    night = Night(studio)
    await night.run(29 * DAY_S)
    assert await studio.ctx.objects.stat(REFERENCES, str(gone.reference_object_key)) is not None
    assert (await night.run(2 * DAY_S)).removed["voice_recordings"] == 1
    rows = {
        row["id"]: row["reference_object_key"]
        for row in await studio.sql("SELECT id, reference_object_key FROM public.voices")
    }
    assert rows[gone.id] is None
    for voice in (kept, busy, shared):
        assert rows[voice.id] == voice.reference_object_key
        assert await studio.ctx.objects.stat(REFERENCES, str(voice.reference_object_key)) is not None
    left = await night.keys(REFERENCES)
    assert not [key for key in left if str(gone.id) in key]
    assert await references.load_reference(studio.ctx, kept)


async def test_an_upload_that_never_became_a_voice_goes_after_a_day_and_two_sightings(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    await studio.upload(caller, uuid4())
    night = Night(studio)
    first = await night.run()
    assert (first.orphans, len(first.sightings)) == (1, 1)
    assert first.sightings[0].kind == "orphan"
    assert (await night.run(2 * HOUR_S)).orphans == 1
    last = await night.run(23 * HOUR_S)
    assert (last.orphans, last.removed["orphans"], last.sightings) == (0, 1, [])
    assert {key.split("/")[1] for key in await night.keys(REFERENCES)} == {str(voice.id)}


async def test_an_object_without_a_row_is_never_deleted_at_first_sight_however_old(studio: Studio) -> None:
    caller = await studio.caller()
    key = f"{caller.user_id}/{uuid4()}.wav"
    await studio.ctx.objects.put(GENERATIONS, key, b"RIFF", "audio/wav")
    night = Night(studio)
    dry = await night.collector.run(dry_run=True)
    assert (dry.orphans, dry.sightings[0].key) == (1, key)
    assert await studio.sql("SELECT * FROM understudy.object_sightings") == []
    assert (await night.run(90 * DAY_S)).orphans == 1
    assert (await night.run(HOUR_S - 1)).orphans == 1
    assert (await night.run(1)).removed["orphans"] == 1
    assert await night.keys(GENERATIONS) == []


async def test_an_orphan_that_finds_its_row_is_forgotten(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    generation_id = uuid4()
    key = f"{caller.user_id}/{generation_id}.wav"
    await studio.ctx.objects.put(GENERATIONS, key, b"RIFF", "audio/wav")
    night = Night(studio)
    assert (await night.run()).orphans == 1
    await studio.sql(
        "INSERT INTO public.generations (id, user_id, voice_id, text, status, audio_object_key)"
        " VALUES (%s, %s, %s, 'Four.', 'completed', %s)", generation_id, caller.user_id, voice.id, key,
    )  # fmt: skip
    report = await night.run(2 * HOUR_S)
    assert (report.orphans, report.sightings) == (0, [])
    assert await night.keys(GENERATIONS) == [key]


async def test_a_row_without_its_object_is_listed_and_stays(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    generation_id = await spoken(studio, caller, voice, days_old=1)
    key = f"{caller.user_id}/{generation_id}.wav"
    await studio.ctx.objects.delete(GENERATIONS, key)
    night = Night(studio)
    for _ in range(3):
        report = await night.run(2 * HOUR_S)
        assert (report.missing, [(seen.kind, seen.key) for seen in report.sightings]) == (
            1,
            [("missing", key)],
        )
    assert await ids(studio, "public.generations") == [generation_id]
    await studio.ctx.objects.put(GENERATIONS, key, b"RIFF", "audio/wav")
    assert (await night.run()).sightings == []
    await studio.ctx.objects.delete(GENERATIONS, key)
    await night.run()
    await studio.sql("DELETE FROM public.generations")
    assert (await night.run()).sightings == []


async def test_one_collection_at_a_time_and_one_an_hour(studio: Studio) -> None:
    night, other = Night(studio), Night(studio)
    assert await night.collector.run_if_due() is not None
    assert await other.collector.run_if_due() is None
    other.clock.advance(HOUR_S + 60)
    async with sightings.collection_lock(studio.ctx.database) as held:
        assert held
        assert await other.collector.run_if_due() is None
        with pytest.raises(ConflictError, match="running already"):
            await other.collector.run(dry_run=True)
    assert await other.collector.run_if_due() is not None
    (state,) = await studio.sql("SELECT finished_at, report FROM understudy.collection_state")
    assert state["finished_at"] is not None
    assert json.loads(json.dumps(state["report"]))["complete"] is True


async def test_a_storage_that_fails_midway_loses_no_row(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    for _ in range(3):
        await spoken(studio, caller, voice, days_old=8)
    night = Night(studio, retention_generations_days=7)
    delete, deleted = studio.ctx.objects.delete, 0

    async def failing(bucket: str, key: str) -> None:
        nonlocal deleted
        if deleted == 1:
            raise StoreUnavailableError
        deleted += 1
        await delete(bucket, key)

    monkeypatch.setattr(studio.ctx.objects, "delete", failing)
    with pytest.raises(StoreUnavailableError):
        await night.run()
    assert len(await ids(studio, "public.generations")) == 3
    monkeypatch.undo()
    assert (await night.run()).removed["generations"] == 3
    assert await night.keys(GENERATIONS) == []


async def test_a_walk_out_of_time_goes_on_where_it_stopped(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("understudy.speech.collecting.KEYS_A_STEP", 2)
    monkeypatch.setattr("understudy.speech.collecting.WALK_S", -1.0)
    caller = await studio.caller()
    for _ in range(5):
        await studio.ctx.objects.put(GENERATIONS, f"{caller.user_id}/{uuid4()}.wav", b"x", "audio/wav")
    night = Night(studio)
    reports = [await night.run() for _ in range(3)]
    assert [report.orphans for report in reports] == [2, 2, 1]
    assert [report.complete for report in reports] == [False, False, True]
    assert len(reports[-1].sightings) == 5


async def test_bytes_of_a_killed_upload_and_empty_folders_go(studio: Studio) -> None:
    assert isinstance(studio.ctx.objects, LocalObjects)
    caller = await studio.caller()
    voice = await studio.voice(caller)
    root = studio.ctx.settings.objects_path / REFERENCES
    stray = root / str(caller.user_id) / str(voice.id) / "0123456789abcdef-reference.wav"
    stray.write_bytes(b"half")
    (root / "gone" / "folder").mkdir(parents=True)
    clock = HandClock(datetime.now(UTC))
    objects = LocalObjects(studio.ctx.settings.objects_path, studio.ctx.settings.object_url_secret, 60, clock)
    assert await objects.sweep(thorough=True) == 0
    assert stray.exists()
    clock.advance(2 * HOUR_S)
    assert await objects.sweep(thorough=True) == 1
    await objects.sweep(thorough=True)
    assert not stray.exists()
    assert await references.load_reference(studio.ctx, voice)


async def test_the_worker_collects_but_not_while_writes_are_frozen(studio: Studio) -> None:
    async def collected() -> bool:
        rows = await studio.sql("SELECT finished_at FROM understudy.collection_state")
        return bool(rows and rows[0]["finished_at"])

    await set_freeze(studio.ctx.database, frozen=True, actor="test", reason="test")
    await studio.until(lambda: studio.ctx.freeze.frozen, "the freeze in force")
    await Worker(studio.ctx, "worker")._collect()
    assert not await collected()
    await set_freeze(studio.ctx.database, frozen=False, actor="test", reason="test")
    await studio.until(lambda: not studio.ctx.freeze.frozen, "the thaw in force")
    async with studio.working():
        await studio.until(collected, "a collection by the worker")
