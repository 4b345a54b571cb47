"""How a fault ends a realtime connection, or fails to: resets, ends of stream, silence, handshakes."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.integration.standins.account import CLONE_MODEL, KEY, Account, Conversation
from tests.integration.standins.struck import DEADLINE_S, DELTA, QUIET_S, TEXT, Seen, deltas, read_out, struck

#: What each adapter makes of these is in tests/conformance, which `make test` runs.
pytestmark = [pytest.mark.integration, pytest.mark.long]


class RawSession:
    """The bytes of a session, where the WebSocket client would hide how the connection ended."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, account: Account) -> RawSession:
        key = base64.b64encode(os.urandom(16)).decode()
        address = urlsplit(account.dashscope)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(
            f"GET /api-ws/v1/realtime?model={CLONE_MODEL} HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Authorization: bearer {KEY}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        return cls(reader, writer)

    def frame(self, opcode: int, payload: bytes) -> None:
        """Send one frame of under 64 kB, masked with zeros."""
        size = len(payload)
        head = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2, "big")
        self.writer.write(bytes([0x80 | opcode]) + head + bytes(4) + payload)

    def event(self, kind: str, **fields: Any) -> None:
        self.frame(1, json.dumps({"type": kind, **fields}).encode())

    def speak(self, voice: str) -> None:
        self.event("session.update", session={"voice": voice})
        self.event("input_text_buffer.append", text=TEXT)
        self.event("session.finish")


@pytest.mark.parametrize("fault", ["reset_mid_audio", "drop_mid_audio"])
async def test_a_connection_ends_by_reset_or_by_end_of_stream(
    account: Account, voice: str, fault: str
) -> None:
    await account.faults(account.dashscope, **{fault: 1})
    session = await RawSession.open(account)
    try:
        session.speak(voice)
        if fault == "reset_mid_audio":
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(session.reader.read(-1), 10)
        else:
            received = await asyncio.wait_for(session.reader.read(-1), 10)
            assert received.count(b'"response.audio.delta"') == 2
            assert b"session.finished" not in received
            assert received.endswith(b"}")  # a whole text frame, and no close frame after it
    finally:
        session.writer.close()


@pytest.mark.parametrize("fault", ["reset_mid_audio", "drop_mid_audio"])
async def test_a_client_of_websockets_sees_1006_for_both(account: Account, voice: str, fault: str) -> None:
    seen = await struck(account, voice, **{fault: 1})
    # A reset may take away what the client had not read yet.
    assert deltas(seen) in ({2} if fault == "drop_mid_audio" else {0, 1, 2})
    assert not any("session.finished" in text or '"error"' in text for text in seen.texts)
    assert seen.close_code == 1006


async def test_short_speech_is_struck_too(account: Account, voice: str) -> None:
    seen = await struck(
        account, voice, "A", session={"sample_rate": 8000, "response_format": "mp3"}, reset_mid_audio=1
    )
    assert not any("session.finished" in text for text in seen.texts)
    assert seen.close_code == 1006


async def pong_comes(conversation: Conversation, within_s: float = DEADLINE_S) -> bool:
    """Whether the server answers a ping; the client must have been opened without its own handling."""
    await conversation.socket.ping(b"there?")
    while True:
        try:
            message = await conversation.socket.receive(timeout=within_s)
        except TimeoutError:
            return False
        if message.type is aiohttp.WSMsgType.PONG:
            return True


async def opened(account: Account) -> aiohttp.ClientWebSocketResponse:
    url = f"{account.dashscope}/api-ws/v1/realtime?model={CLONE_MODEL}"
    return await account.session.ws_connect(url, headers=account.headers, autoping=False)


