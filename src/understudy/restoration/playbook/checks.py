"""The checks inside a trigger's part of the policy."""

from __future__ import annotations

from collections.abc import Iterator

from understudy.restoration.triggers.cures import Check, Part


def checks_of(part: Part) -> Iterator[tuple[str, Check]]:
    """Yield the checks of a trigger by name, in their order."""
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, Check):
            yield name, value
