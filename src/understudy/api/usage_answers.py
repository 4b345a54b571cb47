"""Answers about usage and budgets."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from understudy.api.answers import Answer


class PaidUsage(Answer):
    """What one operation at one provider came to, of the calls that you pay for."""

    operation: str = Field(description="`speak`, `enroll` or `design`.")
    provider: str
    calls: int
    characters: int = Field(description="As the provider bills them: a Han character counts twice.")
    audio_seconds: float
    cost_microusd: int = Field(description="Millionths of a US dollar, at list price.")


class Budget(Answer):
    """One limit of yours, in the window that runs now."""

    budget: str = Field(examples=["generation-day"])
    unit: Literal["microusd", "creates"]
    limit: int
    used: int = Field(description="Spent, and reserved for what is under way.")
    left: int
    resets_at: datetime


class UsageReport(Answer):
    """Usage of a period, and budgets as they stand now."""

    since: datetime
    until: datetime
    usage: list[PaidUsage]
    cost_microusd: int
    budgets: list[Budget]
