"""The stand-in against the vendor's own client: what the official SDK believes is DashScope."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import dashscope
import dashscope.v2
import pytest
import pytest_asyncio
from dashscope.audio.qwen_tts_realtime import QwenTtsRealtime, QwenTtsRealtimeCallback
from dashscope.v2.errors import AuthenticationError, BadRequestError, PermissionDeniedError

from tests.integration.standins.account import CLONE_MODEL, DESIGN_MODEL, KEY, WRONG_LANE_KEY, Account, kinds
from understudy.audio.decode import decode_upload
from understudy.audio.wav import duration_ms, from_pcm, is_silent, read_wav, write_wav
from understudy.standins.app import running_standins
from understudy.standins.configuration import StandInSettings
from understudy.voicebox.hearing import digit_error_rate, hear_digits

pytestmark = [
    pytest.mark.integration,
    # dashscope.v2 says of itself that its audio API is a preview.
    pytest.mark.filterwarnings("ignore:dashscope 2.0 audio API is a preview:FutureWarning"),
]

DIGITS = "4 7 1 9 3 0"
DEADLINE_S = 20.0


@pytest_asyncio.fixture
async def account(tmp_path: Path) -> AsyncIterator[Account]:
    async with (
        running_standins(tmp_path, StandInSettings()) as addresses,
        aiohttp.ClientSession() as session,
    ):
        yield Account(addresses, session)


@pytest.fixture(autouse=True)
def sdk_key() -> Iterator[None]:
    """The SDK keeps its key in a global."""
    before = dashscope.api_key
    dashscope.api_key = KEY
    yield
    dashscope.api_key = before


class Recorder(QwenTtsRealtimeCallback):
    """Keeps what arrives; the SDK itself never waits for the end of a session."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.first_audio_s: float | None = None
        self.ended = threading.Event()
        self.closed = threading.Event()

    def on_open(self) -> None:
        """Called once connected."""

    def on_event(self, message: Any) -> None:
        self.events.append(message)
        if message["type"] == "response.audio.delta" and self.first_audio_s is None:
            self.first_audio_s = time.monotonic()
        if message["type"] in {"session.finished", "error"}:
            self.ended.set()

    def on_close(self, close_status_code: Any, close_msg: Any) -> None:
        self.ended.set()
        self.closed.set()

    def audio(self) -> bytes:
        deltas = [event["delta"] for event in self.events if event["type"] == "response.audio.delta"]
        return b"".join(base64.b64decode(delta) for delta in deltas)


@contextmanager
def connected(address: str, model: str) -> Iterator[tuple[QwenTtsRealtime, Recorder]]:
    """A connected SDK client; it blocks, so it runs in a thread."""
    recorder = Recorder()
    url = address.replace("http", "ws", 1) + "/api-ws/v1/realtime"
    client = QwenTtsRealtime(model=model, callback=recorder, url=url)
    client.connect()
    socket = client.ws.sock
    try:
        yield client, recorder
        assert recorder.closed.wait(DEADLINE_S)  # the server closes; both at once cost the SDK 10 s
    finally:
        socket.shutdown()  # websocket-client leaves it open when the server closes first


def converse(address: str, model: str, texts: list[str], **session: Any) -> Recorder:
    """One whole session through the SDK."""
    with connected(address, model) as (client, recorder):
        client.update_session(**session)
        for text in texts:
            client.append_text(text)
            if session.get("mode") == "commit":
                client.commit()
        client.finish()
        assert recorder.ended.wait(DEADLINE_S), kinds(recorder.events)
    return recorder


async def enrolled(account: Account) -> str:
    status, body = await account.clone()
    assert status == 200, body
    return str(body["output"]["voice"])


