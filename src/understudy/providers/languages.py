"""The one table of languages: names as tenants and realtime sessions use them, codes as customization does.

==============  =======================================  ==================================================
operation       what travels                             ``Auto``
==============  =======================================  ==================================================
speak           English name (``language_type``)         sent as it is
clone           code (``language``, optional)            left out: the recording tells
design          code (``language``, default Chinese)     told by the script of the preview's text, because
                                                         leaving it out would mean Chinese
==============  =======================================  ==================================================

(facts/dashscope.md sections 2, 5 and 6.)
"""

from __future__ import annotations

import unicodedata

#: English name -> two-letter code.
QWEN_LANGUAGE_CODES = {
    "Chinese": "zh",
    "English": "en",
    "German": "de",
    "Italian": "it",
    "Portuguese": "pt",
    "Spanish": "es",
    "Japanese": "ja",
    "Korean": "ko",
    "French": "fr",
    "Russian": "ru",
}

AUTO = "Auto"
QWEN_LANGUAGES = (AUTO, *QWEN_LANGUAGE_CODES)
#: The language of a text that no script tells apart.
DEFAULT_LANGUAGE = "English"

#: First words of a letter's Unicode name, the more telling first: Japanese is written with Han letters too.
_SCRIPTS = (
    (("HIRAGANA", "KATAKANA"), "Japanese"),
    (("HANGUL",), "Korean"),
    (("CJK",), "Chinese"),
    (("CYRILLIC",), "Russian"),
)


def realtime_name(language: str) -> str:
    """What a realtime session takes for ``language``: its English name, or ``Auto``."""
    return language if language in QWEN_LANGUAGE_CODES else AUTO


def customization_code(language: str, *, text: str | None = None) -> str | None:
    """What a create takes for ``language``.

    Parameters
    ----------
    text
        Decides for ``Auto`` where leaving the language out would mean another; ``None`` leaves it out.
    """
    if language in QWEN_LANGUAGE_CODES or text is None:
        return QWEN_LANGUAGE_CODES.get(language)
    return QWEN_LANGUAGE_CODES[language_of_script(text)]


def language_of_script(text: str) -> str:
    """The language that the script of ``text`` stands for; :data:`DEFAULT_LANGUAGE` for Latin letters."""
    written = {unicodedata.name(letter, "").partition(" ")[0].partition("-")[0] for letter in text}
    for scripts, language in _SCRIPTS:
        if written.intersection(scripts):
            return language
    return DEFAULT_LANGUAGE
