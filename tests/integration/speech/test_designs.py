"""Designed voices: one billed create, one voice a preview, whatever the mode does in between."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from tests.integration.scripted_provider import DESIGN_COST, Cue, speech_of, tone
from tests.integration.speech.conftest import Studio
from tests.integration.speech.failures import refusal
from understudy.audio.wav import read_wav, write_wav
from understudy.errors import ConflictError, NotFoundError, StoreUnavailableError, ValidationError
from understudy.rollout.mode import ModeReader
from understudy.speech import designs, tasks, voices
from understudy.speech.context import Caller
from understudy.store import claims
from understudy.store.buckets import REFERENCES
from understudy.store.tasks import TaskRow
from understudy.store.voices import VoiceNotCreatedError, VoiceRow

pytestmark = pytest.mark.integration

TEXT = "Good evening, and welcome."
INSTRUCT = "A warm older man, unhurried."


async def preview(studio: Studio, caller: Caller) -> TaskRow:
    """A completed preview."""
    started = await designs.start_preview(studio.ctx, caller, text=TEXT, language="en", instruct=INSTRUCT)
    assert (started.type, started.status) == ("design_preview", "pending")
    async with studio.working():
        return await studio.ended(started.id)


async def save(studio: Studio, caller: Caller, task: TaskRow, name: str = "Host") -> VoiceRow:
    """The voice of a preview."""
    return await designs.save_design(
        studio.ctx, caller, name=name, text=TEXT, language="en", instruct=INSTRUCT, task_id=task.id
    )


@pytest.mark.parametrize("mode", ["modal", "qwen"])
async def test_a_preview_is_heard_then_saved_without_a_second_create(studio: Studio, mode: str) -> None:
    await studio.flip(mode)
    provider = getattr(studio, mode)
    caller = await studio.caller()
    task = await preview(studio, caller)
    assert (task.status, task.provider) == ("completed", mode)
    shown = await tasks.get_task(studio.ctx, caller, task.id)
    assert shown.result is not None
    assert shown.result["audio_url"].startswith(f"/objects/references/{caller.user_id}/previews/")

    voice = await save(studio, caller, task)

    assert (voice.source, voice.name, voice.language, voice.description) == (
        "designed",
        "Host",
        "English",
        INSTRUCT,
    )
    assert (voice.tts_provider, voice.reference_transcript) == (mode, TEXT)
    assert voice.designed_task_id == task.id
    assert voice.reference_object_key is not None
    audio = await studio.ctx.objects.get(REFERENCES, voice.reference_object_key)
    assert read_wav(audio).rate == 24_000
    assert await voices.preview_url(studio.ctx, caller, voice.id)
    assert len(provider.designed) == 1
    if mode == "qwen":
        assert voice.provider_target_model == studio.ctx.settings.qwen_vd_target_model
        assert (voice.provider_voice_kind, voice.provider_region) == ("vd", "intl")
    (call,) = await studio.calls()
    assert (call["operation"], call["outcome"]) == ("design", "ok")
    assert call["cost_microusd"] == (DESIGN_COST if mode == "qwen" else 0)


async def test_saving_twice_or_at_once_is_one_voice(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    task = await preview(studio, caller)
    saved = await asyncio.gather(*(save(studio, caller, task, f"Host {n}") for n in range(4)))
    assert len({voice.id for voice in saved}) == 1
    assert (await save(studio, caller, task)).id == saved[0].id
    assert (await voices.list_voices(studio.ctx, caller, source="designed")).total == 1
    assert len(studio.qwen.designed) == 1
    assert saved[0].reference_object_key is not None
    assert await studio.ctx.objects.stat(REFERENCES, saved[0].reference_object_key)


@pytest.mark.parametrize(("before", "after"), [("qwen", "modal"), ("modal", "qwen")])
async def test_a_flip_between_preview_and_save_keeps_what_was_made(
    studio: Studio, before: str, after: str
) -> None:
    await studio.flip(before)
    caller = await studio.caller()
    task = await preview(studio, caller)
    await studio.flip(after)
    voice = await save(studio, caller, task)
    assert voice.tts_provider == before
    assert getattr(studio, after).designed == []
    if after == "qwen":
        with pytest.raises(ConflictError):
            await studio.speak(caller, voice)
        return
    async with studio.working():
        spoken = await studio.ended((await studio.speak(caller, voice)).id)
    assert spoken.status == "completed"
    assert studio.modal.spoken[0].reference is not None
    assert studio.modal.spoken[0].reference.transcript == TEXT


async def test_a_designed_qwen_voice_speaks_on_qwen(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    voice = await save(studio, caller, await preview(studio, caller))
    async with studio.working():
        assert (await studio.ended((await studio.speak(caller, voice)).id)).status == "completed"
    assert studio.qwen.spoken[0].voice.kind == "vd"


async def test_a_voice_saved_survives_its_task_and_its_preview(studio: Studio) -> None:
    caller = await studio.caller()
    task = await preview(studio, caller)
    voice = await save(studio, caller, task)
    key = task.metadata["preview"]["object_key"]
    await tasks.delete_task(studio.ctx, caller, task.id)
    assert await studio.ctx.objects.stat(REFERENCES, key) is None
    assert await save(studio, caller, task) == voice
    assert voice.reference_object_key is not None
    assert await studio.ctx.objects.stat(REFERENCES, voice.reference_object_key)


async def test_a_deleted_voice_is_not_saved_again(studio: Studio) -> None:
    caller = await studio.caller()
    task = await preview(studio, caller)
    await voices.delete_voice(studio.ctx, caller, (await save(studio, caller, task)).id)
    with pytest.raises(ConflictError, match="deleted"):
        await save(studio, caller, task)


async def test_only_ones_own_completed_preview_can_be_saved(studio: Studio) -> None:
    owner, stranger = await studio.caller(), await studio.caller()
    started = await designs.start_preview(studio.ctx, owner, text=TEXT, language=None, instruct=INSTRUCT)
    with pytest.raises(ConflictError, match="not completed"):
        await save(studio, owner, started)
    async with studio.working():
        task = await studio.ended(started.id)
        spoken = await studio.ended((await studio.speak(owner, await studio.voice(owner))).id)
    with pytest.raises(NotFoundError):
        await save(studio, stranger, task)
    with pytest.raises(NotFoundError):
        await save(studio, owner, spoken)
    with pytest.raises(NotFoundError):
        await designs.save_design(
            studio.ctx, owner, name="x", text=TEXT, language=None, instruct=INSTRUCT, task_id=uuid4()
        )
    assert (await voices.list_voices(studio.ctx, stranger)).total == 0


@pytest.mark.parametrize("cue", [Cue(error=refusal), Cue(clip=tone(100)), Cue(clip=tone(900, amplitude=0))])
async def test_a_failed_preview_is_told_and_leaves_nothing(studio: Studio, cue: Cue) -> None:
    await studio.flip("qwen")
    studio.qwen.cues.append(cue)
    caller = await studio.caller()
    task = await preview(studio, caller)
    assert task.status == "failed"
    assert task.error
    with pytest.raises(ConflictError):
        await save(studio, caller, task)
    key = f"{caller.user_id}/previews/{task.id}.wav"
    assert await studio.ctx.objects.stat(REFERENCES, key) is None
    (call,) = await studio.calls()
    # A create that gave bad audio is billed all the same.
    assert (call["outcome"], call["cost_microusd"]) == ("failed", 0 if cue.error else DESIGN_COST)


@pytest.mark.parametrize(("mode", "status"), [("qwen", "failed"), ("modal", "completed")])
async def test_a_create_of_a_dead_worker_is_repeated_only_where_it_costs_the_tenant_nothing(
    studio: Studio, mode: str, status: str
) -> None:
    await studio.flip(mode)
    caller = await studio.caller()
    task = await designs.start_preview(studio.ctx, caller, text=TEXT, language=None, instruct=INSTRUCT)
    async with studio.ctx.database.service() as conn:
        row = await claims.claim_task(conn, task.id, "dead/1", 3600.0)
        assert row is not None
        assert await claims.mark_dispatched(conn, claims.Claim(row.id, "dead/1", row.attempts))
    await studio.sql("UPDATE public.tasks SET lease_expires_at = now() - interval '1 s'")
    async with studio.working():
        assert (await studio.ended(task.id)).status == status
    assert len(getattr(studio, mode).designed) == (0 if mode == "qwen" else 1)


async def test_a_preview_is_cancelled_at_the_provider(studio: Studio) -> None:
    await studio.flip("qwen")
    studio.qwen.gate.clear()
    caller = await studio.caller()
    async with studio.working():
        task = await designs.start_preview(studio.ctx, caller, text=TEXT, language=None, instruct=INSTRUCT)
        await studio.until(lambda: studio.qwen.designed, "create begun")
        await tasks.cancel_task(studio.ctx, caller, task.id)
        assert (await studio.ended(task.id)).status == "cancelled"
    (call,) = await studio.calls()
    assert (call["operation"], call["outcome"]) == ("design", "cancelled")


async def test_in_modal_mode_a_recording_may_be_saved_instead(studio: Studio) -> None:
    caller = await studio.caller()
    audio = write_wav(speech_of(TEXT))
    voice = await designs.save_design(
        studio.ctx, caller, name="Host", text=TEXT, language="en", instruct=INSTRUCT, audio=audio
    )
    assert (voice.source, voice.tts_provider, voice.reference_transcript) == ("designed", "modal", TEXT)
    async with studio.working():
        assert (await studio.ended((await studio.speak(caller, voice)).id)).status == "completed"
    await studio.flip("qwen")
    with pytest.raises(ValidationError, match="task_id"):
        await designs.save_design(
            studio.ctx, caller, name="Host", text=TEXT, language="en", instruct=INSTRUCT, audio=audio
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"audio": write_wav(tone(25_000))},
        {"audio": b"RIFF nothing"},
        {"audio": None},
        {"name": ""},
        {"text": "t" * 501},
        {"instruct": "i" * 501},
    ],
)
async def test_a_save_that_is_not_valid_creates_nothing(studio: Studio, changes: dict[str, object]) -> None:
    caller = await studio.caller()
    form = {"name": "Host", "text": TEXT, "language": "en", "instruct": INSTRUCT}
    audio = write_wav(speech_of(TEXT))
    with pytest.raises(ValidationError):
        await designs.save_design(studio.ctx, caller, **{**form, "audio": audio, **changes})  # type: ignore[arg-type]
    assert (await voices.list_voices(studio.ctx, caller)).total == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": "t" * 501}, "^Text cannot exceed 500 characters$"),
        ({"instruct": "i" * 501}, "^Instruct cannot exceed 500 characters$"),
        ({"text": " "}, "Text is required"),
        ({"language": "Latin"}, "Language must be one of"),
    ],
)
async def test_a_brief_that_is_not_valid_creates_nothing(
    studio: Studio, changes: dict[str, str], message: str
) -> None:
    caller = await studio.caller()
    brief = {"text": TEXT, "language": "en", "instruct": INSTRUCT, **changes}
    with pytest.raises(ValidationError, match=message):
        await designs.start_preview(studio.ctx, caller, **brief)
    assert await studio.sql("SELECT id FROM public.tasks") == []


async def test_no_preview_starts_while_the_mode_is_unknown(studio: Studio) -> None:
    caller = await studio.caller()
    studio.ctx.mode = ModeReader(studio.ctx.database, studio.ctx.settings, kind="api", clock=studio.ctx.clock)
    with pytest.raises(StoreUnavailableError):
        await designs.start_preview(studio.ctx, caller, text=TEXT, language=None, instruct=INSTRUCT)


async def test_a_designed_voice_the_database_refuses_leaves_no_recording(studio: Studio) -> None:
    caller = await studio.caller()
    task = await preview(studio, caller)
    await studio.sql("ALTER TABLE public.voices ADD CONSTRAINT refused CHECK (name <> 'Host')")
    with pytest.raises(VoiceNotCreatedError):
        await save(studio, caller, task)
    stored = studio.ctx.settings.objects_path / REFERENCES / str(caller.user_id)
    assert [path.name for path in stored.rglob("reference.*.object")] == []
    assert (await save(studio, caller, task, "Hostess")).name == "Hostess"
