"""Models of what persons do beside incidents: cutover, backups, drills, playbook, restorations, audit."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from understudy.restoration.guard.contract.incidents import PlannedStep
from understudy.restoration.guard.contract.shared import Answer, Document
from understudy.restoration.guard.contract.status import ModeInForce, VerdictName
from understudy.restoration.triggers.cures import ActionName


class CutoverPlan(Answer):
    """The newest cutover. Times are UTC."""

    seq: int
    candidate: str
    percent: int
    stage: int
    state: Literal["running", "paused", "finishing", "complete", "returned", "superseded"]
    epoch: int
    stage_epoch: int
    owner: str
    plan: Document
    plan_sha256: str
    actor: str
    reason: str
    incident: str | None
    started_at: datetime
    stage_started_at: datetime
    watched_until: datetime
    membership: int
    changed_at: datetime
    watch_left_s: float = Field(description="How long it stays in force if nobody looks again.")
    stage_age_s: float


class CutoverStage(Answer):
    """A stage: the share, how long it is held, and what its sample must rule out."""

    percent: int
    hold_s: float
    exclude_percent: float
    clean_calls: int


class SideTotals(Answer):
    """What one side of a stage did."""

    total: int
    failed: int
    latency_ms: float | None
    first_audio_calls: int
    first_audio_ms: float | None
    characters: int
    cost_microusd: int
    asked: int = Field(description="Admissions asked for.")
    refused: int = Field(description="Those refused because of the mode or a voice's coverage.")


class Guardrail(Answer):
    """FAIL brings everybody back."""

    name: str
    verdict: VerdictName
    detail: str


class Judgement(Answer):
    """What is known of the stage."""

    at: datetime
    epoch: int
    stage: int
    percent: int
    candidate: SideTotals
    control: SideTotals | None
    needed: int
    hidden_percent: float
    hold_left_s: float
    guardrails: list[Guardrail]
    waiting: list[str]
    left_behind: int
    failing: list[str]


class Stayer(Answer):
    """A tenant of the share that stays."""

    user_id: str
    voices: int


class Move(Answer):
    """One move away from the known-good provider."""

    at: datetime
    what: str
    actor: str
    forgiven: bool


class MovesFrozen(Answer):
    """Nobody moves away until a person thaws it."""

    at: datetime
    why: str


class Thaw(Answer):
    """Who let moves be made again."""

    at: datetime
    actor: str
    reason: str


class Moves(Answer):
    """Moves away on record."""

    moves: list[Move]
    frozen: MovesFrozen | None
    thaws: list[Thaw]
    counted_epoch: int | None
    next_at: datetime | None


class StabilizationClock(Answer):
    """When the candidate began to serve everybody."""

    candidate: str
    at: datetime
    mode_epoch: int
    cutover: int
    owner: str
    plan_sha256: str


class CutoverChange(Answer):
    """One entry of the cutovers' history."""

    epoch: int
    seq: int
    candidate: str
    percent: int
    stage: int
    state: str
    stage_epoch: int
    owner: str
    plan_sha256: str
    actor: str
    reason: str
    incident: str | None
    evidence: Document
    changed_at: datetime


class CutoverMay(Answer):
    """Of each order why it would be refused now, in a sentence; null where it may be given."""

    next: str | None = Field(description="Null also where `judgement.left_behind` wants `leave_behind`.")
    pause: str | None
    resume: str | None
    return_: str | None = Field(alias="return", description="Never refused while a cutover is on.")


class CutoverStatus(Answer):
    """What `understudy cutover status --json` says."""

    environment: str
    cutover: CutoverPlan | None
    stages: list[CutoverStage]
    in_force: bool
    mode: ModeInForce | None
    judgement: Judgement | None
    stays: list[Stayer]
    moves: Moves
    stabilization: StabilizationClock | None
    history: list[CutoverChange]
    may: CutoverMay


class CutoverMoved(CutoverStatus):
    """The cutover after an order, and the processes on which it is not in force yet."""

    not_in_force_on: list[str]


class CutoverReturned(Answer):
    """Whether there was a cutover to end, and the mode that serves everybody now."""

    returned: bool
    mode: str | None
    epoch: int | None


class Why(Answer):
    """Why; it is kept, and signed with the label of the key."""

    reason: str = Field(min_length=1, max_length=500)


class MaySayWhy(Answer):
    """Why, where somebody cares to say."""

    reason: str | None = Field(default=None, min_length=1, max_length=500)


class CutoverOrder(Why):
    """Why, and for the last stage why tenants may be left behind."""

    leave_behind: str | None = None


