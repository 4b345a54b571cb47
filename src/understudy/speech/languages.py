"""Languages a tenant may name: by English name, by code, or ``Auto``."""

from __future__ import annotations

from understudy.errors import ValidationError
from understudy.providers.languages import AUTO, QWEN_LANGUAGE_CODES, QWEN_LANGUAGES

NAMES: tuple[str, ...] = QWEN_LANGUAGES
CODES: dict[str, str] = {code: name for name, code in QWEN_LANGUAGE_CODES.items()}
DEFAULT = AUTO

_BY_FOLDED_NAME = {name.casefold(): name for name in NAMES}


def normalise(language: str | None) -> str:
    """Return the English name that ``language`` means (``en``, ``en-US`` and ``english`` are ``English``).

    Raises
    ------
    ValidationError
        Not a language that can be spoken; the message lists those that can.
    """
    folded = (language or "").strip().casefold()
    if not folded:
        return DEFAULT
    name = _BY_FOLDED_NAME.get(folded) or CODES.get(folded.replace("_", "-").split("-")[0])
    if name is None:
        raise ValidationError(f"Language must be one of {', '.join(NAMES)}.")
    return name
