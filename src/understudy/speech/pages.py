"""Pages of a listing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from understudy.errors import ValidationError

T = TypeVar("T")

MAX_PER_PAGE = 100
#: Deeper than any client pages; keeps the offset within what Postgres counts.
MAX_PAGE = 1_000_000


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page; ``total`` counts all items of the listing."""

    items: Sequence[T]
    page: int
    per_page: int
    total: int

    @property
    def pages(self) -> int:
        """Number of pages."""
        return -(-self.total // self.per_page)


def check_page(page: int, per_page: int) -> None:
    """Raise :class:`ValidationError` unless the page can exist."""
    if not 1 <= page <= MAX_PAGE:
        raise ValidationError("page must be 1 or more.")
    if not 1 <= per_page <= MAX_PER_PAGE:
        raise ValidationError(f"per_page must be between 1 and {MAX_PER_PAGE}.")
