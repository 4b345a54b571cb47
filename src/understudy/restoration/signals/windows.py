"""Buckets and windows of calls: what was asked of a provider between two instants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

#: Windows are multiples of this and slide by it, so that two guards cut the same windows.
BUCKET_S = 5
#: Tenants a bucket names of those that failed, and of those that succeeded; more are left out.
USERS_KEPT = 16


@dataclass(frozen=True, slots=True)
class CallWindow:
    """Users' calls in ``[start, end)``: client errors, cancellations and synthetic calls are left out.

    A bucket is a window of :data:`BUCKET_S` seconds.

    Parameters
    ----------
    by_class
        Failed calls per failure class (``transport``, ``protocol``, ``provider``; ``unknown``).
    synthetic_total, synthetic_failed
        Probes, counted beside the users' calls and never among them.
    failed_users, ok_users
        Tenants of which a call failed, or succeeded; at most :data:`USERS_KEPT` a bucket.
    """

    start: datetime
    end: datetime
    total: int
    failed: int
    by_class: Mapping[str, int] = field(default_factory=dict)
    synthetic_total: int = 0
    synthetic_failed: int = 0
    failed_users: frozenset[str] = frozenset()
    ok_users: frozenset[str] = frozenset()

    @property
    def empty(self) -> bool:
        """Whether nothing happened; such a window has no success rate."""
        return self.total == 0

    def below(self, slo_percent: float) -> bool:
        """Whether the success rate is below ``slo_percent``; exactly at it is not. An empty window is not."""
        slo_ppm = round(slo_percent * 10_000)  # integers: 99.9 % of 1000 calls is exactly 999
        return not self.empty and (self.total - self.failed) * 1_000_000 < slo_ppm * self.total

    def document(self) -> dict[str, Any]:
        """Return the window as plain data."""
        return {
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "total": self.total,
            "failed": self.failed,
            "by_class": dict(self.by_class),
            "synthetic_total": self.synthetic_total,
            "synthetic_failed": self.synthetic_failed,
        }


def last_edge(now: datetime) -> datetime:
    """Return the newest bucket edge at or before ``now``."""
    seconds = int(now.timestamp())
    return datetime.fromtimestamp(seconds - seconds % BUCKET_S, UTC)


def spans(
    now: datetime, *, window_s: int, limit: int, floor: datetime | None = None
) -> Iterator[tuple[datetime, datetime]]:
    """Yield adjacent ``(start, end)`` of whole windows, newest first, at most ``limit``.

    The newest ends at the last bucket edge, so called every few seconds the windows slide. None starts before
    ``floor``.
    """
    if window_s <= 0 or window_s % BUCKET_S:
        raise ValueError(f"window_s={window_s} is not a multiple of {BUCKET_S} s")
    length = timedelta(seconds=window_s)
    end = last_edge(now)
    for _ in range(limit):
        start = end - length
        if floor is not None and start < floor:
            return
        yield start, end
        end = start


def pooled(windows: Iterable[CallWindow], start: datetime, end: datetime) -> CallWindow:
    """Return one window ``[start, end)`` that holds everything of ``windows``."""
    total = failed = synthetic_total = synthetic_failed = 0
    by_class: dict[str, int] = {}
    failed_users: set[str] = set()
    ok_users: set[str] = set()
    for window in windows:
        total += window.total
        failed += window.failed
        synthetic_total += window.synthetic_total
        synthetic_failed += window.synthetic_failed
        for name, count in window.by_class.items():
            by_class[name] = by_class.get(name, 0) + count
        failed_users |= window.failed_users
        ok_users |= window.ok_users
    return CallWindow(
        start,
        end,
        total,
        failed,
        by_class,
        synthetic_total,
        synthetic_failed,
        frozenset(failed_users),
        frozenset(ok_users),
    )


def windows_of(
    buckets: Sequence[CallWindow],
    now: datetime,
    *,
    window_s: int,
    limit: int,
    floor: datetime | None = None,
) -> list[CallWindow]:
    """Cut windows, newest first and empty ones included, out of ``buckets`` (newest first, no empty ones).

    A bucket that starts before ``floor`` counts in no window.
    """
    windows: list[CallWindow] = []
    index = 0
    for start, end in spans(now, window_s=window_s, limit=limit, floor=floor):
        while index < len(buckets) and buckets[index].start >= end:
            index += 1
        first = index
        while index < len(buckets) and buckets[index].start >= start:
            index += 1
        windows.append(pooled(buckets[first:index], start, end))
    return windows
