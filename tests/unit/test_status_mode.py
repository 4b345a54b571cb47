"""What `understudy status` says of a mode that not every process follows."""

from __future__ import annotations

import pytest

from understudy.cli import status

pytestmark = pytest.mark.unit

FOLLOWS = {
    "kind": "api",
    "pid": 11,
    "mode_value": "qwen",
    "mode_epoch": 4,
    "mode_state": "FRESH",
    "env_value": "qwen",
    "known_good_ok": True,
    "drifting": False,
    "lagging": False,
}
ROW = {"value": "qwen", "epoch": 4, "actor": "person:ann"}


def said(capsys: pytest.CaptureFixture[str], drifting: bool, *processes: dict[str, object]) -> str:
    status._show_mode({"mode": ROW, "drifting": drifting, "processes": [FOLLOWS, *processes]})
    return " ".join(capsys.readouterr().out.split())


def test_a_mode_that_everybody_follows_needs_no_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, False) == ""


def test_drift_and_whoever_does_not_follow_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    stale = {
        **FOLLOWS,
        "kind": "worker",
        "pid": 12,
        "mode_value": "modal",
        "mode_epoch": 3,
        "mode_state": "STALE",
    }
    told = said(capsys, True, {**stale, "lagging": True, "drifting": True})
    assert "The live mode is qwen (epoch 4, person:ann): it overrides that." in told
    assert "worker 12: modal at epoch 3, STALE, behind the row; its environment says qwen" in told
    assert "api 11" not in told


def test_a_failed_check_of_the_known_good_side_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    told = said(capsys, False, {**FOLLOWS, "pid": 13, "known_good_ok": False})
    assert "api 13: qwen at epoch 4, FRESH; the known-good provider failed its last check" in told
