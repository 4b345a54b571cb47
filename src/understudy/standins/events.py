"""The realtime server's events, field by field (facts/dashscope.md section 3)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from understudy.standins.sessions import SessionConfig

Event = dict[str, Any]


def make_id(prefix: str) -> str:
    """An id in the vendor's style."""
    return f"{prefix}_{uuid.uuid4().hex}"


def event(kind: str, **fields: Any) -> Event:
    """One event with an id of its own."""
    return {"event_id": make_id("event"), "type": kind, **fields}


def error_event(code: str, message: str) -> Event:
    """An ``error`` event."""
    return event("error", error={"code": code, "message": message})


def session_created(session_id: str, model: str, config: SessionConfig) -> Event:
    """Sent on connect, unprompted."""
    session = {
        "object": "realtime.session",
        "mode": config.mode,
        "model": model,
        "voice": config.voice,
        "response_format": config.response_format,
        "sample_rate": config.sample_rate,
        "id": session_id,
    }
    return event("session.created", session=session)


def session_updated(session_id: str, model: str, config: SessionConfig) -> Event:
    """Confirms ``session.update``."""
    session = {
        "id": session_id,
        "object": "realtime.session",
        "model": model,
        "voice": config.voice,
        "language_type": config.language_type,
        "mode": config.mode,
        "response_format": config.response_format,
        "sample_rate": config.sample_rate,
    }
    return event("session.updated", session=session)


@dataclass(frozen=True, slots=True)
class ResponseEvents:
    """The events of one response, all with its ids."""

    voice: str
    response_id: str = field(default_factory=lambda: make_id("resp"))
    item_id: str = field(default_factory=lambda: make_id("item"))

    def opening(self) -> list[Event]:
        """Before the audio: created, item added, part added."""
        response = {
            "id": self.response_id,
            "object": "realtime.response",
            "conversation_id": "",
            "status": "in_progress",
            "voice": self.voice,
            "output": [],
        }
        item = {**self._item("in_progress"), "content": []}
        return [
            event("response.created", response=response),
            event("response.output_item.added", response_id=self.response_id, output_index=0, item=item),
            event("response.content_part.added", **self._place(), part={"type": "audio", "text": ""}),
        ]

    def delta(self, encoded: str) -> Event:
        """One piece of audio, base64."""
        return event("response.audio.delta", **self._place(), delta=encoded)

    def closing(self, status: str, characters: int) -> list[Event]:
        """After the audio: audio, part and item done, then the response with its usage."""
        done = {**self._item(status), "content": [{"type": "audio", "text": ""}]}
        output = {**self._item(status), "content": [{"type": "audio", "transcript": ""}]}
        response = {
            "id": self.response_id,
            "object": "realtime.response",
            "conversation_id": "",
            "status": status,
            "modalities": ["text", "audio"],
            "voice": self.voice,
            "output": [output],
            "usage": {"characters": characters},
        }
        return [
            event("response.audio.done", **self._place()),
            event("response.content_part.done", **self._place(), part={"type": "audio", "text": ""}),
            event("response.output_item.done", response_id=self.response_id, output_index=0, item=done),
            event("response.done", response=response),
        ]

    def _place(self) -> dict[str, Any]:
        return {
            "response_id": self.response_id,
            "item_id": self.item_id,
            "output_index": 0,
            "content_index": 0,
        }

    def _item(self, status: str) -> dict[str, Any]:
        return {
            "id": self.item_id,
            "object": "realtime.item",
            "type": "message",
            "status": status,
            "role": "assistant",
        }
