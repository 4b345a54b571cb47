"""What the guard's store remembers: the stabilization clock, completed cutovers, the last judgement."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from understudy.store.guard import GuardStore

#: Completed cutovers that are kept.
KEPT = 20


@dataclass(frozen=True, slots=True)
class StabilizationClock:
    """When the candidate began to serve everybody through a cutover; ``at`` is ISO 8601, UTC.

    It counts only while the live mode still has this value under this epoch.
    """

    candidate: str
    at: str
    mode_epoch: int
    cutover: int
    owner: str
    plan_sha256: str

    @property
    def since(self) -> datetime:
        """When it started."""
        return datetime.fromisoformat(self.at)


@dataclass(frozen=True, slots=True)
class CompletedCutover:
    """A cutover whose last stage held."""

    seq: int
    candidate: str
    subject_sha256: str
    completed_at: str


def start_stabilization(store: GuardStore, environment: str, clock: StabilizationClock) -> None:
    """Remember it; the same one again changes nothing."""
    if stabilization_clock(store, environment) != clock:
        store.remember(f"stabilization:{environment}", json.dumps(asdict(clock), sort_keys=True))


def stabilization_clock(store: GuardStore, environment: str) -> StabilizationClock | None:
    """Return the newest one, or None before the first."""
    known = store.meta(f"stabilization:{environment}")
    return StabilizationClock(**json.loads(known)) if known else None


def completed(store: GuardStore, environment: str) -> list[CompletedCutover]:
    """Return the completed cutovers, oldest first."""
    return [CompletedCutover(**one) for one in json.loads(store.meta(f"cutovers:{environment}") or "[]")]


def remember_completed(store: GuardStore, environment: str, done: CompletedCutover) -> None:
    """Remember one; the same one again changes nothing."""

    def add(text: str | None) -> str:
        known = [one for one in json.loads(text or "[]") if one["seq"] != done.seq]
        return json.dumps([*known, asdict(done)][-KEPT:], sort_keys=True)

    store.revise(f"cutovers:{environment}", add)


def remember_judgement(store: GuardStore, environment: str, judgement: Mapping[str, Any]) -> None:
    """Keep the newest judgement for `understudy cutover status`."""
    store.remember(f"cutover_judgement:{environment}", json.dumps(dict(judgement), sort_keys=True))


def last_judgement(store: GuardStore, environment: str) -> dict[str, Any] | None:
    """Return it, or None before the first."""
    known = store.meta(f"cutover_judgement:{environment}")
    return dict(json.loads(known)) if known else None
