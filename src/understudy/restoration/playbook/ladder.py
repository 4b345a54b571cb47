"""The ladder's rungs: what the engine performs, with the time box of each step and who must agree first."""

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


class ThrottleTenantSteps(Part):
    """Time boxes of throttling one tenant, in seconds."""

    evidence: EvidenceSeconds
    """Capture what is seen."""
    throttle: PositiveSeconds
    """Set that tenant's limit."""
    read_back: PositiveSeconds
    """See that it is in force."""


class QuarantineAndRepairSteps(Part):
    """Time boxes of quarantine and repair, in seconds."""

    evidence: EvidenceSeconds
    """Capture what is seen."""
    quarantine: PositiveSeconds
    """Hold the broken rows apart."""
    repair: PositiveSeconds
    """Repair what can be repaired."""
    recheck: PositiveSeconds
    """See that the invariants hold again."""


class CloseReadsSteps(Part):
    """Time boxes of closing reads, in seconds."""

    evidence: EvidenceSeconds
    """Capture what is seen."""
    close_reads: PositiveSeconds
    """Close the routes that the finding concerns."""
    read_back: PositiveSeconds
    """See that they refuse."""


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


class ReapplySettingsSteps(Part):
    """Time boxes of applying the known-good settings again, in seconds."""

    evidence: EvidenceSeconds
    """Capture what is seen."""
    precheck: PositiveSeconds
    """See that the known-good settings are at hand and whole."""
    write_settings: PositiveSeconds
    """Write them into the environment for the next start."""
    redeploy: PositiveSeconds
    """Start every process anew."""
    read_back: PositiveSeconds
    """See that every process has them."""
    verification: PositiveSeconds
    """Run the checklist."""


class CodeRollbackSteps(Part):
    """Time boxes of the code rollback's steps, in seconds."""

    evidence: EvidenceSeconds
    """Capture what is seen."""
    precheck: PositiveSeconds
    """See that the known-good revision is at hand and runs on the present schema."""
    deploy_revision: PositiveSeconds
    """Start every process anew from that revision."""
    read_back: PositiveSeconds
    """See that every process runs it."""
    verification: PositiveSeconds
    """Run the checklist."""


class DatabaseRestoreSteps(Part):
    """Time boxes of the database restore's steps, in seconds."""

    evidence: EvidenceSeconds
    """Capture what is seen."""
    precheck: PositiveSeconds
    """Choose the backup and prove that it restores."""
    freeze_writes: PositiveSeconds
    """Answer writes 503 and let workers stop claiming; reads go on."""
    dump_broken: PositiveSeconds
    """Keep a dump of the broken state."""
    restore_beside: PositiveSeconds
    """Restore the backup into a database beside."""
    reapply_migrations: PositiveSeconds
    """Apply the known-good migration sequence there."""
    replay: PositiveSeconds
    """Replay deletions and revocations made since the backup."""
    reconcile: PositiveSeconds
    """Hold old tasks, list what providers hold that the backup does not know."""
    wake: PositiveSeconds
    """Rewrite the mode row at known-good under a new epoch."""
    swap: PositiveSeconds
    """Start every process anew on the restored database."""
    isolation: PositiveSeconds
    """Run the cross-tenant suite."""
    verification: PositiveSeconds
    """Run the checklist."""
    unfreeze: PositiveSeconds
    """Take writes again."""


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


class ThrottleTenantRung(Part):
    """Rung 0: limit one tenant (429) and leave the others alone."""

    rung: Literal[0]
    """Place on the ladder."""
    action: Literal["throttle_tenant"]
    """The action it performs."""
    title: Words
    """Its name in reports."""
    rollback_type: None
    """It rolls nothing back."""
    approvals: Literal[0]
    """Persons who must agree where the check is `auto`; `pause` asks for one."""
    time_box_s: PositiveSeconds
    """Seconds the whole rung may take."""
    steps: ThrottleTenantSteps
    """Seconds each step may take."""


class QuarantineAndRepairRung(Part):
    """Rung 0: hold what is broken apart, and repair it."""

    rung: Literal[0]
    """Place on the ladder."""
    action: Literal["quarantine_and_repair"]
    """The action it performs."""
    title: Words
    """Its name in reports."""
    rollback_type: None
    """It rolls nothing back."""
    approvals: Literal[0]
    """Persons who must agree where the check is `auto`; `pause` asks for one."""
    time_box_s: PositiveSeconds
    """Seconds the whole rung may take."""
    steps: QuarantineAndRepairSteps
    """Seconds each step may take."""


class CloseReadsRung(Part):
    """Rung 0: close the reads that leak."""

    rung: Literal[0]
    """Place on the ladder."""
    action: Literal["close_reads"]
    """The action it performs."""
    title: Words
    """Its name in reports."""
    rollback_type: None
    """It rolls nothing back."""
    approvals: Literal[0]
    """Persons who must agree where the check is `auto`; `pause` asks for one."""
    time_box_s: PositiveSeconds
    """Seconds the whole rung may take."""
    steps: CloseReadsSteps
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


class ReapplySettingsRung(Part):
    """Rung 1: apply the known-good settings again."""

    rung: Literal[1]
    """Place on the ladder."""
    action: Literal["reapply_settings"]
    """The action it performs."""
    title: Words
    """Its name in reports."""
    rollback_type: None
    """It rolls nothing back."""
    approvals: Literal[0]
    """Persons who must agree where the check is `auto`; `pause` asks for one."""
    time_box_s: PositiveSeconds
    """Seconds the whole rung may take."""
    steps: ReapplySettingsSteps
    """Seconds each step may take."""


class CodeRollbackRung(Part):
    """Rung 2: redeploy the known-good revision; migrations and remote secrets stay as they are."""

    rung: Literal[2]
    """Place on the ladder."""
    action: Literal["code_rollback"]
    """The action it performs."""
    title: Words
    """Its name in reports."""
    rollback_type: Literal["code rollback"]
    """What the incident report calls it."""
    approvals: int = Field(ge=1, le=10)
    """Distinct persons who must agree to its plan; more may be asked for, never fewer."""
    time_box_s: PositiveSeconds
    """Seconds the whole rung may take."""
    steps: CodeRollbackSteps
    """Seconds each step may take."""


class DatabaseRestoreRung(Part):
    """Rung 3: restore from backup; the last resort."""

    rung: Literal[3]
    """Place on the ladder."""
    action: Literal["database_restore"]
    """The action it performs."""
    title: Words
    """Its name in reports."""
    rollback_type: Literal["db restore"]
    """What the incident report calls it."""
    approvals: int = Field(ge=2, le=10)
    """Distinct persons who must agree to its plan; more may be asked for, never fewer."""
    time_box_s: PositiveSeconds
    """Seconds the whole rung may take."""
    steps: DatabaseRestoreSteps
    """Seconds each step may take."""


Rung = (
    CloseValveRung
    | ThrottleTenantRung
    | QuarantineAndRepairRung
    | CloseReadsRung
    | EnvSwitchRung
    | ReapplySettingsRung
    | CodeRollbackRung
    | DatabaseRestoreRung
)
#: A rung of the policy file: its action says which.
AnyRung = Annotated[Rung, Field(discriminator="action")]
