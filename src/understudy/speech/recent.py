"""Recordings used lately, so that a voice that speaks often is not read and hashed each time."""

from __future__ import annotations

from collections import OrderedDict

#: About nine recordings of 18 s, or 170 of one second.
KEPT_BYTES = 8 * 1024 * 1024


class RecentRecordings:
    """Recordings by digest, bounded in bytes; the one unused for longest goes first.

    What a digest names never changes, so nothing here can be stale.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._bytes = 0
        self._recordings: OrderedDict[str, bytes] = OrderedDict()

    def get(self, sha256: str) -> bytes | None:
        """Return the recording with this digest, if it is here."""
        audio = self._recordings.get(sha256)
        if audio is not None:
            self._recordings.move_to_end(sha256)
        return audio

    def keep(self, sha256: str, audio: bytes) -> None:
        """Keep a recording whose digest was checked; one too large for the whole is not kept."""
        if len(audio) > self._kept_bytes or sha256 in self._recordings:
            return
        self._recordings[sha256] = audio
        self._bytes += len(audio)
        while self._bytes > self._kept_bytes:
            _, oldest = self._recordings.popitem(last=False)
            self._bytes -= len(oldest)
