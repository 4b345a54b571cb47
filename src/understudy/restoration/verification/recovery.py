"""The playbook's last step: confirm monitoring recovery before closing the incident.

Where calls failed, or what serves them was replaced, recovered means, on the provider and epoch in force and
since it was verified: the newest non-empty windows are clean, enough users' calls stand behind that, and a
user succeeded in each affected operation. Probes count for nothing here, and an empty window proves nothing
either way. A finding about money, data or secrets has to pass without a break for the length of the closing
windows; it needs no traffic. And nothing else may fail meanwhile that would open an incident of its own.
What only asked a person is decided by a person, who closes: that it passes again decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from understudy.restoration.signals.readings import Series, Signals
from understudy.restoration.signals.windows import CallWindow, windows_of
from understudy.restoration.triggers.verdict import Finding, Verdict

#: Families whose findings are about calls: traffic proves that they are over.
CALL_FAMILIES = frozenset({"success_rate", "realtime_failures", "playback"})
#: Actions that start every process anew, or move everybody: users' calls must prove that they are served.
PROVEN_BY_TRAFFIC = frozenset({"env_switch", "reapply_settings", "code_rollback", "database_restore"})
#: Of these the traffic says whether they are over, whoever was asked.
_MEASURED = frozenset({"success_rate", "realtime_failures"})
_HEALTHY = frozenset({Verdict.PASS, Verdict.NO_DATA})


@dataclass(frozen=True, slots=True)
class ClosingRule:
    """What proves that the incident is over.

    Parameters
    ----------
    operation
        The operation whose windows must be clean.
    clean_windows
        Newest non-empty windows in a row at or above the SLO.
    minimum_evidence
        Users' calls in the clean windows, counted back to the last one below the SLO.
    operations
        Operations in which a user must have succeeded.
    maximum_wait_s
        After this many seconds a person is told that the proof does not come.
    lookback_windows
        Windows searched for it.
    """

    slo_percent: float
    window_s: int
    clean_windows: int
    minimum_evidence: int
    operations: tuple[str, ...]
    maximum_wait_s: float
    lookback_windows: int
    operation: str = "speak"

    @property
    def quiet_s(self) -> float:
        """How long a finding that no traffic proves must pass without a break, in seconds."""
        return self.clean_windows * self.window_s


@dataclass(frozen=True, slots=True)
class Recovery:
    """What monitoring says: recovered when nothing is waited for.

    Parameters
    ----------
    n, failures
        Users' calls and failed calls in the clean windows.
    overdue
        The longest wait has passed.
    """

    waiting_for: tuple[str, ...]
    n: int
    failures: int
    windows: tuple[CallWindow, ...]
    successes: Mapping[str, int]
    overdue: bool

    @property
    def recovered(self) -> bool:
        """Whether the closing rule is met."""
        return not self.waiting_for

    def document(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "recovered": self.recovered,
            "waiting_for": list(self.waiting_for),
            "n": self.n,
            "failures": self.failures,
            "successes": dict(self.successes),
            "overdue": self.overdue,
            "windows": [window.document() for window in self.windows],
        }


class PassingSince:
    """Since when each check has been healthy without a break, by what this guard saw itself.

    A guard that has just started knows of no such time and waits again: never too short, sometimes longer.
    """

    def __init__(self) -> None:
        self._since: dict[str, datetime] = {}

    def saw(self, findings: Sequence[Finding], now: datetime) -> None:
        """Take in the findings of one cycle."""
        healthy: dict[str, bool] = {}
        for finding in findings:
            name = f"{finding.trigger}/{finding.check}"
            healthy[name] = healthy.get(name, True) and finding.verdict in _HEALTHY
        self._since = {name: self._since.get(name, now) for name, ok in healthy.items() if ok}

    def healthy_s(self, check: str, now: datetime) -> float | None:
        """Seconds that ``family/check`` has been healthy, or None while it is not."""
        since = self._since.get(check)
        return None if since is None else max(0.0, (now - since).total_seconds())


def clean_streak(rule: ClosingRule, windows: Sequence[CallWindow]) -> list[CallWindow]:
    """Return the newest windows with calls, back to the last one below the SLO (newest first)."""
    streak: list[CallWindow] = []
    for window in windows:
        if window.below(rule.slo_percent):
            break
        if not window.empty:
            streak.append(window)
    return streak


def needs_traffic(documents: Sequence[Mapping[str, Any]], actions: Sequence[str]) -> bool:
    """Whether users' calls must prove the recovery: calls failed, or what serves them was replaced."""
    replaced = not PROVEN_BY_TRAFFIC.isdisjoint(actions)
    return replaced or any(doc.get("trigger") in CALL_FAMILIES for doc in documents)


