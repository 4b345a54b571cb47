"""One realtime synthesis session: one WebSocket, one utterance.

Wire: facts/dashscope.md sections 1-3. A session ends with ``session.finished``, never with the first
``response.done``; whether the server closes after it or waits for us makes no difference. What breaks becomes
one error, its class decided here and not by the vendor (docs/qwen.md lists what a caller sees):

==============================================  =========  =======================================
what happened                                   class      category, code, evidence
==============================================  =========  =======================================
no connection, reset, close 1001, 1006          transport  unavailable; stage, close_code
a deadline of ours (connect, first audio, gap,  transport  timeout; stage, deadline_s, waiting_for
whole); a half-open socket is one of them
handshake 401, 403, 404                         provider   rejected; status
handshake 429, 5xx                              provider   unavailable; status, Retry-After
close 1008 / close 1011, 1012, 1013             provider   rejected / unavailable; close_code
``error`` event                                 provider   by its code (providers.qwen.refusals)
close 1000 and 1002-1010 before the end         protocol   unavailable ``session_unfinished``
not JSON, not an event, binary, not WebSocket   protocol   unavailable ``frame_unreadable``
events against their order                      protocol   unavailable ``event_order``
a response ``failed`` or ``incomplete``         provider   unavailable ``response_failed``,
                                                           ``response_incomplete``
not base64, not the format                      protocol   unavailable ``audio_unreadable``
no sound, too short, far too long               protocol   unavailable ``audio_silent``,
                                                           ``audio_truncated``, ``audio_overlong``
==============================================  =========  =======================================

Every one of them carries ``text_sent`` (whether the text may be billed) and, after that, ``audio_ms``,
``responses`` and ``characters`` as far as they came.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp

from understudy.errors import (
    FailureClass,
    ProviderError,
    ProviderRejectedError,
    ProviderUnavailableError,
)
from understudy.providers.base import AudioChunk, SpeechFinished
from understudy.providers.deadlines import Deadlines
from understudy.providers.failures import protocol_failure, transport_failure, wire_errors
from understudy.providers.qwen.access import NAME, LaneAccess
from understudy.providers.qwen.conversation import RATE, Conversation, Utterance
from understudy.providers.qwen.refusals import refused_by_event

MAX_FRAME_BYTES = 8 * 1024 * 1024
LONGEST_QUIET_S = 50.0
"""The vendor's gateway drops a connection after about 60 s without traffic (facts/dashscope.md section 4)."""
PING_INTERVAL_S = 20.0
GOODBYE_S = 0.05
"""How long a close frame may take to be sent and answered; then the connection is dropped."""

#: What may come between the two events that open a session: nothing that belongs to speech.
_SPEECH_EVENTS = ("response.", "input_text_buffer.", "session.")
_PROTOCOL_CLOSES = frozenset({1000, 1002, 1003, 1007, 1009, 1010})
_POLICY_CLOSE = 1008
_SERVER_CLOSES = frozenset({1011, 1012, 1013})
#: Events that show that the provider is getting on; others do not stretch the gap.
_PROGRESS = frozenset({"response.created", "response.audio.delta", "response.done"})


