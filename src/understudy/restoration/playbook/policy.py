"""The playbook as data: a strict model of ``playbooks/restoration.yaml``.

Unknown keys are refused, so that a misspelt limit is an error and not a default; so is NaN and infinity. The
sentence below each field is what docs/policy.md, the JSON Schema and editors show for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import Field, ValidationError, model_validator

from understudy.errors import ConfigurationError
from understudy.restoration.playbook.checks import checks_of
from understudy.restoration.playbook.cutover_policy import Cutover
from understudy.restoration.playbook.document import Document, Problem, problems_of, read_document
from understudy.restoration.playbook.ladder import AnyRung, PositiveSeconds, Rung
from understudy.restoration.triggers.cost import Cost
from understudy.restoration.triggers.cures import ActionName, Check, Part, Words
from understudy.restoration.triggers.data_integrity import DataIntegrity
from understudy.restoration.triggers.playback import Playback
from understudy.restoration.triggers.realtime_failures import RealtimeFailures
from understudy.restoration.triggers.security import Security
from understudy.restoration.triggers.success_rate import OperationName, SuccessRate
from understudy.restoration.verification.checklist import CHECKLIST

TriggerName = Literal["success_rate", "realtime_failures", "playback", "cost", "data_integrity", "security"]
TRIGGER_NAMES: tuple[TriggerName, ...] = get_args(TriggerName)
#: The playbook's "Incident Types and Trigger Conditions", word for word.
FAMILY_SENTENCES = (
    "Generate success rate drops below agreed SLO for two consecutive windows.",
    "Qwen realtime synthesis failures exceed threshold (transport, protocol, provider errors).",
    "Streaming endpoint causes unacceptable client playback failures.",
    "Cost anomaly from repeated Qwen design creates or runaway generation volume.",
    "Data correctness issue (missing provider metadata, orphaned generations/tasks).",
    "Security issue (secret mismatch, wrong region key, leakage risk).",
)
#: Call windows that UNDERSTUDY_GUARD_WINDOW_S and ``--window-s`` override.
CALL_WINDOWS = (
    ("triggers", "success_rate", "rate", "window_s"),
    ("triggers", "success_rate", "refusals", "window_s"),
    ("triggers", "realtime_failures", "window_s"),
)
#: So often a day a service exactly at the SLO may be taken for worse, counting looks that share no call.
FALSE_TRIPS_A_DAY = 1.0


class Family(Part):
    """One of the playbook's six trigger conditions."""

    sentence: str
    """The playbook's own words; they may not be changed."""
    trigger: TriggerName
    """The trigger below that watches it."""


class Triggers(Part):
    """What is watched, a part for each of the six conditions."""

    success_rate: SuccessRate
    """Generate's success rate."""
    realtime_failures: RealtimeFailures
    """Realtime synthesis, by class of failure."""
    playback: Playback
    """What players report of the streams they play."""
    cost: Cost
    """Design creates and generation volume, by our own ledger."""
    data_integrity: DataIntegrity
    """Invariants of the stored data; a check each."""
    security: Security
    """Secrets, keys and isolation."""


class Probes(Part):
    """A canary tenant that speaks a short phrase; its calls are never counted among the users'."""

    enabled: bool
    """Whether probes run at all; PROBES=off in the environment switches them off as well."""
    active_interval_s: float = Field(ge=5, le=86_400)
    """Seconds between two utterances through the provider in force."""
    standby_interval_s: float = Field(ge=5, le=86_400)
    """Seconds between two utterances at the other provider."""
    security_interval_s: float = Field(ge=5, le=86_400)
    """Seconds between two attempts of one canary tenant to read what is the other's."""
    budget_microusd_per_day: int = Field(ge=0)
    """What probes may cost from midnight to midnight UTC, in micro-dollars; no probe runs beyond it."""
    text: Words = Field(max_length=200)
    """What is said."""


class Cure(Part):
    """What one action is, and what a person does until (or where) the engine cannot."""

    title: Words
    """The action in a few words."""
    instruction: Words
    """What a person does now, with commands that exist."""


class Cures(Part):
    """Every action that a check may name."""

    close_valve: Cure
    """Stop what costs money; what is under way finishes."""
    throttle_tenant: Cure
    """Limit one tenant (429) and leave the others alone."""
    env_switch: Cure
    """Return to the known-good provider; the playbook's default first response."""
    quarantine_and_repair: Cure
    """Hold what is broken apart, and repair it."""
    reapply_settings: Cure
    """Apply the known-good settings again, and redeploy."""
    close_reads: Cure
    """Close the reads that leak."""
    code_rollback: Cure
    """Redeploy the known-good revision."""
    database_restore: Cure
    """Restore from backup; the last resort."""

    def __getitem__(self, action: ActionName) -> Cure:
        cure: Cure = getattr(self, action)
        return cure


