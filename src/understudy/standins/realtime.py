"""One realtime session over a WebSocket (facts/dashscope.md sections 1 to 3)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMessage, WSMsgType, web

from understudy.clock import Clock
from understudy.errors import UnderstudyError
from understudy.logs import get_logger
from understudy.standins.billing import DashScopeCounters
from understudy.standins.configuration import StandInSettings
from understudy.standins.events import Event, error_event, event, make_id, session_created, session_updated
from understudy.standins.faults import FaultPanel, reset_connection
from understudy.standins.hanging import SilentConnections
from understudy.standins.refusals import RefusalError
from understudy.standins.session_faults import Ending, SessionBrokenError, SessionFaults, Wire
from understudy.standins.sessions import COMMIT, SERVER_COMMIT, SessionConfig, find_voice
from understudy.standins.speaking import ResponseSpeaker
from understudy.standins.voices import VoiceShelf
from understudy.voicebox.client import Voicebox
from understudy.voicebox.segments import split_complete, split_words
from understudy.voicebox.shape import VoiceShape


@dataclass(frozen=True, slots=True)
class RealtimeServices:
    """What every session of the server shares."""

    shelf: VoiceShelf
    voicebox: Voicebox
    panel: FaultPanel
    counters: DashScopeCounters
    settings: StandInSettings
    clock: Clock
    silent: SilentConnections


class RealtimeSession:
    """One connection, which is one session and never a second one.

    A reader takes events while a speaker works off what was committed, in order: ``session.finish`` may come
    while audio still flows, and a client that goes away stops the speech at once.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.BaseTransport | None,
        model: str,
        services: RealtimeServices,
    ) -> None:
        self._socket = socket
        self._transport = transport
        self._model = model
        self._services = services
        self._log = get_logger("standins.realtime")
        self._id = make_id("sess")
        self._config = SessionConfig()
        self._shape: VoiceShape | None = None
        self._buffer = ""
        self._started = False
        self._finishing = False
        self._finished = False
        self._cancel_response = False
        self._last_text_s = services.clock.monotonic_s()
        #: Committed texts; ``None`` is the end.
        self._committed: asyncio.Queue[str | None] = asyncio.Queue()

    async def run(self) -> None:
        """Serve the session until it ends, by either side or by a fault."""
        try:
            if self._services.panel.strikes("silence_after_accept"):
                await self._stay_silent()
                return
            await self._send(session_created(self._id, self._model, self._config))
            reader = asyncio.create_task(self._read_events(), name=f"reader-{self._id}")
            speaker = asyncio.create_task(self._speak_committed(), name=f"speaker-{self._id}")
            try:
                ended, _ = await asyncio.wait({reader, speaker}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                reader.cancel()
                speaker.cancel()
                await asyncio.gather(reader, speaker, return_exceptions=True)
            await self._close(speaker if speaker in ended else reader)
        except ConnectionError:
            self._services.counters.sessions_dropped += 1
            self._log.debug("client_went_away", session=self._id)

    async def _stay_silent(self) -> None:
        """Read and answer nothing, except pings, until the client goes or is idle for too long."""
        while (message := await self._receive()) is not None and message.type is WSMsgType.TEXT:
            self._last_text_s = self._services.clock.monotonic_s()
        self._services.counters.sessions_dropped += 1
        if message is None:
            reset_connection(self._transport)
        else:
            await self._socket.close()

    async def _close(self, ended: asyncio.Task[None]) -> None:
        """Say why the session ends, as the task that ended it tells, and close the socket in that way."""
        try:
            ended.result()
        except RefusalError as refusal:
            await self._send(error_event(refusal.wire_code, refusal.message))
            await self._socket.close(code=1011)
        except SessionBrokenError as broken:
            await self._break(broken.ending)
        except UnderstudyError as error:
            self._log.warning("speech_failed", session=self._id, error=error.message)
            await self._send(error_event("InternalError", "Internal server error."))
            await self._socket.close(code=1011)
        else:
            self._services.counters.sessions_dropped += not self._finished
            await self._socket.close()

    async def _break(self, ending: Ending) -> None:
        if ending is Ending.CLOSE:
            await self._socket.close(code=1011)
            return
        if ending is Ending.SILENCE:
            await self._services.silent.hold(self._transport)
        if ending is Ending.DROP and self._transport is not None:
            self._transport.close()
        else:
            reset_connection(self._transport)

    async def _read_events(self) -> None:
        """Take the client's events until it closes."""
        while True:
            message = await self._receive()
            if message is None:
                self._log.info("idle_session_dropped", session=self._id)
                raise SessionBrokenError(Ending.RESET)
            if message.type is not WSMsgType.TEXT:
                return
            self._last_text_s = self._services.clock.monotonic_s()
            try:
                await self._handle(_parse(message.data))
            except RefusalError as refusal:
                if refusal.fatal:
                    raise
                await self._send(error_event(refusal.wire_code, refusal.message))

    async def _receive(self) -> WSMessage | None:
        """Return the next message, or ``None`` when no text moved either way for too long."""
        while True:
            idle_s = self._services.panel.number("session_idle_s")
            if not idle_s:
                return await self._socket.receive()
            left_s = self._last_text_s + idle_s - self._services.clock.monotonic_s()
            if left_s <= 0:
                return None
            try:
                return await self._socket.receive(timeout=left_s)
            except TimeoutError:
                continue

    async def _handle(self, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "session.update":
            await self._update(message)
        elif kind == "input_text_buffer.append":
            await self._append(message)
        elif kind == "input_text_buffer.commit":
            await self._commit()
        elif kind == "input_text_buffer.clear":
            await self._clear()
        elif kind == "session.finish":
            self._finish()
        elif kind == "response.cancel":
            # Not in the vendor's documents, only in its SDK: here the response in progress ends "incomplete".
            self._cancel_response = True
        else:
            raise RefusalError("invalid_value", "Unsupported event type.")

    async def _update(self, message: dict[str, Any]) -> None:
        fields = message.get("session")
        if self._started or self._finishing:
            # Fatal as on the vendor's sibling endpoint; its own documents only name the message.
            closes = self._services.panel.number("late_update_closes") > 0
            raise RefusalError(
                "invalid_value",
                "Session update error: session already started or finished or failed.",
                fatal=closes,
            )
        if not isinstance(fields, dict):
            raise RefusalError("invalid_value", "Session update error: session is missing.")
        config = self._config.updated(fields)
        self._shape = self._find_voice(config.voice)
        self._config = config
        await self._send(session_updated(self._id, self._model, config))

    async def _append(self, message: dict[str, Any]) -> None:
        text = message.get("text")
        if not isinstance(text, str):
            raise RefusalError("invalid_value", "text is missing.")
        if self._finishing:
            raise RefusalError("invalid_value", "The session is finishing; no text is taken.")
        if self._shape is None:
            self._shape = self._find_voice(self._config.voice)
        self._started = True
        self._buffer += text
        if self._config.mode == SERVER_COMMIT:
            complete, self._buffer = split_complete(self._buffer)
            self._queue(complete)

    async def _commit(self) -> None:
        if not self._buffer.strip():
            raise RefusalError("invalid_value", "The input text buffer is empty.")
        await self._send(event("input_text_buffer.committed", item_id=""))
        self._take_buffer()

    async def _clear(self) -> None:
        if self._config.mode != COMMIT:
            raise RefusalError("invalid_value", "only client commit mode supports clear operation")
        self._buffer = ""
        await self._send(event("input_text_buffer.cleared"))

    def _finish(self) -> None:
        if not self._finishing:
            self._finishing = True
            self._take_buffer()
            self._committed.put_nowait(None)

    def _take_buffer(self) -> None:
        text, self._buffer = self._buffer, ""
        self._queue(text)

    def _queue(self, text: str) -> None:
        limit = int(self._services.panel.number("response_chars"))
        for piece in split_words(text, limit) if limit else [text]:
            if piece.strip():
                self._committed.put_nowait(piece)

    def _find_voice(self, voice: str) -> VoiceShape:
        code = self._services.panel.word("voice_mismatch_code")
        return find_voice(self._model, voice, self._services.shelf, mismatch_code=code)

    async def _speak_committed(self) -> None:
        """Speak what was committed, in order; then say that the session is finished."""
        settings, counters = self._services.settings, self._services.counters
        wire = Wire(self._send, self._send_text)
        faults = SessionFaults(self._services.panel, self._services.clock, wire)
        speaker = ResponseSpeaker(
            self._services.voicebox,
            faults,
            self._services.clock,
            wire,
            settings.dashscope_real_time_factor,
            settings.dashscope_first_audio_delay_s,
        )
        while (text := await self._committed.get()) is not None:
            assert self._shape is not None  # noqa: S101  # text is queued only once a voice was found
            self._cancel_response = False
            spoken = await speaker.speak(text, self._config, self._shape, lambda: self._cancel_response)
            counters.responses += 1
            counters.billed_characters += spoken.characters
        faults.before_finish()
        await self._send(event("session.finished"))
        self._finished = True
        counters.sessions_finished += 1
        if not self._services.panel.number("finish_closes"):
            # The reader ends the session: when the client closes, or after the idle time.
            await asyncio.get_running_loop().create_future()

    async def _send(self, message: Event) -> None:
        await self._send_text(json.dumps(message, ensure_ascii=False))

    async def _send_text(self, text: str) -> None:
        self._last_text_s = self._services.clock.monotonic_s()
        await self._socket.send_str(text)


def _parse(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except json.JSONDecodeError:
        raise RefusalError("invalid_value", "The message is not JSON.") from None
    if not isinstance(message, dict):
        raise RefusalError("invalid_value", "The message is not an object.")
    return message
