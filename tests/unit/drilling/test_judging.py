"""What a drill's row says, and that a wrong or repeated action shows in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from understudy.drilling.judging import row_of
from understudy.drilling.scenarios import SCENARIOS, scenarios_of
from understudy.errors import NotFoundError
from understudy.resources import playbook_file
from understudy.restoration.drills.catalogue import DRILLS
from understudy.restoration.drills.history import HISTORY_FILE, DrillRow, append_row, last_passed, read_rows
from understudy.restoration.playbook.policy import load_policy
from understudy.restoration.playbook.repertoire import ACTIONS
from understudy.restoration.triggers.cures import ActionName

pytestmark = pytest.mark.unit

AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def incident(
    *begun: ActionName, upto: str | None = None, ok: bool = True, state: str = "CLOSED"
) -> dict[str, Any]:
    """An incident whose actions took their steps, all or ``upto`` one that ended ``ok`` or not."""
    opened = {"known_good": "modal", "finding_key": "success_rate/rate/-/qwen/1"}
    journal: list[dict[str, Any]] = [{"kind": "opened", "step": None, "body": opened}]
    for action in begun:
        journal.append({"kind": "begun", "step": None, "body": {"action": action, "attempt": 1}})
        for step in ACTIONS[action]:
            last = step.name == (upto or ACTIONS[action][-1].name)
            body = {"action": action, "ok": ok or not last}
            journal.append({"kind": "outcome", "step": step.name, "body": body})
            if last:
                break
    times = {
        name: (AT + timedelta(seconds=second)).isoformat()
        for name, second in {
            "detected": 9,
            "decided": 10,
            "mitigated": 14.5,
            "verified": 30,
            "closed": 60,
        }.items()
    }
    return {"id": "inc-1", "state": state, "journal": journal, "times": times}


def judged(document: dict[str, Any] | None, **more: Any) -> DrillRow:
    values: dict[str, Any] = {
        "scenario": "success_rate",
        "environment": "drill",
        "injected_at": AT,
        "finds": ("success_rate/rate/", "realtime_failures/"),
        "cures": ("env_switch",),
        "traces": ["inc-1:redeploy api", "inc-1:redeploy worker"],
        "flips": ["modal"],
        "report": None,
        "problem": None,
    }
    return row_of(document, **(values | more))


def test_a_restoration_that_did_only_what_it_should_passes() -> None:
    row = judged(incident("env_switch"))
    assert row.passed
    assert (row.detect_s, row.decide_s, row.mitigate_s, row.verify_s, row.close_s) == (9, 10, 14.5, 30, 60)
    assert (row.cure, row.closed) == ("env_switch", True)


def test_the_newest_attempt_counts() -> None:
    tried, done = incident("env_switch", ok=False), incident("env_switch")
    assert judged({**done, "journal": tried["journal"] + done["journal"]}).verified
    assert not judged({**done, "journal": done["journal"] + tried["journal"]}).verified
    unproven = judged({**tried, "times": {**tried["times"], "verified": None}})
    assert (unproven.mitigate_s, unproven.verify_s) == (14.5, None)


def test_a_rung_without_a_check_from_outside_is_verified_by_its_read_back() -> None:
    done = incident("close_valve")
    row = judged({**done, "times": {**done["times"], "verified": None}}, cures=("close_valve",))
    assert (row.verified, row.verify_s) == (True, 14.5)


@pytest.mark.parametrize(
    ("document", "more"),
    [
        (None, {}),
        (incident(), {}),
        (incident("env_switch", ok=False), {}),
        (incident("env_switch", upto="read_back"), {}),
        (incident("env_switch", upto="redeploy", ok=False), {}),
        (incident("env_switch", "close_valve"), {}),
        (incident("env_switch"), {"flips": ["qwen"]}),
        (incident("env_switch"), {"flips": ["modal", "modal"]}),
        (incident("env_switch"), {"traces": ["inc-1:redeploy api", "inc-1:redeploy api"]}),
        (incident("env_switch"), {"finds": ("playback/",)}),
        (incident("env_switch"), {"problem": "the service did not start"}),
    ],
    ids=[
        "no incident",
        "no cure",
        "not verified",
        "not over",
        "held amid",
        "wrong action",
        "wrong way",
        "twice",
        "deployed twice",
        "for another reason",
        "broke",
    ],
)
def test_whatever_else_happened_fails(document: dict[str, Any] | None, more: dict[str, Any]) -> None:
    assert not judged(document, **more).passed


def test_the_history_outlives_a_line_that_was_cut_short(tmp_path: Path) -> None:
    row = judged(incident("env_switch"))
    append_row(tmp_path, row)
    with (tmp_path / HISTORY_FILE).open("a") as stream:
        stream.write('{"at": "2026-11-29T1')
    assert read_rows(tmp_path) == [row]


def test_only_a_run_that_passed_lately_in_that_environment_counts(tmp_path: Path) -> None:
    append_row(tmp_path, judged(incident("env_switch")))
    append_row(tmp_path, judged(None))

    def found(days: float, environment: str = "drill", scenario: str | None = None) -> bool:
        now = AT + timedelta(days=days)
        within = timedelta(days=30)
        row = last_passed(tmp_path, environment=environment, scenario=scenario, within=within, now=now)
        return row is not None

    assert found(30)
    assert not found(30.001)
    assert not found(1, "staging")
    assert found(1, scenario="success_rate")
    assert not found(1, scenario="playback")


def test_every_family_of_the_playbook_is_drilled() -> None:
    policy, _ = load_policy(playbook_file())
    named = {scenario.name for scenario in SCENARIOS}
    assert [scenario.drill for scenario in SCENARIOS] == list(DRILLS)
    assert len(named) == len(SCENARIOS)
    for family in policy.families:
        prefix = "realtime" if family.trigger == "realtime_failures" else family.trigger
        assert any(name.startswith(prefix) for name in named), family.trigger


def test_what_a_scenario_causes_is_a_check_of_the_policy_that_brings_its_cure() -> None:
    policy, _ = load_policy(playbook_file())
    for scenario in SCENARIOS:
        for find in scenario.finds:
            trigger, check, *_ = find.split("/")
            family = getattr(policy.triggers, trigger)
            checks = (
                [getattr(family, check)] if check else [family.transport, family.protocol, family.provider]
            )
            assert all(set(scenario.cures) <= set(one.cures) for one in checks), scenario.name


def test_an_unknown_drill_is_refused_with_the_list() -> None:
    with pytest.raises(NotFoundError, match="realtime_protocol"):
        scenarios_of("realtime")
