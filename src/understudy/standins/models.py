"""Names of the DashScope account (facts/dashscope.md 0, 2, 5): models, system voices, languages."""

from __future__ import annotations

from understudy.voicebox.shape import VoiceShape

CLONE_MANAGER = "qwen-voice-enrollment"
DESIGN_MANAGER = "qwen-voice-design"

CLONE_MODELS = frozenset(
    {"qwen3-tts-vc-realtime-2026-01-15", "qwen3-tts-vc-realtime-2025-11-27", "qwen3-tts-vc-2026-01-22"}
)
DESIGN_MODELS = frozenset(
    {"qwen3-tts-vd-realtime-2026-01-15", "qwen3-tts-vd-realtime-2025-12-16", "qwen3-tts-vd-2026-01-26"}
)
SYSTEM_MODELS = frozenset(
    {
        "qwen3-tts-flash-realtime",
        "qwen3-tts-flash-realtime-2025-11-27",
        "qwen3-tts-flash-realtime-2025-09-18",
        "qwen3-tts-instruct-flash-realtime",
        "qwen3-tts-instruct-flash-realtime-2026-01-22",
    }
)
REALTIME_MODELS = frozenset(m for m in CLONE_MODELS | DESIGN_MODELS | SYSTEM_MODELS if "realtime" in m)

#: A few of the vendor's system voices, with shapes of ours.
SYSTEM_VOICES = {
    "Cherry": VoiceShape(pitch_hz=215.0, formant_ratio=1.08),
    "Serena": VoiceShape(pitch_hz=195.0, formant_ratio=1.06),
    "Chelsie": VoiceShape(pitch_hz=225.0, formant_ratio=1.08),
    "Ethan": VoiceShape(pitch_hz=115.0),
}

#: The customization API's two-letter codes; the realtime API has the English names instead.
LANGUAGE_CODES = {
    "zh": "Chinese",
    "en": "English",
    "de": "German",
    "it": "Italian",
    "pt": "Portuguese",
    "es": "Spanish",
    "ja": "Japanese",
    "ko": "Korean",
    "fr": "French",
    "ru": "Russian",
}
