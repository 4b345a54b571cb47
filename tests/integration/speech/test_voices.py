"""Cloned voices: the upload, the normalised reference, the one enrolment, and every refusal."""

from __future__ import annotations

import asyncio
import json
from uuid import uuid4

import numpy as np
import pytest

from tests.integration.scripted_provider import ENROLMENT_COST, Cue, speech_of, tone
from tests.integration.speech.conftest import TRANSCRIPT, Studio
from tests.integration.speech.failures import refusal, wire_cut
from understudy.audio.wav import Clip, loudness, read_wav, write_wav
from understudy.errors import (
    ConflictError,
    NotFoundError,
    ProviderRejectedError,
    ProviderUnavailableError,
    ValidationError,
)
from understudy.resources import samples_dir
from understudy.speech import creates, references, voices
from understudy.speech.voices import VoiceDraft
from understudy.store.buckets import REFERENCES
from understudy.store.voices import VoiceNotCreatedError

pytestmark = pytest.mark.integration

DRAFT = VoiceDraft("Elinor", "en", TRANSCRIPT, "A steady reader.")


async def test_the_upload_becomes_a_normalised_reference_beside_its_original(studio: Studio) -> None:
    caller = await studio.caller()
    ticket = await voices.start_upload(studio.ctx, caller, DRAFT)
    assert ticket.object_key == f"{caller.user_id}/{ticket.voice_id}/reference.wav"
    recording = read_wav((samples_dir() / "austen-0870.wav").read_bytes())
    stereo_at_48k = np.repeat(np.repeat(recording.samples, 2), 2)
    uploaded = write_wav(Clip(stereo_at_48k, 48_000))
    await studio.upload(caller, ticket.voice_id, uploaded)

    voice = await voices.finalize_clone(studio.ctx, caller, ticket.voice_id, DRAFT)

    assert (voice.id, voice.name, voice.language, voice.source) == (
        ticket.voice_id,
        "Elinor",
        "English",
        "uploaded",
    )
    assert (voice.reference_transcript, voice.description) == (TRANSCRIPT, "A steady reader.")
    assert (voice.tts_provider, voice.provider_voice_id) == ("modal", None)
    normalised = await studio.ctx.objects.get(REFERENCES, ticket.object_key)
    clip = read_wav(normalised)
    assert (clip.rate, normalised[22:24]) == (24_000, b"\x01\x00")
    assert loudness(clip) == pytest.approx(loudness(recording), rel=0.05)
    stat = await studio.ctx.objects.stat(REFERENCES, ticket.object_key)
    assert stat is not None
    assert voice.reference_sha256 == stat.sha256
    original = f"{caller.user_id}/{ticket.voice_id}/reference.original"
    assert await studio.ctx.objects.get(REFERENCES, original) == uploaded
    assert studio.qwen.enrolled == []


