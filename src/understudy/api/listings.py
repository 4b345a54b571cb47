"""Pages of a listing, as every listing answers them."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import Query

from understudy.speech.pages import Page

T = TypeVar("T")

PageNumber = Annotated[int, Query(description="From 1.")]
PerPage = Annotated[int, Query(description="1 to 100.")]
Search = Annotated[str | None, Query(max_length=500)]


def pagination(page: Page[T]) -> dict[str, int]:
    """Return the ``pagination`` object of ``page``."""
    return {"page": page.page, "per_page": page.per_page, "total": page.total, "pages": page.pages}
