"""When the policy calls an incident over, and what is seen of it until then."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from understudy.errors import StoreUnavailableError
from understudy.restoration.incidents import IncidentBook, joined_findings, times_of
from understudy.restoration.orders import REQUEST, standing_order
from understudy.restoration.playbook.engine import Engine
from understudy.restoration.playbook.policy import Playbook
from understudy.restoration.signals.readings import Signals
from understudy.restoration.signals.source import CallSource
from understudy.restoration.triggers.verdict import Finding, Verdict
from understudy.restoration.verification.recovery import (
    ClosingRule,
    PassingSince,
    Recovery,
    watch_recovery,
)
from understudy.store.guard import IncidentRow

#: Actions that end with the known-good provider in force.
TO_KNOWN_GOOD = frozenset({"env_switch", "code_rollback", "database_restore"})
#: What users felt is counted in so many seconds, or is unknown.
IMPACT_S = 5.0


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


class Recovering:
    """Watches whether what was restored stays restored.

    Attributes
    ----------
    passing
        Since when each check has been healthy; it takes in every cycle's findings.
    """

    def __init__(
        self, book: IncidentBook, engine: Engine, source: CallSource, rule: ClosingRule, *, known_good: str
    ) -> None:
        self.passing = PassingSince()
        self._book = book
        self._engine = engine
        self._source = source
        self._rule = rule
        self._known_good = known_good

    def watch(self, incident: IncidentRow, signals: Signals, findings: Sequence[Finding]) -> Recovery | None:
        """Judge a mitigated incident; None while nothing can be said, or a person holds it."""
        entries = self._book.entries(incident.id)
        times = times_of(entries)
        since = times.verified or times.mitigated
        if signals.mode is None or since is None or standing_order(entries) is not None:
            return None
        actions = [entry.body["action"] for entry in entries if entry.kind == "begun"]
        moved = not TO_KNOWN_GOOD.isdisjoint(actions) and times.verified is not None
        if moved and signals.mode.value != self._known_good:
            said = (
                f"The mode is {signals.mode.value} again (by {signals.mode.actor}) before recovery was "
                f"proven."
            )
            self._engine.page(incident.id, said, about=f"mode {signals.mode.epoch}")
            return None
        return watch_recovery(
            self._rule,
            signals,
            findings,
            self.passing,
            documents=[doc for doc in joined_findings(entries) if doc.get("trigger") != REQUEST],
            actions=actions,
            since=since,
            asked=self._engine.asked(incident.id),
        )

    def say_healthy_alone(self, incident: IncidentRow, signals: Signals, findings: Sequence[Finding]) -> None:
        """Write down, once each time, that what a person was asked about is healthy by itself."""
        entries = self._book.entries(incident.id)
        checks = {f"{doc['trigger']}/{doc.get('check')}" for doc in joined_findings(entries)}
        healthy_s = [self.passing.healthy_s(check, signals.at) for check in checks]
        healthy = all(since is not None and since >= self._rule.quiet_s for since in healthy_s)
        failing = any(
            f"{finding.trigger}/{finding.check}" in checks and finding.verdict is Verdict.FAIL
            for finding in findings
        )
        said = next((entry.body["healthy"] for entry in reversed(entries) if entry.kind == "signal"), False)
        if healthy and not said:
            message = "The signals are healthy again without any action. A person decides and closes."
            self._book.append(incident.id, "signal", body={"healthy": True, "message": message})
        elif failing and said:
            body = {"healthy": False, "message": "The signals fail again."}
            self._book.append(incident.id, "signal", body=body)

    async def impact(self, incident: IncidentRow) -> dict[str, Any] | None:
        """Return what users felt from the first failure until it was mitigated; None when not known."""
        entries = self._book.entries(incident.id)
        times, documents = times_of(entries), joined_findings(entries)
        provider = next((doc["provider"] for doc in documents if doc.get("provider")), None)
        start, end = times.onset or times.detected, times.mitigated
        if start is None or end is None or provider is None:
            return None
        try:
            async with asyncio.timeout(IMPACT_S):
                harm = await self._source.harm(self._rule.operation, provider, start, end)
        except (StoreUnavailableError, TimeoutError):
            return None
        return {**asdict(harm), "provider": provider, "from": start.isoformat(), "to": end.isoformat()}
