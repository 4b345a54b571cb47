"""``POST /api/v1/services/audio/tts/customization``: clone and design (facts/dashscope.md 5, 6)."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from understudy.audio.wav import to_pcm, write_wav
from understudy.clock import Clock
from understudy.errors import ValidationError
from understudy.standins.billing import DashScopeCounters
from understudy.standins.encoders import STREAM_FORMATS, encode_whole
from understudy.standins.faults import FaultPanel
from understudy.standins.models import (
    CLONE_MANAGER,
    CLONE_MODELS,
    DESIGN_MANAGER,
    DESIGN_MODELS,
    LANGUAGE_CODES,
)
from understudy.standins.recordings import read_recording, too_little_speech
from understudy.standins.refusals import RefusalError, invalid_parameter, model_not_found
from understudy.standins.session_faults import NOT_BASE64
from understudy.standins.sessions import SAMPLE_RATES
from understudy.standins.voices import AccountVoice, VoiceKind, VoiceShelf, name_voice
from understudy.voicebox.client import Voicebox
from understudy.voicebox.shape import shape_from_description

Fields = dict[str, Any]
Action = Callable[[Fields, Fields], Awaitable[Fields]]

PREFERRED_NAME = re.compile(r"[A-Za-z0-9_]{1,16}")
MAX_PROMPT_CHARS, MAX_PREVIEW_CHARS = 2048, 1024
#: The account holds 1000 voices; only the index of a design list has a documented limit.
MAX_PAGE_SIZE, MAX_DESIGN_PAGE = 1000, 200
_TIME = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True, slots=True)
class Order:
    """One management call: a model, an action, its fields and parameters."""

    model: str
    action: str
    fields: Fields
    parameters: Fields

    @classmethod
    def from_body(cls, body: Any) -> Order:
        """Read a parsed request body.

        Raises
        ------
        RefusalError
            400: the body has another shape.
        """
        if not isinstance(body, dict) or not isinstance(body.get("input"), dict):
            raise invalid_parameter("Field required: input")
        parameters = body.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise invalid_parameter("parameters must be an object.")
        fields = body["input"]
        return cls(str(body.get("model")), str(fields.get("action")), fields, parameters)


class Customization:
    """Both management models behind one URL."""

    def __init__(
        self,
        shelf: VoiceShelf,
        voicebox: Voicebox,
        panel: FaultPanel,
        counters: DashScopeCounters,
        clock: Clock,
    ) -> None:
        self._shelf = shelf
        self._voicebox = voicebox
        self._panel = panel
        self._counters = counters
        self._clock = clock
        self._actions: dict[str, dict[str, Action]] = {
            CLONE_MANAGER: {"create": self._clone, "list": self._list_clones, "delete": self._delete_clone},
            DESIGN_MANAGER: {
                "create": self._design,
                "list": self._list_designs,
                "query": self._query_design,
                "delete": self._delete_design,
            },
        }

    async def answer(self, order: Order) -> Fields:
        """Do what is ordered; the answer's fields but for the request id.

        Raises
        ------
        RefusalError
            The vendor's code for each reason.
        """
        actions = self._actions.get(order.model)
        if actions is None:
            raise model_not_found()
        action = actions.get(order.action)
        if action is None:
            raise invalid_parameter(f"Unsupported action; expected one of {', '.join(actions)}.")
        return await action(order.fields, order.parameters)

    async def _clone(self, fields: Fields, _parameters: Fields) -> Fields:
        target_model, preferred_name = self._creation(fields, CLONE_MODELS)
        language = _language(fields, default="zh")
        audio = fields.get("audio")
        clip = await read_recording(audio.get("data") if isinstance(audio, dict) else None)
        wav = write_wav(clip)
        try:
            shape = await self._voicebox.shape_from_reference(wav)
        except ValidationError:
            raise too_little_speech() from None
        now = self._clock.now()
        voice = name_voice("vc", preferred_name, now)
        await self._shelf.add(AccountVoice(voice, "vc", target_model, language, now, shape), wav)
        self._counters.clone_creates += 1
        output = {
            "voice": voice,
            "target_model": self._said_model(target_model, CLONE_MODELS),
            "fallback_mode": self._panel.strikes("fallback_mode"),
        }
        if output["fallback_mode"]:
            output["fallback_reason"] = self._panel.word("fallback_reason")
        return {"output": output, "usage": {"count": 1}}

    async def _design(self, fields: Fields, parameters: Fields) -> Fields:
        target_model, preferred_name = self._creation(fields, DESIGN_MODELS)
        language = _language(fields, default="zh")
        prompt = _text(fields, "voice_prompt", MAX_PROMPT_CHARS)
        preview_text = _text(fields, "preview_text", MAX_PREVIEW_CHARS)
        rate, audio_format = parameters.get("sample_rate", 24000), parameters.get("response_format", "wav")
        if rate not in SAMPLE_RATES or audio_format not in STREAM_FORMATS:
            raise invalid_parameter(
                f"sample_rate must be one of {SAMPLE_RATES}, response_format one of {STREAM_FORMATS}."
            )
        shape = shape_from_description(prompt)
        clip = await self._voicebox.speak(preview_text, LANGUAGE_CODES[language], shape, rate=rate)
        now = self._clock.now()
        voice = name_voice("vd", preferred_name, now)
        record = AccountVoice(voice, "vd", target_model, language, now, shape, prompt, preview_text)
        await self._shelf.add(record, write_wav(clip))
        self._counters.design_creates += 1
        pcm = bytes(2 * len(clip.samples)) if self._panel.strikes("preview_silent") else to_pcm(clip)
        encoded = await asyncio.to_thread(encode_whole, audio_format, pcm, rate)
        is_garbage = self._panel.strikes("preview_garbage")
        preview = {
            "data": NOT_BASE64 if is_garbage else base64.b64encode(encoded).decode(),
            "sample_rate": rate,
            "response_format": audio_format,
        }
        said_model = self._said_model(target_model, DESIGN_MODELS)
        output = {"preview_audio": preview, "target_model": said_model, "voice": voice}
        return {"output": output, "usage": {"count": 1}}

    async def _list_clones(self, fields: Fields, _parameters: Fields) -> Fields:
        page, _, _ = self._page(fields, "vc")
        listed = [
            {"voice": v.voice, "gmt_create": v.created_at.strftime(_TIME), "target_model": v.target_model}
            for v in page
        ]
        return {"output": {"voice_list": listed}, "usage": {"count": 0}}

    async def _list_designs(self, fields: Fields, _parameters: Fields) -> Fields:
        page, index, total = self._page(fields, "vd")
        output = {
            "page_index": index,
            "page_size": len(page),
            "total_count": total,
            "voice_list": [_design_fields(voice) for voice in page],
        }
        return {"output": output, "usage": {}}

    async def _query_design(self, fields: Fields, _parameters: Fields) -> Fields:
        return {"output": _design_fields(self._known(fields, "vd", "VoiceNotFound")), "usage": {}}

    async def _delete_clone(self, fields: Fields, _parameters: Fields) -> Fields:
        await self._shelf.remove(self._known(fields, "vc", "BadRequest.VoiceNotFound").voice)
        return {"usage": {"count": 0}}

    async def _delete_design(self, fields: Fields, _parameters: Fields) -> Fields:
        voice = self._known(fields, "vd", "VoiceNotFound").voice
        await self._shelf.remove(voice)
        return {"output": {"voice": voice}, "usage": {}}

    def _creation(self, fields: Fields, models: frozenset[str]) -> tuple[str, str]:
        target_model, preferred_name = fields.get("target_model"), fields.get("preferred_name")
        if not isinstance(target_model, str) or target_model not in models:
            raise invalid_parameter(f"target_model must be one of {', '.join(sorted(models))}.")
        if not isinstance(preferred_name, str) or not PREFERRED_NAME.fullmatch(preferred_name):
            raise invalid_parameter("preferred_name must be 1 to 16 letters, digits or underscores.")
        if 0 < self._panel.number("voices_per_account") <= len(self._shelf):
            raise RefusalError(
                "Throttling.AllocationQuota", "The number of voices has reached its limit.", wire_status=429
            )
        if self._panel.strikes("create_refused"):
            raise RefusalError(self._panel.word("create_refused_code"), "The request was refused.")
        return target_model, preferred_name

    def _said_model(self, target_model: str, models: frozenset[str]) -> str:
        """The model that the answer names: the wrong one when the fault strikes."""
        if not self._panel.strikes("wrong_target_model"):
            return target_model
        return next(model for model in sorted(models) if model != target_model)

    def _known(self, fields: Fields, kind: VoiceKind, code: str) -> AccountVoice:
        name = str(fields.get("voice"))
        voice = self._shelf.find(name)
        if voice is None or voice.kind != kind:
            status = 200 if self._panel.strikes("not_found_in_200") else 400
            code = self._panel.word("voice_not_found_code") or code
            raise RefusalError(code, f"Voice not found: {name}", wire_status=status)
        return voice

    def _page(self, fields: Fields, kind: VoiceKind) -> tuple[list[AccountVoice], int, int]:
        size, index = fields.get("page_size", 10), fields.get("page_index", 0)
        if type(size) is not int or type(index) is not int or not (1 <= size <= MAX_PAGE_SIZE and index >= 0):
            raise invalid_parameter(f"page_size must be 1 to {MAX_PAGE_SIZE} and page_index 0 or more.")
        if kind == "vd" and index > MAX_DESIGN_PAGE:
            raise invalid_parameter(f"page_index must be 0 to {MAX_DESIGN_PAGE}.")
        voices = self._shelf.listed(kind)
        return voices[index * size : (index + 1) * size], index, len(voices)


def _design_fields(voice: AccountVoice) -> Fields:
    created = voice.created_at.strftime(_TIME)
    return {
        "gmt_create": created,
        "gmt_modified": created,
        "language": voice.language,
        "preview_text": voice.preview_text,
        "target_model": voice.target_model,
        "voice": voice.voice,
        "voice_prompt": voice.prompt,
    }


def _language(fields: Fields, *, default: str) -> str:
    language = fields.get("language", default)
    if language not in LANGUAGE_CODES:
        raise invalid_parameter(f"language must be one of {', '.join(LANGUAGE_CODES)}.")
    return str(language)


def _text(fields: Fields, name: str, limit: int) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > limit:
        raise invalid_parameter(f"{name} must hold 1 to {limit} characters.")
    return value
