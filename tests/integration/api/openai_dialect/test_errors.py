"""Every failure under ``/v1`` is one that OpenAI's own clients understand."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import Any

import openai
import pytest

from tests.integration.api.openai_dialect.conftest import REAL_TIME, Program
from understudy.audio import encode
from understudy.store import valves

pytestmark = pytest.mark.integration


async def refused(program: Program, voice: str, **fields: Any) -> openai.APIStatusError:
    """What the official client raises."""
    wanted = {"model": "tts-1", "input": "one", **fields}
    with pytest.raises(openai.APIStatusError) as caught:
        await asyncio.to_thread(lambda: program.client.audio.speech.create(voice=voice, **wanted))
    body = caught.value.body
    assert isinstance(body, dict)
    assert set(body) == {"message", "type", "param", "code"}
    assert caught.value.request_id
    return caught.value


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"speed": 1.5}, "speed", "unsupported_value"),
    ({"instructions": "whisper"}, "instructions", "unsupported_parameter"),
    ({"response_format": "ogg"}, "response_format", "invalid_value"),
    ({"stream_format": "websocket"}, "stream_format", "invalid_value"),
    ({"input": ""}, "input", "invalid_value"),
    ({"input": "x" * 2001}, "input", "invalid_value"),
    ({"extra_body": {"language": "Klingon"}}, "language", "invalid_value"),
    ({"extra_body": {"input": None}}, "input", "invalid_value"),
    ({"extra_body": {"voice": 7}}, "voice", "invalid_value"),
    ({"extra_body": {"voice": {"name": "Jane"}}}, "voice", "invalid_value"),
]


async def test_what_cannot_be_done_is_said_and_never_ignored(program: Program, voice: str) -> None:
    for fields, param, code in REFUSED:
        error = await refused(program, voice, **fields)
        assert isinstance(error, openai.BadRequestError)
        assert (error.code, error.type, error.param) == (code, "invalid_request_error", param)
        assert error.response.headers.get("x-should-retry") != "true"
    assert await program.rows(b"select id from public.generations") == []


async def test_what_changes_nothing_is_accepted(program: Program, voice: str) -> None:
    for fields in ({"speed": 1.0}, {"speed": 1}, {"instructions": ""}, {"instructions": None}, {"user": "x"}):
        await asyncio.to_thread(
            lambda fields=fields: program.client.audio.speech.create(
                model="tts-1", input="one", voice=voice, extra_body=fields
            )
        )


async def test_an_unknown_model_and_an_unknown_voice(program: Program, voice: str) -> None:
    error = await refused(program, voice, model="tts-9")
    assert isinstance(error, openai.NotFoundError)
    assert (error.code, error.param) == ("model_not_found", "model")
    error = await refused(program, "alloy")
    assert isinstance(error, openai.NotFoundError)
    assert (error.code, error.param) == ("voice_not_found", "voice")


async def test_a_wrong_key(program: Program) -> None:
    def ask() -> None:
        with openai.OpenAI(base_url=f"{program.api.base}/v1", api_key="usk_wrong", max_retries=0) as client:
            client.models.list()

    with pytest.raises(openai.AuthenticationError) as caught:
        await asyncio.to_thread(ask)
    assert (caught.value.code, caught.value.type) == ("invalid_api_key", "authentication_error")


async def test_a_closed_valve_is_a_rate_limit_that_says_how_long(program: Program, voice: str) -> None:
    async with program.api.ctx.database.service() as conn:
        await valves.set_valve(conn, valves.GENERATION, closed=True, actor="ada", reason="r")
    error = await refused(program, voice)
    assert isinstance(error, openai.RateLimitError)
    assert (error.code, error.type) == ("valve_closed", "rate_limit_error")
    assert int(error.response.headers["retry-after"]) > 0
    assert error.response.headers["x-should-retry"] == "true"


async def test_a_voice_that_the_provider_cannot_speak_is_not_tried_again(
    program: Program, voice: str
) -> None:
    async with program.api.ctx.database.service() as conn:
        await conn.execute("update public.voices set provider_target_model = 'another'")
    async with openai.AsyncOpenAI(base_url=f"{program.api.base}/v1", api_key=program.key) as client:
        started = time.monotonic()
        with pytest.raises(openai.ConflictError) as caught:
            await client.audio.speech.create(model="tts-1", input="one", voice=voice)
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.response.request.headers["x-stainless-retry-count"] == "0"
    assert time.monotonic() - started < 60


async def test_a_failing_provider(program: Program, voice: str) -> None:
    for fault, name, status in (("handshake_403", "mp3", 502), ("silent_audio", "flac", 503)):
        await program.fault(**{fault: 1.0})
        caught = await refused(program, voice, response_format=name)
        assert isinstance(caught, openai.InternalServerError)
        assert (caught.type, caught.status_code) == ("server_error", status)
        await program.fault(**{fault: 0.0})


@pytest.mark.parametrize("standin_settings", [REAL_TIME])
async def test_the_clients_own_retry_waits_as_long_as_it_is_told(program: Program, voice: str) -> None:
    """The same Idempotency-Key while the first request still speaks: 409 with Retry-After, then it speaks."""
    once = {"Idempotency-Key": "speech-1"}
    body: Any = {"model": "tts-1", "input": "One two three four five six seven. " * 5, "voice": voice}
    answers: list[tuple[float, int, str]] = []
    first_refused = threading.Event()

    def note(response: Any) -> None:
        answers.append((time.monotonic(), response.status_code, response.headers.get("retry-after", "")))
        first_refused.set()

    def ask() -> None:
        with (
            openai.DefaultHttpxClient(event_hooks={"response": [note]}) as watched,
            openai.OpenAI(
                base_url=f"{program.api.base}/v1", api_key=program.key, http_client=watched
            ) as client,
            client.audio.speech.with_streaming_response.create(**body, extra_headers=once) as answer,
        ):
            next(answer.iter_bytes(16))

    async with openai.AsyncOpenAI(base_url=f"{program.api.base}/v1", api_key=program.key) as first:
        wanted = first.audio.speech.with_streaming_response.create(**body, extra_headers=once)
        async with wanted as speaking:
            pieces = speaking.iter_bytes(16)
            assert await anext(pieces)
            asking = asyncio.create_task(asyncio.to_thread(ask))
            await asyncio.to_thread(first_refused.wait)
            await pieces.aclose()
    await asking
    assert [status for _, status, _ in answers] == [409, 200]
    assert answers[1][0] - answers[0][0] >= int(answers[0][2]) > 0


@pytest.mark.parametrize("standin_settings", [REAL_TIME])
async def test_one_stream_too_many_may_be_tried_again(
    program: Program, voice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body: Any = {"model": "tts-1", "input": "One two three four five six seven. " * 5, "voice": voice}
    limited = program.api.ctx.settings.model_copy(update={"max_active_streams": 1})
    monkeypatch.setattr(program.api.ctx, "settings", limited)
    async with (
        openai.AsyncOpenAI(base_url=f"{program.api.base}/v1", api_key=program.key) as first,
        first.audio.speech.with_streaming_response.create(**body) as speaking,
    ):
        pieces = speaking.iter_bytes(16)
        assert await anext(pieces)
        error = await refused(program, voice)
        await pieces.aclose()
    assert isinstance(error, openai.ConflictError)
    assert error.code == "too_many_streams"
    assert error.response.headers["x-should-retry"] == "true"


async def test_base_urls(program: Program) -> None:
    for base in ("/v1", "/v1/"):
        async with openai.AsyncOpenAI(base_url=program.api.base + base, api_key=program.key) as client:
            assert (await client.models.list()).data


async def test_a_provider_whose_formats_need_an_encoder_that_is_missing(
    program: Program, voice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "available", lambda: encode.PLAIN)
    error = await refused(program, voice, response_format="flac")
    assert (error.status_code, error.param, error.code) == (400, "response_format", "unsupported_value")
    for native in ("mp3", "opus", "wav", "pcm"):
        await asyncio.to_thread(
            lambda native=native: program.client.audio.speech.create(
                model="tts-1", input="one", voice=voice, response_format=native
            )
        )


WRONG: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "/v1/chat/completions", {}, 404, "not_found"),
    ("GET", "/v1", {}, 404, "not_found"),
    ("GET", "/v1/audio/speech", {}, 405, "method_not_allowed"),
    ("POST", "/v1/audio/speech", {"data": b"{"}, 400, "invalid_value"),
    ("POST", "/v1/audio/speech", {"data": b"[]"}, 400, "invalid_value"),
    ("POST", "/v1/audio/speech", {"json": {"model": 1}}, 400, "invalid_value"),
    ("POST", "/v1/audio/speech", {"data": b" " * 300_000}, 413, "payload_too_large"),
    ("POST", "/v1/audio/voices", {"json": {}}, 400, "invalid_value"),
    ("GET", "/v1/audio/voices?limit=0", {}, 400, "invalid_value"),
    ("GET", "/v1/audio/voices?limit=x", {}, 400, "invalid_value"),
    ("GET", "/v1/audio/voices?after=x", {}, 400, "invalid_value"),
    ("DELETE", "/v1/audio/voices/nothing", {}, 404, "not_found"),
    ("GET", "/v1/models/a%2Fb", {}, 404, "model_not_found"),
]


async def test_every_error_body_has_openais_shape(program: Program) -> None:
    for method, path, sent, status, code in WRONG:
        headers = {"Content-Type": "application/json"} if "data" in sent else {}
        async with program.user.client.request(method, path, headers=headers, **sent) as answer:
            body = await answer.json()
            assert answer.status == status, (path, body)
            assert answer.headers["X-Request-Id"]
        assert set(body) == {"error"}
        assert set(body["error"]) == {"message", "type", "param", "code"}
        assert body["error"]["code"] == code, path
        assert body["error"]["type"] == "invalid_request_error"
        assert body["error"]["message"].strip()


async def test_a_crash_tells_nothing_and_has_the_shape(
    program: Program, voice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_: str) -> Any:
        raise RuntimeError("of the inside")

    monkeypatch.setattr("understudy.api.routes.openai_audio.acceptable", crash)
    error = await refused(program, voice)
    assert (error.status_code, error.type) == (500, "server_error")
    assert "inside" not in error.message


async def test_everything_else_keeps_its_own_shape(program: Program) -> None:
    for path in ("/api/voices/x/preview", "/v11", "/v1x/models", "/nothing"):
        async with program.user.client.get(path) as answer:
            assert set(await answer.json()) == {"detail"}
    with contextlib.suppress(KeyError):
        del program.user.client.headers["Authorization"]
    async with program.api.client.get("/v1/audio/voices") as answer:
        assert answer.status == 401
        assert (await answer.json())["error"]["code"] == "invalid_api_key"
        assert answer.headers["WWW-Authenticate"] == "Bearer"
