"""The fault panel: certain at 1, never at 0, repeatable between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from understudy.errors import ValidationError
from understudy.standins.faults import (
    DASHSCOPE_FAULTS,
    DASHSCOPE_NUMBERS,
    DASHSCOPE_WORDS,
    MODAL_FAULTS,
    MODAL_NUMBERS,
    FaultPanel,
)

pytestmark = pytest.mark.unit


def rolls(panel: FaultPanel, name: str, count: int = 1000) -> list[bool]:
    return [panel.strikes(name) for _ in range(count)]


def test_nothing_happens_unasked() -> None:
    panel = FaultPanel(DASHSCOPE_FAULTS, seed=1)
    assert not any(any(rolls(panel, name)) for name in DASHSCOPE_FAULTS)
    assert set(panel.injected.values()) == {0}


def test_certain_is_certain_and_counted() -> None:
    panel = FaultPanel(DASHSCOPE_FAULTS, seed=1)
    panel.change({"error_event": 1})
    assert all(rolls(panel, "error_event", 20))
    assert panel.injected == {**dict.fromkeys(DASHSCOPE_FAULTS, 0), "error_event": 20}


def test_a_seed_repeats_the_dice_and_faults_do_not_disturb_each_other() -> None:
    first, second = FaultPanel(DASHSCOPE_FAULTS, seed=7), FaultPanel(DASHSCOPE_FAULTS, seed=1)
    first.change({"error_event": 0.3})
    second.change({"error_event": 0.3, "garbage_frame": 0.9, "seed": 7})
    rolls(second, "garbage_frame", 50)
    expected = rolls(first, "error_event")
    assert rolls(second, "error_event") == expected
    assert 240 < sum(expected) < 360


def test_absent_faults_stay_as_they_were() -> None:
    panel = FaultPanel(DASHSCOPE_FAULTS, seed=1)
    panel.change({"error_event": 0.5})
    panel.change({"garbage_frame": 0.25})
    assert panel.probabilities == {
        **dict.fromkeys(DASHSCOPE_FAULTS, 0.0),
        "garbage_frame": 0.25,
        "error_event": 0.5,
    }


@pytest.mark.parametrize(
    "wanted",
    [
        {"meteor": 1},
        {"error_event": 1.5},
        {"error_event": -0.1},
        {"error_event": True},
        {"error_event": "1"},
        {"seed": "x"},
        [],
        3,
    ],
)
def test_a_bad_change_changes_nothing(wanted: Any) -> None:
    panel = FaultPanel(DASHSCOPE_FAULTS, seed=1)
    with pytest.raises(ValidationError):
        panel.change({"garbage_frame": 1.0, **wanted} if isinstance(wanted, dict) else wanted)
    assert set(panel.probabilities.values()) == {0.0}


@pytest.mark.parametrize(
    "wanted", [{"slow_s": -1}, {"slow_s": "3"}, {"slow_s": True}, {"slow_s": float("inf")}]
)
def test_a_number_is_zero_or_more(wanted: Any) -> None:
    panel = FaultPanel(MODAL_FAULTS, 1, MODAL_NUMBERS)
    with pytest.raises(ValidationError, match="slow_s"):
        panel.change({"slow": 1.0, **wanted})
    assert (panel.number("slow_s"), panel.probabilities["slow"]) == (10.0, 0.0)
    panel.change({"slow_s": 600})
    assert panel.settings["slow_s"] == 600.0


@pytest.mark.parametrize("wanted", [{"fallback_reason": 1}, {"fallback_reason": "x" * 101}])
def test_a_word_is_a_short_text(wanted: Any) -> None:
    panel = FaultPanel(DASHSCOPE_FAULTS, 1, words=DASHSCOPE_WORDS)
    with pytest.raises(ValidationError, match="fallback_reason"):
        panel.change({"fallback_mode": 1, **wanted})
    assert panel.settings["fallback_mode"] == 0.0
    panel.change({"fallback_reason": "no_merged_segments"})
    assert panel.word("fallback_reason") == "no_merged_segments"


def test_calm_is_as_at_the_start_but_for_what_was_counted() -> None:
    panel = FaultPanel(DASHSCOPE_FAULTS, 7, DASHSCOPE_NUMBERS, DASHSCOPE_WORDS)
    start = panel.settings
    panel.change({"gap": 0.5, "gap_s": 3, "voice_mismatch_code": "X", "seed": 9})
    struck = sum(rolls(panel, "gap"))
    panel.calm()
    assert panel.settings == start
    assert panel.injected["gap"] == struck > 0
    fresh = FaultPanel(DASHSCOPE_FAULTS, 7, DASHSCOPE_NUMBERS, DASHSCOPE_WORDS)
    for one in (panel, fresh):
        one.change({"gap": 0.5})
    assert rolls(panel, "gap") == rolls(fresh, "gap")


def test_every_name_of_both_panels_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "standins.md").read_text()
    names = (*DASHSCOPE_FAULTS, *DASHSCOPE_NUMBERS, *DASHSCOPE_WORDS, *MODAL_FAULTS, *MODAL_NUMBERS)
    assert [name for name in names if f"`{name}`" not in text] == []


def test_a_fate_is_rolled_once_and_drawn_anew_when_the_fault_is_set() -> None:
    panel = FaultPanel(MODAL_FAULTS, 1, MODAL_NUMBERS)
    panel.change({"status_unknown": 1.0})
    assert [panel.strikes_once("status_unknown", "fc-1") for _ in range(5)] == [True] * 5
    assert panel.injected["status_unknown"] == 1
    assert panel.struck("status_unknown", "fc-1")
    assert not panel.struck("status_unknown", "fc-2")
    panel.change({"status_unknown": 0.0})
    assert not panel.strikes_once("status_unknown", "fc-1")
