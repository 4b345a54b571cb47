"""What is in quarantine is kept from use where it is broken, honestly; a person lists it and lets it out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from tests.clocks import HandClock
from tests.integration.speech.conftest import Studio
from tests.integration.speech.test_keeping_commands import run, told
from understudy.cli.kept_back import kept_back_sentences, read_kept_back
from understudy.errors import QuarantinedError, UnservedError
from understudy.rollout.reads import set_reads
from understudy.speech import generations, tasks, voices
from understudy.speech.collecting import APART, Collector
from understudy.speech.context import Caller
from understudy.store import quarantine
from understudy.store.buckets import GENERATIONS
from understudy.store.quarantine import GENERATION, OBJECT, VOICE, Subject

pytestmark = pytest.mark.integration

BINDING, RECORDING, AUDIO = "missing_provider_metadata", "unreadable_references", "completed_without_audio"


async def enter(studio: Studio, invariant: str, *subjects: Subject) -> list[int]:
    async with studio.ctx.database.service() as conn:
        await quarantine.quarantine(
            conn, subjects, invariant=invariant, incident="inc-1", actor="guard", reason="broken"
        )
        return [entry.id for entry in await quarantine.open_entries(conn)]


async def refusals(studio: Studio) -> int:
    await studio.ctx.signals.flush()
    return sum(row["refused"] for row in await studio.sql("select refused from understudy.refusals"))


async def test_a_voice_is_refused_where_what_is_broken_is_needed_and_speaks_elsewhere(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    await enter(studio, RECORDING, Subject(VOICE, str(voice.id)))
    with pytest.raises(QuarantinedError, match="recording of this voice is damaged") as refused:
        await studio.speak(caller, voice)
    assert (refused.value.status, refused.value.code) == (409, "quarantined")
    with pytest.raises(QuarantinedError):
        await voices.preview_url(studio.ctx, caller, voice.id)
    # It is still the tenant's, and listed.
    listed = await voices.list_voices(studio.ctx, caller)
    assert [row.id for row in listed.items] == [voice.id]
    # It is no refusal of the mode's or of coverage: those are an SLI.
    assert await refusals(studio) == 0


async def test_a_voice_without_its_binding_is_told_so_and_speaks_from_its_recording(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    await enter(studio, BINDING, Subject(VOICE, str(voice.id)))
    async with studio.working():
        task = await studio.ended((await studio.speak(caller, voice)).id)
    assert task.status == "completed"
    await studio.flip("qwen")
    with pytest.raises(QuarantinedError, match="was lost on our side"):
        await studio.speak(caller, voice)
    await studio.sql("update public.voices set quarantined_for = '{}'")
    with pytest.raises(UnservedError):
        await studio.speak(caller, voice)


async def spoken(studio: Studio, caller: Caller) -> tuple[UUID, UUID]:
    """A generation, completed, and its task."""
    voice = await studio.voice(caller)
    async with studio.working():
        task = await studio.ended((await studio.speak(caller, voice)).id)
    assert task.status == "completed"
    assert task.generation_id is not None
    return task.generation_id, task.id


async def test_lost_audio_shows_as_failed_in_every_view_of_its_tenant(studio: Studio) -> None:
    caller = await studio.caller()
    generation, task = await spoken(studio, caller)
    await enter(studio, AUDIO, Subject(GENERATION, str(generation)))
    with pytest.raises(QuarantinedError, match="generate it again"):
        await generations.audio_url(studio.ctx, caller, generation)
    found = await generations.list_generations(studio.ctx, caller, status="failed")
    assert [item.generation.id for item in found.items] == [generation]
    assert found.items[0].generation.lost
    assert (await generations.list_generations(studio.ctx, caller, status="completed")).total == 0
    shown = await tasks.get_task(studio.ctx, caller, task)
    assert (shown.status, shown.result) == ("failed", None)
    assert "generate it again" in (shown.error or "")
    # The rows themselves never change their terminal status.
    assert await studio.sql("select status from public.generations") == [{"status": "completed"}]


async def test_a_person_lists_what_is_in_quarantine_and_lets_it_out(studio: Studio) -> None:
    caller = await studio.caller()
    generation, task = await spoken(studio, caller)
    (entry,) = await enter(studio, AUDIO, Subject(GENERATION, str(generation)))
    async with studio.ctx.database.service() as conn:
        (found,) = await quarantine.open_entries(conn)
        await quarantine.conclude(conn, found, "failed", "its audio is lost", owed_microusd=1_500_000)
    seen = told(await run(studio, "quarantine", "list", "--json"))
    assert (seen["total"], seen["owed_microusd"]) == (1, 1_500_000)
    assert seen["entries"][0]["subject"] == str(generation)
    shown = await run(studio, "quarantine", "list")
    assert "1 in quarantine, $1.50 owed" in shown.stdout
    assert (await run(studio, "quarantine", "release", "999", "--reason", "x")).exit_code == 1
    freed = told(await run(studio, "quarantine", "release", str(entry), "--reason", "found it", "--json"))
    assert freed["released"][0]["released"] is True
    assert (await tasks.get_task(studio.ctx, caller, task)).status == "completed"
    assert await generations.audio_url(studio.ctx, caller, generation)
    again = told(await run(studio, "quarantine", "release", str(entry), "--reason", "again", "--json"))
    assert again["released"][0]["released"] is False
    assert told(await run(studio, "quarantine", "list", "--json"))["entries"] == []
    (kept,) = told(await run(studio, "quarantine", "list", "--all", "--json"))["entries"]
    assert kept["release_reason"] == "found it"


async def test_status_says_what_is_kept_back_and_nothing_where_nothing_is(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = studio.ctx.settings
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())
    assert kept_back_sentences(await read_kept_back(settings.understudy_home)) == []
    voice = await studio.voice(await studio.caller())
    await enter(studio, RECORDING, Subject(VOICE, str(voice.id)))
    await set_reads(studio.ctx.database, ["audio"], closed=True, actor="ada", reason="a leak")
    closed, quarantined = kept_back_sentences(await read_kept_back(settings.understudy_home))
    assert closed.startswith("Closed reads, answered with 503: audio (since ")
    assert closed.endswith("by ada: a leak)")
    assert quarantined == "In quarantine: 1 for unreadable_references; see understudy quarantine list."


async def test_undo_puts_back_what_repair_wrote_over(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    (number,) = await enter(studio, BINDING, Subject(VOICE, str(voice.id)))
    await studio.sql("update public.voices set provider_voice_id = 'wrong', provider_target_model = 'm'")
    async with studio.ctx.database.service() as conn:
        (entry,) = await quarantine.find_entries(conn, [number])
        await quarantine.conclude(
            conn, entry, "repaired", "bound again", replaced={"provider_voice_id": None}
        )
    back = told(await run(studio, "quarantine", "release", str(number), "--reason", "no", "--undo", "--json"))
    assert back["released"][0]["put_back"] == ["provider_voice_id"]
    (row,) = await studio.sql("select provider_voice_id, provider_target_model from public.voices")
    assert row == {"provider_voice_id": None, "provider_target_model": "m"}


async def test_the_collection_leaves_an_object_in_quarantine_alone_until_it_is_let_out(
    studio: Studio,
) -> None:
    caller = await studio.caller()
    key = f"{caller.user_id}/{uuid4()}.wav"
    await studio.ctx.objects.put(GENERATIONS, key, b"RIFF", "audio/wav")
    (number,) = await enter(studio, "audio_without_row", Subject(OBJECT, f"{GENERATIONS}/{key}"))
    clock = HandClock(datetime.now(UTC))
    collector = Collector(studio.ctx.database, studio.ctx.objects, studio.ctx.settings, clock)
    await collector.run(dry_run=False)
    clock.advance((APART + timedelta(minutes=1)).total_seconds())
    await collector.run(dry_run=False)
    assert await studio.ctx.objects.stat(GENERATIONS, key) is not None
    async with studio.ctx.database.service() as conn:
        (entry,) = await quarantine.find_entries(conn, [number])
        await quarantine.release(conn, entry, actor="ada", reason="rubbish")
    await collector.run(dry_run=False)
    assert await studio.ctx.objects.stat(GENERATIONS, key) is None
