"""One realtime session at the level of the socket: order, deadlines, closes, hang-ups, evidence."""

from __future__ import annotations

import asyncio
import base64
import gc
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import numpy as np
import pytest
from pydantic import SecretStr

from tests.integration.providers.realtime_server import BINARY, TEXT, Event, RealtimeServer, Wire, frame
from tests.integration.providers.realtime_server import realtime_server as served
from understudy.audio.wav import Clip, to_pcm
from understudy.errors import FailureCategory, FailureClass, ProviderError, ProviderTimeoutError
from understudy.providers.base import AudioChunk, AudioFormat, SpeechFinished
from understudy.providers.deadlines import Deadlines
from understudy.providers.qwen import realtime
from understudy.providers.qwen.access import LaneAccess
from understudy.providers.qwen.conversation import RATE, Utterance
from understudy.providers.qwen.realtime import Patience, RealtimeSession

pytestmark = pytest.mark.integration

PATIENT = Deadlines(connect_s=20.0, first_audio_s=20.0, chunk_gap_s=20.0, total_s=60.0)
KEY = "sk-secret-of-the-test"
MODEL = "qwen3-tts-vc-realtime-2026-01-15"
CREATED: Event = {"type": "session.created", "session": {"id": "sess_1"}}
UPDATED: Event = {"type": "session.updated", "session": {"id": "sess_1"}}
BEGUN: Event = {"type": "response.created", "response": {"id": "resp_1"}}
DONE: Event = {
    "type": "response.done",
    "response": {"id": "resp_1", "status": "completed", "usage": {"characters": 4}},
}
FINISHED: Event = {"type": "session.finished"}


