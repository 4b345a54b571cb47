"""Models of the charts."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from understudy.restoration.guard.contract.shared import Answer
from understudy.restoration.guard.contract.status import Detectable, VerdictName


class Slo(Answer):
    """What the success rate is held against."""

    success_rate: float = Field(description="0.99 for 99 %.")
    window_s: int
    windows: int = Field(description="Windows in a row that must be below.")
    minimum_calls: int


class Point(Answer):
    """Users' calls that ended within one bucket."""

    at: datetime = Field(description="Start of the bucket.")
    calls: int
    failed: int
    success_rate: float | None
    transport: int
    protocol: int
    provider: int
    other: int
    latency_p50_ms: int | None = Field(
        description="Of successful calls; null where there were none, or too many newer ones to rank."
    )
    latency_p95_ms: int | None
    first_audio_p50_ms: int | None
    first_audio_p95_ms: int | None
    cost_microusd: int


class ChartLane(Answer):
    """One provider's calls; a bucket without calls is left out."""

    provider: str
    points: list[Point]


class JudgedWindow(Answer):
    """A window as the trigger judged it; of each bucket, by the window's end, the gravest."""

    from_: datetime = Field(alias="from")
    until: datetime
    provider: str
    verdict: VerdictName
    calls: int
    failed: int
    success_rate: float | None


class Mark(Answer):
    """Something that happened, to be drawn across the charts."""

    at: datetime
    kind: Literal["mode", "incident", "state", "deploy"]
    text: str


class Charts(Answer):
    """What the charts draw."""

    now: datetime
    source: Literal["FRESH", "STALE"]
    as_of: datetime | None = Field(description="When the calls were read; null before the first reading.")
    operation: str = Field(description="What is counted and timed; money is that of every operation.")
    bucket_s: int
    slo: Slo
    lanes: list[ChartLane]
    windows: list[JudgedWindow]
    marks: list[Mark]
    detectable: Detectable | None
    cost_microusd_per_hour: int | None = Field(description="What was spent in the last 60 minutes.")