class KnownGoodRow(Answer):
    """One known-good record, in short."""

    seq: int
    at: datetime
    actor: str
    reason: str
    environment: str | None
    environment_sha256: str | None = Field(description="Of the environment's names and values, as recorded.")
    revision: str | None
    tag: str | None
    changed: bool
    release: str | None
    migrations_head: str | None
    mode: str | None
    region: str | None = Field(description="Of Qwen.")
    qwen_key_fingerprint: str | None


class KnownGood(Answer):
    """Known-good records, newest first: a restoration returns to that one."""

    known_good: list[KnownGoodRow]


class Backup(Answer):
    """One backup."""

    id: str
    created_at: datetime
    size_bytes: int | None
    verified_at: datetime | None
    problem: str | None


class Backups(Answer):
    """Backups, newest first."""

    backups: list[Backup]
    alarm: str | None
    supported: bool


class Job(Answer):
    """Something that takes longer than a request."""

    id: str
    kind: Literal["backup", "verify", "drill", "simulation"]
    subject: str | None = Field(description="What it is about: a backup's id, a scenario, a policy.")
    state: Literal["running", "done", "failed", "stopped"]
    said: list[str] = Field(description="Its newest lines.")
    result: Any | None
    error: str | None
    asked_by: str
    reason: str
    started_at: datetime
    ended_at: datetime | None


class JobStarted(Answer):
    """The job that was begun, or the one that does the same already."""

    job: Job


class Jobs(Answer):
    """Jobs, newest first."""

    jobs: list[Job]


class Scenario(Answer):
    """What can be drilled."""

    scenario: str
    title: str
    cures: list[str]


class DrillRow(Answer):
    """One run of one scenario; times in seconds from the fault."""

    at: datetime
    scenario: str
    environment: str
    detected: bool
    cure: str | None
    verified: bool
    closed: bool
    wrong_actions: int
    repeated_side_effects: int
    detect_s: float | None
    decide_s: float | None
    mitigate_s: float | None
    verify_s: float | None
    close_s: float | None
    report: str | None
    problem: str | None
    passed: bool


class Drills(Answer):
    """Scenarios, and what earlier drills have shown."""

    scenarios: list[Scenario]
    history: list[DrillRow]
    may_run: bool
    why_not: str | None
    running: Job | None


class DrillOrder(MaySayWhy):
    """What to drill."""

    scenario: str


class DrillReport(Answer):
    """The report of the incident that a drill caused."""

    markdown: str


class PlaybookPage(Answer):
    """The page that `understudy playbook show` prints."""

    markdown: str


class SimulationRow(Answer):
    """One rule at one level of traffic in one condition."""

    rule: Literal["literal", "guarded"]
    calls_per_minute: int
    condition: str
    false_trips_per_day: float | None
    detect_p50_s: float | None
    detect_p95_s: float | None
    false_trips_per_day_upper: float | None
    days: float | None
    runs: int
    missed: int


class Simulation(Answer):
    """The live rules over synthetic traffic."""

    state: Literal["ready", "running", "none", "failed"]
    rows: list[SimulationRow]
    policy_digest: str = Field(description="Of the policy in force; the rows are its own.")
    at: datetime | None
    job: Job | None = Field(description="The simulation that runs.")
    error: str | None


class AuditEntry(Answer):
    """Something that a person, or the machine on a person's order, did."""

    at: datetime
    actor: str
    what: str
    reason: str
    incident: str | None
    source: Literal["journal", "mode", "freeze", "keys", "cutover", "job"]
    detail: Document


class Audit(Answer):
    """What was done, newest first."""

    entries: list[AuditEntry]
    next_offset: int | None
    partial: bool = Field(description="The product's database is away: only the guard's own records.")


class ProbeOrder(Answer):
    """What to look at."""

    action: ActionName
    incident: str | None = Field(default=None, description="That it belongs to.")
    backup: str | None = Field(default=None, description="Of a database restore.")


class RestorationOrder(ProbeOrder, Why):
    """A rung of the ladder, asked for by a person."""


class RestorationBegun(Answer):
    """The incident that the restoration runs in."""

    incident: str
    already: bool = Field(description="The same is under way or waits there; nothing new was asked.")


class RestorationPlan(Answer):
    """What an action would do, without asking anybody or anything."""

    environment: str
    target: str
    action: str
    rung: int
    title: str
    rollback_type: str
    approvals: int
    time_box_s: float
    steps: list[PlannedStep]
    plan_sha256: str | None
    by_hand: list[str]


class ProbedStep(Answer):
    """What a read-only look at one step found."""

    step: str
    state: Literal["done", "to do", "pending", "failed"]
    detail: str
    evidence: Document


class RestorationProbe(Answer):
    """Whether an action could begin now."""

    action: str
    ok: bool
    steps: list[ProbedStep]


class Thawed(Answer):
    """Whether they were FROZEN; moves are counted anew in any case."""

    thawed: bool