class RealtimeSession:
    """Speaks one :class:`Utterance` over its own socket; used once."""

    def __init__(self, session: aiohttp.ClientSession, *, lane: LaneAccess, deadlines: Deadlines) -> None:
        self._http = session
        self._lane = lane
        self._deadlines = deadlines
        self._text_sent = False

    async def speak(
        self, utterance: Utterance, *, go: asyncio.Event | None = None
    ) -> AsyncGenerator[AudioChunk | SpeechFinished, None]:
        """Yield audio as it arrives, then :class:`SpeechFinished`.

        Parameters
        ----------
        go
            The text is sent once it is set; the session is settled meanwhile.

        Raises
        ------
        ProviderError
            Before the first chunk: nothing was spoken. After it: the speech is truncated.
        """
        conversation = Conversation(utterance)
        socket: aiohttp.ClientWebSocketResponse | None = None
        try:
            socket = await self._connect(utterance.model)
            self._patience = Patience(self._deadlines, asyncio.get_running_loop().time)
            await self._open(socket, utterance, go)
            while True:
                event = await self._receive(socket, conversation)
                if event["type"] == "session.finished":
                    yield conversation.finish()
                    return
                if data := conversation.take(event):
                    yield AudioChunk(data, utterance.audio_format, RATE, conversation.audio_ms)
        except ProviderError as error:
            error.evidence["text_sent"] = self._text_sent
            if self._text_sent:
                error.evidence |= {
                    name: fact for name, fact in conversation.facts.items() if name not in error.evidence
                }
            raise
        finally:
            if socket is not None:
                await _abandon(socket)

    async def _connect(self, model: str) -> aiohttp.ClientWebSocketResponse:
        try:
            async with wire_errors(NAME, stage="connect", deadline_s=self._deadlines.connect_s):
                return await self._http.ws_connect(
                    self._lane.realtime_url(model),
                    headers=self._lane.headers,
                    max_msg_size=MAX_FRAME_BYTES,
                    heartbeat=self._pings_each_s(),
                    timeout=aiohttp.ClientWSTimeout(ws_close=GOODBYE_S),
                    autoclose=True,
                )
        except ProviderError as error:
            raise self._lane.named(error) from None

    def _pings_each_s(self) -> float | None:
        """Pings only where our own deadlines leave the connection without traffic for too long.

        They are not free: aiohttp keeps a closed socket alive until its next ping would be due.
        """
        quiet_s = max(self._deadlines.first_audio_s, self._deadlines.chunk_gap_s)
        return PING_INTERVAL_S if quiet_s > LONGEST_QUIET_S else None

    async def _open(
        self, socket: aiohttp.ClientWebSocketResponse, utterance: Utterance, go: asyncio.Event | None
    ) -> None:
        """Settle the session and send the text; from then on it may be billed."""
        await self._expect(socket, "session.created")
        await self._send(socket, ("session.update", {"session": _session_fields(utterance)}))
        await self._expect(socket, "session.updated")
        if go is not None and not go.is_set():
            await go.wait()
            # That was no waiting for the provider.
            self._patience = Patience(self._deadlines, asyncio.get_running_loop().time)
        self._text_sent = True
        # Both at once: no answer is waited for between them, so they leave in one write.
        await self._send(
            socket, ("input_text_buffer.append", {"text": utterance.text}), ("session.finish", {})
        )

    async def _send(
        self, socket: aiohttp.ClientWebSocketResponse, *events: tuple[str, dict[str, Any]]
    ) -> None:
        async with wire_errors(NAME, stage=events[0][0], deadline_s=self._deadlines.connect_s):
            for kind, fields in events:
                message = {"event_id": f"event_{uuid.uuid4().hex}", "type": kind, **fields}
                await socket.send_str(json.dumps(message))

    async def _expect(self, socket: aiohttp.ClientWebSocketResponse, kind: str) -> None:
        while True:
            event = await self._receive(socket, None, waiting_for=kind)
            if event["type"] == kind:
                return
            if event["type"].startswith(_SPEECH_EVENTS):
                raise protocol_failure(
                    NAME,
                    "The speech provider broke the order of its events.",
                    code="event_order",
                    expected=kind,
                )

    async def _receive(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        conversation: Conversation | None,
        *,
        waiting_for: str = "",
    ) -> dict[str, Any]:
        heard = conversation is not None and conversation.committed
        stage, deadline_s, told_s = self._patience.next_wait(heard=heard)
        waiting_for = waiting_for or ("response.audio.delta" if not heard else "session.finished")
        try:
            with self._patience.waiting():
                async with wire_errors(NAME, stage=stage, deadline_s=deadline_s, told_s=told_s):
                    message = await socket.receive()
        except ProviderError as error:
            error.evidence["waiting_for"] = waiting_for
            raise
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise _closed(socket, message)
        event = _parse(message.data)
        if event["type"] == "error":
            raise refused_by_event(event)
        if event["type"] in _PROGRESS:
            self._patience.progressed()
        return event


