"""``understudy probes`` where nothing runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from understudy.cli.commands import app

pytestmark = pytest.mark.integration


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation whose database is away."""
    monkeypatch.delenv("UNDERSTUDY_ENV_FILE", raising=False)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing")
    return tmp_path


def test_status_asks_the_guards_store_alone(home: Path) -> None:
    run = CliRunner().invoke(app, ["probes", "status", "--json", "--home", str(home)])
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    assert (found["active"], found["standby"], found["canary_read"]) == ([], [], None)
    assert found["spent_today_microusd"] == 0
    assert found["plan"]["text"]


def test_a_turn_that_could_not_be_taken_is_no_success(home: Path) -> None:
    run = CliRunner().invoke(app, ["probes", "run", "--once", "--json", "--home", str(home)])
    assert run.exit_code == 1, run.output
    assert "supervisor" in json.loads(run.stdout)["held_up"]
    run = CliRunner().invoke(app, ["probes", "run", "--home", str(home)])
    assert run.exit_code != 0
    assert "--once" in run.stderr
