"""What the success rate's windows were judged over time: a bounded memory, for charts; nothing is decided."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from understudy.restoration.signals.windows import BUCKET_S, last_edge
from understudy.restoration.triggers.verdict import Finding, Verdict

#: An hour of two providers: during a cutover both sides are judged.
KEPT = 2 * 3600 // BUCKET_S


@dataclass(frozen=True, slots=True)
class JudgedWindow:
    """The newest window at one bucket edge, and the verdict of the looks until the next edge.

    Parameters
    ----------
    end
        An edge; windows slide from edge to edge, so each overlaps the one before.
    verdict
        The gravest.
    """

    start: datetime
    end: datetime
    provider: str
    verdict: Verdict
    calls: int
    failed: int

    @property
    def success_rate(self) -> float | None:
        """Share of its calls that succeeded; None without any."""
        return 1 - self.failed / self.calls if self.calls else None


class JudgedWindows:
    """Remembers them for about an hour."""

    def __init__(self) -> None:
        self._kept: deque[JudgedWindow] = deque(maxlen=KEPT)

    def saw(self, findings: Iterable[Finding], at: datetime) -> None:
        """Take in the findings of one look."""
        for finding in findings:
            if (finding.trigger, finding.check) == ("success_rate", "rate"):
                self._keep(_newest(finding, at, self._last_provider()))

    def recall(self, windows: Iterable[JudgedWindow]) -> None:
        """Take in what was judged before this process began, oldest first."""
        self._kept.extend(windows)

    def since(self, end: datetime | None) -> Sequence[JudgedWindow]:
        """Return those that end then or later, oldest first."""
        return [window for window in self._kept if end is None or end <= window.end]

    def between(self, since: datetime, bucket_s: int) -> list[JudgedWindow]:
        """Return them from ``since`` on, oldest first: of each bucket (by the window's end) the gravest."""
        chosen: dict[tuple[str, int], JudgedWindow] = {}
        for window in self._kept:
            if window.end < since:
                continue
            key = (window.provider, int(window.end.timestamp()) // bucket_s)
            known = chosen.get(key)
            if known is None or window.verdict.severity >= known.verdict.severity:
                chosen[key] = window
        return sorted(chosen.values(), key=lambda window: (window.end, window.provider))

    def _last_provider(self) -> str | None:
        return self._kept[-1].provider if self._kept else None

    def _keep(self, window: JudgedWindow | None) -> None:
        if window is None:
            return
        for index in range(len(self._kept) - 1, -1, -1):
            known = self._kept[index]
            if known.end < window.end:
                break
            if (known.end, known.provider) == (window.end, window.provider):
                if window.verdict.severity >= known.verdict.severity:
                    self._kept[index] = window
                return
        self._kept.append(window)


def _newest(finding: Finding, at: datetime, last_provider: str | None) -> JudgedWindow | None:
    """Return its newest window; one of no calls where it could not see any."""
    provider = finding.provider or last_provider
    if provider is None:
        return None
    if finding.windows:
        newest = finding.windows[0]
        return JudgedWindow(newest.start, newest.end, provider, finding.verdict, newest.total, newest.failed)
    end = last_edge(at)
    start = end - timedelta(seconds=finding.window_s or BUCKET_S)
    return JudgedWindow(start, end, provider, finding.verdict, 0, 0)
