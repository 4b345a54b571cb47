"""Request bodies that carry recordings: sent in pieces, so that one upload never holds up the loop."""

from __future__ import annotations

import io
import json
from typing import Any, TypedDict


class JsonBody(TypedDict):
    """What aiohttp is given for a JSON body."""

    data: io.BytesIO
    headers: dict[str, str]


def json_body(value: Any, headers: dict[str, str] | None = None) -> JsonBody:
    """JSON of ``value`` as a stream; aiohttp writes ``json=`` of over 1 MB in one go and warns."""
    return {
        "data": io.BytesIO(json.dumps(value).encode()),
        "headers": {"Content-Type": "application/json", **(headers or {})},
    }
