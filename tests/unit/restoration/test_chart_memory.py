"""What charts show is there after a restart, written by the guard that leads, and bounded."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from tests.clocks import HandClock
from understudy.errors import StoreUnavailableError
from understudy.restoration.guard.chart_memory import STARTS_KEPT, ChartMemory
from understudy.restoration.guard.judged_windows import JudgedWindow, JudgedWindows
from understudy.restoration.signals.windows import CallWindow
from understudy.restoration.triggers.verdict import Finding, Verdict
from understudy.store.guard import ChartRow, GuardStore
from understudy.store.mode import ProcessRow

pytestmark = pytest.mark.unit

START = HandClock().now()


class Watch:
    """One guard's memory, from its start on."""

    def __init__(self, store: GuardStore, now: datetime = START) -> None:
        self.judged = JudgedWindows()
        self.memory = ChartMemory(store.charted, "local", self.judged)
        self.memory.recall(now)

    def look(
        self,
        second: int,
        verdict: Verdict = Verdict.PASS,
        *,
        leads: bool = True,
        processes: Iterable[ProcessRow] = (),
    ) -> None:
        end = START + timedelta(seconds=second)
        window = CallWindow(end - timedelta(seconds=60), end, 10, 1)
        rate = Finding(
            trigger="success_rate", check="rate", verdict=verdict, mode="auto", cures=(), evaluated_at=end,
            detail="d", provider="qwen", windows=(window,), n=10, failures=1,
        )  # fmt: skip
        self.judged.saw([rate], end)
        self.memory.saw(processes, end, leads=leads)

    def shown(self) -> list[JudgedWindow]:
        return self.judged.between(START - timedelta(days=1), 5)


def seconds(windows: Iterable[JudgedWindow]) -> list[int]:
    return [int((window.end - START).total_seconds()) for window in windows]


def process(number: int, at: datetime) -> ProcessRow:
    return ProcessRow(
        UUID(int=number), "api", number, "h", "qwen", 1, "ready", "qwen", at, at, revision="a" * 40
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterable[GuardStore]:
    with GuardStore(tmp_path / "guard.sqlite3", HandClock()) as store:
        yield store


def test_verdicts_and_starts_are_whole_after_a_restart(store: GuardStore) -> None:
    before = Watch(store)
    began = process(1, START)
    for second in range(0, 300, 5):
        before.look(second, Verdict.FAIL if second == 100 else Verdict.PASS, processes=[began])
        before.look(second, processes=[began])
    after = Watch(store, START + timedelta(seconds=300))
    assert after.shown() == before.shown()  # the newest too, as it was judged so far
    after.look(295, processes=[process(2, START + timedelta(seconds=290))])
    assert seconds(after.shown()) == list(range(0, 300, 5))
    assert after.shown() == before.shown()
    assert [window.verdict for window in after.shown()].count(Verdict.FAIL) == 1
    assert [(start.at, start.kind, start.revision) for start in after.memory.starts] == [
        (START, "api", "a" * 40), (START + timedelta(seconds=290), "api", "a" * 40),
    ]  # fmt: skip


def test_a_guard_that_takes_over_writes_what_the_other_did_not(store: GuardStore) -> None:
    first, second = Watch(store), Watch(store)
    for at in range(0, 100, 5):
        first.look(at, leads=at < 50)
        second.look(at, leads=at >= 80)
    assert seconds(Watch(store).shown()) == list(range(0, 100, 5))


def test_what_is_kept_has_bounds(store: GuardStore) -> None:
    watch = Watch(store)
    for at in range(0, 8000, 500):
        watch.look(at)
    kept = store.charted.kept("local", "window", START)
    assert kept[0].at >= START + timedelta(seconds=7500 - 3900)
    crashing = [process(number, START + timedelta(seconds=number)) for number in range(STARTS_KEPT + 50)]
    for few in (crashing[:300], crashing[300:]):
        watch.look(9000, processes=few)
    assert len(watch.memory.starts) == len(store.charted.kept("local", "start", START)) == STARTS_KEPT
    watch.look(3 * 86_400)
    assert watch.memory.starts == []


def test_charts_are_no_reason_to_fail(store: GuardStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.charted.keep(
        "local", "window", [ChartRow(START, "qwen", {"of": "a later version"})], oldest=START, most=9
    )
    watch = Watch(store)

    def away(*_: object, **__: object) -> None:
        raise StoreUnavailableError("The disk is full.")

    monkeypatch.setattr(store.charted, "keep", away)
    for at in range(0, 50, 5):
        watch.look(at)
    monkeypatch.undo()
    watch.look(50)
    assert seconds(watch.shown())[:2] == [0, 5]
    assert len(store.charted.kept("local", "window", START)) == 11