async def test_the_sdk_speaks_pcm_with_an_enrolled_voice(account: Account) -> None:
    voice = await enrolled(account)
    recorder = await asyncio.to_thread(
        converse,
        account.dashscope,
        CLONE_MODEL,
        [DIGITS],
        voice=voice,
        mode="server_commit",
        language_type="English",
    )
    clip = from_pcm(recorder.audio(), 24_000)
    assert 250 * 6 < duration_ms(clip) < 800 * 6
    assert not is_silent(clip)
    assert digit_error_rate(DIGITS, await hear_digits(write_wav(clip))) <= 0.2
    assert kinds(recorder.events)[-2:] == ["response.done", "session.finished"]
    assert recorder.events[-2]["response"]["usage"] == {"characters": len(DIGITS)}


async def test_the_sdk_speaks_mp3_in_several_responses(account: Account) -> None:
    voice = await enrolled(account)
    recorder = await asyncio.to_thread(
        converse,
        account.dashscope,
        CLONE_MODEL,
        ["4 7 1", "9 3 0"],
        voice=voice,
        mode="commit",
        audio_format="mp3",
    )
    assert kinds(recorder.events).count("response.done") == 2
    clip = await decode_upload(recorder.audio())
    assert 250 * 6 < duration_ms(clip) < 800 * 6
    assert digit_error_rate(DIGITS, await hear_digits(write_wav(clip))) <= 0.2


@pytest.mark.parametrize("audio_format", ["wav", "opus"])
@pytest.mark.parametrize("mode", ["server_commit", "commit"])
async def test_the_sdk_speaks_a_file_in_several_responses(
    account: Account, audio_format: str, mode: str
) -> None:
    voice = await enrolled(account)
    texts = ["4 7 1. ", "9 3 0. "]
    recorder = await asyncio.to_thread(
        converse,
        account.dashscope,
        CLONE_MODEL,
        texts,
        voice=voice,
        mode=mode,
        language_type="English",
        audio_format=audio_format,
    )
    assert kinds(recorder.events).count("response.done") == 2
    clip = await decode_upload(recorder.audio())
    assert 250 * 6 < duration_ms(clip) < 800 * 6
    assert digit_error_rate(DIGITS, await hear_digits(write_wav(clip))) <= 0.2


async def test_longer_text_is_longer_speech(account: Account) -> None:
    voice = await enrolled(account)
    lengths = []
    for repeats in (1, 3):
        recorder = await asyncio.to_thread(
            converse, account.dashscope, CLONE_MODEL, ["She was rather cold hearted. " * repeats], voice=voice
        )
        lengths.append(duration_ms(from_pcm(recorder.audio(), 24_000)))
    assert lengths[1] == pytest.approx(lengths[0] * 3, rel=0.15)


async def test_the_sdk_sees_a_system_voice_refused(account: Account) -> None:
    recorder = await asyncio.to_thread(converse_until_error, account.dashscope, "Cherry")
    assert recorder.events[-1]["error"]["code"] == "CLIENT_ERROR"
    assert not recorder.audio()


def converse_until_error(address: str, voice: str) -> Recorder:
    with connected(address, CLONE_MODEL) as (client, recorder):
        client.update_session(voice=voice)
        assert recorder.ended.wait(DEADLINE_S)
    return recorder


async def test_the_sdk_with_the_other_lanes_key_never_connects(account: Account) -> None:
    dashscope.api_key = WRONG_LANE_KEY
    with pytest.raises(TimeoutError):  # the SDK hides every failed handshake behind 5 s of waiting
        await asyncio.to_thread(converse, account.dashscope, CLONE_MODEL, [DIGITS], voice="x")
    assert (await account.stats(account.dashscope))["wrong_lane_keys"] == 1


@contextmanager
def v2_client(address: str, key: str = KEY) -> Iterator[Any]:
    """The SDK's second generation, over the same REST."""
    client = dashscope.v2.Client(api_key=key, base_url=f"{address}/api/v1")
    try:
        yield client
    finally:
        client.close()


def design_with_v2(address: str, name: str = "announcer", **parameters: Any) -> Any:
    with v2_client(address) as client:
        return client.audio.voice_design.create(
            target_model=DESIGN_MODEL,
            voice_prompt="a calm, deep male narrator",
            preview_text=DIGITS,
            preferred_name=name,
            language="en",
            parameters={"sample_rate": 24000, "response_format": "wav", **parameters},
        )


