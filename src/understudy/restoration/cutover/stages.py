"""One stage of a cutover, judged: what brings everybody back, and what the next stage still waits for.

A pure function of what both sides did since the stage began, of the triggers' findings, and of the policy.
Means are compared only where both sides made enough calls; what cannot be compared is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from understudy.restoration.cutover.power import calls_needed, chance_if_equal, excludes, upper_rate
from understudy.restoration.playbook.cutover_policy import Cutover, CutoverGuardrails
from understudy.restoration.signals.readings import Signals
from understudy.restoration.triggers.verdict import Finding, Verdict
from understudy.store.cutover import CutoverRow, SideTotals
from understudy.store.mode import ModeRow

#: Families whose checks judge one provider and epoch: with a cutover on, each side is judged.
SIDED_FAMILIES = frozenset({"success_rate", "realtime_failures", "playback"})
#: A flip only moves the bill of one tenant to another provider.
NEVER_A_RETURN = frozenset({"cost/runaway_characters"})
#: In shadow by the policy, for a mode cannot help being refused; of a cutover it is a guardrail.
ALWAYS_A_GUARDRAIL = frozenset({"success_rate/refusals"})


@dataclass(frozen=True, slots=True)
class Guardrail:
    """One of them; FAIL brings everybody back."""

    name: str
    verdict: Verdict
    detail: str


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A stage as the plan of the cutover has it, whatever the policy says by now."""

    percent: int
    hold_s: float
    exclude_percent: float

    @classmethod
    def of(cls, row: CutoverRow) -> PlannedStage:
        """Return the stage that is on."""
        return cls(**row.plan["stages"][row.stage])

    @classmethod
    def after(cls, row: CutoverRow) -> PlannedStage | None:
        """Return the next one; ``None`` at the last."""
        stages = row.plan["stages"]
        return cls(**stages[row.stage + 1]) if row.stage + 1 < len(stages) else None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of a stage.

    Parameters
    ----------
    needed
        Calls that the sample must have with as many failures as it has.
    hidden_percent
        The largest failure rate that the sample does not rule out.
    waiting
        What the next stage waits for, one sentence each; empty where it may begin.
    left_behind
        Tenants whom the next stage, everybody, would move with voices that do not speak there.
    control
        Tenants who stayed, in the same time; ``None`` at 100 %, where nobody did.
    """

    stage: int
    percent: int
    candidate: SideTotals
    control: SideTotals | None
    needed: int
    hidden_percent: float
    hold_left_s: float
    guardrails: tuple[Guardrail, ...]
    waiting: tuple[str, ...]
    left_behind: int = 0

    @property
    def failing(self) -> tuple[Guardrail, ...]:
        """Guardrails that bring everybody back."""
        return tuple(rail for rail in self.guardrails if rail.verdict is Verdict.FAIL)

    @property
    def reason(self) -> str:
        """Why everybody is brought back."""
        return reason_of(self.failing)

    @property
    def ready(self) -> bool:
        """Whether the next stage may begin."""
        return not self.waiting and not self.failing

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "stage": self.stage,
            "percent": self.percent,
            "candidate": asdict(self.candidate),
            "control": asdict(self.control) if self.control else None,
            "needed": self.needed,
            "hidden_percent": round(self.hidden_percent, 3),
            "hold_left_s": round(self.hold_left_s, 1),
            "guardrails": [{**asdict(rail), "verdict": rail.verdict.value} for rail in self.guardrails],
            "waiting": list(self.waiting),
            "left_behind": self.left_behind,
            "failing": [rail.name for rail in self.failing],
        }


def reason_of(failing: Iterable[Guardrail]) -> str:
    """Return why everybody is brought back, for history and page."""
    return "; ".join(f"{rail.name}: {rail.detail}" for rail in failing)


def side_of_candidate(signals: Signals) -> Signals | None:
    """Return the signals as they are to the candidate's share; ``None`` while no cutover is in force."""
    row, mode = signals.cutover, signals.mode
    if row is None or mode is None or not row.in_force(mode.epoch):
        return None
    side = ModeRow(
        value=row.candidate,
        epoch=row.stage_epoch,
        actor=row.actor,
        reason=row.reason,
        incident=None,
        env_value=mode.env_value,
        changed_at=row.stage_started_at,
    )
    return replace(signals, mode=side)


def trigger_guardrails(row: CutoverRow, findings: Iterable[Finding]) -> tuple[Guardrail, ...]:
    """Return the triggers that fail on the candidate, or on what both sides share."""
    rails = []
    for finding in findings:
        name = f"{finding.trigger}/{finding.check}"
        elsewhere = finding.provider not in {None, row.candidate} or (
            finding.mode_epoch is not None and finding.mode_epoch != row.stage_epoch
        )
        quiet = finding.mode == "shadow" and name not in ALWAYS_A_GUARDRAIL
        if finding.verdict is not Verdict.FAIL or elsewhere or quiet or name in NEVER_A_RETURN:
            continue
        if finding.provider is None and finding.trigger in SIDED_FAMILIES:
            continue
        rails.append(Guardrail(name, Verdict.FAIL, finding.detail))
    return tuple(rails)


