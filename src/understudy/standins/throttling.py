"""Rate limits of the account (facts/dashscope.md section 4): requests a minute and a second, by model."""

from __future__ import annotations

from collections import defaultdict, deque

from understudy.clock import Clock
from understudy.standins.faults import FaultPanel
from understudy.standins.refusals import RefusalError

_MINUTE_S = 60.0


class RateLimiter:
    """Counts what was let through, for each model; the panel's numbers are the limits, 0 is none."""

    def __init__(self, panel: FaultPanel, clock: Clock) -> None:
        self._panel = panel
        self._clock = clock
        self._admitted: defaultdict[str, deque[float]] = defaultdict(deque)

    def admit(self, model: str) -> None:
        """Count one request to ``model``.

        Raises
        ------
        RefusalError
            429: ``Throttling.RateQuota`` past the minute's limit, ``Throttling.BurstRate`` past the second's.
        """
        a_minute, a_second = (self._panel.number(f"requests_per_{unit}") for unit in ("minute", "second"))
        if not a_minute and not a_second:
            self._admitted.clear()
            return
        now_s, times = self._clock.monotonic_s(), self._admitted[model]
        while times and times[0] <= now_s - _MINUTE_S:
            times.popleft()
        if a_minute and len(times) >= a_minute:
            raise rate_quota()
        if a_second and sum(at_s > now_s - 1.0 for at_s in times) >= a_second:
            raise RefusalError(
                "Throttling.BurstRate",
                "Request rate increased too quickly. Scale requests more smoothly over time.",
                wire_status=429,
            )
        times.append(now_s)


def rate_quota() -> RefusalError:
    """The refusal past the requests of a minute."""
    return RefusalError(
        "Throttling.RateQuota",
        "Requests rate limit exceeded, please try again later.",
        wire_status=429,
    )