def delta(milliseconds: int = 400) -> Event:
    times = np.arange(RATE * milliseconds // 1000) / RATE
    samples = (np.sin(2 * np.pi * 220 * times) * 9000).astype(np.int16)
    data = base64.b64encode(to_pcm(Clip(samples, RATE))).decode()
    return {"type": "response.audio.delta", "response_id": "resp_1", "delta": data}


async def open_session(wire: Wire) -> None:
    await wire.send(CREATED)
    await wire.expect("session.update")
    await wire.send(UPDATED)
    await wire.expect("session.finish")


async def well(wire: Wire) -> None:
    await open_session(wire)
    await wire.send(BEGUN, delta(), DONE, FINISHED)
    await wire.gone.wait()


def after(*events: Event) -> Callable[[Wire], Awaitable[None]]:
    """A script that opens the session, sends these and waits for the client to go."""

    async def play(wire: Wire) -> None:
        await open_session(wire)
        await wire.send(*events)
        await wire.gone.wait()

    return play


Spoken = AsyncGenerator[AudioChunk | SpeechFinished, None]


class Caller:
    """Speaks one utterance at a scripted server."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    def speak(
        self,
        server: RealtimeServer,
        deadlines: Deadlines = PATIENT,
        text: str = "Hey!",
        go: asyncio.Event | None = None,
    ) -> Spoken:
        lane = LaneAccess(server.address, "intl", SecretStr(KEY))
        session = RealtimeSession(self._http, lane=lane, deadlines=deadlines)
        return session.speak(Utterance(text, "voice-1", MODEL, "vc", "English", AudioFormat.PCM), go=go)

    async def told(self, server: RealtimeServer, **changes: Any) -> list[AudioChunk | SpeechFinished]:
        return [event async for event in self.speak(server, **changes)]

    async def failure(self, script: Callable[[Wire], Awaitable[None]], **changes: Any) -> ProviderError:
        deadlines = changes.pop("deadlines", PATIENT)
        async with served(script, **changes) as server:
            with pytest.raises(ProviderError) as caught:
                await self.told(server, deadlines=deadlines)
            return caught.value


@pytest.fixture
async def caller() -> AsyncGenerator[Caller, None]:
    async with aiohttp.ClientSession() as http:
        yield Caller(http)


async def test_what_travels_is_what_the_vendor_documents(caller: Caller) -> None:
    async with served(well) as server:
        events = await caller.told(server)
        (wire,) = server.wires
    assert isinstance(events[-1], SpeechFinished)
    assert wire.request.startswith(f"GET /api-ws/v1/realtime?model={MODEL} ")
    assert f"authorization: bearer {KEY}" in wire.request.lower()
    assert [event["type"] for event in wire.events] == [
        "session.update",
        "input_text_buffer.append",
        "session.finish",
    ]
    assert wire.events[0]["session"] == {
        "voice": "voice-1",
        "mode": "server_commit",
        "response_format": "pcm",
        "sample_rate": 24_000,
        "language_type": "English",
    }
    assert wire.events[1]["text"] == "Hey!"
    assert len({event["event_id"] for event in wire.events}) == 3


async def test_the_end_is_session_finished_whoever_closes(caller: Caller) -> None:
    async def closes(wire: Wire) -> None:
        await open_session(wire)
        await wire.send(BEGUN, delta(), DONE, FINISHED)
        await wire.close(1000)

    async def drops(wire: Wire) -> None:
        await open_session(wire)
        await wire.send(BEGUN, delta(), DONE, FINISHED)
        wire.drop()

    async def goes_on(wire: Wire) -> None:
        await open_session(wire)
        await wire.send(BEGUN, delta(), DONE, FINISHED, delta(), {"type": "error"})
        await wire.gone.wait()

    for script in (well, closes, drops, goes_on):
        async with served(script) as server:
            events = await caller.told(server)
        assert isinstance(events[-1], SpeechFinished), script.__name__
        assert len(events) == 2


async def test_unknown_events_may_come_at_any_time(caller: Caller) -> None:
    async def chatty(wire: Wire) -> None:
        await wire.send({"type": "rate_limits.updated"}, CREATED, {"type": "heartbeat"})
        await wire.expect("session.update")
        await wire.send({"type": "heartbeat"}, UPDATED)
        await wire.expect("session.finish")
        await wire.send(BEGUN, {"type": "heartbeat"}, delta(), DONE, {"type": "heartbeat"}, FINISHED)
        await wire.gone.wait()

    async with served(chatty) as server:
        assert isinstance((await caller.told(server))[-1], SpeechFinished)


async def test_speech_before_the_session_is_settled_breaks_the_order(caller: Caller) -> None:
    async def eager(wire: Wire) -> None:
        await wire.send(CREATED, BEGUN)
        await wire.gone.wait()

    error = await caller.failure(eager)
    assert (error.provider_code, error.failure_class) == ("event_order", FailureClass.PROTOCOL)
    assert error.evidence == {"expected": "session.updated", "text_sent": False}


# --- deadlines: each alone is short, and names its stage ---------------------------------------------------


async def hang(wire: Wire) -> None:
    await wire.gone.wait()


async def created_only(wire: Wire) -> None:
    await wire.send(CREATED)
    await wire.gone.wait()


async def dripping(wire: Wire) -> None:
    await open_session(wire)
    await wire.send(BEGUN, delta())
    while not wire.gone.is_set():
        await wire.send(delta(1))
        await asyncio.sleep(0.005)


async def chattering(wire: Wire) -> None:
    """Events, but none that brings speech on."""
    await open_session(wire)
    await wire.send(BEGUN, delta())
    while not wire.gone.is_set():
        await wire.send({"type": "heartbeat"})
        await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("script", "deadline", "stage", "waiting_for", "text_sent"),
    [
        (hang, "first_audio_s", "first audio", "session.created", False),
        (created_only, "first_audio_s", "first audio", "session.updated", False),
        (after(BEGUN), "first_audio_s", "first audio", "response.audio.delta", True),
        (after(BEGUN, delta()), "chunk_gap_s", "gap between chunks", "session.finished", True),
        (after(BEGUN, delta(), DONE), "chunk_gap_s", "gap between chunks", "session.finished", True),
        (chattering, "chunk_gap_s", "gap between chunks", "session.finished", True),
        (dripping, "total_s", "whole utterance", "session.finished", True),
    ],
    ids=["created", "updated", "audio", "gap", "finished", "chatter", "whole"],
)
async def test_each_deadline_is_our_own_and_names_its_stage(
    caller: Caller,
    script: Callable[[Wire], Awaitable[None]],
    deadline: str,
    stage: str,
    waiting_for: str,
    text_sent: bool,
) -> None:
    limits = {"connect_s": 20.0, "first_audio_s": 20.0, "chunk_gap_s": 20.0, "total_s": 60.0, deadline: 0.25}
    error = await caller.failure(script, deadlines=Deadlines(**limits))
    assert isinstance(error, ProviderTimeoutError)
    assert (error.category, error.failure_class) == (FailureCategory.TIMEOUT, FailureClass.TRANSPORT)
    assert (error.evidence["stage"], error.evidence["deadline_s"]) == (stage, 0.25)
    assert error.evidence["waiting_for"] == waiting_for
    assert error.evidence["text_sent"] is text_sent


async def test_a_handshake_without_an_answer_meets_the_connect_deadline(caller: Caller) -> None:
    deadlines = Deadlines(connect_s=0.25, first_audio_s=20.0, chunk_gap_s=20.0, total_s=60.0)
    error = await caller.failure(well, hangs=True, deadlines=deadlines)
    assert isinstance(error, ProviderTimeoutError)
    assert (error.evidence["stage"], error.evidence["text_sent"]) == ("connect", False)


def test_a_slow_listener_is_not_the_providers_slowness() -> None:
    now = 100.0

    def clock() -> float:
        return now

    patience = Patience(Deadlines(connect_s=1, first_audio_s=5, chunk_gap_s=3, total_s=10), clock)
    assert patience.next_wait(heard=False) == ("first audio", 5.0, 5)
    now += 4
    assert patience.next_wait(heard=False) == ("first audio", 1.0, 5)
    with patience.waiting():
        now += 2
    patience.progressed()
    now += 3600  # the listener takes an hour over one chunk
    assert patience.next_wait(heard=True) == ("gap between chunks", 3.0, 3)
    with patience.waiting():
        now += 2
    assert patience.next_wait(heard=True) == ("gap between chunks", 1.0, 3)
    patience.progressed()
    with patience.waiting():
        now += 5
    patience.progressed()
    assert patience.next_wait(heard=True) == ("whole utterance", 1.0, 10)


# --- how a connection may end ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("close_code", "failure_class", "category", "code"),
    [
        (1000, FailureClass.PROTOCOL, FailureCategory.PROVIDER_UNAVAILABLE, "session_unfinished"),
        (1001, FailureClass.TRANSPORT, FailureCategory.PROVIDER_UNAVAILABLE, None),
        (1002, FailureClass.PROTOCOL, FailureCategory.PROVIDER_UNAVAILABLE, "session_unfinished"),
        (1007, FailureClass.PROTOCOL, FailureCategory.PROVIDER_UNAVAILABLE, "session_unfinished"),
        (1008, FailureClass.PROVIDER, FailureCategory.PROVIDER_REJECTED, None),
        (1009, FailureClass.PROTOCOL, FailureCategory.PROVIDER_UNAVAILABLE, "session_unfinished"),
        (1011, FailureClass.PROVIDER, FailureCategory.PROVIDER_UNAVAILABLE, None),
        (1013, FailureClass.PROVIDER, FailureCategory.PROVIDER_UNAVAILABLE, None),
        (4000, FailureClass.TRANSPORT, FailureCategory.PROVIDER_UNAVAILABLE, None),
    ],
)
async def test_a_close_before_the_end_is_told_by_its_code(
    caller: Caller, close_code: int, failure_class: FailureClass, category: FailureCategory, code: str | None
) -> None:
    async def closes(wire: Wire) -> None:
        await open_session(wire)
        await wire.send(BEGUN, delta())
        await wire.close(close_code)
        await wire.gone.wait()

    error = await caller.failure(closes)
    assert (error.failure_class, error.category, error.provider_code) == (failure_class, category, code)
    assert error.evidence["close_code"] == close_code
    assert (error.evidence["text_sent"], error.evidence["audio_ms"]) == (True, 400)


@pytest.mark.parametrize("how", ["reset", "drop"])
async def test_a_connection_that_breaks_is_a_transport_failure(caller: Caller, how: str) -> None:
    async def breaks(wire: Wire) -> None:
        await open_session(wire)
        await wire.send(BEGUN, delta())
        getattr(wire, how)()

    error = await caller.failure(breaks)
    assert (error.failure_class, error.category) == (
        FailureClass.TRANSPORT,
        FailureCategory.PROVIDER_UNAVAILABLE,
    )
    assert error.retryable


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b'{"type": '),
        frame(TEXT, b"[1]"),
        frame(TEXT, b'{"kind": "x"}'),
        frame(TEXT, b"\xff\xfe"),
        frame(BINARY, b"\x00\x01"),
        frame(TEXT, b"{}", head=0xF0),
        frame(TEXT, b"x" * (realtime.MAX_FRAME_BYTES + 1)),
        struct.pack("!BB", 0x8B, 0),
    ],
    ids=["cut JSON", "list", "no type", "not UTF-8", "binary", "reserved bits", "too long", "opcode"],
)
async def test_a_frame_that_cannot_be_read_is_a_protocol_failure(caller: Caller, data: bytes) -> None:
    async def garbles(wire: Wire) -> None:
        await open_session(wire)
        await wire.send(BEGUN, delta())
        await wire.raw(data)
        await wire.gone.wait()

    error = await caller.failure(garbles)
    assert (error.failure_class, error.provider_code) == (FailureClass.PROTOCOL, "frame_unreadable")


@pytest.mark.parametrize(
    ("status", "failure_class", "category", "retryable"),
    [
        ("401 Unauthorized", FailureClass.PROVIDER, FailureCategory.PROVIDER_REJECTED, False),
        ("403 Forbidden", FailureClass.PROVIDER, FailureCategory.PROVIDER_REJECTED, False),
        ("404 Not Found", FailureClass.PROVIDER, FailureCategory.PROVIDER_REJECTED, False),
        ("429 Too Many Requests", FailureClass.PROVIDER, FailureCategory.PROVIDER_UNAVAILABLE, True),
        ("503 Service Unavailable", FailureClass.PROVIDER, FailureCategory.PROVIDER_UNAVAILABLE, True),
        ("200 OK", FailureClass.PROTOCOL, FailureCategory.PROVIDER_UNAVAILABLE, True),
    ],
)
async def test_a_refused_handshake_keeps_its_status(
    caller: Caller, status: str, failure_class: FailureClass, category: FailureCategory, retryable: bool
) -> None:
    headers = {"Retry-After": "7", "x-request-id": "req-1"}
    error = await caller.failure(well, status=status, headers=headers)
    assert (error.failure_class, error.category, error.retryable) == (failure_class, category, retryable)
    assert (error.evidence["status"], error.evidence["text_sent"]) == (int(status[:3]), False)
    if category is FailureCategory.PROVIDER_UNAVAILABLE and failure_class is FailureClass.PROVIDER:
        assert error.retry_after_s == 7
    if status.startswith("401"):
        assert error.message == "The speech provider refused our key."
        assert error.evidence["lane"] == "intl"
    assert KEY not in f"{error} {error.evidence}"


@pytest.mark.parametrize("begun", [False, True])
async def test_an_error_event_is_the_providers_word_before_and_after_audio(
    caller: Caller, begun: bool
) -> None:
    refusal = {"type": "error", "event_id": "event_9", "error": {"code": "Throttling.RateQuota"}}
    events = [BEGUN, delta(), refusal] if begun else [refusal]
    error = await caller.failure(after(*events))
    assert (error.failure_class, error.category) == (
        FailureClass.PROVIDER,
        FailureCategory.PROVIDER_UNAVAILABLE,
    )
    assert (error.provider_code, error.provider_request_id) == ("Throttling.RateQuota", "event_9")
    assert error.evidence["audio_ms"] == (400 if begun else 0)


# --- pings, and a peer that is no longer there -------------------------------------------------------------


#: Longer than the vendor's gateway lets a connection be quiet.
LONG = replace(PATIENT, first_audio_s=60.0, chunk_gap_s=60.0)


async def test_pings_keep_a_long_quiet_connection_alive(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert realtime.PING_INTERVAL_S < realtime.LONGEST_QUIET_S < 60
    monkeypatch.setattr(realtime, "PING_INTERVAL_S", 0.1)

    async def waits_for_pings(wire: Wire) -> None:
        await open_session(wire)
        while wire.pings < 3:
            wire.arrived.clear()
            await wire.arrived.wait()
        await wire.send(BEGUN, delta(), DONE, FINISHED)
        await wire.gone.wait()

    async with served(waits_for_pings) as server:
        assert isinstance((await caller.told(server, deadlines=LONG))[-1], SpeechFinished)


async def test_a_half_open_connection_is_found(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realtime, "PING_INTERVAL_S", 0.1)
    error = await caller.failure(after(BEGUN, delta()), answers_pings=False, deadlines=LONG)
    assert error.failure_class is FailureClass.TRANSPORT
    assert error.evidence["text_sent"] is True


async def test_a_finished_session_leaves_nothing_in_memory(caller: Caller) -> None:
    async with served(well) as server:
        await caller.told(server)
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is aiohttp.ClientWebSocketResponse]
