"""Rate limits: a minute's and a second's, each by model."""

from __future__ import annotations

import pytest

from tests.clocks import HandClock
from understudy.standins.faults import DASHSCOPE_FAULTS, DASHSCOPE_NUMBERS, FaultPanel
from understudy.standins.refusals import RefusalError
from understudy.standins.throttling import RateLimiter

pytestmark = pytest.mark.unit


class Limited:
    """A limiter with its panel and clock."""

    def __init__(self, **limits: float) -> None:
        self.clock = HandClock()
        self.panel = FaultPanel(DASHSCOPE_FAULTS, 1, DASHSCOPE_NUMBERS)
        self.panel.change(limits)
        self.limiter = RateLimiter(self.panel, self.clock)

    def codes(self, count: int, *, apart_s: float = 0.0, model: str = "m") -> list[str]:
        """The code of each of ``count`` requests; nothing where it is let through."""
        found = []
        for _ in range(count):
            try:
                self.limiter.admit(model)
            except RefusalError as refusal:
                found.append(refusal.wire_code if refusal.wire_status == 429 else "not a 429")
            else:
                found.append("")
            self.clock.advance(apart_s)
        return found


def test_without_limits_everything_passes() -> None:
    assert set(Limited().codes(1000)) == {""}


def test_the_documented_180_a_minute() -> None:
    limited = Limited(requests_per_minute=180)
    assert limited.codes(181, apart_s=0.1) == [""] * 180 + ["Throttling.RateQuota"]
    assert limited.codes(1, model="other") == [""]
    limited.clock.advance(60)
    assert limited.codes(1) == [""]


def test_a_ramp_is_refused_below_the_minutes_limit() -> None:
    limited = Limited(requests_per_minute=180, requests_per_second=3)
    assert limited.codes(5) == ["", "", "", "Throttling.BurstRate", "Throttling.BurstRate"]
    limited.clock.advance(1.0)
    assert limited.codes(1) == [""]
    assert set(limited.codes(20, apart_s=0.5)) == {""}


def test_what_was_refused_does_not_count() -> None:
    limited = Limited(requests_per_minute=2)
    assert limited.codes(2, apart_s=30) == ["", ""]
    limited.clock.advance(0.5)
    assert limited.codes(5, apart_s=0.01)[0] == ""


def test_a_limit_that_is_turned_off_forgets() -> None:
    limited = Limited(requests_per_minute=1)
    assert limited.codes(2) == ["", "Throttling.RateQuota"]
    limited.panel.change({"requests_per_minute": 0})
    assert limited.codes(3) == [""] * 3
    limited.panel.change({"requests_per_minute": 1})
    assert limited.codes(2) == ["", "Throttling.RateQuota"]
