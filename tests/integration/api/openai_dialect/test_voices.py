"""``client.audio.voices`` and ``client.models`` of the official package."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import openai
import pytest

from tests.integration.api.conftest import SignUp
from tests.integration.api.openai_dialect.conftest import TRANSCRIPT, Program, key_of
from tests.integration.standins.account import austen
from tests.integration.test_decode import encoded, tone
from understudy.speech.references import original_key, reference_key

pytestmark = pytest.mark.integration

BOTH = pytest.mark.parametrize("mode", ["qwen", "modal"])


def create(client: openai.OpenAI, **changes: Any) -> Any:
    wanted: dict[str, Any] = {
        "name": "Fanny",
        "audio_sample": ("sample.wav", austen(), "audio/x-wav"),
        "consent": "I agree that my voice is used for the tests of this service.",
        "extra_body": {"transcript": TRANSCRIPT, "language": "en", "consent_name": "Fanny Price"},
        **changes,
    }
    return client.audio.voices.create(**wanted)


async def listed(program: Program, **query: Any) -> dict[str, Any]:
    async with program.user.client.get("/v1/audio/voices", params=query) as answer:
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


@BOTH
async def test_a_voice_is_made_spoken_and_deleted(program: Program, mode: str) -> None:
    voice = await asyncio.to_thread(create, program.client)
    assert (voice.name, voice.object, voice.type) == ("Fanny", "audio.voice", "audio_sample")
    (row,) = await program.rows(
        b"select tts_provider, provider_voice_id is not null as enrolled, language, consent_name,"
        b" reference_transcript from public.voices"
    )
    assert row == {
        "tts_provider": mode,
        "enrolled": mode == "qwen",
        "language": "English",
        "consent_name": "Fanny Price",
        "reference_transcript": TRANSCRIPT,
    }
    found = await listed(program)
    assert [entry["id"] for entry in found["data"]] == [voice.id]
    assert found["data"][0] | {"speakable": True, "source": "uploaded"} == found["data"][0]
    assert found["voices"] == [{"id": voice.id, "name": "Fanny"}]
    speech = await asyncio.to_thread(
        lambda: program.client.audio.speech.create(model="tts-1", input="one", voice={"id": voice.id})
    )
    assert speech.response.headers["x-provider"] == mode
    gone = await asyncio.to_thread(lambda: program.client.audio.voices.delete(voice.id))
    assert (gone.id, gone.deleted, gone.object) == (voice.id, True, "audio.voice.deleted")
    assert (await listed(program))["data"] == []
    with pytest.raises(openai.NotFoundError):
        await asyncio.to_thread(lambda: program.client.audio.voices.delete(voice.id))


async def test_the_list_comes_in_slices(program: Program) -> None:
    made = [await program.make_voice(f"voice {number}") for number in range(3)]
    first = await listed(program, limit=2)
    assert [entry["id"] for entry in first["data"]] == made[:0:-1]
    assert (first["first_id"], first["last_id"], first["has_more"]) == (made[2], made[1], True)
    rest = await listed(program, limit=2, after=first["last_id"])
    assert [entry["id"] for entry in rest["data"]] == [made[0]]
    assert rest["has_more"] is False
    assert (await listed(program, after=str(uuid4())))["data"] == []


@pytest.mark.parametrize(
    ("container", "codec", "kind"), [("flac", "flac", "audio/flac"), ("mp3", "libmp3lame", "audio/mpeg")]
)
async def test_a_sample_of_another_type_is_decoded_too(
    program: Program, container: str, codec: str, kind: str
) -> None:
    sample = encoded(container, codec, tone(4.0))
    voice = await asyncio.to_thread(
        lambda: create(program.client, audio_sample=(f"sample.{container}", sample, kind))
    )
    stored = await program.api.objects.stat("references", reference_key(program.user.id, voice.id))
    assert stored is not None
    assert stored.content_type == "audio/wav"
    # What uploads may be is kept as it came.
    original = await program.api.objects.stat("references", original_key(program.user.id, voice.id))
    assert (original is not None) is (container == "mp3")


NOT_A_VOICE: list[tuple[dict[str, Any], str | None, str]] = [
    ({"extra_body": {"consent_name": "F"}}, "transcript", "invalid_value"),
    ({"consent": "cons_1234"}, "consent", "unsupported_value"),
    ({"extra_body": {"transcript": TRANSCRIPT}}, "consent_name", "invalid_value"),
    ({"audio_sample": ("s.wav", b"no audio at all", "audio/wav")}, None, "invalid_value"),
    ({"audio_sample": ("s.bin", b"no audio at all", "application/octet-stream")}, None, "invalid_value"),
    ({"name": " "}, None, "invalid_value"),
]


async def test_what_makes_no_voice_is_told_and_leaves_nothing(program: Program) -> None:
    for changes, param, code in NOT_A_VOICE:
        with pytest.raises(openai.BadRequestError) as refused:
            await asyncio.to_thread(lambda changes=changes: create(program.client, **changes))
        assert (refused.value.param, refused.value.code) == (param, code)
        assert refused.value.type == "invalid_request_error"
    assert await program.rows(b"select id from public.voices") == []
    left = [entry async for entry in program.api.objects.list("references", prefix=f"{program.user.id}/")]
    assert left == []


async def test_a_voice_of_words_is_not_made_here(program: Program) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await asyncio.to_thread(
            lambda: program.client.audio.voices.create(name="x", prompt="a calm voice", type="prompt")
        )
    assert refused.value.param == "type"


async def test_a_sample_that_is_too_large(program: Program) -> None:
    for size, error in (
        (10 * 1024 * 1024 + 1, openai.BadRequestError),
        (12 * 1024 * 1024, openai.APIStatusError),
    ):
        with pytest.raises(error) as refused:
            await asyncio.to_thread(
                lambda size=size: create(program.client, audio_sample=("s.wav", bytes(size), "audio/wav"))
            )
        assert refused.value.status_code in {400, 413}
        assert refused.value.type == "invalid_request_error"


async def test_the_same_key_makes_one_voice_and_keeps_its_recording(program: Program) -> None:
    once = {"extra_headers": {"Idempotency-Key": "voice-1"}}
    first = await asyncio.to_thread(lambda: create(program.client, **once))
    again = await asyncio.to_thread(lambda: create(program.client, **once))
    assert again.id == first.id
    assert len(await program.rows(b"select id from public.voices")) == 1
    answer = await asyncio.to_thread(
        lambda: program.client.audio.speech.create(model="tts-1", input="one", voice=first.id)
    )
    assert answer.response.status_code == 200


async def test_voices_are_the_tenants_own(program: Program, voice: str, sign_up: SignUp) -> None:
    stranger = await sign_up()
    with openai.OpenAI(
        base_url=f"{program.api.base}/v1", api_key=await key_of(program.api, stranger), max_retries=0
    ) as client:
        for named in (voice, "Jane", {"id": voice}, str(uuid4())):
            with pytest.raises(openai.NotFoundError) as refused:
                await asyncio.to_thread(
                    lambda named=named: client.audio.speech.create(model="tts-1", input="one", voice=named)
                )
            assert (refused.value.code, refused.value.param) == ("voice_not_found", "voice")
        with pytest.raises(openai.NotFoundError):
            await asyncio.to_thread(lambda: client.audio.voices.delete(voice))
    async with stranger.client.get("/v1/audio/voices", params={"after": voice}) as answer:
        assert (await answer.json())["data"] == []


async def test_a_name_that_two_voices_have_names_neither(program: Program) -> None:
    await program.make_voice("Jane")
    await program.make_voice("JANE")
    with pytest.raises(openai.BadRequestError) as refused:
        await asyncio.to_thread(
            lambda: program.client.audio.speech.create(model="tts-1", input="one", voice="jane")
        )
    assert refused.value.code == "ambiguous_voice"


async def test_models_are_what_speech_accepts(program: Program, voice: str) -> None:
    models = await asyncio.to_thread(lambda: program.client.models.list().data)
    names = [model.id for model in models]
    assert names[0] == "understudy"
    assert "tts-1" in names
    assert (await asyncio.to_thread(lambda: program.client.models.retrieve("tts-1"))).id == "tts-1"
    for name in names:
        answer = await asyncio.to_thread(
            lambda name=name: program.client.audio.speech.create(model=name, input="one", voice=voice)
        )
        assert answer.response.status_code == 200
    with pytest.raises(openai.NotFoundError) as refused:
        await asyncio.to_thread(lambda: program.client.models.retrieve("whisper-1"))
    assert refused.value.code == "model_not_found"
