from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import pytest

from tests.unit.restoration.looking import NOW, PLAYBOOK, bucket, signals
from understudy.restoration.playbook import judging
from understudy.restoration.playbook.policy import TRIGGER_NAMES
from understudy.restoration.signals.readings import unseen
from understudy.restoration.triggers.verdict import Verdict

pytestmark = pytest.mark.unit


def test_nothing_seen_is_blind_in_every_family() -> None:
    findings = judging.judge_all(PLAYBOOK, unseen(NOW, "the database is down"), known_good="modal", now=NOW)
    assert {(finding.trigger, finding.check) for finding in findings} == {
        (trigger, name) for trigger, name, _ in PLAYBOOK.checks()
    }
    verdicts = judging.family_verdicts(findings)
    assert list(verdicts) == list(TRIGGER_NAMES)
    assert set(verdicts.values()) == {Verdict.BLIND}
    order = [finding.verdict.severity for finding in findings]
    assert order == sorted(order, reverse=True)


def test_a_failure_stands_over_blindness_and_shadow_does_not_speak_for_its_family() -> None:
    burning = signals([bucket(age, 50, 50) for age in range(0, 130, 5)], blind="half gone")
    findings = judging.judge_all(PLAYBOOK, burning, known_good="modal", now=NOW)
    assert (findings[0].trigger, findings[0].check) == ("success_rate", "rate")
    assert judging.family_verdicts(findings)["success_rate"] is Verdict.FAIL
    shadow = [replace(finding, mode="shadow") for finding in findings]
    assert set(judging.family_verdicts(shadow).values()) == {Verdict.NO_DATA}


def test_a_trigger_that_breaks_is_blind_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("cannot be")

    told = Mock()
    monkeypatch.setattr(judging, "log", told)
    monkeypatch.setattr(judging.realtime_failures, "judge", broken)
    burning = signals([bucket(age, 50, 50) for age in range(0, 130, 5)])
    verdicts = judging.family_verdicts(judging.judge_all(PLAYBOOK, burning, known_good="modal", now=NOW))
    assert verdicts["realtime_failures"] is Verdict.BLIND
    assert verdicts["success_rate"] is Verdict.FAIL
    told.exception.assert_called_once_with("trigger_broke", trigger="realtime_failures")


def test_rearming_wants_better_than_the_slo_of_the_rate_and_a_pass_of_the_rest() -> None:
    def rearmed(per_window: int, check: str = "rate") -> bool:
        calls = signals([bucket(60 * index, 1000, per_window) for index in range(5)])
        findings = judging.judge_all(PLAYBOOK, calls, known_good="modal", now=NOW)
        finding = next(item for item in findings if item.check == check)
        return judging.rearmed(PLAYBOOK, finding, calls, now=NOW)

    assert rearmed(6)
    assert not rearmed(8)
    assert rearmed(8, "protocol")
    assert not rearmed(8, "beacons")  # NO_DATA is no health


def test_what_can_be_detected_is_told() -> None:
    told = judging.minimum_detectable(PLAYBOOK, signals([bucket(age, 50) for age in range(0, 100, 5)]))
    assert told["calls"] == 1000
    assert 1 < told["percent"] < 4
    assert judging.minimum_detectable(PLAYBOOK, signals([bucket(0, 19)]))["percent"] is None
    assert judging.minimum_detectable(PLAYBOOK, unseen(NOW, "x"))["calls"] == 0
