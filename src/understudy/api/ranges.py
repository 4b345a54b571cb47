"""Byte ranges of a download (RFC 9110 section 14): one range, or the whole."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SINGLE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """``length`` bytes from ``start`` of an object of ``size`` bytes."""

    start: int
    length: int
    size: int

    @property
    def content_range(self) -> str:
        """Value of the ``Content-Range`` header."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{self.size}"


class UnsatisfiableRangeError(Exception):
    """The range lies wholly outside the object."""


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """Return the one range asked for; ``None`` for no range, several, or one this does not understand.

    Raises
    ------
    UnsatisfiableRangeError
        Nothing of the object lies in the range.
    """
    match = _SINGLE.fullmatch(header.strip()) if header else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        wanted = min(int(match[2]), size)
        if wanted == 0:
            raise UnsatisfiableRangeError
        return ByteRange(size - wanted, wanted, size)
    first = int(match[1])
    last = min(int(match[2]), size - 1) if match[2] else size - 1
    if match[2] and int(match[2]) < first:
        return None
    if first >= size:
        raise UnsatisfiableRangeError
    return ByteRange(first, last - first + 1, size)
