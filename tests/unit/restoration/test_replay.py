from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.restoration.looking import NOW, PLAYBOOK, QWEN, mode
from understudy.errors import ValidationError
from understudy.restoration.playbook.replay import Recording, replay
from understudy.restoration.signals.readings import Series
from understudy.restoration.signals.windows import CallWindow

pytestmark = pytest.mark.unit

START = NOW - timedelta(minutes=40)


def minutes(first: int, last: int, total: int, failed: int) -> list[CallWindow]:
    """Buckets from minute to minute after START; two tenants."""
    users = {"failed_users": frozenset("ab") if failed else frozenset(), "ok_users": frozenset("ab")}
    return [
        CallWindow(at, at + timedelta(seconds=5), total, failed, {"protocol": failed}, **users)
        for at in (START + timedelta(seconds=5 * index) for index in range(12 * first, 12 * last))
    ]


def fired(recording: Recording, **more: object) -> list[tuple[str, float, float]]:
    found = replay(PLAYBOOK, recording, since=START, until=NOW, known_good="modal", **more)  # type: ignore[arg-type]
    return [
        (
            f"{firing.finding.trigger}/{firing.finding.check}",
            (firing.since - START).total_seconds(),
            (firing.until - START).total_seconds(),
        )
        for firing in found
    ]


def test_an_hour_with_one_outage_fires_once_each() -> None:
    calls = [*minutes(0, 20, 5, 0), *minutes(20, 25, 5, 5), *minutes(25, 40, 5, 0)]
    found = fired(Recording((mode(epoch=3, changed_at=START),), {QWEN: tuple(calls)}))
    assert [name for name, _, _ in found] == ["realtime_failures/protocol", "success_rate/rate"]
    for _, since, until in found:
        assert 1200 < since <= 1220
        assert 1500 <= until <= 1560
    assert fired(Recording((mode(epoch=3, changed_at=START),), {QWEN: tuple(minutes(0, 40, 5, 0))})) == []


def test_only_the_mode_in_force_at_the_time_is_judged() -> None:
    drain = {QWEN: tuple(minutes(0, 40, 5, 5)), Series("modal", 4, "speak"): tuple(minutes(20, 40, 5, 0))}
    rows = (mode(epoch=3, changed_at=START), mode("modal", 4, START + timedelta(minutes=20)))
    found = fired(Recording(rows, drain))
    assert found
    assert all(until < 1200 for _, _, until in found)
    assert fired(Recording((), drain)) == []


def test_a_stretch_that_is_none_or_too_long_is_refused() -> None:
    nothing = Recording((mode(),))
    for since in (NOW, NOW - timedelta(days=32)):
        with pytest.raises(ValidationError, match="at most 31 days"):
            replay(PLAYBOOK, nothing, since=since, until=NOW, known_good="modal")