async def test_finalizing_twice_answers_the_same_voice(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    voice = await studio.voice(caller)
    again = await voices.finalize_clone(studio.ctx, caller, voice.id, DRAFT)
    assert again == voice
    assert len(studio.qwen.enrolled) == 1


async def test_where_voices_are_enrolled_the_binding_is_kept_and_the_bill_recorded(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    voice = await studio.voice(caller)
    (reference,) = studio.qwen.enrolled
    assert (reference.transcript, reference.language) == (TRANSCRIPT, "English")
    assert read_wav(reference.audio).rate == 24_000
    assert voice.tts_provider == "qwen"
    assert voice.reference_sha256 is not None
    label = creates.clone_label(voice.id, voice.reference_sha256)
    assert voice.provider_voice_id == f"qwen-tts-vc-{label}"
    assert len(label) == 16
    assert (voice.provider_voice_kind, voice.provider_region) == ("vc", "intl")
    assert voice.provider_target_model == studio.ctx.settings.qwen_vc_target_model
    assert voice.reference_object_key is not None
    (call,) = await studio.calls()
    assert (call["operation"], call["outcome"], call["cost_microusd"]) == ("enroll", "ok", ENROLMENT_COST)
    task = await studio.task(call["task_id"])
    assert (task.type, task.status) == ("clone", "completed")


async def test_two_finalizes_at_once_enrol_once(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    ticket = await voices.start_upload(studio.ctx, caller, DRAFT)
    await studio.upload(caller, ticket.voice_id)
    studio.qwen.gate.clear()
    first = asyncio.create_task(voices.finalize_clone(studio.ctx, caller, ticket.voice_id, DRAFT))
    await studio.until(lambda: studio.qwen.enrolled, "enrolment begun")
    with pytest.raises(ConflictError, match="being created"):
        await voices.finalize_clone(studio.ctx, caller, ticket.voice_id, DRAFT)
    studio.qwen.gate.set()
    assert (await first).id == ticket.voice_id
    assert len(studio.qwen.enrolled) == 1


@pytest.mark.parametrize(
    ("cue", "raised"),
    [(Cue(error=refusal), ProviderRejectedError), (Cue(error=wire_cut), ProviderUnavailableError)],
)
async def test_a_failed_enrolment_is_recorded_and_can_be_tried_again(
    studio: Studio, cue: Cue, raised: type[Exception]
) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    ticket = await voices.start_upload(studio.ctx, caller, DRAFT)
    await studio.upload(caller, ticket.voice_id)
    studio.qwen.cues.append(cue)
    with pytest.raises(raised):
        await voices.finalize_clone(studio.ctx, caller, ticket.voice_id, DRAFT)
    (call,) = await studio.calls()
    assert (call["operation"], call["outcome"], call["cost_microusd"]) == ("enroll", "failed", 0)
    task = await studio.task(call["task_id"])
    assert (task.status, task.metadata["failure"]["failure_class"]) == ("failed", call["failure_class"])
    assert (await voices.finalize_clone(studio.ctx, caller, ticket.voice_id, DRAFT)).tts_provider == "qwen"


async def test_nothing_uploaded_is_told(studio: Studio) -> None:
    caller = await studio.caller()
    ticket = await voices.start_upload(studio.ctx, caller, DRAFT)
    with pytest.raises(ValidationError, match=r"^Audio file not uploaded\.$"):
        await voices.finalize_clone(studio.ctx, caller, ticket.voice_id, DRAFT)


async def test_another_tenants_upload_does_not_count(studio: Studio) -> None:
    owner, stranger = await studio.caller(), await studio.caller()
    ticket = await voices.start_upload(studio.ctx, owner, DRAFT)
    await studio.upload(owner, ticket.voice_id)
    with pytest.raises(ValidationError, match=r"^Audio file not uploaded\.$"):
        await voices.finalize_clone(studio.ctx, stranger, ticket.voice_id, DRAFT)


async def test_another_tenants_voice_id_makes_no_voice(studio: Studio) -> None:
    owner, stranger = await studio.caller(), await studio.caller()
    voice = await studio.voice(owner)
    await studio.upload(stranger, voice.id)
    with pytest.raises(NotFoundError):
        await voices.finalize_clone(studio.ctx, stranger, voice.id, DRAFT)
    assert (await voices.list_voices(studio.ctx, stranger)).total == 0
    assert (await voices.find_voice(studio.ctx, owner, voice.id)) == voice


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"not audio at all" * 100, None),
        (write_wav(tone(2000, amplitude=0.0)), "The recording is silent."),
        (write_wav(tone(200_000))[: 9 * 1024 * 1024], None),
        (write_wav(tone(181_000)), "The recording is longer than 180 seconds."),
    ],
)
async def test_an_unusable_recording_is_refused(studio: Studio, data: bytes, message: str | None) -> None:
    caller = await studio.caller()
    ticket = await voices.start_upload(studio.ctx, caller, DRAFT)
    await studio.upload(caller, ticket.voice_id, data)
    with pytest.raises(ValidationError) as caught:
        await voices.finalize_clone(studio.ctx, caller, ticket.voice_id, DRAFT)
    if message:
        assert caught.value.message == message
    assert (await voices.list_voices(studio.ctx, caller)).total == 0


