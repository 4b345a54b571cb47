"""Quiet hours: where users say too little, probes of the provider in force are heard, never as calls."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import takewhile
from typing import Protocol

from understudy.restoration.signals.readings import Series, Signals, TailCall
from understudy.restoration.triggers.verdict import Verdict


class Limits(Protocol):
    """What of the policy is needed here."""

    @property
    def min_calls(self) -> int:
        """Users' calls that need no probe to speak for them."""

    @property
    def failed_probes(self) -> int:
        """Failed probes in a row that are a failure."""


def quiet_hours(
    verdict: Verdict,
    detail: str,
    signals: Signals,
    series: Series,
    *,
    check: Limits,
    calls: int,
    since: datetime,
) -> tuple[Verdict, str]:
    """Return the verdict with the probes heard, where users made fewer calls than the rule needs.

    A user who was served after the first of the failed probes contradicts them: then they are no failure.
    """
    if verdict is Verdict.FAIL or calls >= check.min_calls:
        return verdict, detail
    failed = list(takewhile(lambda probe: not probe.ok, probes_of(signals, series, since=since)))
    if not failed:
        return verdict, detail
    said = f"{len(failed)} probes in a row failed"
    if len(failed) >= check.failed_probes and not _served_since(signals, series, failed[-1].at):
        return Verdict.FAIL, f"{said}, and users made only {calls} calls"
    if verdict in {Verdict.NO_DATA, Verdict.PASS}:
        return Verdict.INCONCLUSIVE, f"{said}; {detail}"
    return verdict, detail


def probes_of(signals: Signals, series: Series, *, since: datetime) -> Sequence[TailCall]:
    """Probes of the provider in force since ``since`` and since it is in force, newest first."""
    heard = list(signals.calls.probes.get(series, ()))
    if not heard and signals.mode is not None:
        heard = [
            TailCall(probe.at, probe.ok, code=probe.code)
            for probe in signals.probes.active
            if probe.provider == series.provider and probe.at >= signals.mode.changed_at
        ]
    recent = [probe for probe in heard if since <= probe.at <= signals.at]
    return sorted(recent, key=lambda probe: probe.at, reverse=True)


def _served_since(signals: Signals, series: Series, at: datetime) -> bool:
    if any(call.ok and call.at >= at for call in signals.calls.tails.get(series, ())):
        return True
    return any(bucket.total > bucket.failed and bucket.start >= at for bucket in signals.calls.calls(series))
