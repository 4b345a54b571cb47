"""Models of incidents: journal, times, what waits for approval, and what the console shows of them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from understudy.restoration.guard.contract.shared import Answer, Document

State = Literal["OPEN", "RESTORING", "MITIGATED", "RECOVERED", "CLOSED", "HOLD", "FROZEN", "ABORTED"]


class JournalEntry(Answer):
    """One entry of the hash-chained journal."""

    seq: int
    at: datetime
    incident: str = Field(description="Empty where it is about the guard itself.")
    kind: str
    step: str | None
    actor: str
    lease_epoch: int | None
    body: Document
    prev_hash: str
    hash: str


class StandingOrder(Answer):
    """What a person ordered, while it stops automation."""

    kind: Literal["abort", "hold"]
    by: str
    reason: str


class PlannedStep(Answer):
    """One step of an action, and what it would do."""

    step: str
    changes: bool
    time_box_s: float
    plan: Document


class Plan(Answer):
    """A plan that persons agree to, by its digest."""

    action: str
    title: str
    plan_sha256: str
    approvals: int = Field(description="Distinct persons that must agree.")
    approved_by: list[str]
    break_glass: bool
    requested_by: str
    expires_at: datetime
    begun: bool
    open: bool
    plan: list[PlannedStep]


class Times(Answer):
    """When each thing happened; null is not yet, and is never guessed."""

    onset: datetime | None
    detected: datetime | None
    decided: datetime | None
    acted: datetime | None
    mitigated: datetime | None
    verified: datetime | None
    recovered: datetime | None
    closed: datetime | None


class Cure(Answer):
    """An action that was begun."""

    action: str
    title: str


class Incident(Answer):
    """An incident as it stands."""

    id: str
    environment: str
    state: State
    title: str
    opened_at: datetime
    updated_at: datetime
    acknowledged_by: list[str]
    instruction: str | None = Field(description="What a person was last told to do.")
    plans: list[Plan]
    cures: list[Cure] = Field(description="Actions that were begun, each once, in order.")
    order: StandingOrder | None
    times: Times


class IncidentDetail(Incident):
    """One incident with its journal."""

    journal: list[JournalEntry]


class IncidentPage(Answer):
    """Incidents, newest first."""

    incidents: list[Incident]
    next_offset: int | None


LineState = Literal["running", "done", "failed", "waiting", "told", "to come"]


class TimelineLine(Answer):
    """One line of an incident's story."""

    seq: int | None = Field(description="Number of the journal entry; null for a step that is to come.")
    at: datetime | None
    kind: str
    word: str = Field(description="A word or two: the state moved to, `done`, `PAGE`.")
    text: str
    state: LineState
    step: str | None
    action: str | None
    actor: str | None
    took_ms: int | None
    more: str = Field(description="What it rests on, in short.")
    evidence: Document | None = Field(description="What the journal holds behind the line.")
    evidence_sha256: str | None = Field(description="Of a step's evidence, as the journal has it.")
    hash: str | None = Field(description="Of the journal entry.")


class Timeline(Answer):
    """The journal as sentences, then the steps of the plan that are still to come."""

    incident: str
    state: State
    onset: datetime | None
    lines: list[TimelineLine]


class ChecklistRow(Answer):
    """One sentence of the playbook's post-rollback checklist."""

    key: str
    text: str
    state: Literal["green", "red", "pending", "not_applicable"]
    detail: str
    evidence: Document


class Checklist(Answer):
    """The post-rollback checklist, as far as it is proven."""

    incident: str
    rows: list[ChecklistRow]
    done: int
    of: int


class Reason(Answer):
    """Why; it goes into journal and report."""

    reason: str = Field(min_length=1, max_length=4000)


class Note(Answer):
    """What a person knows."""

    text: str = Field(min_length=1, max_length=4000)


class Approval(Answer):
    """Agreement to one plan."""

    plan: str = Field(description="The plan's SHA-256, or its first 12 digits or more.")
    reason: str = ""
    break_glass: bool = False