class Closing(Part):
    """What proves that the incident is over.

    Findings of cost, data_integrity and security need no traffic: PASS or NO_DATA without a break for
    ``clean_windows`` windows proves them over. What only asked a person keeps the incident open,
    on HOLD or MITIGATED, until a person closes it; a switch of the provider also ends what it cures.
    """

    clean_windows: int = Field(ge=1, le=20)
    """Consecutive windows with calls, at or above the SLO, on the provider and epoch moved to."""
    minimum_evidence: int = Field(ge=1)
    """Users' calls in these windows and the clean ones before: 31 clean ones reject an error rate of 10 %."""
    real_success_of: list[OperationName] = Field(min_length=1)
    """Operations in which a user, not a probe, must have succeeded."""
    maximum_wait_s: PositiveSeconds
    """After so many seconds without that proof it is paged and stays MITIGATED."""


class Limits(Part):
    """What keeps the guard and the engine themselves in bounds."""

    lease_s: PositiveSeconds
    """A guard that stops renewing loses the environment after so many seconds."""
    attempts: int = Field(ge=1, le=100)
    """Attempts of one action before the incident is FROZEN."""
    hold_retry_s: PositiveSeconds
    """Seconds until an action on HOLD is tried again; doubles with each attempt."""
    step_retry_s: PositiveSeconds
    """Seconds between two tries of one step."""
    approval_s: PositiveSeconds
    """A plan's approvals count for so many seconds; it is proposed once more, and then waits on HOLD."""
    source_stale_after_s: PositiveSeconds
    """Where no api or worker reported for so many seconds, the verdict is BLIND."""
    query_s: PositiveSeconds
    """A reading of the signals that takes longer, in seconds, is BLIND too."""
    repeat_page_within_s: PositiveSeconds
    """A second restoration within so many seconds is paged."""
    clock_tolerance_s: PositiveSeconds
    """The guard's clock may differ so many seconds from the database's; beyond that it is BLIND."""
    future_tolerance_s: PositiveSeconds
    """A call or heartbeat may lie so many seconds in the future; beyond that it is BLIND."""
    evidence_s: float = Field(gt=0, le=10)
    """Evidence is captured before anything acts, within so many seconds."""


class Playbook(Part):
    """The whole playbook."""

    version: Literal[3]
    """Version of this format."""
    owner: Words
    """Who answers for incidents until somebody takes one."""
    families: list[Family]
    """The playbook's six trigger conditions, in its order."""
    triggers: Triggers
    """What is watched, with every limit."""
    probes: Probes
    """The canary tenant's phrases."""
    cures: Cures
    """Every action a check may name: what it is, and what a person does."""
    ladder: list[AnyRung] = Field(min_length=1)
    """Actions that the engine performs, cheapest first."""
    checklist: list[str]
    """The playbook's post-rollback verification checklist, word for word."""
    closing: Closing
    """What proves that an incident is over."""
    cutover: Cutover
    """How people move forward again, and what brings everybody back."""
    limits: Limits
    """What keeps guard and engine in bounds."""

    @model_validator(mode="after")
    def _says_what_the_playbook_says(self) -> Self:
        _same_sentences("families", [family.sentence for family in self.families], FAMILY_SENTENCES)
        for index, (family, name) in enumerate(zip(self.families, TRIGGER_NAMES, strict=True)):
            if family.trigger != name:
                raise ValueError(f"families.{index}.trigger: this condition is watched by {name}")
        _same_sentences("checklist", self.checklist, [sentence for sentence, _ in CHECKLIST])
        return self

    @model_validator(mode="after")
    def _rungs_rise(self) -> Self:
        rungs = [rung.rung for rung in self.ladder]
        if rungs != sorted(rungs):
            raise ValueError(f"ladder: rungs must not fall; found {rungs}")
        actions = [rung.action for rung in self.ladder]
        if twice := [action for index, action in enumerate(actions) if action in actions[:index]]:
            raise ValueError(f"ladder: names {twice[0]} twice")
        return self

    @model_validator(mode="after")
    def _steps_fit_their_rung(self) -> Self:
        for index, rung in enumerate(self.ladder):
            for name, box_s in rung.steps.model_dump().items():
                if box_s > rung.time_box_s:
                    raise ValueError(
                        f"ladder.{index}.steps.{name}: {box_s:g} s are more than the "
                        f"{rung.time_box_s:g} s of the whole rung (time_box_s)"
                    )
        return self

    @model_validator(mode="after")
    def _who_acts_alone_has_a_rung(self) -> Self:
        for trigger, name, check in self.checks():
            where = f"triggers.{trigger}.{name}"
            if len(set(check.cures)) < len(check.cures):
                raise ValueError(f"{where}.cures: names a cure twice")
            if check.mode == "auto" and self.rung_of(check.cures[0]) is None:
                raise ValueError(
                    f"{where}.mode: auto, but the ladder has no rung for {check.cures[0]}; write pause"
                )
        return self

    @model_validator(mode="after")
    def _alpha_fits_the_looks(self) -> Self:
        rate = self.triggers.success_rate.rate
        looks = 86_400 / max(60, rate.window_s * rate.consecutive)
        if rate.evidence.alpha * looks > FALSE_TRIPS_A_DAY:
            raise ValueError(
                "triggers.success_rate.rate.evidence.alpha: a service exactly at the SLO would trip more "
                f"than once a day in {looks:.0f} looks; at most {FALSE_TRIPS_A_DAY / looks:.1g} fits"
            )
        return self

    def checks(self) -> list[tuple[TriggerName, str, Check]]:
        """Every check with its trigger and name, in the order of the families."""
        return [
            (trigger, name, check)
            for trigger in TRIGGER_NAMES
            for name, check in checks_of(getattr(self.triggers, trigger))
        ]

    def rung_of(self, action: ActionName) -> Rung | None:
        """Return the rung that performs ``action``; None where only a person can."""
        return next((rung for rung in self.ladder if rung.action == action), None)

    def rung(self, action: ActionName) -> Rung:
        """Return the rung that performs ``action``, which must have one."""
        rung = self.rung_of(action)
        if rung is None:
            raise ConfigurationError(f"The ladder has no rung for {action}.")
        return rung

    @property
    def span_s(self) -> int:
        """How far back calls are judged, in seconds: what one reading of the calls must cover."""
        rate, realtime = self.triggers.success_rate.rate, self.triggers.realtime_failures
        refusals = self.triggers.success_rate.refusals
        return max(
            rate.lookback_s,
            realtime.window_s * (realtime.baseline_windows + 1),
            refusals.window_s * refusals.consecutive,
        )


