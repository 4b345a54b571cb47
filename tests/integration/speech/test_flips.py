"""A switch back while people speak: queued work is re-routed, running work drains or is spoken once more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.scripted_provider import Cue, speech_of
from tests.integration.speech.conftest import TEXT, TRANSCRIPT, MakeStudio, Studio
from tests.integration.speech.failures import wire_cut
from understudy.audio.wav import write_wav
from understudy.errors import ConflictError
from understudy.providers.base import Operation
from understudy.rollout.mode import ModeView
from understudy.speech import designs, voices
from understudy.speech.context import Caller
from understudy.speech.flipping import WayBack
from understudy.speech.ramping import FIRST
from understudy.speech.voices import VoiceDraft
from understudy.store.tasks import TaskRow
from understudy.store.voices import VoiceRow

pytestmark = pytest.mark.integration

BRIEF = {"text": "Four seven one two.", "language": "English", "instruct": "calm and low"}


async def qwen_voice(studio: Studio) -> tuple[Caller, VoiceRow]:
    await studio.flip("qwen")
    caller = await studio.caller()
    return caller, await studio.voice(caller)


async def spoken(studio: Studio, task: TaskRow) -> list[tuple[str, str, int, bool]]:
    """The calls of a task: provider, outcome, epoch, and whether the tenant pays."""
    return [
        (row["provider"], row["outcome"], row["mode_epoch"], row["billable"])
        for row in await studio.calls()
        if row["task_id"] == task.id
    ]


async def entry(studio: Studio, task: TaskRow) -> dict[str, Any]:
    """The task's line in the ledger."""
    return (await studio.sql("SELECT * FROM understudy.ledger WHERE task_id = %s", task.id))[0]


async def preview(studio: Studio, caller: Caller) -> TaskRow:
    return await designs.start_preview(studio.ctx, caller, **BRIEF)


async def save(studio: Studio, caller: Caller, task: TaskRow) -> VoiceRow:
    return await designs.save_design(
        studio.ctx,
        caller,
        name="Calm",
        text=BRIEF["text"],
        language=BRIEF["language"],
        instruct=BRIEF["instruct"],
        task_id=task.id,
    )


async def test_a_queued_qwen_task_is_spoken_by_modal_after_the_flip(studio: Studio) -> None:
    caller, voice = await qwen_voice(studio)
    task = await studio.speak(caller, voice)
    await studio.flip("modal")
    epoch = studio.ctx.mode.view().epoch
    async with studio.working():
        ended = await studio.ended(task.id)
    assert (ended.status, ended.provider, ended.mode_epoch) == ("completed", "modal", epoch)
    assert ended.metadata["rerouted"] == {"from": "qwen", "epoch": epoch - 1}
    generation = await studio.generation(ended)
    assert (generation.tts_provider, generation.mode_epoch) == ("modal", epoch)
    assert not studio.qwen.spoken
    assert await spoken(studio, task) == [("modal", "ok", epoch, True)]
    paid = await entry(studio, task)
    assert (paid["provider"], paid["state"], paid["calls"]) == ("modal", "settled", 1)


async def test_re_routed_work_reaches_modal_on_a_ramp(make_studio: MakeStudio) -> None:
    async with make_studio(max_active_generations=100) as studio:
        caller, voice = await qwen_voice(studio)
        waiting = [await studio.speak(caller, voice) for _ in range(9)]
        await studio.flip("modal")
        studio.modal.gate.clear()
        async with studio.working():
            # Two warm it; nobody else is sent until one of them has been heard.
            await studio.until(lambda: len(studio.modal.submitted) == FIRST, "the first are with Modal")
            fresh = await studio.speak(caller, voice)
            await studio.until(
                lambda: len(studio.modal.submitted) == FIRST + 1, "who asked Modal does not wait"
            )
            assert studio.ctx.ramp.inside == FIRST
            studio.modal.gate.set()
            ended = [await studio.ended(task.id) for task in (*waiting, fresh)]
        assert {(task.status, task.provider) for task in ended} == {("completed", "modal")}
        assert studio.ctx.ramp.inside == 0
        assert len(studio.modal.spoken) == len(waiting) + 1


