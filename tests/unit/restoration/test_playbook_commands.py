from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from understudy.cli.commands import app
from understudy.resources import playbook_file
from understudy.restoration.playbook import simulation
from understudy.restoration.playbook.policy import FAMILY_SENTENCES, TRIGGER_NAMES
from understudy.restoration.playbook.simulation import CONDITIONS, Cell

pytestmark = pytest.mark.unit

DOCS = Path(__file__).parents[3] / "docs"


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["playbook", *arguments])
    return result.exit_code, result.stdout


def test_lint_says_ok_or_what_to_do(tmp_path: Path) -> None:
    assert run("lint")[0] == 0
    path = tmp_path / "playbook.yaml"
    path.write_text(playbook_file().read_text("utf-8").replace("attempts: 5", "attempts: 0"), "utf-8")
    code, said = run("lint", str(path), "--json")
    (problem,) = json.loads(said)["problems"]
    assert (code, problem["field"], problem["line"] > 100) == (1, "limits.attempts", True)


def test_show_is_the_page_an_operator_reads() -> None:
    code, said = run("show")
    assert code == 0
    for wanted in (*TRIGGER_NAMES, "rung 0 close_valve", "rung 1 env_switch", "[ ] Task polling returns"):
        assert wanted in said
    flat = " ".join(said.replace("│", " ").split())
    for sentence in FAMILY_SENTENCES:
        assert sentence in flat
    assert "`understudy valve close design-creates" in flat
    alone = run("show", "--family", "cost")[1]
    assert "design_repeats" in alone
    assert "secret_leak" not in alone
    assert len(alone.splitlines()) <= 45  # one screen
    assert json.loads(run("show", "--json")[1])["version"] == 3
    assert run("show", "--family", "weather")[0] == 1


def test_instructions_name_commands_that_exist() -> None:
    cures = json.loads(run("show", "--json")[1])["cures"]
    quoted_in = [quoted for cure in cures.values() for quoted in cure["instruction"].split("`")[1::2]]
    assert len(quoted_in) > 12
    for quoted in quoted_in:
        words = quoted.split()
        if words[0] == "understudy":
            depth = (
                2
                if words[1] in {"valve", "mode", "budget", "freeze", "reconcile", "voices", "keys", "db"}
                else 1
            )
            assert CliRunner().invoke(app, [*words[1 : 1 + depth], "--help"]).exit_code == 0, quoted


def test_schema_and_fields_are_printed_whole() -> None:
    assert run("schema")[1] == playbook_file().with_name("restoration.schema.json").read_text("utf-8")
    assert run("fields")[1] == (DOCS / "policy.md").read_text("utf-8")


def cells() -> list[Cell]:
    return [
        Cell(rule, rate, condition, days=2.0, trips=1)
        if condition in simulation.QUIET
        else Cell(rule, rate, condition, detect_s=(5.0, 700.0, float("inf")))
        for rule in simulation.RULES
        for rate in simulation.RATES
        for condition in CONDITIONS
    ]


def test_simulate_speaks_json_markdown_and_a_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(simulation, "simulate", lambda *_, **__: cells())
    rows = json.loads(run("simulate", "--json")[1])
    assert len(rows) == 70
    assert {
        "rule",
        "calls_per_minute",
        "condition",
        "false_trips_per_day",
        "detect_p50_s",
        "detect_p95_s",
    } <= set(rows[0])
    code, said = run("simulate", "--markdown", "--record", str(tmp_path / "bounds.json"))
    assert code == 0
    assert "| outage | guarded | 12 min / > 4 h, 1/3 missed |" in said
    assert len(json.loads((tmp_path / "bounds.json").read_text())["bounds"]) == 35
    assert "700" not in run("simulate")[1]


def test_check_exits_one_and_says_which_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    worse = [Cell("guarded", 60, "healthy", days=2.0, trips=40)]
    monkeypatch.setattr(simulation, "simulate", lambda *_, **__: worse)
    code, said = run("simulate", "--check")
    assert code == 1
    assert "healthy at 60 calls/min (guarded): 40 false trips" in " ".join(said.split())
    monkeypatch.setattr(simulation, "simulate", lambda *_, **__: [])
    assert run("simulate", "--check")[0] == 0


def test_the_recorded_table_has_every_cell() -> None:
    recorded = (DOCS / "simulation.md").read_text("utf-8")
    for condition in CONDITIONS:
        for rule in simulation.RULES:
            assert f"| {condition} | {rule} | " in recorded
