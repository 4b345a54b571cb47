"""Models of what the guard knows now."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from understudy.restoration.guard.contract.incidents import Incident, State
from understudy.restoration.guard.contract.shared import Answer, Document

VerdictName = Literal["FAIL", "BLIND", "INCONCLUSIVE", "NO_DATA", "PASS"]
ActsAs = Literal["shadow", "pause", "auto"]


class Window(Answer):
    """Users' calls of one window; canaries beside them."""

    start: datetime
    end: datetime
    total: int
    failed: int
    by_class: dict[str, int]
    synthetic_total: int
    synthetic_failed: int


class Finding(Answer):
    """A verdict with everything it rests on."""

    trigger: str
    check: str
    verdict: VerdictName
    mode: ActsAs
    cures: list[str]
    provider: str | None
    mode_epoch: int | None
    subject: str
    evaluated_at: datetime
    n: int
    failures: int
    bounds: dict[str, float]
    window_s: int | None
    detail: str
    first_bad_at: datetime | None
    evidence: Document
    windows: list[Window]


class FamilyCheck(Answer):
    """One check of a family."""

    check: str
    subject: str
    verdict: VerdictName
    mode: ActsAs
    detail: str


class Family(Answer):
    """One condition of the playbook, by its worst verdict."""

    trigger: str
    sentence: str | None
    verdict: VerdictName | None
    detail: str
    checks: list[FamilyCheck]


class Findings(Answer):
    """The last look."""

    findings: list[Finding]
    families: list[Family]


class Lease(Answer):
    """Who leads."""

    holder: str
    epoch: int
    expires_at: datetime


class GuardState(Answer):
    """The guard itself."""

    holder: str
    leads: bool
    lease: Lease | None
    store: str
    cycles: int
    cycle_ms: float
    cycle_age_s: float | None


class PolicyInForce(Answer):
    """Which policy is in force."""

    file: str
    digest: str
    changed: str | None = Field(description="How the file differs from what was read, or null.")


class KnownGoodReference(Answer):
    """The newest known-good record."""

    seq: int
    at: datetime
    actor: str


class Mode(Answer):
    """The live mode row."""

    value: str
    epoch: int
    actor: str
    reason: str
    incident: str | None
    env_value: str
    changed_at: datetime


class Process(Answer):
    """A live process and the mode that it holds."""

    instance: str
    kind: str
    pid: int
    host: str
    mode_value: str | None
    mode_epoch: int | None
    mode_state: str | None
    env_value: str | None
    started_at: datetime
    seen_at: datetime
    known_good_ok: bool | None
    revision: str | None
    cutover_epoch: int | None
    lagging: bool = Field(description="The row's epoch is not in force there yet.")
    drifting: bool = Field(description="It holds another mode than its environment says.")


class Source(Answer):
    """When a part of the signals was read, and why it cannot be believed."""

    at: datetime
    blind: str | None


class Sources(Answer):
    """The parts of the signals."""

    calls: Source
    playback: Source
    cost: Source
    integrity: Source
    security: Source


class ProbeHeard(Answer):
    """One canary utterance."""

    at: datetime
    ok: bool
    provider: str
    latency_ms: int
    first_audio_ms: int | None
    code: str | None
    detail: str


class Probes(Answer):
    """What canaries heard, newest first."""

    active: list[ProbeHeard]
    standby: list[ProbeHeard]
    spent_microusd: int
    paused: str | None


class Recovery(Answer):
    """How far the monitoring is clean by the closing rule."""

    recovered: bool
    waiting_for: list[str]
    n: int
    failures: int
    successes: dict[str, int]
    overdue: bool
    windows: list[Window]


class Drift(Answer):
    """Whether durable environment and live row disagree."""

    variable: str
    env_value: str | None
    row_value: str | None
    drifting: bool
    detail: str | None


class Channel(Answer):
    """One channel that the guard tells."""

    channel: str
    waiting: int
    delivered: int
    attempts: int
    failing_since: datetime | None
    next_attempt_at: datetime | None
    last_error: str | None
    last_delivered_at: datetime | None


class DeadLetter(Answer):
    """A notification that was given up."""

    channel: str
    seq: int
    at: datetime
    attempts: int
    reason: str


class Outbox(Answer):
    """Notifications that wait, and those given up."""

    channels: list[Channel]
    dead_letters: list[DeadLetter]


class Detectable(Answer):
    """The smallest error rate that today's traffic shows four times in five."""

    operation: str
    calls: int
    span_s: int
    percent: float | None
    slo_percent: float
    alpha: float
    power: float


class Closure(Answer):
    """Since when something is closed, by whom, and why."""

    since: datetime
    actor: str
    reason: str


class NamedClosure(Closure):
    """A kind of reads, or a valve, that is closed."""

    name: str


class Status(Answer):
    """Everything the guard knows now."""

    environment: str
    now: datetime
    observed_at: datetime | None
    guard: GuardState
    policy: PolicyInForce | None
    known_good: str
    known_good_record: KnownGoodReference | None
    mode: Mode | None
    highest_mode_epoch: int
    processes: list[Process]
    rule: Document
    verdict: VerdictName | None
    finding: Finding | None
    windows: list[Window]
    families: list[Family]
    would_have_fired: dict[str, int]
    disarmed: list[str]
    detectable: Detectable | None
    sources: Sources | None
    probes: Probes | None
    incident: Incident | None
    recovery: Recovery | None
    writes_frozen: Closure | None
    reads_closed: list[NamedClosure]
    valves_closed: list[NamedClosure]
    closures_read_at: datetime | None = Field(
        description="When these three were read, and as of when they are; null before the first reading."
    )
    drift: Drift
    alarms: dict[str, str]
    outbox: Outbox | None


class ModeInForce(Answer):
    """The mode, in short."""

    value: str
    epoch: int


class IncidentInShort(Answer):
    """An incident, in short."""

    id: str
    state: State


class StatusEvent(Answer):
    """Data of the event `status`: sent when it is not what it was."""

    leads: bool
    mode: ModeInForce | None
    verdicts: dict[str, VerdictName]
    incident: IncidentInShort | None
    drifting: bool
    writes_frozen: bool
    alarms: dict[str, str]


class BeatEvent(Answer):
    """Data of the event `beat`, every 5 s: whoever hears none is looking at old data."""

    now: datetime
    cycle_age_s: float | None = Field(description="Seconds since the guard completed a look.")


class Alarms(Answer):
    """What stands wrong now, by name."""

    alarms: dict[str, str]


class Alert(Answer):
    """An alert of another system."""

    fingerprint: str
    starts_at: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    first_seen_at: datetime
    last_seen_at: datetime
    times: int
    taken: bool


class Alerts(Answer):
    """The newest alerts from outside."""

    alerts: list[Alert]


class AlertsReceived(Answer):
    """What was made of one delivery."""

    firing: int
    resolved: int
    truncated: int
    left_out: int


class Health(Answer):
    """Whether the guard looks."""

    ok: bool
    leads: bool


class Me(Answer):
    """Whose key this is."""

    label: str
    may_approve: bool = Field(description="False for the machine's own key: it is nobody's word.")
