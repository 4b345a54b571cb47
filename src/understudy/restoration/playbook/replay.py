"""The policy over recorded calls: when each check of calls would have fired.

Only what is counted per call can be replayed, that is ``success_rate`` and ``realtime_failures``; the other
families look at the present state. Buckets do not name single calls, so a streak of failures is counted from
whole buckets and may be seen up to 5 s later than the guard saw it; probes are not replayed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from understudy.errors import ValidationError
from understudy.restoration.playbook.policy import Playbook
from understudy.restoration.signals.calls import window_of
from understudy.restoration.signals.readings import CallReading, Series, Signals, unseen
from understudy.restoration.signals.windows import BUCKET_S, CallWindow, last_edge
from understudy.restoration.triggers import realtime_failures, success_rate
from understudy.restoration.triggers.verdict import Finding, Verdict
from understudy.store.database import Connection
from understudy.store.mode import ModeChange, ModeRow, mode_history
from understudy.store.signals import read_buckets, read_refusals

#: Looks are judged every 5 s; a longer stretch would take minutes.
LONGEST = timedelta(days=31)
_HISTORY = 10_000


@dataclass(frozen=True, slots=True)
class Recording:
    """Calls and refusals by series, oldest first, and who was in force when, oldest first."""

    modes: tuple[ModeRow, ...]
    calls: Mapping[Series, tuple[CallWindow, ...]] = field(default_factory=dict)
    refused: Mapping[Series, tuple[CallWindow, ...]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Users' calls on record."""
        return sum(bucket.total for buckets in self.calls.values() for bucket in buckets)


@dataclass(frozen=True, slots=True)
class Firing:
    """A check that would have been FAIL from ``since`` to ``until`` without a break.

    Parameters
    ----------
    finding
        The first one.
    """

    finding: Finding
    since: datetime
    until: datetime


async def read_recording(
    conn: Connection, playbook: Playbook, *, since: datetime, until: datetime
) -> Recording:
    """Read what a replay from ``since`` to ``until`` needs."""
    from_at = last_edge(since - timedelta(seconds=playbook.span_s))
    calls: dict[Series, list[CallWindow]] = {}
    for bucket in reversed(await read_buckets(conn, from_at)):
        if bucket.bucket_at < until:
            series = Series(bucket.provider, bucket.mode_epoch, bucket.operation)
            calls.setdefault(series, []).append(window_of(bucket))
    refused: dict[Series, list[CallWindow]] = {}
    for item in reversed(await read_refusals(conn, from_at)):
        if item.bucket_at < until:
            series = Series(item.provider, item.mode_epoch, item.operation)
            end = item.bucket_at + timedelta(seconds=BUCKET_S)
            refused.setdefault(series, []).append(CallWindow(item.bucket_at, end, item.asked, item.refused))
    modes = [_mode(change) for change in reversed(await mode_history(conn, _HISTORY))]
    return Recording(
        tuple(modes),
        {series: tuple(windows) for series, windows in calls.items()},
        {series: tuple(windows) for series, windows in refused.items()},
    )


def replay(
    playbook: Playbook, recording: Recording, *, since: datetime, until: datetime, known_good: str
) -> list[Firing]:
    """Judge every look from ``since`` to ``until``, every 5 s; what would have fired, oldest first.

    Raises
    ------
    ValidationError
        The stretch is empty or longer than 31 days.
    """
    if not timedelta(0) < until - since <= LONGEST:
        raise ValidationError(
            "A replay covers more than nothing and at most 31 days; check --since and --until."
        )
    step = timedelta(seconds=BUCKET_S)
    at = last_edge(since)
    if at < since:
        at += step
    under_way: dict[str, Firing] = {}
    fired: list[Firing] = []
    while at <= until:
        found = {finding.key: finding for finding in _judged(playbook, recording, at, known_good)}
        for key, finding in found.items():
            known = under_way.get(key)
            under_way[key] = Firing(finding, at, at) if known is None else replace(known, until=at)
        fired.extend(under_way.pop(key) for key in set(under_way) - set(found))
        at += step
    return sorted([*fired, *under_way.values()], key=lambda firing: (firing.since, firing.finding.key))


def _judged(playbook: Playbook, recording: Recording, at: datetime, known_good: str) -> list[Finding]:
    """Return what FAILs at one look; without a failure as far back as is looked, nothing can."""
    mode = next((row for row in reversed(recording.modes) if row.changed_at <= at), None)
    if mode is None:
        return []
    since = at - timedelta(seconds=playbook.span_s)
    calls = _seen(recording.calls, mode, since, at)
    refused = _seen(recording.refused, mode, since, at)
    if not any(bucket.failed for part in (calls, refused) for windows in part.values() for bucket in windows):
        return []
    signals: Signals = replace(
        unseen(at, ""), mode=mode, blind=None, calls=CallReading(at, since, buckets=calls, refused=refused)
    )
    parts = playbook.triggers
    findings = (
        *success_rate.judge(parts.success_rate, signals, known_good=known_good, now=at),
        *realtime_failures.judge(parts.realtime_failures, signals, known_good=known_good, now=at),
    )
    return [finding for finding in findings if finding.verdict is Verdict.FAIL]


def _seen(
    part: Mapping[Series, Sequence[CallWindow]], mode: ModeRow, since: datetime, at: datetime
) -> dict[Series, tuple[CallWindow, ...]]:
    seen = {}
    for series, windows in part.items():
        if (series.provider, series.mode_epoch) == (mode.value, mode.epoch):
            first = bisect_left(windows, since, key=lambda window: window.start)
            last = bisect_left(windows, at, key=lambda window: window.start)
            seen[series] = tuple(reversed(windows[first:last]))
    return seen


def _mode(change: ModeChange) -> ModeRow:
    return ModeRow(
        value=change.value,
        epoch=change.epoch,
        actor=change.actor,
        reason=change.reason,
        incident=change.incident,
        env_value=change.env_value,
        changed_at=change.changed_at,
    )
