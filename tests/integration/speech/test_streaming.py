"""Streams by their rules, with providers that do as they are told."""

from __future__ import annotations

import asyncio
import dataclasses

import numpy as np
import pytest

from tests.integration.scripted_provider import Cue, speech_of, tone
from tests.integration.speech.conftest import MakeStudio, Studio
from tests.integration.speech.failures import wire_cut
from understudy.audio.wav import Clip, read_wav, to_pcm
from understudy.errors import (
    BudgetExceededError,
    ConflictError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    StreamInterruptedError,
    StreamTruncatedError,
)
from understudy.providers.base import AudioFormat
from understudy.speech.context import Caller
from understudy.speech.streaming import OpenStream, StreamOrder, open_stream
from understudy.store.buckets import GENERATIONS
from understudy.store.streams import lock_name
from understudy.store.tasks import TaskRow

pytestmark = pytest.mark.integration

TEXT = "Four seven one."


async def begin(studio: Studio, caller: Caller, *, text: str = TEXT, must_stream: bool = False) -> OpenStream:
    """A stream of a voice of the active provider."""
    voice = await studio.voice(caller)
    order = StreamOrder(voice.id, text, "English", (AudioFormat.PCM, AudioFormat.WAV), must_stream)
    return await open_stream(studio.ctx, caller, order)


async def heard(stream: OpenStream) -> bytes:
    """All of it."""
    return b"".join([data async for data in stream.chunks()])


async def only_task(studio: Studio) -> TaskRow:
    """The one stream there is."""
    [row] = await studio.sql("SELECT id FROM public.tasks WHERE delivery = 'stream'")
    return await studio.task(row["id"])


async def test_raw_samples_are_stored_as_a_wav(make_studio: MakeStudio) -> None:
    async with make_studio(tts_provider_mode="qwen") as studio:
        caller = await studio.caller()
        stream = await begin(studio, caller, must_stream=True)
        assert (stream.provider, stream.audio_format) == ("qwen", AudioFormat.PCM)
        audio = await heard(stream)
        assert audio == to_pcm(speech_of(TEXT))
        row = await studio.generation(await studio.task(stream.task_id))
        assert (row.output_format, row.audio_content_type) == ("wav", "audio/wav")
        stored = await studio.ctx.objects.get(GENERATIONS, row.audio_object_key or "")
        assert to_pcm(read_wav(stored)) == audio


async def test_a_provider_without_streaming_is_heard_once_it_is_whole(studio: Studio) -> None:
    stream = await begin(studio, await studio.caller())
    assert (stream.provider, stream.audio_format) == ("modal", AudioFormat.WAV)
    assert read_wav(await heard(stream)).samples.size
    task = await studio.task(stream.task_id)
    # Its job is on record: a worker could cancel it if this process died.
    assert (task.status, task.provider_job_id is not None) == ("completed", True)


@pytest.mark.parametrize(
    ("clip", "code"),
    [
        (Clip(np.zeros(24_000, dtype=np.int16), 24_000), "audio_silent"),
        (tone(100), "audio_truncated"),
        (tone(60_000), "audio_overlong"),
    ],
)
async def test_what_cannot_be_the_speech_is_an_error_of_its_own_before_it_is_heard(
    studio: Studio, clip: Clip, code: str
) -> None:
    studio.modal.cues.append(Cue(clip=clip))
    with pytest.raises(ProviderUnavailableError) as caught:
        await begin(studio, await studio.caller())
    assert caught.value.provider_code == code
    [call] = await studio.calls()
    assert (call["outcome"], call["failure_class"], call["code"]) == ("failed", "protocol", code)


@pytest.mark.parametrize(
    ("clip", "code"), [(tone(200), "short"), (tone(40_000), "a synthesis that ran away")]
)
async def test_a_stream_of_the_wrong_length_is_truncated(
    make_studio: MakeStudio, clip: Clip, code: str
) -> None:
    async with make_studio(tts_provider_mode="qwen") as studio:
        caller = await studio.caller()
        voice = await studio.voice(caller)
        studio.qwen.cues.append(Cue(clip=clip))
        order = StreamOrder(voice.id, TEXT, None, (AudioFormat.PCM,), must_stream=True)
        with pytest.raises(StreamTruncatedError):
            await heard(await open_stream(studio.ctx, caller, order))
        task = await only_task(studio)
        assert (task.status, task.metadata["failure"]["code"]) == ("failed", "truncated"), code
        assert (await studio.calls())[-1]["failure_class"] == "protocol"
        assert [item async for item in studio.ctx.objects.list(GENERATIONS)] == []


async def test_what_failed_before_it_was_heard_is_told_as_it_is(make_studio: MakeStudio) -> None:
    async with make_studio(tts_provider_mode="qwen") as studio:
        caller = await studio.caller()
        voice = await studio.voice(caller)
        studio.qwen.cues.append(Cue(error=wire_cut))
        order = StreamOrder(voice.id, TEXT, None, (AudioFormat.PCM,), must_stream=True)
        with pytest.raises(ProviderUnavailableError):
            await open_stream(studio.ctx, caller, order)
        assert (await only_task(studio)).status == "failed"
        assert len(studio.ctx.streams) == 0


async def test_a_stream_keeps_its_tasks_deadline(make_studio: MakeStudio) -> None:
    async with make_studio(task_deadline_s=5) as studio:
        studio.modal.gate.clear()
        with pytest.raises(ProviderTimeoutError):
            await begin(studio, await studio.caller())
        task = await only_task(studio)
        assert (task.status, task.metadata["failure"]["code"]) == ("failed", "deadline")
        assert studio.modal.cancelled_jobs


