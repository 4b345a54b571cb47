"""The guard's ``/metrics``: filled in when it is read, from what the guard last saw."""

from __future__ import annotations

from understudy.metrics import GuardMetrics, exposition
from understudy.restoration.guard.backing_up import BackupKeeper
from understudy.restoration.guard.loop import Guard
from understudy.restoration.guard.notifying import Notifier


class Metering:
    """Keeps the guard's metrics up to date.

    Parameters
    ----------
    metrics
        Of :func:`understudy.metrics.guard_registry`; one a process.
    """

    def __init__(
        self,
        metrics: GuardMetrics,
        guard: Guard,
        notifier: Notifier | None = None,
        backups: BackupKeeper | None = None,
    ) -> None:
        self._metrics = metrics
        self._guard = guard
        self._notifier = notifier
        self._backups = backups
        self._fired: dict[str, int] = {}

    def cycle(self, cycle_ms: float) -> None:
        """Count one completed look."""
        self._metrics.cycle_seconds.observe(cycle_ms / 1000)

    def page(self, accept: str) -> tuple[bytes, str]:
        """Return the body of ``GET /metrics`` and its content type."""
        metrics, view = self._metrics, self._guard.view
        metrics.leads.set(self._guard.leads)
        metrics.incidents_open.set(self._guard.book.current() is not None)
        severities: dict[tuple[str, str], int] = {}
        for finding in view.findings:
            place = (finding.trigger, finding.check)
            severities[place] = max(severities.get(place, 0), finding.verdict.severity)
        metrics.verdict.clear()  # a check whose last subject has gone is not what it was
        for (trigger, check), severity in severities.items():
            metrics.verdict.labels(trigger, check).set(severity)
        for name, count in view.would_have_fired.items():
            trigger, _, check = name.partition("/")
            metrics.would_have_fired.labels(trigger, check).inc(max(0, count - self._fired.get(name, 0)))
            self._fired[name] = count
        if self._notifier is not None:
            for channel in self._notifier.document()["channels"]:
                metrics.outbox_pending.labels(channel["channel"]).set(channel["waiting"])
        if view.signals is not None:
            self._probes()
        newest = self._backups.newest_at if self._backups is not None else None
        metrics.backup_at.set(newest.timestamp() if newest is not None else 0)
        return exposition(metrics.registry, accept)

    def _probes(self) -> None:
        signals = self._guard.view.signals
        if signals is None:
            return
        self._metrics.probe_ok.clear()
        for role, results in (("active", signals.probes.active), ("standby", signals.probes.standby)):
            for newest in results[:1]:
                self._metrics.probe_ok.labels(role, newest.provider).set(newest.ok)
