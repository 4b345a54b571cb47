"""One lattice of verdicts, and what a trigger says: a finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from understudy.restoration.signals.windows import CallWindow
from understudy.restoration.triggers.cures import ActionName, Check, Mode


class Verdict(StrEnum):
    """What a trigger concludes; the lattice is FAIL > BLIND > INCONCLUSIVE > NO_DATA > PASS."""

    FAIL = "FAIL"
    """The signal breaks its limit: act."""
    BLIND = "BLIND"
    """The source cannot be reached or has gone stale: nothing is known, and that is said aloud."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """Some evidence of trouble, not yet enough for the rule."""
    NO_DATA = "NO_DATA"
    """The source answers and nothing happened."""
    PASS = "PASS"  # noqa: S105  # a verdict, not a password

    @property
    def severity(self) -> int:
        """4 for FAIL down to 0 for PASS."""
        return _SEVERITY[self]


_SEVERITY = {
    Verdict.FAIL: 4,
    Verdict.BLIND: 3,
    Verdict.INCONCLUSIVE: 2,
    Verdict.NO_DATA: 1,
    Verdict.PASS: 0,
}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the most severe verdict; ``NO_DATA`` when there is none."""
    return max(verdicts, key=lambda verdict: verdict.severity, default=Verdict.NO_DATA)


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict with everything it rests on.

    Parameters
    ----------
    trigger, check
        The family and the check within it: ``realtime_failures``, ``protocol``.
    mode
        What a FAIL does: ``shadow``, ``pause`` or ``auto``.
    cures
        Actions that cure it, first cure first.
    provider, mode_epoch
        What was judged; verdicts never mix providers or epochs, so a drain's late failures
        do not count against the side just moved to. None where neither matters.
    subject
        What within the service it is about: an operation, a tenant, an invariant; empty for all of it.
    n, failures
        What was judged, and how much of it was bad.
    bounds
        The limits it was held against, by the policy's own names.
    window_s
        Length of one window, in seconds.
    windows
        Newest first, empty ones included; only where calls were judged.
    first_bad_at
        The first bad event, as far as the signals show it.
    detail
        One sentence a person can read.
    evidence
        More that was seen: plain data, no secret, no tenant's text.
    """

    trigger: str
    check: str
    verdict: Verdict
    mode: Mode
    cures: tuple[ActionName, ...]
    evaluated_at: datetime
    detail: str
    provider: str | None = None
    mode_epoch: int | None = None
    subject: str = ""
    n: int = 0
    failures: int = 0
    bounds: Mapping[str, float] = field(default_factory=dict)
    window_s: int | None = None
    windows: tuple[CallWindow, ...] = ()
    first_bad_at: datetime | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Same check of the same subject on the same side of the same switch: the same problem."""
        side = f"{self.provider or '-'}/{'-' if self.mode_epoch is None else self.mode_epoch}"
        return f"{self.trigger}/{self.check}/{self.subject or '-'}/{side}"

    def document(self) -> dict[str, Any]:
        """Return the finding as plain data for journal, status and report; times are ISO 8601 UTC."""
        return {
            "trigger": self.trigger,
            "check": self.check,
            "verdict": self.verdict.value,
            "mode": self.mode,
            "cures": list(self.cures),
            "provider": self.provider,
            "mode_epoch": self.mode_epoch,
            "subject": self.subject,
            "evaluated_at": self.evaluated_at.isoformat(),
            "n": self.n,
            "failures": self.failures,
            "bounds": dict(self.bounds),
            "window_s": self.window_s,
            "detail": self.detail,
            "first_bad_at": self.first_bad_at.isoformat() if self.first_bad_at else None,
            "evidence": dict(self.evidence),
            "windows": [window.document() for window in self.windows],
        }


def concluded(
    name: str, check: Check, verdict: Verdict, detail: str, now: datetime, *, trigger: str, **more: Any
) -> Finding:
    """Return the finding of a policy's check; ``more`` is whatever else it rests on."""
    return Finding(
        trigger=trigger,
        check=name,
        verdict=verdict,
        mode=check.mode,
        cures=tuple(check.cures),
        evaluated_at=now,
        detail=detail,
        **more,
    )