async def test_what_another_ended_is_let_go(make_studio: MakeStudio) -> None:
    async with make_studio(tts_provider_mode="qwen", worker_lease_s=1.0) as studio:
        studio.qwen.gate.set()
        caller = await studio.caller()
        voice = await studio.voice(caller)
        studio.qwen.gate.clear()
        order = StreamOrder(voice.id, TEXT, None, (AudioFormat.PCM,), must_stream=True)
        stream = await open_stream(studio.ctx, caller, order)
        await studio.sql(
            "UPDATE public.tasks SET status = 'failed', error = 'by hand' WHERE id = %s", stream.task_id
        )
        with pytest.raises(StreamInterruptedError):
            await heard(stream)
        assert studio.qwen.closed_early == 1
        assert (await studio.task(stream.task_id)).error == "by hand"


async def test_a_stream_that_may_not_be_paid_for_leaves_no_trace(make_studio: MakeStudio) -> None:
    async with make_studio(
        tts_provider_mode="qwen", budget_generation_tenant_hour_microusd=13 * len(TEXT)
    ) as studio:
        caller = await studio.caller()
        voice = await studio.voice(caller)
        order = StreamOrder(voice.id, TEXT, None, (AudioFormat.PCM,), must_stream=True)
        await heard(await open_stream(studio.ctx, caller, order))
        with pytest.raises(BudgetExceededError):
            await open_stream(studio.ctx, caller, order)
        rows = await studio.sql("SELECT count(*) AS tasks FROM public.tasks WHERE delivery = 'stream'")
        generations = await studio.sql("SELECT count(*) AS rows FROM public.generations")
        assert (rows[0]["tasks"], generations[0]["rows"]) == (1, 1)
        assert len(studio.qwen.spoken) == 1


async def test_64_at_one_instant_are_eight(make_studio: MakeStudio) -> None:
    async with make_studio(tts_provider_mode="qwen") as studio:
        caller = await studio.caller()
        voice, other = await studio.voice(caller), await studio.caller()
        others = await studio.voice(other)
        studio.qwen.gate.clear()
        order = StreamOrder(voice.id, TEXT, None, (AudioFormat.PCM,), must_stream=True)
        opened = await asyncio.gather(
            *(open_stream(studio.ctx, caller, order) for _ in range(64)), return_exceptions=True
        )
        streams = [one for one in opened if isinstance(one, OpenStream)]
        refused = [one for one in opened if isinstance(one, ConflictError)]
        assert (len(streams), len(refused)) == (8, 56)
        assert len(studio.qwen.spoken) == 8
        # Another tenant is not in the way of this one.
        theirs = await open_stream(studio.ctx, other, dataclasses.replace(order, voice_id=others.id))
        await theirs.aclose()
        await asyncio.gather(*(one.aclose() for one in streams))
        studio.qwen.gate.set()
        await heard(await open_stream(studio.ctx, caller, order))


async def test_who_hangs_up_while_it_is_admitted_cancels_it(make_studio: MakeStudio) -> None:
    async with make_studio(tts_provider_mode="qwen") as studio:
        caller = await studio.caller()
        voice = await studio.voice(caller)
        order = StreamOrder(voice.id, TEXT, None, (AudioFormat.PCM,), must_stream=True)
        # Its transaction waits here, with everything decided but the commit.
        async with studio.ctx.database.service(lock=lock_name(caller.user_id)):
            opening = asyncio.create_task(open_stream(studio.ctx, caller, order))

            async def waits() -> bool:
                return bool(
                    await studio.sql("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
                )

            await studio.until(waits, "the admission waits")
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)

        async def cancelled() -> bool:
            rows = await studio.sql("SELECT status FROM public.tasks WHERE delivery = 'stream'")
            return [row["status"] for row in rows] == ["cancelled"]

        await studio.until(cancelled, "what was admitted is cancelled")
        assert not studio.qwen.spoken
        assert (await studio.calls())[-1]["cost_microusd"] == 0
        await studio.until(lambda: not len(studio.ctx.streams), "let go")


async def test_a_process_that_ends_settles_what_it_speaks(make_studio: MakeStudio) -> None:
    async with make_studio(tts_provider_mode="qwen") as studio:
        caller = await studio.caller()
        voice = await studio.voice(caller)
        studio.qwen.gate.clear()
        order = StreamOrder(voice.id, TEXT, None, (AudioFormat.PCM,), must_stream=True)
        stream = await open_stream(studio.ctx, caller, order)
        await studio.ctx.streams.close()
        task = await studio.task(stream.task_id)
        assert (task.status, task.metadata["failure"]["code"]) == ("failed", "interrupted")
        with pytest.raises(StreamInterruptedError):
            await heard(stream)


async def test_hanging_up_on_what_is_over_changes_nothing(make_studio: MakeStudio) -> None:
    async with make_studio(tts_provider_mode="qwen") as studio:
        stream = await begin(studio, await studio.caller())
        await heard(stream)
        await stream.aclose()
        stream.interrupt()
        task = await studio.task(stream.task_id)
        assert (task.status, len(await studio.calls())) == ("completed", 2)


async def test_a_stream_is_a_row_like_any_other_to_its_owner_only(make_studio: MakeStudio) -> None:
    async with make_studio(tts_provider_mode="qwen") as studio:
        stream = await begin(studio, await studio.caller())
        await heard(stream)
        row = await studio.generation(await studio.task(stream.task_id))
        assert row.audio_object_key == f"{row.user_id}/{row.id}.wav"
        assert dataclasses.asdict(row)["error_message"] is None
