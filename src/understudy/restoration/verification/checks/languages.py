"""``GET /api/languages``: the provider that serves and what it can do."""

from __future__ import annotations

from typing import Any

from understudy.errors import TargetError
from understudy.restoration.verification.visit import Proof, Visit, member

#: What each provider promises besides what both do (facts/api.md).
MODES: dict[str, tuple[bool, str]] = {"modal": (False, "task"), "qwen": (True, "stream")}
SPOKEN_BY_QWEN = {
    "Chinese",
    "English",
    "German",
    "Italian",
    "Portuguese",
    "Spanish",
    "Japanese",
    "Korean",
    "French",
    "Russian",
}


async def check_languages(visit: Visit) -> Proof:
    """Prove that the expected provider is in force and declares the capabilities it must have."""
    scene = visit.scene
    body = await visit.ask("GET", "/api/languages")
    provider = member(body, "provider", str)
    if provider not in MODES:
        raise TargetError(f"GET /api/languages names the provider {provider!r}; expected modal or qwen.")
    scene.provider = provider
    if scene.expect_provider is not None and provider != scene.expect_provider:
        raise TargetError(
            f"GET /api/languages names the provider {provider}; {scene.expect_provider} is expected."
        )
    _check_languages(body, scene.language)
    _check_capabilities(member(body, "capabilities", dict), provider)
    transcription = member(body, "transcription", dict)
    member(transcription, "enabled", bool)
    if not {"provider", "model"} <= transcription.keys():
        raise TargetError("GET /api/languages does not say who transcribes.")
    return Proof(f"{provider} serves, with the capabilities it promises.", facts={"provider": provider})


def _check_languages(body: dict[str, Any], wanted: str) -> None:
    offered = {item for item in member(body, "languages", list) if isinstance(item, str)}
    absent = ({"Auto", wanted} | SPOKEN_BY_QWEN) - offered
    if absent:
        raise TargetError(f"GET /api/languages does not offer {', '.join(sorted(absent))}.")
    if member(body, "default", str) not in offered:
        raise TargetError("GET /api/languages has a default that it does not offer.")


def _check_capabilities(capabilities: dict[str, Any], provider: str) -> None:
    streams, default_mode = MODES[provider]
    promised = {
        "supports_generate": True,
        "supports_clone": True,
        "supports_design": True,
        "supports_generate_stream": streams,
        "default_generate_mode": default_mode,
    }
    for name, value in promised.items():
        if type(capabilities.get(name)) is not type(value) or capabilities[name] != value:
            raise TargetError(f"{name} is {capabilities.get(name)!r}; with {provider} it must be {value!r}.")
    member(capabilities, "allow_generate_mode_toggle", bool)
    if member(capabilities, "max_text_chars", int) <= 0:
        raise TargetError("max_text_chars is not positive.")
