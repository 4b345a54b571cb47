"""So many requests a minute for one endpoint, and 429 for the rest of that minute."""

from __future__ import annotations

import math
from dataclasses import dataclass

from understudy.clock import Clock
from understudy.standins.faults import FaultPanel

_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one answer says about the limit in its ``X-RateLimit-`` headers."""

    limit: int
    remaining: int
    reset_s: int
    refused: bool

    def headers(self) -> dict[str, str]:
        """The three headers of every answer."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_s),
        }


class EndpointLimits:
    """Counts requests by endpoint in fixed minutes."""

    def __init__(self, panel: FaultPanel, clock: Clock) -> None:
        self._panel = panel
        self._clock = clock
        self._minutes: dict[str, tuple[float, int]] = {}

    def admit(self, endpoint: str, *, struck: bool = False) -> Allowance:
        """Count one request; ``struck`` refuses it whatever the count."""
        limit, now_s = int(self._panel.number("requests_per_minute")), self._clock.monotonic_s()
        began_s, count = self._minutes.get(endpoint, (now_s, 0))
        if now_s - began_s >= _MINUTE_S:
            began_s, count = now_s, 0
        count += 1
        self._minutes[endpoint] = (began_s, count)
        if struck:
            return Allowance(limit, 0, math.ceil(self._panel.number("throttle_reset_s")), refused=True)
        reset_s = math.ceil(began_s + _MINUTE_S - now_s)
        return Allowance(limit, max(0, limit - count), reset_s, refused=count > limit)
