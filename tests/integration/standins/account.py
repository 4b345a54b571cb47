"""A client of the stand-ins as plain HTTP and WebSocket: what the wire says, without any adapter between."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from understudy.audio.wav import join, read_wav, resample, write_wav
from understudy.resources import samples_dir
from understudy.standins.app import StandInAddresses

KEY = "sk-standin-intl-0001"
WRONG_LANE_KEY = "sk-standin-cn-0001"
CLONE_MODEL = "qwen3-tts-vc-realtime-2026-01-15"
OTHER_CLONE_MODEL = "qwen3-tts-vc-realtime-2025-11-27"
DESIGN_MODEL = "qwen3-tts-vd-realtime-2026-01-15"

Json = dict[str, Any]


def austen(rate: int = 24_000, *, names: str = "austen-0870.wav") -> bytes:
    """Recordings of one reader, joined: one of 7.1 s, or ``austen-*.wav`` for all 18.4 s."""
    clips = [read_wav(path.read_bytes()) for path in sorted(samples_dir().glob(names))]
    return write_wav(resample(join(clips), rate))


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Json:
        return dict(json.loads(self.body))


def as_body(value: Any) -> io.BytesIO:
    """JSON as a stream: aiohttp warns of megabytes handed over as bytes."""
    return io.BytesIO(json.dumps(value).encode())


def data_url(audio: bytes, kind: str = "audio/wav") -> str:
    return f"data:{kind};base64," + base64.b64encode(audio).decode()


class Account:
    """One customer of both stand-ins."""

    def __init__(self, addresses: StandInAddresses, session: aiohttp.ClientSession, key: str = KEY) -> None:
        self.dashscope = addresses.dashscope
        self.modal = addresses.modal
        self.session = session
        self.headers = {"Authorization": f"Bearer {key}"}

    async def customize(
        self, model: str, action: str, parameters: Json | None = None, **fields: Any
    ) -> tuple[int, Json]:
        """Status and body of one management call."""
        body: Json = {"model": model, "input": {"action": action, **fields}}
        if parameters is not None:
            body["parameters"] = parameters
        url = self.dashscope + "/api/v1/services/audio/tts/customization"
        headers = {**self.headers, "Content-Type": "application/json"}
        async with self.session.post(url, data=as_body(body), headers=headers) as answer:
            return answer.status, await answer.json()

    async def clone(self, **changes: Any) -> tuple[int, Json]:
        """Create a cloned voice; ``changes`` replace fields."""
        fields = {
            "target_model": CLONE_MODEL,
            "preferred_name": "austen",
            "audio": {"data": data_url(austen())},
            "language": "en",
        }
        return await self.customize("qwen-voice-enrollment", "create", **{**fields, **changes})

    async def design(self, parameters: Json | None = None, **changes: Any) -> tuple[int, Json]:
        """Create a designed voice; ``changes`` replace fields."""
        fields = {
            "target_model": DESIGN_MODEL,
            "preferred_name": "announcer",
            "voice_prompt": "a calm, deep male narrator",
            "preview_text": "4 7 1 9 3 0",
            "language": "en",
        }
        return await self.customize("qwen-voice-design", "create", parameters, **{**fields, **changes})

    @asynccontextmanager
    async def realtime(self, model: str = CLONE_MODEL) -> AsyncIterator[Conversation]:
        """An open realtime session."""
        url = f"{self.dashscope}/api-ws/v1/realtime?model={model}"
        async with self.session.ws_connect(url, headers=self.headers) as socket:
            yield Conversation(socket)

    async def stats(self, server: str) -> Json:
        async with self.session.get(f"{server}/_stats") as answer:
            return dict(await answer.json())

    async def faults(self, server: str, **probabilities: Any) -> None:
        async with self.session.post(f"{server}/_faults", json=probabilities) as answer:
            assert answer.status == 200, await answer.text()

    async def post(self, path: str, body: Json, **options: Any) -> Answer:
        """A POST to Modal, body read."""
        headers = {"Content-Type": "application/json", **options.pop("headers", {})}
        async with self.session.post(
            self.modal + path, data=as_body(body), headers=headers, **options
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, path: str, **options: Any) -> Answer:
        """A GET to Modal, body read."""
        async with self.session.get(self.modal + path, **options) as answer:
            return Answer(answer.status, answer.headers, await answer.read())


class Conversation:
    """One realtime session, event by event."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send_json({"event_id": "event_test", "type": kind, **fields})

    async def update(self, **session: Any) -> None:
        await self.send("session.update", session=session)

    async def append(self, text: str) -> None:
        await self.send("input_text_buffer.append", text=text)

    async def receive(self) -> Json:
        """The next event; fails on anything that is not a JSON text frame."""
        message = await self.socket.receive(timeout=10)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        event: Json = json.loads(message.data)
        return event

    async def until(self, kind: str) -> list[Json]:
        """Events up to and including the first of ``kind``."""
        events = [await self.receive()]
        while events[-1]["type"] != kind:
            events.append(await self.receive())
        return events

    async def rest(self) -> list[Json]:
        """Every event until the server closes."""
        return [json.loads(message.data) async for message in self.socket]


def kinds(events: list[Json]) -> list[str]:
    """Types of ``events`` in order, runs of deltas as one."""
    found: list[str] = []
    for event in events:
        if not (found and found[-1] == event["type"] == "response.audio.delta"):
            found.append(event["type"])
    return found


def audio_of(events: list[Json]) -> bytes:
    """The audio of every delta, joined."""
    return b"".join(base64.b64decode(e["delta"]) for e in events if e["type"] == "response.audio.delta")
