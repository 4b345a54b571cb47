"""The faults of one realtime session: drawn once, struck at their place among the events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from understudy.clock import Clock
from understudy.standins.events import Event, ResponseEvents, error_event
from understudy.standins.faults import SESSION_FAULTS, FaultPanel
from understudy.standins.throttling import rate_quota

#: Deltas before the faults that strike among audio.
DELTAS_BEFORE_FAULT = 2
#: Faults that last for the whole session; the others strike its first response only.
LASTING = frozenset({"never_finished", "silent_audio"})
#: What ``garbage_frame`` sends.
GARBAGE = '{"type": "response.audio.delta", "delta": '
#: What ``invalid_base64`` sends as a delta of its own.
NOT_BASE64 = "*not base64*"


class Ending(Enum):
    """How a fault ends the connection."""

    CLOSE = "close frame 1011"
    RESET = "TCP reset"
    DROP = "TCP end of stream without a close frame"
    SILENCE = "open, but nothing is sent or read any more, not even a pong"


class SessionBrokenError(Exception):
    """A fault ended the session in the way of ``ending``."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.value)
        self.ending = ending


@dataclass(frozen=True, slots=True)
class Wire:
    """How a session sends: events, or raw text."""

    event: Callable[[Event], Awaitable[None]]
    text: Callable[[str], Awaitable[None]]


class SessionFaults:
    """What strikes one session; a probability is that of a session being struck, at its first response."""

    def __init__(self, panel: FaultPanel, clock: Clock, wire: Wire) -> None:
        self._panel = panel
        self._clock = clock
        self._wire = wire
        self._drawn = False
        self._struck: frozenset[str] = frozenset()

    def draw(self) -> None:
        """Roll the dice, once a session: at each later response only what is :data:`LASTING` is left."""
        if self._drawn:
            self._struck &= LASTING
            return
        self._drawn = True
        self._struck = frozenset(name for name in SESSION_FAULTS if self._panel.strikes(name))

    def __contains__(self, name: str) -> bool:
        return name in self._struck

    async def before_audio(self) -> None:
        """Strike after the response was opened.

        Raises
        ------
        SessionBrokenError
            The session ends here.
        """
        if "error_event" in self:
            await self._fail(Ending.CLOSE)
        if "throttled_event" in self:
            await self._wire.event(error_event(rate_quota().wire_code, rate_quota().message))
            raise SessionBrokenError(Ending.CLOSE)
        if "error_stays_open" in self:
            await self._fail(Ending.SILENCE)
        if "slow_first_delta" in self:
            await self._clock.sleep(self._panel.number("slow_first_delta_s"))

    async def amid_audio(self, events: ResponseEvents) -> None:
        """Strike once :data:`DELTAS_BEFORE_FAULT` deltas are sent, or at the end of less.

        Raises
        ------
        SessionBrokenError
            The session ends here.
        """
        if "garbage_frame" in self:
            await self._wire.text(GARBAGE)
        if "invalid_base64" in self:
            await self._wire.event(events.delta(NOT_BASE64))
        if "gap" in self:
            await self._clock.sleep(self._panel.number("gap_s"))
        if "error_after_audio" in self:
            await self._fail(Ending.CLOSE)
        for name, ending in (
            ("reset_mid_audio", Ending.RESET),
            ("drop_mid_audio", Ending.DROP),
            ("half_open", Ending.SILENCE),
        ):
            if name in self:
                raise SessionBrokenError(ending)

    def before_finish(self) -> None:
        """Strike when all is said but ``session.finished``.

        Raises
        ------
        SessionBrokenError
            The session ends here.
        """
        if "never_finished" in self:
            raise SessionBrokenError(Ending.SILENCE)

    def on_samples(self, pcm: bytes) -> bytes:
        """Return ``pcm`` as it is to be encoded."""
        return bytes(len(pcm)) if "silent_audio" in self else pcm

    async def on_deltas(
        self, deltas: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[tuple[bytes, bool], None]:
        """Yield each delta that is to be sent, and whether it is sent after ``response.done``."""
        if not {"truncated_audio", "out_of_order"} & self._struck:
            async for encoded in deltas:
                yield encoded, False
            return
        sent, held = 0, b""
        async for encoded in deltas:
            if held:
                yield held, False
                sent += 1
            held = encoded
            if "truncated_audio" in self and sent == DELTAS_BEFORE_FAULT - 1:
                break
        if "truncated_audio" in self:
            # An odd number of bytes: PCM breaks off inside a sample.
            held = held[: len(held) // 2 | 1]
        if held:
            yield held, "out_of_order" in self

    async def _fail(self, ending: Ending) -> None:
        await self._wire.event(error_event(self._panel.word("error_code"), "The request failed."))
        raise SessionBrokenError(ending)
