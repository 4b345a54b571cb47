"""Every trigger over one look: findings, the verdict of each family, and when a check may trip again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from understudy.logs import get_logger
from understudy.restoration.playbook.checks import checks_of
from understudy.restoration.playbook.policy import TRIGGER_NAMES, Playbook, TriggerName
from understudy.restoration.signals.readings import Series, Signals
from understudy.restoration.triggers import (
    cost,
    data_integrity,
    playback,
    realtime_failures,
    security,
    success_rate,
)
from understudy.restoration.triggers.verdict import Finding, Verdict, worst

log = get_logger(__name__)


def judge_all(playbook: Playbook, signals: Signals, *, known_good: str, now: datetime) -> tuple[Finding, ...]:
    """Judge everything; the most severe finding first, and among equals in the order of the families.

    A trigger that cannot cope with what a source says is BLIND in each of its checks; the others go on.
    """
    findings: list[Finding] = []
    for name in TRIGGER_NAMES:
        try:
            findings += _family(playbook, name, signals, known_good=known_good, now=now)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            log.exception("trigger_broke", trigger=name)
            findings += _broken(playbook, name, error, now)
    return by_severity(findings)


def by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return them with the most severe first; equals keep their order."""
    return tuple(sorted(findings, key=lambda finding: -finding.verdict.severity))


def _family(
    playbook: Playbook, name: TriggerName, signals: Signals, *, known_good: str, now: datetime
) -> tuple[Finding, ...]:
    parts = playbook.triggers
    match name:
        case "success_rate":
            return success_rate.judge(parts.success_rate, signals, known_good=known_good, now=now)
        case "realtime_failures":
            return realtime_failures.judge(parts.realtime_failures, signals, known_good=known_good, now=now)
        case "playback":
            return playback.judge(parts.playback, signals, known_good=known_good, now=now)
        case "cost":
            return cost.judge(parts.cost, signals, known_good=known_good, now=now)
        case "data_integrity":
            return data_integrity.judge(parts.data_integrity, signals, known_good=known_good, now=now)
        case "security":
            return security.judge(parts.security, signals, known_good=known_good, now=now)


def _broken(playbook: Playbook, name: TriggerName, error: Exception, now: datetime) -> Iterator[Finding]:
    for check_name, check in checks_of(getattr(playbook.triggers, name)):
        yield Finding(
            trigger=name,
            check=check_name,
            verdict=Verdict.BLIND,
            mode=check.mode,
            cures=tuple(check.cures),
            evaluated_at=now,
            detail=f"the trigger cannot read its signals: {type(error).__name__}; the guard's log has it",
        )


def family_verdicts(findings: Iterable[Finding]) -> dict[str, Verdict]:
    """Return the worst verdict of each of the six families; checks in shadow do not speak for theirs."""
    loud = [finding for finding in findings if finding.mode != "shadow"]
    return {
        name: worst(finding.verdict for finding in loud if finding.trigger == name) for name in TRIGGER_NAMES
    }


def rearmed(playbook: Playbook, finding: Finding, signals: Signals, *, now: datetime) -> bool:
    """Whether the check of ``finding``, as found now, may open an incident again after it was closed by hand.

    The success rate must be better than it must have been to trip (hysteresis); every other check must PASS.
    """
    if (finding.trigger, finding.check) == (success_rate.NAME, "rate"):
        return success_rate.recovered(playbook.triggers.success_rate, signals, now=now)
    return finding.verdict is Verdict.PASS


def minimum_detectable(playbook: Playbook, signals: Signals) -> Mapping[str, Any]:
    """Return what today's traffic can show: the smallest error rate that is noticed four times in five.

    ``percent`` is None where there are too few calls, or no mode is known.
    """
    rate, mode = playbook.triggers.success_rate.rate, signals.mode
    calls = 0
    if mode is not None:
        series = Series(mode.value, mode.epoch, rate.operation)
        calls = sum(bucket.total for bucket in signals.calls.calls(series))
    return {
        "operation": rate.operation,
        "calls": calls,
        "span_s": rate.lookback_s,
        "percent": success_rate.detectable(rate, calls),
        "slo_percent": rate.slo_percent,
        "alpha": rate.evidence.alpha,
        "power": 0.8,
    }
