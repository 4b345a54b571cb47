"""What tenants write: names, texts, descriptions."""

from __future__ import annotations

from understudy.errors import ValidationError


def required(value: str | None, field: str, *, max_chars: int | None = None) -> str:
    """Return ``value`` unchanged when it holds something, within ``max_chars`` Unicode code points.

    Raises
    ------
    ValidationError
        Empty, too long, or not storable text (a NUL or half a surrogate pair).
    """
    if not value or not value.strip():
        raise ValidationError(f"{field} is required.")
    if max_chars is not None and len(value) > max_chars:
        raise ValidationError(f"{field} cannot exceed {max_chars} characters")
    return storable(value, field)


def optional(value: str | None, field: str) -> str | None:
    """Return ``value``, or ``None`` when it holds nothing."""
    return storable(value, field) if value and value.strip() else None


def storable(value: str, field: str) -> str:
    """Return ``value``; refuse what is not text to Postgres: a NUL, or half a surrogate pair."""
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValidationError(f"{field} holds a character that is not text.")
    return value