def judge_stage(
    policy: Cutover,
    row: CutoverRow,
    *,
    candidate: SideTotals,
    control: SideTotals | None,
    findings: Sequence[Finding],
    known_good: str,
    blind: str | None,
    incident: str | None = None,
    left_behind: int = 0,
) -> Judgement:
    """Judge the stage that is on.

    Parameters
    ----------
    control
        ``None`` where nobody stayed.
    blind
        Why the signals cannot be believed; no stage goes on then.
    incident
        One that is open: nothing goes on beside it.
    left_behind
        See :class:`Judgement`.
    """
    stage, error = PlannedStage.of(row), policy.error
    rate = stage.exclude_percent / 100
    needed = calls_needed(candidate.failed, rate, error)
    hold_left_s = max(0.0, stage.hold_s - row.stage_age_s)
    waiting = [f"incident {incident} is open"] if incident else []
    if row.state == "paused":
        waiting.append(f"it is paused by {row.actor}: {row.reason}")
    if hold_left_s:
        waiting.append(f"it is held for {hold_left_s:.0f} s more")
    if not excludes(candidate.total, candidate.failed, rate, error):
        waiting.append(
            f"{candidate.total} of {needed} calls that rule out {stage.exclude_percent:g} % failures with "
            f"{candidate.failed} among them"
        )
    minimum = policy.guardrails.minimum_calls
    if control is not None and control.total < minimum:
        waiting.append(f"{control.total} of {minimum} calls of the tenants who stayed, to compare with")
    if blind:
        waiting.append(f"the guard is blind: {blind}")
    waiting += _doubts(row, findings, known_good)
    return Judgement(
        stage=row.stage,
        percent=row.percent,
        candidate=candidate,
        control=control,
        needed=needed,
        hidden_percent=100 * upper_rate(candidate.total, candidate.failed, error),
        hold_left_s=hold_left_s,
        guardrails=(
            *trigger_guardrails(row, findings),
            *_compared(policy.guardrails, candidate, control),
            _refused(policy.guardrails, candidate),
            _cost(policy.guardrails, candidate),
        ),
        waiting=tuple(waiting),
        left_behind=left_behind,
    )


def _doubts(row: CutoverRow, findings: Sequence[Finding], known_good: str) -> list[str]:
    """Say which checks are not at rest; one without traffic, or in shadow, holds nothing up."""
    said = []
    for finding in findings:
        name = f"{finding.trigger}/{finding.check}"
        if finding.mode == "shadow" and name not in ALWAYS_A_GUARDRAIL:
            continue
        on_candidate = finding.mode_epoch in {None, row.stage_epoch}
        if finding.verdict is Verdict.FAIL and finding.provider == known_good:
            said.append(f"{name} fails on {known_good} itself: nobody is moved either way, a person looks")
        elif finding.verdict in {Verdict.BLIND, Verdict.INCONCLUSIVE} and on_candidate:
            said.append(f"{name} is {finding.verdict.value}: {finding.detail}")
    return list(dict.fromkeys(said))


def _compared(
    limits: CutoverGuardrails, candidate: SideTotals, control: SideTotals | None
) -> tuple[Guardrail, ...]:
    rails = []
    if control is not None:
        chance = chance_if_equal(candidate.total, candidate.failed, control.total, control.failed)
        rails.append(
            Guardrail(
                "failures against the control",
                Verdict.FAIL if chance < limits.alpha else Verdict.PASS,
                f"{candidate.failed} of {candidate.total} calls failed, {control.failed} of {control.total} "
                f"of those who stayed; equal sides differ so with a chance of {chance:.2g}",
            )
        )
        enough = min(candidate.total, control.total) >= limits.minimum_calls
        rails.append(
            _ratio(
                "latency",
                candidate.latency_ms,
                control.latency_ms,
                most=limits.latency_ratio,
                enough=enough,
            )
        )
        streams = min(candidate.first_audio_calls, control.first_audio_calls) >= limits.minimum_calls
        rails.append(
            _ratio(
                "first audio",
                candidate.first_audio_ms,
                control.first_audio_ms,
                most=limits.first_audio_ratio,
                enough=streams,
            )
        )
    heard = candidate.first_audio_ms
    if heard is None or candidate.first_audio_calls < limits.minimum_calls:
        verdict, said = Verdict.NO_DATA, f"{candidate.first_audio_calls} streams are too few"
    else:
        verdict = Verdict.FAIL if heard > limits.first_audio_ms else Verdict.PASS
        said = f"{heard:.0f} ms on average; at most {limits.first_audio_ms} ms"
    return (*rails, Guardrail("first audio by itself", verdict, said))


def _ratio(name: str, ours: float | None, theirs: float | None, *, most: float, enough: bool) -> Guardrail:
    name = f"{name} against the control"
    if not enough or ours is None or not theirs:
        return Guardrail(name, Verdict.NO_DATA, "too few calls of both sides to compare")
    ratio = ours / theirs
    return Guardrail(
        name,
        Verdict.FAIL if ratio > most else Verdict.PASS,
        f"{ours:.0f} ms on average, {theirs:.0f} ms of those who stayed: {ratio:.2f} times; at most {most:g}",
    )


def _refused(limits: CutoverGuardrails, candidate: SideTotals) -> Guardrail:
    """Requests that no provider saw, for the mode or a voice's coverage: the cutover's own doing."""
    name = "refused with 409"
    many = candidate.refused >= limits.refused_count
    above = candidate.refused * 100 > limits.refused_percent * candidate.asked
    return Guardrail(
        name,
        Verdict.FAIL if many and above else Verdict.PASS if candidate.asked else Verdict.NO_DATA,
        f"{candidate.refused} of {candidate.asked} requests; at most {limits.refused_percent:g} %",
    )


def _cost(limits: CutoverGuardrails, candidate: SideTotals) -> Guardrail:
    name = "cost"
    if candidate.total < limits.minimum_calls or not candidate.characters:
        return Guardrail(name, Verdict.NO_DATA, f"{candidate.total} calls are too few")
    each = candidate.cost_microusd * 1000 / candidate.characters
    most = limits.microusd_per_1000_characters
    return Guardrail(
        name,
        Verdict.FAIL if each > most else Verdict.PASS,
        f"{each / 1e6:.4f} US dollars for 1000 characters; at most {most / 1e6:.4f}",
    )