async def test_over_ten_megabytes_is_refused(studio: Studio) -> None:
    caller = await studio.caller()
    ticket = await voices.start_upload(studio.ctx, caller, DRAFT)
    await studio.upload(caller, ticket.voice_id)
    # The bucket itself takes no more than 10 MB, so its record is made to say so.
    root = studio.ctx.settings.objects_path / REFERENCES / str(caller.user_id) / str(ticket.voice_id)
    record = root / "reference.wav.object"
    facts = json.loads(record.read_text())
    record.write_text(json.dumps({**facts, "size": 10 * 1024 * 1024 + 1}))
    with pytest.raises(ValidationError, match=r"^Audio file exceeds 10 MB\.$"):
        await voices.finalize_clone(studio.ctx, caller, ticket.voice_id, DRAFT)


@pytest.mark.parametrize(
    "draft",
    [
        VoiceDraft("", "English", TRANSCRIPT),
        VoiceDraft("n" * 101, "English", TRANSCRIPT),
        VoiceDraft("Elinor", "Klingon", TRANSCRIPT),
        VoiceDraft("Elinor", "English", "  "),
        VoiceDraft("Eli\0nor", "English", TRANSCRIPT),
    ],
)
async def test_a_draft_that_is_no_voice_is_refused(studio: Studio, draft: VoiceDraft) -> None:
    caller = await studio.caller()
    with pytest.raises(ValidationError):
        await voices.start_upload(studio.ctx, caller, draft)
    with pytest.raises(ValidationError):
        await voices.finalize_clone(studio.ctx, caller, uuid4(), draft)


@pytest.mark.parametrize("mode", ["modal", "qwen"])
async def test_a_voice_the_database_refuses_removes_the_upload(studio: Studio, mode: str) -> None:
    await studio.flip(mode)
    caller = await studio.caller()
    ticket = await voices.start_upload(studio.ctx, caller, DRAFT)
    await studio.upload(caller, ticket.voice_id)
    await studio.sql("ALTER TABLE public.voices ADD CONSTRAINT refused CHECK (name <> 'Elinor')")
    with pytest.raises(VoiceNotCreatedError) as caught:
        await voices.finalize_clone(studio.ctx, caller, ticket.voice_id, DRAFT)
    assert (caught.value.message, caught.value.status) == ("Failed to create voice.", 500)
    assert await studio.ctx.objects.stat(REFERENCES, ticket.object_key) is None
    if mode == "qwen":
        (call,) = await studio.calls()
        # The enrolment is paid for, though no voice came of it.
        assert (call["outcome"], call["cost_microusd"]) == ("failed", ENROLMENT_COST)


async def test_deleting_keeps_the_recording_and_asks_no_provider(studio: Studio) -> None:
    await studio.flip("qwen")
    caller = await studio.caller()
    voice = await studio.voice(caller)
    await voices.delete_voice(studio.ctx, caller, voice.id)
    with pytest.raises(NotFoundError):
        await voices.preview_url(studio.ctx, caller, voice.id)
    with pytest.raises(NotFoundError):
        await voices.delete_voice(studio.ctx, caller, voice.id)
    with pytest.raises(ConflictError, match="deleted"):
        await voices.finalize_clone(studio.ctx, caller, voice.id, DRAFT)
    assert voice.reference_object_key is not None
    assert await studio.ctx.objects.stat(REFERENCES, voice.reference_object_key)


async def test_a_preview_is_a_signed_address_of_the_recording(studio: Studio) -> None:
    caller = await studio.caller()
    voice = await studio.voice(caller)
    url = await voices.preview_url(studio.ctx, caller, voice.id)
    assert url.startswith(f"/objects/references/{voice.reference_object_key}?")
    assert "signature=" in url


async def test_settling_an_upload_twice_keeps_the_original(studio: Studio) -> None:
    caller = await studio.caller()
    ticket = await voices.start_upload(studio.ctx, caller, DRAFT)
    uploaded = write_wav(Clip(speech_of(TRANSCRIPT).samples, 16_000))
    await studio.upload(caller, ticket.voice_id, uploaded)
    first = await references.settle_upload(studio.ctx, caller.user_id, ticket.voice_id)
    # As after a crash between the upload's settling and the voice's row.
    second = await references.settle_upload(studio.ctx, caller.user_id, ticket.voice_id)
    assert second == first
    original = references.original_key(caller.user_id, ticket.voice_id)
    assert await studio.ctx.objects.get(REFERENCES, original) == uploaded
