"""One utterance as its events tell it: what may follow what, what was billed, and whether the end is whole.

The vendor promises an order (facts/dashscope.md section 3) of which clients must not rely on all. Here:

* unknown events, and ``content_part`` and ``output_item`` events wherever they come, are let pass;
* several responses, one after the other or overlapping, are normal; each ends by its own ``response.done``,
  before or after its ``response.audio.done``;
* audio of a response that was not created, that is done, or whose audio is done, breaks the order, and so
  does ``session.finished`` while a response is open: a ``protocol`` failure with code ``event_order``.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from understudy.audio.duration import without_header
from understudy.errors import FailureClass, ProviderUnavailableError
from understudy.logs import get_logger
from understudy.providers.base import AudioFormat, SpeechFinished
from understudy.providers.failures import protocol_failure, safe_code
from understudy.providers.prices import billed_characters, synthesis_cost
from understudy.providers.qwen.access import NAME
from understudy.providers.qwen.commit import CommitGate

RATE = 24_000

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Utterance:
    """What one session says."""

    text: str
    voice_id: str
    model: str
    kind: str
    language: str
    audio_format: AudioFormat


class Conversation:
    """Takes the events of a session after its text was sent."""

    def __init__(self, utterance: Utterance) -> None:
        self._utterance = utterance
        self._gate = CommitGate(utterance.text, utterance.audio_format, RATE)
        self._open: dict[str, set[str]] = {}
        self._done: set[str] = set()
        self._latest: str | None = None
        #: The response whose audio came last.
        self._speaking: str | None = None
        self._reported: int | None = None
        self._request_id: str | None = None

    @property
    def committed(self) -> bool:
        """Whether audio was passed on."""
        return self._gate.committed

    @property
    def audio_ms(self) -> int:
        """Milliseconds of audio that arrived."""
        return self._gate.audio_ms

    @property
    def facts(self) -> dict[str, Any]:
        """What arrived so far, for the evidence of a failure."""
        return {
            "audio_ms": self._gate.audio_ms,
            "responses": len(self._done),
            "characters": self._reported or 0,
        }

    def take(self, event: dict[str, Any]) -> bytes:
        """Take one event; return the audio that may be passed on now, mostly none.

        Raises
        ------
        ProviderUnavailableError
            Of class ``protocol``: the order is broken, or the audio is not what was asked for.
        """
        match event["type"]:
            case "response.created":
                self._create(event)
            case "response.audio.delta":
                return self._hear(event)
            case "response.audio.done":
                if (parts := self._parts(event)) is not None:
                    parts.add(_part(event))
            case "response.done":
                self._end(event)
        return b""

    def finish(self) -> SpeechFinished:
        """The end, if it is one: nothing open, every response completed, and speech as long as the text."""
        if self._open:
            raise self._disorder("finished before its response did", "session.finished")
        if not self._done:
            raise self._disorder("finished before it spoke", "session.finished")
        self._gate.check_whole()
        counted = billed_characters(self._utterance.text)
        characters = self._reported or counted
        finished = SpeechFinished(
            characters=characters,
            cost_microusd=synthesis_cost(characters, self._utterance.kind),
            provider_request_id=self._request_id,
            model=self._utterance.model,
            counted_characters=counted,
        )
        if finished.usage_disagrees:
            log.warning(
                "usage_disagrees", provider=NAME, model=finished.model, reported=characters, counted=counted
            )
        return finished

    def _create(self, event: dict[str, Any]) -> None:
        response = event.get("response")
        made = response.get("id") if isinstance(response, dict) else None
        if not isinstance(made, str) or made in self._done:
            raise self._disorder("began a response that it had ended or did not name", event["type"])
        self._open.setdefault(made, set())
        self._latest = made

    def _named(self, value: object) -> str | None:
        """The response an event means: the one it names, or the latest when it names none."""
        return value if isinstance(value, str) and value else self._latest

    def _parts(self, event: dict[str, Any]) -> set[str] | None:
        """The audio parts that are done, of the response that the event means; ``None`` if none is open."""
        return self._open.get(self._named(event.get("response_id")) or "")

    def _hear(self, event: dict[str, Any]) -> bytes:
        parts = self._parts(event)
        if parts is None:
            raise self._disorder("sent audio outside of a response", event["type"])
        if _part(event) in parts:
            raise self._disorder("sent audio after the end of the audio", event["type"])
        try:
            data = base64.b64decode(event.get("delta") or "", validate=True)
        except (binascii.Error, ValueError, TypeError) as error:
            raise protocol_failure(
                NAME, "The speech provider sent audio that is not base64.", code="audio_unreadable"
            ) from error
        response = self._named(event.get("response_id"))
        if response != self._speaking:
            if self._speaking is not None and self._utterance.audio_format is AudioFormat.WAV:
                # Whether each response is a file of its own is not documented; the utterance is one.
                data = without_header(data)
            self._speaking = response
        return self._gate.take(data)

    def _end(self, event: dict[str, Any]) -> None:
        response = event.get("response")
        fields = response if isinstance(response, dict) else {}
        named = self._named(fields.get("id"))
        if named is None or self._open.pop(named, None) is None:
            raise self._disorder("ended a response that was not open", event["type"])
        self._done.add(named)
        self._request_id = named
        usage = fields.get("usage")
        characters = usage.get("characters") if isinstance(usage, dict) else None
        if isinstance(characters, int) and not isinstance(characters, bool) and characters >= 0:
            self._reported = (self._reported or 0) + characters
        self._check_status(fields.get("status"))

    def _check_status(self, status: object) -> None:
        """A response that the provider itself calls failed is its word; one it cannot name is a breach."""
        if status == "completed":
            return
        if status in {"failed", "incomplete"}:
            raise ProviderUnavailableError(
                f"The speech provider ended a response early ({status}).",
                failure_class=FailureClass.PROVIDER,
                provider=NAME,
                provider_code=f"response_{status}",
            )
        raise protocol_failure(
            NAME,
            "The speech provider ended a response without a status that ends one.",
            code="event_order",
            response_status=safe_code(status),
        )

    def _disorder(self, what: str, event: str) -> Exception:
        return protocol_failure(
            NAME, f"The speech provider {what}.", code="event_order", event=event, open=len(self._open)
        )


def _part(event: dict[str, Any]) -> str:
    """Which audio of a response an event is about."""
    return "/".join(str(event.get(name)) for name in ("item_id", "output_index", "content_index"))
