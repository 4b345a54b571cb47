"""When the policy calls an incident over."""

from __future__ import annotations

from understudy.restoration.playbook.policy import Playbook
from understudy.restoration.verification.recovery import ClosingRule


def closing_rule(playbook: Playbook) -> ClosingRule:
    """Return what the policy wants to see before an incident is over."""
    rate = playbook.triggers.success_rate.rate
    return ClosingRule(
        slo_percent=rate.slo_percent,
        window_s=rate.window_s,
        clean_windows=playbook.closing.clean_windows,
        minimum_evidence=playbook.closing.minimum_evidence,
        operations=tuple(playbook.closing.real_success_of),
        maximum_wait_s=playbook.closing.maximum_wait_s,
        lookback_windows=rate.lookback_windows,
        operation=rate.operation,
    )
