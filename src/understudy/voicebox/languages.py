"""Which espeak-ng voice speaks which language, by the English names the providers use."""

from __future__ import annotations

from understudy.errors import ValidationError

AUTO = "Auto"

#: The ten languages of Qwen-TTS (facts/dashscope.md section 2) and the espeak-ng 1.52 voice of each.
ESPEAK_VOICES = {
    "Chinese": "cmn",
    "English": "en-us",
    "German": "de",
    "Italian": "it",
    "Portuguese": "pt-br",
    "Spanish": "es",
    "Japanese": "ja",
    "Korean": "ko",
    "French": "fr",
    "Russian": "ru",
}

#: First and last code point of the scripts that name a language by themselves.
_SCRIPTS = (
    ("Japanese", 0x3040, 0x30FF),
    ("Korean", 0xAC00, 0xD7AF),
    ("Chinese", 0x4E00, 0x9FFF),
    ("Russian", 0x0400, 0x04FF),
)


def resolve_language(language: str, text: str) -> str:
    """Return the language to speak ``text`` in; ``Auto`` is settled by the script, else English.

    Raises
    ------
    ValidationError
        A language that none of the providers speaks.
    """
    if language in ESPEAK_VOICES:
        return language
    if language != AUTO:
        known = ", ".join((AUTO, *ESPEAK_VOICES))
        raise ValidationError(f"Unknown language {language!r}: expected one of {known}.")
    for name, first, last in _SCRIPTS:
        if any(first <= ord(character) <= last for character in text):
            return name
    return "English"