async def test_half_open_stays_connected_and_answers_nothing(
    account: Account, voice: str, eventually
) -> None:
    await account.faults(account.dashscope, half_open=1)
    async with await opened(account) as socket:
        conversation = Conversation(socket)
        await conversation.update(voice=voice)
        assert await pong_comes(conversation)
        await conversation.append(TEXT)
        await conversation.send("session.finish")
        seen = await read_out(conversation, (DELTA, 2))
        assert (deltas(seen), seen.close_code) == (2, None)
        assert not await pong_comes(conversation, QUIET_S)
        assert (await account.stats(account.dashscope))["open_sessions"] == 1
        socket._response.close()  # a close handshake would wait for an answer

    async def gone() -> bool:
        return (await account.stats(account.dashscope))["open_sessions"] == 0

    await eventually(gone, what="the half-open session is gone with its client", within_s=5)


async def test_silence_after_accept_answers_pings_only(account: Account, voice: str) -> None:
    await account.faults(account.dashscope, silence_after_accept=1)
    async with await opened(account) as socket:
        conversation = Conversation(socket)
        await conversation.update(voice=voice)
        await conversation.append(TEXT)
        assert await pong_comes(conversation)
        assert (await read_out(conversation, (DELTA, 0))).texts == []
    assert (await account.stats(account.dashscope))["sessions_dropped"] == 1


async def test_silence_after_accept_ends_with_the_idle_time(account: Account) -> None:
    await account.faults(account.dashscope, silence_after_accept=1, session_idle_s=0.2)
    async with account.realtime() as conversation:
        assert (await read_out(conversation)) == Seen([], 1006)


# --- handshakes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status"), [("handshake_401", 401), ("handshake_403", 403), ("handshake_429", 429)]
)
async def test_a_handshake_is_refused(account: Account, fault: str, status: int) -> None:
    await account.faults(account.dashscope, **{fault: 1})
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with account.realtime():
            pytest.fail("the handshake succeeded")
    assert caught.value.status == status
    stats = await account.stats(account.dashscope)
    assert (stats["sessions"], stats["throttled"], stats["faults_injected"][fault]) == (0, 0, 1)


async def test_a_refused_handshake_says_why(account: Account) -> None:
    await account.faults(account.dashscope, handshake_403=1)
    url = f"{account.dashscope}/api-ws/v1/realtime?model={CLONE_MODEL}"
    async with account.session.get(url, headers=account.headers) as answer:
        body = await answer.json()
    assert body.pop("request_id")
    assert body == {"code": "Model.AccessDenied", "message": "Model access denied."}


async def test_a_hanging_handshake_is_never_answered(account: Account, eventually) -> None:
    await account.faults(account.dashscope, handshake_hang=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(QUIET_S), account.realtime():
            pytest.fail("the handshake succeeded")

    async def struck_once() -> bool:
        stats = await account.stats(account.dashscope)
        return stats["faults_injected"]["handshake_hang"] == 1 and stats["sessions"] == 0

    await eventually(struck_once, what="the handshake arrived", within_s=DEADLINE_S)


async def handshake_code(account: Account, model: str = CLONE_MODEL) -> str:
    """The vendor's code of a handshake: nothing where it succeeds."""
    url = f"{account.dashscope}/api-ws/v1/realtime?model={model}"
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
    }
    async with account.session.get(url, headers={**account.headers, **upgrade}) as answer:
        if answer.status == 101:
            return ""
        assert answer.status == 429
        return str((await answer.json())["code"])


async def test_more_than_the_minutes_requests_are_refused_by_model(account: Account) -> None:
    await account.faults(account.dashscope, requests_per_minute=2)
    other = "qwen3-tts-flash-realtime"
    codes = [await handshake_code(account) for _ in range(4)]
    assert codes == ["", "", "Throttling.RateQuota", "Throttling.RateQuota"]
    assert await handshake_code(account, other) == ""
    assert (await account.customize("qwen-voice-design", "list"))[0] == 200
    assert (await account.stats(account.dashscope))["throttled"] == 2
    await account.faults(account.dashscope, requests_per_minute=0)
    assert await handshake_code(account) == ""


async def test_a_burst_is_refused_by_another_code(account: Account) -> None:
    await account.faults(account.dashscope, requests_per_minute=180, requests_per_second=1)
    codes = await asyncio.gather(*(handshake_code(account) for _ in range(12)))
    # A slow machine may spread them over several seconds.
    assert set(codes) == {"", "Throttling.BurstRate"}