async def test_a_re_routed_task_may_take_longer_than_the_drain(make_studio: MakeStudio) -> None:
    async with make_studio(flip_drain_deadline_s=0.05) as studio:
        caller, voice = await qwen_voice(studio)
        task = await studio.speak(caller, voice)
        await studio.flip("modal")
        studio.modal.gate.clear()
        async with studio.working():
            await studio.until(lambda: studio.modal.submitted, "Modal speaks")
            polled = asyncio.get_running_loop().time() + 0.2
            await studio.until(lambda: asyncio.get_running_loop().time() > polled, "the drain's time passed")
            studio.modal.gate.set()
            ended = await studio.ended(task.id)
        assert (ended.status, ended.provider) == ("completed", "modal"), ended.error
        assert (len(studio.modal.spoken), studio.modal.closed_early) == (1, 0)


async def test_a_task_moved_in_the_instant_in_which_its_time_is_up_goes_on_where_it_was_moved(
    make_studio: MakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(way: WayBack) -> ModeView:
        """Its time is up on the old mode, and the move is committed before anybody acts on that."""
        goal = way.goal()
        assert goal is not None
        monkeypatch.undo()
        while not await way.rerouted_meanwhile():
            await asyncio.sleep(0.005)
        return goal

    monkeypatch.setattr(WayBack, "outstayed", at_once)
    async with make_studio() as studio:
        caller, voice = await qwen_voice(studio)
        task = await studio.speak(caller, voice)
        await studio.flip("modal")
        studio.modal.gate.clear()
        async with studio.working():
            await studio.until(lambda: studio.modal.submitted, "Modal speaks")
            studio.modal.gate.set()
            ended = await studio.ended(task.id)
        assert (ended.status, ended.provider) == ("completed", "modal"), ended.error
        assert "rerun" not in ended.metadata


async def test_running_speech_that_ends_in_time_stays_where_it_is(make_studio: MakeStudio) -> None:
    async with make_studio(flip_drain_deadline_s=30) as studio:
        caller, voice = await qwen_voice(studio)
        studio.qwen.gate.clear()
        task = await studio.speak(caller, voice)
        async with studio.working():
            await studio.until(lambda: studio.qwen.spoken, "Qwen speaks")
            epoch = studio.ctx.mode.view().epoch
            await studio.flip("modal")
            studio.qwen.gate.set()
            ended = await studio.ended(task.id)
        assert (ended.status, ended.provider) == ("completed", "qwen")
        assert not studio.modal.spoken
        assert await spoken(studio, task) == [("qwen", "ok", epoch, True)]


async def test_running_speech_that_outstays_the_drain_is_spoken_once_more_by_modal(
    make_studio: MakeStudio,
) -> None:
    async with make_studio(flip_drain_deadline_s=0.1) as studio:
        caller, voice = await qwen_voice(studio)
        studio.qwen.gate.clear()
        task = await studio.speak(caller, voice)
        async with studio.working():
            await studio.until(lambda: studio.qwen.spoken, "Qwen speaks")
            epoch = studio.ctx.mode.view().epoch
            await studio.flip("modal")
            ended = await studio.ended(task.id)
        assert (ended.status, ended.provider) == ("completed", "modal")
        assert ended.metadata["rerun"] == {"from": "qwen", "epoch": epoch, "code": "outstayed_a_flip"}
        assert (studio.qwen.closed_early, len(studio.modal.spoken)) == (1, 1)
        assert await spoken(studio, task) == [
            ("qwen", "cancelled", epoch, False),
            ("modal", "ok", epoch + 1, True),
        ]
        assert (await studio.generation(ended)).tts_provider == "modal"
        # Qwen had taken the text, so it may bill it: on record, and not the tenant's.
        bought, paid = [row["cost_microusd"] for row in await studio.calls() if row["task_id"] == task.id]
        assert bought == studio.qwen.estimate(Operation.SPEAK, text=TEXT)
        booked = await entry(studio, task)
        assert (booked["provider"], booked["settled_microusd"]) == ("modal", bought + paid)


async def test_running_speech_that_fails_after_the_flip_is_spoken_once_more(studio: Studio) -> None:
    caller, voice = await qwen_voice(studio)
    studio.qwen.gate.clear()
    studio.qwen.cues.append(Cue(error=wire_cut, chunks=2))
    task = await studio.speak(caller, voice)
    async with studio.working():
        await studio.until(lambda: studio.qwen.spoken, "Qwen speaks")
        epoch = studio.ctx.mode.view().epoch
        await studio.flip("modal")
        studio.qwen.gate.set()
        ended = await studio.ended(task.id)
    assert (ended.status, ended.provider) == ("completed", "modal")
    assert await spoken(studio, task) == [("qwen", "failed", epoch, False), ("modal", "ok", epoch + 1, True)]


async def test_what_failed_before_the_flip_stays_failed(studio: Studio) -> None:
    caller, voice = await qwen_voice(studio)
    studio.qwen.cues.append(Cue(error=wire_cut))
    task = await studio.speak(caller, voice)
    async with studio.working():
        assert (await studio.ended(task.id)).status == "failed"
        await studio.flip("modal")
        assert (await studio.task(task.id)).status == "failed"
    assert not studio.modal.spoken


async def test_a_second_failure_is_the_end(studio: Studio) -> None:
    caller, voice = await qwen_voice(studio)
    studio.qwen.gate.clear()
    studio.qwen.cues.append(Cue(error=wire_cut, chunks=2))
    studio.modal.cues.append(Cue(error=wire_cut))
    task = await studio.speak(caller, voice)
    async with studio.working():
        await studio.until(lambda: studio.qwen.spoken, "Qwen speaks")
        await studio.flip("modal")
        studio.qwen.gate.set()
        ended = await studio.ended(task.id)
    assert (ended.status, ended.provider) == ("failed", "modal")
    assert (len(studio.qwen.spoken), len(studio.modal.spoken)) == (1, 1)
    assert (await studio.generation(ended)).status == "failed"


async def test_without_carry_over_a_queued_task_keeps_its_provider(make_studio: MakeStudio) -> None:
    async with make_studio(voice_carry_over="off") as studio:
        caller, voice = await qwen_voice(studio)
        task = await studio.speak(caller, voice)
        await studio.flip("modal")
        async with studio.working():
            ended = await studio.ended(task.id)
        assert (ended.status, ended.provider) == ("completed", "qwen")
        with pytest.raises(ConflictError):
            await studio.speak(caller, voice)
        modals = await studio.voice(caller)
        await studio.flip("qwen")
        with pytest.raises(ConflictError):
            await studio.speak(caller, modals)


async def test_a_dead_workers_speech_is_spoken_by_modal_after_the_flip(studio: Studio) -> None:
    caller, voice = await qwen_voice(studio)
    task = await studio.speak(caller, voice)
    # As a worker leaves it that was killed after it had sent the text.
    await studio.sql(
        "UPDATE public.tasks SET status = 'processing', claimed_by = 'dead/1', attempts = 1,"
        " dispatched_at = now(), lease_expires_at = now() - interval '1 second' WHERE id = %s",
        task.id,
    )
    epoch = studio.ctx.mode.view().epoch
    await studio.flip("modal")
    async with studio.working():
        ended = await studio.ended(task.id)
    assert (ended.status, ended.provider) == ("completed", "modal")
    assert not studio.qwen.spoken
    assert await spoken(studio, task) == [("qwen", "failed", epoch, False), ("modal", "ok", epoch + 1, True)]


async def test_a_stopping_worker_hands_running_speech_to_the_next_after_a_flip(
    make_studio: MakeStudio,
) -> None:
    async with make_studio(flip_drain_deadline_s=60) as studio:
        caller, voice = await qwen_voice(studio)
        studio.qwen.gate.clear()
        task = await studio.speak(caller, voice)
        async with studio.working("old", drain_deadline_s=1) as stop:
            await studio.until(lambda: studio.qwen.spoken, "Qwen speaks")
            await studio.flip("modal")
            stop.set()
            await studio.until(lambda: studio.qwen.closed_early, "closed by the worker that stops")
        async with studio.working("new"):
            ended = await studio.ended(task.id)
        assert (ended.status, ended.provider) == ("completed", "modal")
        assert (len(studio.qwen.spoken), len(studio.modal.spoken)) == (1, 1)


async def test_a_queued_preview_is_designed_by_modal_after_the_flip(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    task = await preview(studio, caller)
    await studio.flip("modal")
    async with studio.working():
        ended = await studio.ended(task.id)
    assert (ended.status, ended.provider) == ("completed", "modal")
    assert (len(studio.qwen.designed), len(studio.modal.designed)) == (0, 1)
    voice = await save(studio, caller, task)
    assert (voice.tts_provider, voice.provider_voice_id) == ("modal", None)


async def test_a_billed_create_is_left_to_finish_however_long_it_takes(make_studio: MakeStudio) -> None:
    async with make_studio(flip_drain_deadline_s=0) as studio:
        await studio.flip("qwen")
        caller = await studio.caller()
        studio.qwen.gate.clear()
        task = await preview(studio, caller)
        async with studio.working():
            await studio.until(lambda: studio.qwen.designed, "Qwen designs")
            await studio.flip("modal")
            # Speech of another tenant on Modal comes and goes meanwhile: the drain is long over.
            other = await studio.caller()
            await studio.ended((await studio.speak(other, await studio.voice(other))).id)
            assert (await studio.task(task.id)).status == "processing"
            studio.qwen.gate.set()
            ended = await studio.ended(task.id)
        assert (ended.status, ended.provider) == ("completed", "qwen")
        assert (len(studio.qwen.designed), len(studio.modal.designed)) == (1, 0)
        voice = await save(studio, caller, task)
        assert voice.tts_provider == "qwen"
        assert voice.provider_voice_id


async def test_a_create_that_failed_after_the_flip_is_made_once_by_modal(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    studio.qwen.gate.clear()
    studio.qwen.cues.append(Cue(error=wire_cut))
    task = await preview(studio, caller)
    async with studio.working():
        await studio.until(lambda: studio.qwen.designed, "Qwen designs")
        await studio.flip("modal")
        studio.qwen.gate.set()
        ended = await studio.ended(task.id)
    assert (ended.status, ended.provider) == ("completed", "modal")
    assert (len(studio.qwen.designed), len(studio.modal.designed)) == (1, 1)
    assert [call[:2] for call in await spoken(studio, task)] == [("qwen", "failed"), ("modal", "ok")]


async def test_a_paid_preview_survives_two_flips_without_another_create(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    async with studio.working():
        task = await studio.ended((await preview(studio, caller)).id)
        await studio.flip("modal")
        voice = await save(studio, caller, task)
        assert (voice.tts_provider, voice.reference_transcript) == ("qwen", BRIEF["text"])
        on_modal = await studio.ended((await studio.speak(caller, voice)).id)
        assert (on_modal.status, on_modal.provider) == ("completed", "modal")
        reference = studio.modal.spoken[-1].reference
        assert reference is not None
        assert (reference.audio, reference.transcript) == (write_wav(speech_of(BRIEF["text"])), BRIEF["text"])
        await studio.flip("qwen")
        on_qwen = await studio.ended((await studio.speak(caller, voice)).id)
        assert (on_qwen.status, on_qwen.provider) == ("completed", "qwen")
        assert studio.qwen.spoken[-1].voice.voice_id == voice.provider_voice_id
    assert (len(studio.qwen.designed), len(studio.qwen.enrolled)) == (1, 0)


@pytest.mark.parametrize(("first", "then"), [("qwen", "modal"), ("modal", "qwen")])
async def test_an_upload_is_finalized_by_whoever_serves_then(studio: Studio, first: str, then: str) -> None:
    await studio.flip(first)
    caller = await studio.caller()
    draft = VoiceDraft("Elinor", "English", TRANSCRIPT)
    ticket = await voices.start_upload(studio.ctx, caller, draft)
    await studio.upload(caller, ticket.voice_id)
    await studio.flip(then)
    voice = await voices.finalize_clone(studio.ctx, caller, ticket.voice_id, draft)
    assert (voice.tts_provider, len(studio.qwen.enrolled)) == (then, 1 if then == "qwen" else 0)
    async with studio.working():
        ended = await studio.ended((await studio.speak(caller, voice)).id)
    assert (ended.status, ended.provider) == ("completed", then)


async def test_a_voice_of_modal_meets_guidance_in_qwen_mode(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    await studio.flip("qwen")
    with pytest.raises(ConflictError, match="carry it over"):
        await studio.speak(caller, voice)
