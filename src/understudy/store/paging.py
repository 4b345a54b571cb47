"""What listings share."""

from __future__ import annotations


def like_pattern(search: str | None) -> str | None:
    """Return an ``ILIKE`` pattern that finds ``search`` literally, anywhere; ``None`` for no search."""
    if not search:
        return None
    escaped = search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