def _same_sentences(where: str, found: list[str], expected: Sequence[str]) -> None:
    for index, sentence in enumerate(expected):
        if index >= len(found):
            raise ValueError(f"{where}: entry {index + 1} is missing; add: {sentence}")
        if found[index] != sentence:
            raise ValueError(f"{where}: entry {index + 1} must read exactly: {sentence}")
    if len(found) > len(expected):
        raise ValueError(f"{where}: {len(found)} entries; the playbook has {len(expected)}, remove the rest")


def lint(path: Path) -> list[Problem]:
    """Everything wrong with the file, in the order of its lines; empty when it is a valid playbook."""
    document = read_document(path)
    return list(document.problems) or _validate(document)[1]


def load_playbook(path: Path, *, window_s: int | None = None) -> Playbook:
    """Read and validate the playbook; see :func:`load_policy`."""
    return load_policy(path, window_s=window_s)[0]


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """The file that the playbook in force was read from.

    Parameters
    ----------
    sha256
        Of what was read then, in hexadecimal.
    """

    path: Path
    sha256: str

    def changed(self) -> str | None:
        """Say how the file differs by now from what is in force, or None while it does not."""
        try:
            if hashlib.sha256(self.path.read_bytes()).hexdigest() == self.sha256:
                return None
        except OSError as error:
            return f"{self.path} cannot be read any more: {error.strerror}"
        return f"{self.path} differs from what is in force; it is read when the guard starts again"


def load_policy(path: Path, *, window_s: int | None = None) -> tuple[Playbook, PolicyFile]:
    """Read and validate the playbook.

    Parameters
    ----------
    window_s
        Overrides every window of calls, in seconds (drills and demonstrations).

    Raises
    ------
    ConfigurationError
        One line for each problem: file, line, field, what is wrong and how to fix it.
    """
    document = read_document(path)
    problems = list(document.problems)
    playbook: Playbook | None = None
    if not problems:
        if window_s is not None:
            for location in CALL_WINDOWS:
                document.override(location, window_s)
        playbook, problems = _validate(document)
    if playbook is None:
        raise ConfigurationError("\n".join(str(problem) for problem in problems))
    return playbook, PolicyFile(path, document.sha256)


def _validate(document: Document) -> tuple[Playbook | None, list[Problem]]:
    try:
        return Playbook.model_validate(document.data), []
    except ValidationError as error:
        return None, problems_of(document, error, Playbook)
