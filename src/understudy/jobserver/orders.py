"""What the POSTs of the five URLs ask for, read from their bodies (facts/modal.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from understudy.errors import ValidationError

MAX_NEW_TOKENS = 4096
"""What a submit gets when it does not say, and what the API always asks for."""


@dataclass(frozen=True, slots=True)
class SpeechOrder:
    """A submit: ``reference`` is base64 audio of the voice, ``transcript`` what is said in it.

    Parameters
    ----------
    request_id
        Optional: the same id again is the same job.
    """

    text: str
    language: str
    reference: str
    transcript: str
    max_new_tokens: int = MAX_NEW_TOKENS
    request_id: str | None = None

    @classmethod
    def from_body(cls, body: bytes) -> SpeechOrder:
        """Read a submit's JSON.

        Raises
        ------
        ValidationError
            Not an object, or a field that is missing or of the wrong type.
        """
        fields = _object(body)
        tokens = fields.get("max_new_tokens", MAX_NEW_TOKENS)
        if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 1:
            raise ValidationError("max_new_tokens must be a whole number above 0.")
        return cls(
            text=_string(fields, "text"),
            language=_string(fields, "language"),
            reference=_string(fields, "ref_audio_base64"),
            transcript=_string(fields, "ref_text"),
            max_new_tokens=tokens,
            request_id=_string(fields, "request_id") if fields.get("request_id") is not None else None,
        )


@dataclass(frozen=True, slots=True)
class DesignOrder:
    """A voice to invent: ``instruct`` describes it, ``text`` is what it says."""

    text: str
    language: str
    instruct: str

    @classmethod
    def from_body(cls, body: bytes) -> DesignOrder:
        """Read a design call's JSON; raises as :meth:`SpeechOrder.from_body`."""
        fields = _object(body)
        return cls(_string(fields, "text"), _string(fields, "language"), _string(fields, "instruct"))


def job_named_by(body: bytes) -> str:
    """Return the ``job_id`` of a cancel; raises as :meth:`SpeechOrder.from_body`."""
    return _string(_object(body), "job_id")


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except ValueError:
        raise ValidationError("The body is not JSON.") from None
    if not isinstance(fields, dict):
        raise ValidationError("The body is not an object.")
    return fields


def _string(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValidationError(f"{name} is required.")
    return value
