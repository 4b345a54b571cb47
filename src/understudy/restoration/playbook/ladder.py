"""The ladder's rungs: what the engine performs by itself, with the time box of each step."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from understudy.restoration.triggers.cures import Part, Words

PositiveSeconds = Annotated[float, Field(gt=0, le=86400)]
#: Evidence is captured before acting, and must not hold the restoration up (design.md, Incidents).
EvidenceSeconds = Annotated[float, Field(gt=0, le=10)]


class CloseValveSteps(Part):
    """Time boxes of closing a valve, in seconds."""

    evidence: EvidenceSeconds
    """Capture what is seen."""
    close_valve: PositiveSeconds
    """Close it in the database."""
    read_back: PositiveSeconds
    """See that every process refuses."""


class EnvSwitchSteps(Part):
    """Time boxes of the env switch's steps, in seconds."""

    evidence: EvidenceSeconds
    """Capture what is seen."""
    precheck: PositiveSeconds
    """See that the side moved to answers."""
    live_override: PositiveSeconds
    """Write the live mode."""
    durable_env: PositiveSeconds
    """Write the environment for the next start."""
    redeploy: PositiveSeconds
    """Start every process anew."""
    read_back: PositiveSeconds
    """See that every process serves it."""
    verification: PositiveSeconds
    """Run the checklist."""


class CloseValveRung(Part):
    """Rung 0: stop what costs money."""

    rung: Literal[0]
    """Place on the ladder."""
    action: Literal["close_valve"]
    """The action it performs."""
    title: Words
    """Its name in reports."""
    rollback_type: None
    """It rolls nothing back."""
    approvals: Literal[0]
    """Persons who must agree; it needs none."""
    time_box_s: PositiveSeconds
    """Seconds the whole rung may take."""
    steps: CloseValveSteps
    """Seconds each step may take."""


class EnvSwitchRung(Part):
    """Rung 1: return to the known-good provider."""

    rung: Literal[1]
    """Place on the ladder."""
    action: Literal["env_switch"]
    """The action it performs."""
    title: Words
    """Its name in reports."""
    rollback_type: Literal["env switch"]
    """What the incident report calls it."""
    approvals: Literal[0]
    """Persons who must agree; it only moves towards known-good and needs none."""
    time_box_s: PositiveSeconds
    """Seconds the whole rung may take."""
    steps: EnvSwitchSteps
    """Seconds each step may take."""


Rung = Annotated[CloseValveRung | EnvSwitchRung, Field(discriminator="action")]
