"""Signals for trigger tests, out of a few buckets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from understudy.resources import playbook_file
from understudy.restoration.playbook.policy import load_playbook
from understudy.restoration.signals.readings import CallReading, Series, Signals, TailCall, unseen
from understudy.restoration.signals.windows import CallWindow
from understudy.restoration.triggers.success_rate import Rate, SuccessRate
from understudy.store.mode import ModeRow

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
QWEN = Series("qwen", 3, "speak")
PLAYBOOK = load_playbook(playbook_file())


def mode(value: str = "qwen", epoch: int = 3, changed_at: datetime = NOW - timedelta(days=1)) -> ModeRow:
    return ModeRow(value, epoch, "test", "test", None, value, changed_at)


def bucket(age_s: float, total: int, failed: int = 0, **more: Any) -> CallWindow:
    """5 s of calls that ended ``age_s`` ago; tenants a to d in turn, unless told otherwise."""
    end = NOW - timedelta(seconds=age_s)
    turn = int(age_s // 5) % 4
    users = {"failed_users": frozenset(("abcd" * 2)[turn : turn + min(failed, 4)])} if failed else {}
    served = {"ok_users": frozenset("abcd"[: min(total - failed, 4)])} if total > failed else {}
    return CallWindow(end - timedelta(seconds=5), end, total, failed, **{**users, **served, **more})


def tail(*calls: tuple[float, bool, str | None]) -> tuple[TailCall, ...]:
    return tuple(TailCall(NOW - timedelta(seconds=age_s), ok, user) for age_s, ok, user in calls)


def signals(
    buckets: Sequence[CallWindow] | Mapping[Series, Sequence[CallWindow]] = (),
    *,
    tails: Sequence[TailCall] = (),
    probes: Sequence[TailCall] = (),
    refused: Mapping[Series, Sequence[CallWindow]] | None = None,
    blind: str | None = None,
    row: ModeRow | None = None,
) -> Signals:
    by_series = buckets if isinstance(buckets, Mapping) else {QWEN: buckets}
    reading = CallReading(
        NOW,
        NOW - timedelta(hours=1),
        buckets={series: tuple(items) for series, items in by_series.items()},
        tails={QWEN: tuple(tails)} if tails else {},
        probes={QWEN: tuple(probes)} if probes else {},
        refused={series: tuple(items) for series, items in (refused or {}).items()},
        blind=blind,
    )
    return replace(unseen(NOW, ""), mode=row or mode(), blind=None, calls=reading)


def part(rule: str = "guarded", **changes: Any) -> SuccessRate:
    """The shipped policy's part with changes; ``evidence__alpha`` reaches one level deeper."""
    shipped = PLAYBOOK.triggers.success_rate
    rate = shipped.rate.model_dump() | {"rule": rule}
    for name, value in changes.items():
        at, _, inner = name.partition("__")
        if inner:
            rate[at][inner] = value
        else:
            rate[at] = value
    return shipped.model_copy(update={"rate": Rate.model_validate(rate)})
