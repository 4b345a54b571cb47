"""When a stage may go on, to the very call; and what brings everybody back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.restoration.cutovers import CLEAN, POLICY, finding, row, side
from tests.unit.restoration.signals_of import MODE, signals
from understudy.restoration.cutover.power import calls_needed, chance_if_equal, excludes, upper_rate
from understudy.restoration.cutover.stages import Judgement, judge_stage, side_of_candidate
from understudy.restoration.triggers.verdict import Verdict
from understudy.store.cutover import SideTotals

pytestmark = pytest.mark.unit

ERROR = 0.05


def judged(candidate: SideTotals = CLEAN, control: SideTotals | None = CLEAN, **more: Any) -> Judgement:
    values: dict[str, Any] = {"findings": (), "known_good": "modal", "blind": None, **more}
    at = values.pop("row", row())
    return judge_stage(POLICY, at, candidate=candidate, control=control, **values)


# --- how many calls -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "failures", "calls"),
    [(0.10, 0, 29), (0.05, 0, 59), (0.02, 0, 149), (0.01, 0, 299), (0.10, 1, 46), (0.05, 2, 124)],
)
def test_known_sample_sizes(rate: float, failures: int, calls: int) -> None:
    assert calls_needed(failures, rate, ERROR) == calls


@given(st.integers(0, 12), st.floats(0.01, 0.5), st.floats(0.001, 0.2))
def test_one_call_fewer_does_not_rule_it_out(failures: int, rate: float, error: float) -> None:
    calls = calls_needed(failures, rate, error)
    assert excludes(calls, failures, rate, error)
    assert not excludes(calls - 1, failures, rate, error)


@given(st.integers(0, 12), st.floats(0.01, 0.5))
def test_a_failure_more_needs_more_calls(failures: int, rate: float) -> None:
    assert calls_needed(failures + 1, rate, ERROR) > calls_needed(failures, rate, ERROR)


@given(st.integers(1, 500), st.integers(0, 20))
def test_what_may_be_hidden_is_the_edge_of_what_is_ruled_out(calls: int, failures: int) -> None:
    edge = upper_rate(calls, failures, ERROR)
    if failures >= calls:
        assert edge == 1.0
        return
    assert not excludes(calls, failures, edge * 0.999, ERROR)
    assert edge > 0.999 or excludes(calls, failures, min(1.0, edge * 1.001), ERROR)


def test_equal_sides_and_better_ones_are_not_worse() -> None:
    assert chance_if_equal(100, 1, 1000, 10) == 1.0
    assert chance_if_equal(100, 0, 1000, 10) == 1.0
    assert chance_if_equal(0, 0, 1000, 10) == 1.0
    # 4 balls of 8 drawn, all 4 white ones among them: 1 of 70.
    assert chance_if_equal(4, 4, 4, 0) == pytest.approx(1 / 70)


# --- when a stage may go on ---------------------------------------------------------------------------------


def test_a_clean_stage_that_was_held_is_ready() -> None:
    found = judged()
    assert (found.ready, found.waiting, found.failing) == (True, (), ())
    assert found.hidden_percent < 5


@pytest.mark.parametrize(("calls", "ready"), [(58, False), (59, True)])
def test_the_sample_to_the_call(calls: int, ready: bool) -> None:
    candidate = side(total=calls, asked=calls)
    found = judged(candidate)
    assert (found.ready, found.needed) == (ready, 59)
    assert ready or "58 of 59 calls that rule out 5 % failures" in found.waiting[0]


@pytest.mark.parametrize(("calls", "ready"), [(92, False), (93, True)])
def test_a_failure_among_them_asks_for_more(calls: int, ready: bool) -> None:
    assert judged(side(total=calls, failed=1)).ready is ready


@pytest.mark.parametrize(("age_s", "ready"), [(599.9, False), (600.0, True)])
def test_it_is_held_for_its_time(age_s: float, ready: bool) -> None:
    assert judged(row=row(stage_age_s=age_s)).ready is ready


@pytest.mark.parametrize(("calls", "ready"), [(29, False), (30, True)])
def test_there_must_be_somebody_to_compare_with(calls: int, ready: bool) -> None:
    assert judged(control=side(total=calls)).ready is ready


def test_at_everybody_there_is_nobody_to_compare_with() -> None:
    assert judged(control=None).ready


@pytest.mark.parametrize(
    "more",
    [
        {"row": row(state="paused")},
        {"blind": "no api reports"},
        {"incident": "INC-1"},
        {"findings": (finding("success_rate", "rate", Verdict.INCONCLUSIVE),)},
        {"findings": (finding("cost", "creates_hour", Verdict.BLIND, provider=None, mode_epoch=None),)},
        # Whom to bring everybody back to, when the known-good side fails itself?
        {"findings": (finding("success_rate", "rate", Verdict.FAIL, provider="modal", mode_epoch=3),)},
    ],
)
def test_what_holds_a_stage_and_brings_nobody_back(more: dict[str, Any]) -> None:
    found = judged(**more)
    assert (found.ready, found.failing) == (False, ())
    assert found.waiting


def test_quiet_and_shadow_checks_hold_nothing() -> None:
    quiet = finding("playback", "stalls", Verdict.NO_DATA)
    shadow = finding("success_rate", "rate", Verdict.FAIL, mode="shadow")
    assert judged(findings=(quiet, shadow)).ready


# --- what brings everybody back -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("success_rate/rate", judged(findings=(finding("success_rate", "rate", Verdict.FAIL),))),
        (
            "success_rate/refusals",
            judged(findings=(finding("success_rate", "refusals", Verdict.FAIL, mode="shadow"),)),
        ),
        ("playback/stalls", judged(findings=(finding("playback", "stalls", Verdict.FAIL, mode="pause"),))),
        (
            "cost/creates_hour",
            judged(findings=(finding("cost", "creates_hour", Verdict.FAIL, provider=None, mode_epoch=None),)),
        ),
        ("failures against the control", judged(side(total=60, failed=6), side(total=6000, failed=6))),
        ("latency against the control", judged(side(latency_ms=2701.0))),
        ("first audio against the control", judged(side(first_audio_ms=601.0))),
        ("first audio by itself", judged(side(first_audio_ms=5001.0), side(first_audio_ms=5000.0))),
        ("refused with 409", judged(side(asked=240, refused=5))),
        ("cost", judged(side(cost_microusd=2_000_001))),
    ],
)
def test_each_guardrail(name: str, found: Judgement) -> None:
    assert [rail.name for rail in found.failing] == [name]
    assert not found.ready
    assert name in found.reason


@pytest.mark.parametrize(
    "candidate",
    [
        side(latency_ms=2700.0),
        side(first_audio_ms=600.0),
        side(asked=250, refused=5),
        side(asked=4, refused=4),
        side(cost_microusd=2_000_000),
        side(total=29, failed=0, latency_ms=9_999.0, first_audio_calls=29, first_audio_ms=9_999.0),
    ],
)
def test_exactly_at_a_limit_or_with_too_few_calls_nobody_is_brought_back(candidate: SideTotals) -> None:
    assert judged(candidate).failing == ()


@pytest.mark.parametrize(
    "elsewhere",
    [
        finding("success_rate", "rate", Verdict.FAIL, mode_epoch=7),
        finding("success_rate", "rate", Verdict.FAIL, provider="modal", mode_epoch=3),
        finding("cost", "runaway_characters", Verdict.FAIL, provider=None, mode_epoch=None),
        finding("success_rate", "rate", Verdict.FAIL, provider=None, mode_epoch=None),
    ],
)
def test_what_is_not_the_candidates_fault_brings_nobody_back(elsewhere: Any) -> None:
    assert judged(findings=(elsewhere,)).failing == ()


def test_the_candidates_side_is_judged_under_its_own_epoch() -> None:
    seen = signals(cutover=row(epoch=MODE.epoch + 1, stage_epoch=MODE.epoch + 1))
    other = side_of_candidate(seen)
    assert other is not None
    assert other.mode is not None
    assert (other.mode.value, other.mode.epoch) == ("qwen", MODE.epoch + 1)
    assert side_of_candidate(signals(cutover=row(epoch=MODE.epoch))) is None
    assert side_of_candidate(signals()) is None
