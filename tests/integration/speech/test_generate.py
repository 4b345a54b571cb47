"""A generation from admission to stored audio, on either provider, and every way it can go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.integration.scripted_provider import Cue, tone
from tests.integration.speech.conftest import TEXT, TRANSCRIPT, MakeStudio, Studio
from tests.integration.speech.failures import garbage, late, refusal, wire_cut, withdrawn
from understudy.audio.wav import duration_ms, is_silent, read_wav
from understudy.errors import (
    ConflictError,
    NotFoundError,
    ProviderError,
    StoreUnavailableError,
    ValidationError,
)
from understudy.rollout.mode import ModeReader
from understudy.speech import generations, tasks, voices
from understudy.store.buckets import GENERATIONS
from understudy.store.synthetic import mark_synthetic

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("mode", ["modal", "qwen"])
async def test_a_generation_is_spoken_stored_and_recorded(studio: Studio, mode: str) -> None:
    await studio.flip(mode)
    caller = await studio.caller()
    voice = await studio.voice(caller)
    async with studio.working():
        admitted = await studio.speak(caller, voice)
        assert admitted.status == "pending"
        assert (admitted.provider, admitted.mode_epoch) == (mode, studio.ctx.mode.view().epoch)
        task = await studio.ended(admitted.id)

    generation = await studio.generation(task)
    assert (task.status, task.error) == ("completed", None)
    assert task.provider_status == "completed"
    assert task.result is not None
    assert task.result["audio_url"] == f"/api/generations/{generation.id}/audio"
    assert generation.status == "completed"
    assert generation.audio_object_key == f"{caller.user_id}/{generation.id}.wav"
    audio = await studio.ctx.objects.get(GENERATIONS, generation.audio_object_key)
    clip = read_wav(audio)
    assert clip.rate == 24_000
    assert not is_silent(clip)
    assert generation.duration_seconds == duration_ms(clip) / 1000
    assert generation.generation_time_seconds is not None
    stat = await studio.ctx.objects.stat(GENERATIONS, generation.audio_object_key)
    assert stat is not None
    assert generation.audio_sha256 == stat.sha256

    calls = [row for row in await studio.calls() if row["operation"] == "speak"]
    assert len(calls) == 1
    (call,) = calls
    assert (call["provider"], call["outcome"], call["task_id"]) == (mode, "ok", task.id)
    assert (call["characters"], call["cost_microusd"]) == (len(TEXT), 13 * len(TEXT))
    assert call["audio_ms"] == duration_ms(clip)
    assert call["mode_epoch"] == task.mode_epoch
    assert call["first_audio_ms"] is not None
    assert call["synthetic"] is False


async def test_modal_gets_the_normalised_reference_and_its_transcript(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    async with studio.working():
        task = await studio.ended((await studio.speak(caller, voice)).id)
    (request,) = studio.modal.spoken
    assert request.reference is not None
    assert request.reference.transcript == TRANSCRIPT
    assert read_wav(request.reference.audio).rate == 24_000
    assert request.request_id == str(task.id)
    assert task.modal_job_id == task.provider_job_id
    assert task.modal_status == "completed"


async def test_a_voice_made_with_qwen_speaks_on_modal(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    voice = await studio.voice(caller)
    assert voice.tts_provider == "qwen"
    await studio.flip("modal")
    async with studio.working():
        task = await studio.ended((await studio.speak(caller, voice)).id)
    assert (task.status, task.provider) == ("completed", "modal")
    assert studio.modal.spoken[0].voice.voice_id is None


async def test_a_voice_made_with_modal_is_a_conflict_on_qwen(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    await studio.flip("qwen")
    with pytest.raises(ConflictError, match="carry it over"):
        await studio.speak(caller, voice)
    assert await studio.sql("SELECT id FROM public.generations") == []
    assert await studio.sql("SELECT id FROM public.tasks WHERE type = 'generate'") == []


async def test_a_voice_bound_to_another_model_is_a_conflict(make_studio: MakeStudio) -> None:
    async with make_studio() as studio:
        await studio.flip("qwen")
        caller = await studio.caller()
        voice = await studio.voice(caller)
        await studio.sql(
            "UPDATE public.voices SET provider_target_model = 'qwen3-tts-vc-realtime-2025-11-27'"
        )
        with pytest.raises(ConflictError):
            await studio.speak(caller, voice)


async def test_without_carry_over_a_voice_speaks_only_where_it_was_made(make_studio: MakeStudio) -> None:
    async with make_studio(voice_carry_over="off") as studio:
        await studio.flip("qwen")
        caller = await studio.caller()
        voice = await studio.voice(caller)
        await studio.flip("modal")
        with pytest.raises(ConflictError):
            await studio.speak(caller, voice)


async def test_a_task_keeps_the_provider_it_was_admitted_to(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    task = await studio.speak(caller, voice)
    await studio.flip("qwen")
    async with studio.working():
        ended = await studio.ended(task.id)
    assert (ended.status, ended.provider) == ("completed", "modal")
    assert not studio.qwen.spoken


@pytest.mark.parametrize(("mode", "limit"), [("qwen", 2000), ("modal", 10_000)])
async def test_text_over_the_providers_limit_creates_nothing(studio: Studio, mode: str, limit: int) -> None:
    await studio.flip(mode)
    caller = await studio.caller()
    voice = await studio.voice(caller)
    # Code points count, not bytes: every character here is four bytes in UTF-8.
    with pytest.raises(ValidationError, match=f"^Text cannot exceed {limit} characters$"):
        await studio.speak(caller, voice, "𝄞" * (limit + 1))
    assert await studio.sql("SELECT id FROM public.generations") == []
    task = await studio.speak(caller, voice, "𝄞" * limit)
    assert task.status == "pending"


@pytest.mark.parametrize("text", ["", "  \n", "nul\0inside", "half \ud83d surrogate"])
async def test_what_is_not_text_is_refused(studio: Studio, text: str) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    with pytest.raises(ValidationError):
        await studio.speak(caller, voice, text)


async def test_two_requests_at_the_same_instant_do_not_both_pass(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    for _ in range(5):
        outcomes = await asyncio.gather(
            *(studio.speak(caller, voice) for _ in range(4)), return_exceptions=True
        )
        admitted = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        refused = [outcome for outcome in outcomes if isinstance(outcome, ConflictError)]
        assert (len(admitted), len(refused)) == (1, 3)
        await tasks.cancel_task(studio.ctx, caller, admitted[0].id)


async def test_the_limit_is_each_tenants_own_and_ends_with_the_task(studio: Studio) -> None:
    first, second = await studio.caller(), await studio.caller()
    one, other = await studio.voice(first), await studio.voice(second)
    task = await studio.speak(first, one)
    await studio.speak(second, other)
    with pytest.raises(ConflictError, match="in progress"):
        await studio.speak(first, one)
    async with studio.working():
        await studio.ended(task.id)
        await studio.speak(first, one)


async def test_nothing_is_admitted_while_the_mode_is_unknown(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    # A reader that has not read yet knows no more than one that lost the store.
    studio.ctx.mode = ModeReader(studio.ctx.database, studio.ctx.settings, kind="api", clock=studio.ctx.clock)
    with pytest.raises(StoreUnavailableError):
        await studio.speak(caller, voice)


@pytest.mark.parametrize(
    ("cue", "category", "failure_class", "code"),
    [
        (Cue(error=wire_cut), "provider_unavailable", "transport", "provider_unavailable"),
        (Cue(error=garbage, chunks=1), "provider_unavailable", "protocol", "provider_unavailable"),
        (Cue(error=refusal), "provider_rejected", "provider", "Model.AccessDenied"),
        (Cue(error=withdrawn), "cancelled", "provider", "provider_cancelled"),
        (Cue(error=late), "timeout", "transport", "provider_timeout"),
        (Cue(clip=tone(900, amplitude=0.0)), "provider_unavailable", "protocol", "audio_silent"),
        (Cue(clip=tone(150)), "provider_unavailable", "protocol", "audio_truncated"),
        (Cue(clip=tone(60_000)), "provider_unavailable", "protocol", "audio_overlong"),
    ],
)
@pytest.mark.parametrize("mode", ["modal", "qwen"])
async def test_a_failure_is_told_recorded_and_leaves_no_audio(
    studio: Studio, mode: str, cue: Cue, category: str, failure_class: str, code: str
) -> None:
    await studio.flip(mode)
    caller = await studio.caller()
    voice = await studio.voice(caller)
    getattr(studio, mode).cues.append(cue)
    async with studio.working():
        task = await studio.ended((await studio.speak(caller, voice)).id)
    generation = await studio.generation(task)
    assert (task.status, generation.status) == ("failed", "failed")
    assert task.error
    assert generation.error_message == task.error
    assert task.metadata["failure"] == {
        "category": category,
        "failure_class": failure_class,
        "code": code,
    }
    assert generation.audio_object_key is None
    key = f"{caller.user_id}/{generation.id}.wav"
    assert await studio.ctx.objects.stat(GENERATIONS, key) is None
    with pytest.raises(NotFoundError, match=r"^Generation audio not available\.$"):
        await generations.audio_url(studio.ctx, caller, generation.id)
    (call,) = [row for row in await studio.calls() if row["operation"] == "speak"]
    assert (call["outcome"], call["category"], call["failure_class"], call["code"]) == (
        "failed",
        category,
        failure_class,
        code,
    )


async def test_a_canarys_calls_are_synthetic(studio: Studio) -> None:
    caller = await studio.caller()
    async with studio.ctx.database.service() as conn:
        await mark_synthetic(conn, caller.user_id, "canary")
    voice = await studio.voice(caller)
    async with studio.working():
        await studio.ended((await studio.speak(caller, voice)).id)
    assert [row["synthetic"] for row in await studio.calls()] == [True]


async def test_a_missing_reference_fails_the_task_in_words(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    assert voice.reference_object_key is not None
    task = await studio.speak(caller, voice)
    await studio.ctx.objects.delete("references", voice.reference_object_key)
    async with studio.working():
        ended = await studio.ended(task.id)
    assert ended.status == "failed"
    assert "Clone it again" in (ended.error or "")
    assert await studio.calls() == []


async def test_an_admitted_generation_outlives_its_voice(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    task = await studio.speak(caller, voice)
    await voices.delete_voice(studio.ctx, caller, voice.id)
    async with studio.working():
        assert (await studio.ended(task.id)).status == "completed"
    page = await generations.list_generations(studio.ctx, caller)
    assert [item.voice_name for item in page.items] == ["Elinor"]


async def test_another_tenants_ids_are_not_found(studio: Studio) -> None:
    owner, stranger = await studio.caller(), await studio.caller()
    voice = await studio.voice(owner)
    async with studio.working():
        task = await studio.ended((await studio.speak(owner, voice)).id)
    assert task.generation_id is not None
    ctx, generation_id = studio.ctx, task.generation_id
    attempts: list[Callable[[], object]] = [
        lambda: studio.speak(stranger, voice),
        lambda: voices.preview_url(ctx, stranger, voice.id),
        lambda: voices.delete_voice(ctx, stranger, voice.id),
        lambda: generations.audio_url(ctx, stranger, generation_id),
        lambda: generations.delete_generation(ctx, stranger, generation_id),
        lambda: tasks.get_task(ctx, stranger, task.id),
        lambda: tasks.cancel_task(ctx, stranger, task.id),
        lambda: tasks.delete_task(ctx, stranger, task.id),
    ]
    for attempt in attempts:
        with pytest.raises(NotFoundError):
            await attempt()  # type: ignore[misc]
    assert (await voices.list_voices(ctx, stranger)).total == 0
    assert (await generations.list_generations(ctx, stranger)).total == 0
    assert await generations.audio_url(ctx, owner, generation_id)


async def test_lists_page_search_and_hide_what_is_deleted(wide_studio: Studio) -> None:
    studio = wide_studio
    caller = await studio.caller()
    voice = await studio.voice(caller)
    for text in ("100% sure", "100 percent", "under_score"):
        await studio.speak(caller, voice, text)
    page = await generations.list_generations(studio.ctx, caller, per_page=2)
    assert ([item.generation.text for item in page.items], page.total, page.pages) == (
        ["under_score", "100 percent"],
        3,
        2,
    )
    found = await generations.list_generations(studio.ctx, caller, search="100%")
    assert [item.generation.text for item in found.items] == ["100% sure"]
    assert (await generations.list_generations(studio.ctx, caller, status="completed")).total == 0
    assert (await voices.list_voices(studio.ctx, caller, search="ELIN")).total == 1
    await voices.delete_voice(studio.ctx, caller, voice.id)
    assert (await voices.list_voices(studio.ctx, caller)).total == 0
    with pytest.raises(NotFoundError):
        await studio.speak(caller, voice)
    for changes in ({"page": 0}, {"per_page": 101}, {"status": "done"}):
        with pytest.raises(ValidationError):
            await generations.list_generations(studio.ctx, caller, **changes)


async def test_deleting_a_generation_removes_row_and_audio(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    async with studio.working():
        task = await studio.ended((await studio.speak(caller, voice)).id)
        generation = await studio.generation(task)
        assert generation.audio_object_key is not None
        await generations.delete_generation(studio.ctx, caller, generation.id)
        assert await studio.ctx.objects.stat(GENERATIONS, generation.audio_object_key) is None
        with pytest.raises(NotFoundError):
            await generations.delete_generation(studio.ctx, caller, generation.id)
    assert (await studio.task(task.id)).generation_id is None


async def test_a_generation_deleted_in_flight_is_cancelled_and_leaves_nothing(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    studio.modal.gate.clear()
    async with studio.working():
        task = await studio.speak(caller, voice)
        await studio.until(lambda: studio.modal.submitted, "job submitted")
        assert task.generation_id is not None
        await generations.delete_generation(studio.ctx, caller, task.generation_id)
        ended = await studio.ended(task.id)
    assert ended.status == "cancelled"
    assert len(studio.modal.cancelled_jobs) == 1
    assert await studio.ctx.objects.stat(GENERATIONS, f"{caller.user_id}/{task.generation_id}.wav") is None


async def test_an_unknown_voice_is_not_found(studio: Studio) -> None:
    caller = await studio.caller()
    with pytest.raises(NotFoundError, match=r"^Voice not found\.$"):
        await generations.start_generation(
            studio.ctx, caller, voice_id=uuid4(), text=TEXT, language="English"
        )


def test_every_scripted_failure_is_a_provider_error() -> None:
    for make in (wire_cut, garbage, refusal, late):
        assert isinstance(make(), ProviderError)