async def test_the_v2_client_designs_a_voice_that_then_speaks(account: Account) -> None:
    created = await asyncio.to_thread(design_with_v2, account.dashscope)
    preview = base64.b64decode(created.preview_audio["data"])
    assert not is_silent(read_wav(preview))
    assert digit_error_rate(DIGITS, await hear_digits(preview)) <= 0.2
    recorder = await asyncio.to_thread(
        converse, account.dashscope, DESIGN_MODEL, [DIGITS], voice=created.voice
    )
    assert digit_error_rate(DIGITS, await hear_digits(write_wav(from_pcm(recorder.audio(), 24_000)))) <= 0.2
    assert (await account.stats(account.dashscope))["design_creates"] == 1


@pytest.mark.parametrize("audio_format", ["mp3", "opus"])
async def test_the_v2_client_gets_a_compressed_preview(account: Account, audio_format: str) -> None:
    created = await asyncio.to_thread(
        design_with_v2, account.dashscope, response_format=audio_format, sample_rate=48000
    )
    clip = await decode_upload(base64.b64decode(created.preview_audio["data"]))
    assert digit_error_rate(DIGITS, await hear_digits(write_wav(clip))) <= 0.2


async def test_the_v2_client_lists_gets_and_deletes_designs(account: Account) -> None:
    def manage() -> None:
        with v2_client(account.dashscope) as client:
            designs = client.audio.voice_design
            made = [design_with_v2(account.dashscope, name).voice for name in ("one", "two", "three")]
            pages = [designs.list(page_index=index, page_size=2).voices for index in range(3)]
            assert [len(page) for page in pages] == [2, 1, 0]
            assert {voice["voice"] for page in pages for voice in page} == set(made)
            found = designs.get(made[0])
            assert (found.voice, found.language, found.target_model) == (made[0], "en", DESIGN_MODEL)
            assert found.request_id
            assert designs.delete(made[0]).request_id
            with pytest.raises(BadRequestError) as caught:
                designs.get(made[0])
            assert caught.value.code == "VoiceNotFound"
            assert caught.value.request_id

    await asyncio.to_thread(manage)
    assert (await account.stats(account.dashscope))["voices"] == 2


async def test_the_v2_client_lists_and_deletes_clones_by_their_model(account: Account) -> None:
    voice = await enrolled(account)

    def manage() -> None:
        with v2_client(account.dashscope) as client:
            designs, clones = client.audio.voice_design, {"model": "qwen-voice-enrollment"}
            assert [found["voice"] for found in designs.list(**clones).voices] == [voice]
            assert designs.list().voices == []
            assert designs.delete(voice, **clones).request_id
            with pytest.raises(BadRequestError) as caught:
                designs.delete(voice, **clones)
            assert caught.value.code == "BadRequest.VoiceNotFound"

    await asyncio.to_thread(manage)
    assert (await account.stats(account.dashscope))["voices"] == 0


async def test_the_v2_client_tells_refusals_apart(account: Account) -> None:
    def fail(error: type[Exception], key: str = KEY, **fields: Any) -> Any:
        with v2_client(account.dashscope, key) as client, pytest.raises(error) as caught:
            client.audio.voice_design.list(**fields)
        return caught.value

    bad = await asyncio.to_thread(fail, BadRequestError, page_index=201)
    assert (bad.code, bad.status_code) == ("InvalidParameter", 400)
    await account.faults(account.dashscope, customization_403=1)
    denied = await asyncio.to_thread(fail, PermissionDeniedError)
    assert (denied.code, denied.status_code) == ("Model.AccessDenied", 403)
    refused = await asyncio.to_thread(fail, AuthenticationError, WRONG_LANE_KEY)
    assert (refused.code, refused.status_code) == ("InvalidApiKey", 401)
    assert (await account.stats(account.dashscope))["wrong_lane_keys"] == 1
