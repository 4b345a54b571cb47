"""The policy's part about going forward again: stages, guardrails, limits for moves away."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from understudy.restoration.triggers.cures import Part


class CutoverStage(Part):
    """One stage: a share of tenants, held until its sample could show a failure."""

    percent: int = Field(ge=1, le=100)
    """Tenants that the candidate serves, in percent, by a stable hash of their ids."""
    hold_s: float = Field(ge=0, le=1_209_600)
    """Seconds the stage is held at least."""
    exclude_percent: float = Field(gt=0, le=50)
    """The sample must rule out that so many of the candidate's calls fail, or more, in percent."""


class CutoverGuardrails(Part):
    """What brings everybody back at once, beside every trigger's FAIL on the candidate."""

    alpha: float = Field(gt=0, le=0.05)
    """Chance that two equal sides differ as much as these do; below it the candidate is worse."""
    minimum_calls: int = Field(ge=1, le=10_000)
    """Calls of either side before means are compared; the control needs so many before a next stage."""
    latency_ratio: float = Field(gt=1, le=100)
    """Mean latency of the candidate, at most so many times that of the tenants who stayed."""
    first_audio_ratio: float = Field(gt=1, le=100)
    """The same of the time to first audio, where both sides stream."""
    first_audio_ms: int = Field(ge=1, le=120_000)
    """Mean milliseconds to first audio that are never exceeded, whoever is compared with."""
    refused_percent: float = Field(gt=0, le=100)
    """Requests refused with 409 because of the mode or a voice's coverage, at most so many percent ..."""
    refused_count: int = Field(ge=1, le=100_000)
    """... and fewer than so many are never judged."""
    microusd_per_1000_characters: int = Field(ge=1)
    """What 1000 characters may cost at the candidate, in millionths of a dollar."""


class CutoverPreflight(Part):
    """What must be so before a cutover starts."""

    drilled_within_days: int = Field(ge=1, le=365)
    """A drill of a restoration must have passed in so many days."""
    used_within_days: int = Field(ge=1, le=365)
    """A tenant joins when every voice it used in so many days speaks at the candidate."""
    phrases_at_most: int = Field(ge=1, le=1000)
    """Clean phrases that the probe of the last incident's class speaks at most."""


class CutoverLimits(Part):
    """Moves away from known-good: by people and by cutovers. A move towards it is never refused."""

    spacing_s: float = Field(ge=0, le=604_800)
    """Seconds between two of them."""
    moves: int = Field(ge=1, le=100)
    """So many in `period_s`; one more and they are FROZEN until a person thaws them with a reason."""
    period_s: float = Field(gt=0, le=2_592_000)
    """Seconds in which they are counted."""


class Cutover(Part):
    """Forward again, in stages; backward is never staged."""

    advance: Literal["auto", "person"]
    """Who goes to the next stage once its conditions hold: the guard, or `understudy cutover next`."""
    confidence_percent: float = Field(ge=50, le=99.99)
    """How sure a stage's sample must be, in percent."""
    watched_s: float = Field(ge=5, le=3600)
    """Where no guard has seen anything for so many seconds, the mode serves everybody again by itself."""
    stages: list[CutoverStage] = Field(min_length=2, max_length=20)
    """Stages, each larger than the one before; the last is everybody."""
    guardrails: CutoverGuardrails
    """What brings everybody back."""
    preflight: CutoverPreflight
    """What must be so before it starts."""
    limits: CutoverLimits
    """How often anybody may move away from known-good."""

    @model_validator(mode="after")
    def _stages_rise_to_everybody(self) -> Self:
        percents = [stage.percent for stage in self.stages]
        if percents != sorted(set(percents)):
            raise ValueError(f"stages: percents must rise, each once; found {percents}")
        if percents[-1] != 100:
            raise ValueError(f"stages: the last must be 100 percent; found {percents[-1]}")
        return self

    @property
    def error(self) -> float:
        """Chance that a stage goes on although as many calls fail as it must rule out."""
        return 1.0 - self.confidence_percent / 100.0
