"""What the doctor says of the guard."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tests.clocks import HandClock
from understudy.doctor.findings import Finding, State
from understudy.doctor.guarding import look_at_guard
from understudy.processes.home import Home
from understudy.settings import settings_from

pytestmark = pytest.mark.unit

CLOCK = HandClock()


def found(home: Path, **values: str) -> dict[str, Finding]:
    findings = look_at_guard(settings_from(values), Home.at(home), CLOCK)
    assert all(finding.fix for finding in findings if finding.state is not State.OK)
    assert not any("hunter2" in finding.detail + finding.fix for finding in findings)
    return {finding.name: finding for finding in findings}


def states(findings: dict[str, Finding]) -> dict[str, State]:
    return {name: finding.state for name, finding in findings.items() if finding.state is not State.OK}


def test_by_default_only_that_nobody_is_told(tmp_path: Path) -> None:
    findings = found(tmp_path / "none")
    assert states(findings) == {"channels": State.WARN}
    assert "nobody is told" in findings["channels"].detail
    assert not (tmp_path / "none").exists()


def test_what_is_complete_is_well(tmp_path: Path) -> None:
    findings = found(
        tmp_path,
        GUARD_SLACK_WEBHOOK_URL="https://hooks.example.org/hunter22",
        GUARD_PAGERDUTY_ROUTING_KEY="hunter22",
        GUARD_DEADMAN_URL="https://beat.example.org/hunter22",
        GUARD_SIGNAL_SOURCE="prometheus",
        GUARD_PROMETHEUS_URL="https://prometheus.example.org",
        METRICS_TOKEN="m" * 16,
        PLANTED_CANARIES=f"{'a' * 16},{'b' * 16}",
    )
    assert states(findings) == {}
    assert findings["channels"].detail == "tells slack and pagerduty"
    assert findings["PLANTED_CANARIES"].detail == "2 planted"


@pytest.mark.parametrize(
    ("values", "wrong", "state"),
    [
        ({"GUARD_SLACK_WEBHOOK_URL": "http://hooks.example.org/hunter22"}, "channels", State.FAIL),
        ({"GUARD_CLOUDEVENTS_URL": "hunter22"}, "channels", State.FAIL),
        ({"GUARD_DEADMAN_URL": "ftp://beat.example.org"}, "dead-man webhook", State.FAIL),
        ({"GUARD_SIGNAL_SOURCE": "prometheus"}, "signals", State.FAIL),
        ({"GUARD_STORE_URL": "postgresql://ann:hunter22@127.0.0.1:9/x"}, "store", State.FAIL),
        ({"METRICS_TOKEN": "m" * 15}, "METRICS_TOKEN", State.WARN),
        ({"PLANTED_CANARIES": f"{'a' * 16},hunter2"}, "PLANTED_CANARIES", State.FAIL),
    ],
)
def test_each_setting_that_is_wrong_is_named(
    tmp_path: Path, values: dict[str, str], wrong: str, state: State
) -> None:
    assert states(found(tmp_path, **values))[wrong] is state


def test_a_home_that_is_no_folder_holds_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert states(found(tmp_path / "file"))["store"] is State.FAIL


def test_where_an_installation_runs_its_guard_must_live(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "state.json").write_text("{}")
    assert states(found(tmp_path))["heartbeat"] is State.WARN
    (tmp_path / "guard").mkdir()
    heartbeat = tmp_path / "guard" / "heartbeat.json"
    for age_s, state in ((10, None), (11, State.WARN)):
        at = CLOCK.now() - timedelta(seconds=age_s)
        heartbeat.write_text(json.dumps({"at": at.isoformat(), "pid": 7}))
        assert states(found(tmp_path)).get("heartbeat") is state
