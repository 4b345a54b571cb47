"""Text as it may enter: encodable, without NUL."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator


def clean(value: str) -> str:
    """Return ``value``; ``ValueError`` for what Postgres cannot store (NUL) or UTF-8 cannot write."""
    if "\x00" in value:
        raise ValueError("Text must not contain NUL characters.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("Text must be valid Unicode.") from None
    return value


def clean_tree(value: Any) -> Any:
    """Return a JSON value in which every string and key is clean; ``ValueError`` otherwise."""
    if isinstance(value, str):
        clean(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            clean_tree(key)
            clean_tree(item)
    elif isinstance(value, list):
        for item in value:
            clean_tree(item)
    return value


Text = Annotated[str, AfterValidator(clean)]
