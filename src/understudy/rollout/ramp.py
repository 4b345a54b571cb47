"""The figure of the ramp on which queued work reaches the known-good provider (decision 0012)."""

from __future__ import annotations

#: The first ones start its containers; until one of them has spoken, the rest would only queue up there.
FIRST = 2