class Patience:
    """Our own deadlines on one session, counted in time spent waiting for the provider.

    A listener who is slow to take audio is not the provider's slowness: what passes between two waits counts
    for none of them, the first audio excepted, before which nobody listens.

    Parameters
    ----------
    now
        Monotonic seconds.
    """

    def __init__(self, deadlines: Deadlines, now: Callable[[], float]) -> None:
        self._deadlines = deadlines
        self._now = now
        self._first_audio_by = now() + deadlines.first_audio_s
        self._waited_s = 0.0
        self._since_progress_s = 0.0

    def next_wait(self, *, heard: bool) -> tuple[str, float, float]:
        """Stage, seconds left of it, and its whole deadline, for the next wait."""
        if heard:
            stage, told_s = "gap between chunks", self._deadlines.chunk_gap_s
            left_s = told_s - self._since_progress_s
        else:
            stage, told_s = "first audio", self._deadlines.first_audio_s
            left_s = self._first_audio_by - self._now()
        whole_left_s = self._deadlines.total_s - self._waited_s
        if whole_left_s < left_s:
            stage, told_s, left_s = "whole utterance", self._deadlines.total_s, whole_left_s
        return stage, max(left_s, 0.001), told_s

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time that a block waits for the provider."""
        began = self._now()
        try:
            yield
        finally:
            spent_s = self._now() - began
            self._waited_s += spent_s
            self._since_progress_s += spent_s

    def progressed(self) -> None:
        """The provider got on: the gap begins anew."""
        self._since_progress_s = 0.0


def _session_fields(utterance: Utterance) -> dict[str, Any]:
    return {
        "voice": utterance.voice_id,
        "mode": "server_commit",
        "response_format": str(utterance.audio_format),
        "sample_rate": RATE,
        "language_type": utterance.language,
    }


def _parse(text: str) -> dict[str, Any]:
    try:
        event = json.loads(text)
    except ValueError as error:
        raise protocol_failure(
            NAME, "The speech provider sent a frame that is not JSON.", code="frame_unreadable"
        ) from error
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise protocol_failure(
            NAME, "The speech provider sent a frame that is not an event.", code="frame_unreadable"
        )
    return event


def _closed(socket: aiohttp.ClientWebSocketResponse, message: aiohttp.WSMessage) -> ProviderError:
    """The error of a message that is no event: a binary frame, a broken one, a close, a lost connection."""
    if message.type is aiohttp.WSMsgType.BINARY:
        return protocol_failure(NAME, "The speech provider sent a binary frame.", code="frame_unreadable")
    if message.type is aiohttp.WSMsgType.ERROR and not isinstance(
        message.data, aiohttp.ClientError | OSError
    ):
        code = getattr(message.data, "code", None)
        return protocol_failure(
            NAME,
            "The speech provider sent a frame that is not WebSocket.",
            code="frame_unreadable",
            close_code=code,
        )
    close_code = socket.close_code
    evidence = {"close_code": close_code, "event": message.type.name}
    if close_code in _PROTOCOL_CLOSES:
        return protocol_failure(
            NAME,
            "The speech provider closed the session before it was finished.",
            code="session_unfinished",
            **evidence,
        )
    if close_code == _POLICY_CLOSE:
        return ProviderRejectedError(
            "The speech provider closed the session: it does not permit it.",
            failure_class=FailureClass.PROVIDER,
            provider=NAME,
            evidence=evidence,
        )
    if close_code in _SERVER_CLOSES:
        return ProviderUnavailableError(
            "The speech provider closed the session for a fault of its own.",
            failure_class=FailureClass.PROVIDER,
            provider=NAME,
            evidence=evidence,
        )
    return transport_failure(NAME, "The connection to the speech provider was lost.", **evidence)


async def _abandon(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Close now, whoever else is still writing: a hang-up must reach the provider at once."""
    if socket.closed:
        return
    try:
        async with asyncio.timeout(2 * GOODBYE_S):
            await socket.close()
    except (TimeoutError, aiohttp.ClientError, OSError):
        return