def undecided(asked: Sequence[Mapping[str, Any]], actions: Sequence[str], serving: str | None) -> list[str]:
    """Return the checks that a person must decide about: those that nothing of what was done can cure.

    Parameters
    ----------
    asked
        Findings that brought no action.
    serving
        The provider in force: a switch cures what the side that was left had, and nothing of this one.
    """
    waiting = []
    for doc in asked:
        left = doc.get("provider") != serving
        cured = "env_switch" in actions and "env_switch" in (doc.get("cures") or ()) and left
        measured = doc.get("trigger") in _MEASURED and doc.get("mode") == "auto"
        if doc.get("trigger") not in CALL_FAMILIES or not (cured or measured):
            waiting.append(f"{doc.get('trigger')}/{doc.get('check')}")
    return list(dict.fromkeys(waiting))


def judge_recovery(
    rule: ClosingRule,
    windows: Sequence[CallWindow],
    successes: Mapping[str, int],
    *,
    since: datetime,
    now: datetime,
    traffic: bool = True,
    quiet: Mapping[str, float | None] | None = None,
    failing: Sequence[str] = (),
    undecided: Sequence[str] = (),
) -> Recovery:
    """Judge what happened since the restoration was verified.

    Parameters
    ----------
    windows
        Since ``since``, newest first.
    successes
        Users' successes of each operation.
    traffic
        Whether users' calls must prove it (:func:`needs_traffic`).
    quiet
        Checks that need no traffic, with the seconds for which each has been healthy (None: it is not).
    failing
        Checks that fail now and would open an incident of their own.
    undecided
        Checks that a person must decide about (:func:`undecided`).
    """
    streak = clean_streak(rule, windows)
    calls = sum(window.total for window in streak)
    waiting = [f"{check} to stop failing" for check in failing]
    if traffic:
        if len(streak) < rule.clean_windows:
            waiting.append(f"{rule.clean_windows} clean windows of {rule.window_s} s ({len(streak)} so far)")
        if calls < rule.minimum_evidence:
            waiting.append(f"{rule.minimum_evidence} users' calls in clean windows ({calls} so far)")
        waiting += [
            f"a user's success in {operation}"
            for operation in rule.operations
            if not successes.get(operation)
        ]
    waiting += [
        f"{check} to pass for {rule.quiet_s:g} s ({seconds or 0:.0f} s so far)"
        for check, seconds in (quiet or {}).items()
        if seconds is None or seconds < rule.quiet_s
    ]
    waiting += [f"a person to decide about {check}" for check in undecided]
    return Recovery(
        waiting_for=tuple(waiting),
        n=calls,
        failures=sum(window.failed for window in streak),
        windows=tuple(windows),
        successes=dict(successes),
        overdue=(now - since).total_seconds() > rule.maximum_wait_s,
    )


def watch_recovery(
    rule: ClosingRule,
    signals: Signals,
    findings: Sequence[Finding],
    passing: PassingSince,
    *,
    documents: Sequence[Mapping[str, Any]],
    actions: Sequence[str],
    since: datetime,
    asked: Sequence[Mapping[str, Any]] = (),
) -> Recovery:
    """Judge the recovery of an incident by the newest look.

    Parameters
    ----------
    findings
        Of this cycle.
    documents
        The incident's own findings, as journaled.
    actions
        What the engine did.
    since
        When the restoration was verified, or read back where nothing verifies it.
    asked
        Those of ``documents`` that brought no action.
    """
    now, mode = signals.at, signals.mode
    windows: list[CallWindow] = []
    successes: dict[str, int] = {}
    if mode is not None:
        for operation in {rule.operation, *rule.operations}:
            buckets = signals.calls.calls(Series(mode.value, mode.epoch, operation))
            successes[operation] = sum(b.total - b.failed for b in buckets if b.start >= since)
        windows = windows_of(
            signals.calls.calls(Series(mode.value, mode.epoch, rule.operation)),
            now,
            window_s=rule.window_s,
            limit=rule.lookback_windows,
            floor=since,
        )
    own = {f"{doc.get('trigger')}/{doc.get('check')}": doc for doc in documents}
    quiet = {
        check: passing.healthy_s(check, now)
        for check, doc in own.items()
        if doc.get("trigger") not in CALL_FAMILIES
    }
    failing = [
        f"{f.trigger}/{f.check}"
        for f in findings
        if f.verdict is Verdict.FAIL and f.mode != "shadow" and f"{f.trigger}/{f.check}" not in quiet
    ]
    return judge_recovery(
        rule,
        windows,
        successes,
        since=since,
        now=now,
        traffic=needs_traffic(documents, actions),
        quiet=quiet,
        failing=list(dict.fromkeys(failing)),
        undecided=undecided(asked, actions, mode.value if mode is not None else None),
    )
