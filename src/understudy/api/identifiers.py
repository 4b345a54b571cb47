"""Ids and links as they cross the wire."""

from __future__ import annotations

import re
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request

from understudy.errors import NotFoundError, ValidationError

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


def parse_uuid(value: str) -> UUID | None:
    """Return the id, or ``None`` for anything but the canonical form (Python's own parser takes more)."""
    return UUID(value) if _UUID.fullmatch(value) else None


def body_uuid(value: str, field: str) -> UUID:
    """Return an id given in a body; :class:`ValidationError` when it is none."""
    found = parse_uuid(value)
    if found is None:
        raise ValidationError(f"{field} must be a UUID.")
    return found


def _path_uuid(value: Annotated[str, Path(alias="id")]) -> UUID:
    found = parse_uuid(value)
    if found is None:
        # Whatever it is, it names nothing: as for an id that does not exist.
        raise NotFoundError
    return found


def absolute(request: Request, url: str) -> str:
    """Return ``url`` with the address the client used, when it is only a path."""
    return f"{str(request.base_url).rstrip('/')}{url}" if url.startswith("/") else url


#: The ``{id}`` of a path.
PathId = Annotated[UUID, Depends(_path_uuid)]
