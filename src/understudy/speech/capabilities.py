"""What the active provider can do, as ``GET /languages`` tells it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from understudy.speech import languages
from understudy.speech.context import SpeechContext


def describe(ctx: SpeechContext, user_id: UUID | None = None) -> dict[str, Any]:
    """Return the body of ``GET /languages``; it follows the live provider mode at once.

    Parameters
    ----------
    user_id
        For whose cohort; ``None`` answers for the mode.
    """
    provider = ctx.provider(ctx.mode.view(user_id).value)
    able = provider.capabilities
    return {
        "languages": list(able.languages),
        "default": languages.DEFAULT,
        "provider": provider.name,
        "capabilities": {
            "supports_generate": True,
            "supports_generate_stream": able.streaming,
            "default_generate_mode": "stream" if able.streaming else "task",
            "allow_generate_mode_toggle": able.streaming,
            "max_text_chars": able.max_text_chars,
            "supports_clone": able.clone,
            "supports_design": able.design,
        },
        "transcription": {"enabled": False, "provider": None, "model": None},
    }
