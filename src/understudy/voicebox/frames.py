"""The wire between client and worker process: a JSON header and a body, each with its length."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the engine's own process reads without it
    import asyncio

#: Header length and body length, big-endian.
_LENGTHS = struct.Struct(">II")
#: More than the longest reference or segment; a larger number means that the stream is out of step.
MAX_BODY_BYTES = 64 * 1024 * 1024

Frame = tuple[dict[str, Any], bytes]


def pack_frame(header: dict[str, Any], body: bytes = b"") -> bytes:
    """One frame as bytes."""
    encoded = json.dumps(header, separators=(",", ":")).encode()
    return _LENGTHS.pack(len(encoded), len(body)) + encoded + body


def take_frame(buffer: bytearray) -> Frame | None:
    """Remove the first frame from ``buffer`` and return it; ``None`` while it is not all there.

    Raises
    ------
    ValueError
        The bytes are no frame: the stream is out of step.
    """
    if len(buffer) < _LENGTHS.size:
        return None
    header_bytes, body_bytes = _checked(bytes(buffer[: _LENGTHS.size]))
    body_start = _LENGTHS.size + header_bytes
    if len(buffer) < body_start + body_bytes:
        return None
    header = json.loads(buffer[_LENGTHS.size : body_start])
    body = bytes(buffer[body_start : body_start + body_bytes])
    del buffer[: body_start + body_bytes]
    return header, body


async def receive_frame(stream: asyncio.StreamReader) -> Frame | None:
    """Read one frame; ``None`` at the end of the stream."""
    try:
        header_bytes, body_bytes = _checked(await stream.readexactly(_LENGTHS.size))
        header = json.loads(await stream.readexactly(header_bytes))
        return header, await stream.readexactly(body_bytes)
    except EOFError:  # asyncio's IncompleteReadError
        return None


def _checked(lengths: bytes) -> tuple[int, int]:
    header_bytes, body_bytes = _LENGTHS.unpack(lengths)
    if max(header_bytes, body_bytes) > MAX_BODY_BYTES:
        raise ValueError("The stream between voicebox and worker is out of step.")
    return int(header_bytes), int(body_bytes)
