"""Qwen's customization REST: clone (enrol) and design voices.

Wire: facts/dashscope.md sections 5 and 6. Every successful create is billed and none has an idempotency
key, so nothing here retries one: a create whose answer was lost is looked up by its label (:meth:`find`).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import aiohttp

from understudy.logs import get_logger
from understudy.providers.bodies import json_body
from understudy.providers.deadlines import Deadlines
from understudy.providers.failures import protocol_failure, safe_code, status_failure, wire_errors
from understudy.providers.qwen.access import NAME, LaneAccess
from understudy.providers.qwen.refusals import by_code

log = get_logger(__name__)

ENROLLMENT_MODEL = "qwen-voice-enrollment"
DESIGN_MODEL = "qwen-voice-design"

MAX_ANSWER_BYTES = 32 * 1024 * 1024
#: ``preferred_name``: at most 16 of ``[A-Za-z0-9_]`` (facts/dashscope.md section 5).
_NAME_REFUSED = re.compile(r"[^A-Za-z0-9_]+")
#: ``qwen-tts-vc-{preferred_name}-voice-{time}-{4 hex}``; a preferred name holds no hyphen.
_VOICE_ID = re.compile(r"^qwen-tts-v[cd]-([A-Za-z0-9_]{1,16})-voice-")

LIST_PAGE_SIZE = 100
MAX_LIST_PAGES = 201
"""``page_index`` is 0 to 200; an account holds 1000 voices, so the list ends long before."""


def preferred_name(label: str) -> str:
    """``label`` cut to what DashScope takes as a preferred name."""
    return _NAME_REFUSED.sub("", label)[:16] or "voice"


def name_of(voice_id: str) -> str | None:
    """The preferred name that a voice was made under, as its id tells it."""
    match = _VOICE_ID.match(voice_id)
    return match.group(1) if match else None


class Customization:
    """Client of one lane's customization endpoint."""

    def __init__(self, session: aiohttp.ClientSession, *, lane: LaneAccess, deadlines: Deadlines) -> None:
        self._lane = lane
        self._session = session
        self._deadlines = deadlines

    async def clone(
        self, *, audio: bytes, transcript: str, language_code: str | None, target_model: str, label: str
    ) -> dict[str, Any]:
        """Enrol the voice of ``audio`` (WAV); answers ``output`` with ``voice`` and ``target_model``.

        Raises
        ------
        ProviderError
            With the category and class that :mod:`understudy.providers.failures` decides.
        """
        details: dict[str, Any] = {
            "action": "create",
            "target_model": target_model,
            "preferred_name": preferred_name(label),
            "audio": {"data": "data:audio/wav;base64," + base64.b64encode(audio).decode("ascii")},
            "text": transcript,
        }
        if language_code:
            details["language"] = language_code
        answer = await self._call(
            {"model": ENROLLMENT_MODEL, "input": details}, "enroll", self._deadlines.create_s
        )
        return self._bound(answer, target_model)

    async def design(
        self, *, instruct: str, text: str, language_code: str | None, target_model: str, label: str
    ) -> tuple[dict[str, Any], bytes]:
        """Design a voice; answers ``output`` and the preview's WAV bytes, which are sent only once.

        Bytes that cannot be read are empty: the voice is made and paid for all the same.
        """
        details: dict[str, Any] = {
            "action": "create",
            "target_model": target_model,
            "voice_prompt": instruct,
            "preview_text": text,
            "preferred_name": preferred_name(label),
        }
        if language_code:
            details["language"] = language_code
        parameters = {"sample_rate": 24_000, "response_format": "wav"}
        body = {"model": DESIGN_MODEL, "input": details, "parameters": parameters}
        output = self._bound(await self._call(body, "design", self._deadlines.create_s), target_model)
        preview = output.get("preview_audio")
        encoded = preview.get("data") if isinstance(preview, dict) else None
        try:
            return output, base64.b64decode(encoded or "", validate=True)
        except (binascii.Error, ValueError, TypeError) as error:
            log.warning("design_preview_unreadable", error=type(error).__name__)
            return output, b""

    async def list_voices(
        self, model: str, *, page_size: int = LIST_PAGE_SIZE, page_index: int = 0, operation: str = "list"
    ) -> list[dict[str, Any]]:
        """One page of the account's voices, newest first; ``model`` is the management model. Bills nothing.

        An entry that names no voice is left out; a list that is none is a ``protocol`` failure.
        """
        details = {"action": "list", "page_size": page_size, "page_index": page_index}
        answer = await self._call(
            {"model": model, "input": details}, operation, self._deadlines.first_audio_s
        )
        output = answer.get("output")
        voices = output.get("voice_list") if isinstance(output, dict) else None
        if not isinstance(voices, list):
            raise protocol_failure(NAME, "The speech provider's list of voices is not a list.")
        return [entry for entry in voices if isinstance(entry, dict) and isinstance(entry.get("voice"), str)]

    async def every_voice(self, model: str) -> AsyncGenerator[dict[str, Any], None]:
        """Every voice of the account made by ``model``, page after page."""
        for page_index in range(MAX_LIST_PAGES):
            page = await self.list_voices(model, page_index=page_index)
            for entry in page:
                yield entry
            if not page:
                return

    async def find(self, model: str, label: str, target_model: str) -> dict[str, Any] | None:
        """The newest voice made under ``label`` for ``target_model``: its list entry, or ``None``."""
        wanted = preferred_name(label)
        async with aclosing(self.every_voice(model)) as voices:
            async for entry in voices:
                if name_of(entry["voice"]) == wanted and entry.get("target_model") == target_model:
                    return entry
        return None

    async def _call(self, body: dict[str, Any], operation: str, deadline_s: float) -> dict[str, Any]:
        async with (
            wire_errors(NAME, stage=operation, deadline_s=deadline_s),
            self._session.post(
                self._lane.customization_url, **json_body(body, self._lane.headers), allow_redirects=False
            ) as answer,
        ):
            content = await answer.content.read(MAX_ANSWER_BYTES)
            while not answer.content.at_eof() and len(content) < MAX_ANSWER_BYTES:
                content += await answer.content.read(MAX_ANSWER_BYTES - len(content))
            if answer.status != 200:
                error = status_failure(
                    NAME, answer.status, answer.headers, bytes(content), operation=operation
                )
                raise self._lane.named(by_code(error), for_operator=operation == "check")
        try:
            parsed = json.loads(content)
        except ValueError as error:
            raise protocol_failure(
                NAME, "The speech provider's answer is not JSON.", bytes=len(content)
            ) from error
        if not isinstance(parsed, dict):
            raise protocol_failure(NAME, "The speech provider's answer is not a JSON object.")
        if "output" not in parsed and safe_code(parsed.get("code")):
            # A refusal inside a 200: the vendor's own samples guard against it.
            raise by_code(status_failure(NAME, 400, {}, bytes(content), operation=operation))
        return parsed

    @staticmethod
    def _bound(answer: dict[str, Any], target_model: str) -> dict[str, Any]:
        """The ``output`` of a create, checked: a voice bound to another model could never speak here."""
        output = answer.get("output")
        if not isinstance(output, dict) or not isinstance(output.get("voice"), str) or not output["voice"]:
            raise protocol_failure(NAME, "The speech provider made a voice without naming it.")
        if output.get("target_model") != target_model:
            raise protocol_failure(NAME, "The speech provider bound the voice to another model.")
        return {**output, "request_id": answer.get("request_id")}
