from __future__ import annotations

import hashlib
import json
from pathlib import Path

import jsonschema_rs
import pytest
import yaml
from pydantic import BaseModel

from understudy.errors import ConfigurationError
from understudy.resources import playbook_file
from understudy.restoration.guard.documents import policy_document
from understudy.restoration.playbook.fields import markdown, schema
from understudy.restoration.playbook.policy import (
    FAMILY_SENTENCES,
    TRIGGER_NAMES,
    Playbook,
    lint,
    load_playbook,
    load_policy,
)
from understudy.restoration.playbook.words import SENTENCES, limits_in_words
from understudy.restoration.verification.checklist import CHECKLIST

pytestmark = pytest.mark.unit

DOCS = Path(__file__).parents[3] / "docs"


def edited(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = playbook_file().read_text("utf-8")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = tmp_path / "playbook.yaml"
    path.write_text(text, "utf-8")
    return path


def test_the_shipped_playbook_says_what_was_agreed() -> None:
    playbook = load_playbook(playbook_file())
    rate, realtime = playbook.triggers.success_rate.rate, playbook.triggers.realtime_failures
    assert (rate.slo_percent, rate.window_s, rate.consecutive, rate.evidence.min_calls) == (99, 60, 2, 20)
    assert (rate.rule, rate.mode) == ("guarded", "auto")
    assert (realtime.protocol.count, realtime.protocol.rate_percent) == (5, 10)
    assert [family.sentence for family in playbook.families] == list(FAMILY_SENTENCES)
    assert [family.trigger for family in playbook.families] == list(TRIGGER_NAMES)
    assert playbook.checklist == [sentence for sentence, _ in CHECKLIST]
    first = {f"{trigger}/{name}": (check.mode, check.cures[0]) for trigger, name, check in playbook.checks()}
    assert {key for key, (mode, _) in first.items() if mode == "auto"} == {
        "success_rate/rate",
        "realtime_failures/transport",
        "realtime_failures/protocol",
        "realtime_failures/provider",
        "cost/design_repeats",
        "cost/creates_hour",
    }
    assert {
        key: cure for key, (_, cure) in first.items() if not key.startswith(("realtime", "playback"))
    } == {
        "success_rate/rate": "env_switch",
        "success_rate/refusals": "env_switch",
        "cost/design_repeats": "close_valve",
        "cost/creates_hour": "close_valve",
        "cost/runaway_characters": "throttle_tenant",
        "cost/spend_hour": "close_valve",
        "data_integrity/missing_provider_metadata": "quarantine_and_repair",
        "data_integrity/orphaned_generations": "quarantine_and_repair",
        "data_integrity/orphaned_tasks": "quarantine_and_repair",
        "data_integrity/completed_without_audio": "quarantine_and_repair",
        "data_integrity/audio_without_row": "quarantine_and_repair",
        "data_integrity/unreadable_references": "quarantine_and_repair",
        "data_integrity/schema_drift": "database_restore",
        "data_integrity/ledger_unbalanced": "quarantine_and_repair",
        "data_integrity/provider_counters": "code_rollback",
        "security/secret_mismatch": "reapply_settings",
        "security/wrong_region_key": "env_switch",
        "security/secret_leak": "close_reads",
        "security/cross_tenant_read": "close_reads",
    }


def test_rungs_are_derived_from_the_ladder() -> None:
    playbook = load_playbook(playbook_file())
    assert [(rung.rung, rung.action, rung.approvals) for rung in playbook.ladder] == [
        (0, "close_valve", 0),
        (0, "throttle_tenant", 0),
        (0, "quarantine_and_repair", 0),
        (0, "close_reads", 0),
        (1, "env_switch", 0),
        (1, "reapply_settings", 0),
        (2, "code_rollback", 1),
        (3, "database_restore", 2),
    ]
    without = playbook.model_copy(update={"ladder": playbook.ladder[:-1]})
    assert without.rung_of("database_restore") is None
    with pytest.raises(ConfigurationError, match="no rung for database_restore"):
        without.rung("database_restore")
    assert "understudy mode set modal" in playbook.cures["env_switch"].instruction


def test_a_drill_shortens_every_window_of_calls() -> None:
    playbook = load_playbook(playbook_file(), window_s=5)
    triggers = playbook.triggers
    assert (triggers.success_rate.rate.window_s, triggers.success_rate.refusals.window_s) == (5, 5)
    assert triggers.realtime_failures.window_s == 5
    assert playbook.span_s == 150
    assert load_playbook(playbook_file()).span_s == 1800
    with pytest.raises(ConfigurationError, match=r"triggers\.success_rate\.rate\.window_s"):
        load_playbook(playbook_file(), window_s=7)


@pytest.mark.parametrize(
    ("change", "field", "fix"),
    [
        (
            ("slo_percent: 99\n      window", "slo_precent: 99\n      window"),
            "triggers.success_rate.rate.slo_precent",
            "Did you mean slo_percent?",
        ),
        (
            ("rule: guarded ", "rule: gaurded "),
            "triggers.success_rate.rate.rule",
            "write one of 'guarded' or",
        ),
        (
            ("window_s: 60            # a multiple", "window_s: 61            # a multiple"),
            "triggers.success_rate.rate.window_s",
            "Found 61",
        ),
        (
            ("alpha: 0.00003 ", "alpha: .nan "),
            "triggers.success_rate.rate.evidence.alpha",
            "not infinity and not NaN",
        ),
        (
            ("hold_retry_s: 30 ", "hold_retry_s: .inf "),
            "limits.hold_retry_s",
            "not infinity and not NaN",
        ),
        (
            ("budget_microusd_per_day: 5000000", "budget_microusd_per_day: -1"),
            "probes.budget_microusd_per_day",
            "Found -1",
        ),
        (
            ("streak_s: 10 ", "streak_s: -0.5 "),
            "triggers.success_rate.rate.evidence.streak_s",
            "Found -0.5",
        ),
        (
            ("alpha: 0.00003 ", "alpha: 0.01 "),
            "triggers.success_rate.rate.evidence.alpha",
            "valid example",
        ),
        (
            ("max_creates: 5", "max_creates: five"),
            "triggers.cost.design_repeats.max_creates",
            "Found 'five'",
        ),
        (
            ("attempts: 5", "attempts: many"),
            "limits.attempts",
            "Found 'many'",
        ),
        (
            ("rollback_type: env switch\n    approvals: 0 ", "rollback_type: env switch\n    approvals: 2 "),
            "ladder[4].approvals",
            "write one of 0",
        ),
        (
            ("action: env_switch", "action: env_swich"),
            "ladder[4]",
            "write one of 'close_valve', 'throttle_tenant'",
        ),
        (
            ("      durable_env: 120\n", "      durable_environment: 120\n"),
            "ladder[4].steps.durable_environment",
            "Did you mean durable_env?",
        ),
        (
            ("Voice clone finalize succeeds", "Voice clone works"),
            "checklist",
            "valid example",
        ),
        (
            ("  lease_s: 10 ", "  lease_seconds: 10 "),
            "limits.lease_s",
            "Add `lease_s:`",
        ),
        (
            ("consecutive: 2          #", "consecutive: 31          #"),
            "triggers.success_rate.rate.consecutive",
            "Found 31",
        ),
        (
            ("attempts: 5", "attempts: 5\n  attempts: 6"),
            "limits.attempts",
            "Keep one",
        ),
        (
            ("evidence: 10\n      precheck: 20\n      live", "evidence: 11\n      precheck: 20\n      live"),
            "ladder[4].steps.evidence",
            "Found 11",
        ),
        (
            ("    approvals: 2   ", "    approvals: 1   "),
            "ladder[7].approvals",
            "Found 1",
        ),
        (
            ("cures: [close_valve, throttle_tenant]", "cures: [close_valve, close_valve]"),
            "triggers.cost.spend_hour.cures",
            "valid example",
        ),
        (
            ("trigger: playback", "trigger: cost"),
            "families[2].trigger",
            "valid example",
        ),
        (
            ("  reapply_settings:\n", "  reapply_setting:\n"),
            "cures.reapply_settings",
            "Add `reapply_settings:`",
        ),
        (
            ("      close_valve: 20\n", "      close_valve: 20\n      durable_env: 10\n"),
            "ladder[0].steps.durable_env",
            "allowed here: evidence, close_valve, read_back.",
        ),
        (
            (
                "live_override: 10\n      durable_env: 120\n      redeploy: 210\n",
                "live_override: 10\n      durable_env: 120\n      redeploy: 301\n",
            ),
            "ladder[4].steps.redeploy",
            "valid example",
        ),
        (
            ("owner: operator on call ", "owner: &a operator on call "),
            "&a",
            "Write the value out.",
        ),
        (
            ("owner: operator on call ", 'owner: "operator\\e[2J" '),
            "owner",
            "valid example",
        ),
        (
            ("text: Four seven one.", 'text: "\\u202eFour" #'),
            "probes.text",
            "valid example",
        ),
        (
            ("title: Fast rollback via env switch", 'title: "Fast\\u2066" #'),
            "ladder[4].title",
            "valid example",
        ),
        (
            ("version: 3", "version: 2"),
            "version",
            "write one of 3",
        ),
    ],
)
def test_each_problem_names_line_field_and_fix(
    tmp_path: Path, change: tuple[str, str], field: str, fix: str
) -> None:
    path = edited(tmp_path, change)
    problems = lint(path)
    problem = next((item for item in problems if item.field == field), None)
    assert problem is not None, problems
    line = path.read_text().splitlines()[problem.line - 1]
    missing = problem.message == "missing"
    assert missing or field.rpartition(".")[2].partition("[")[0] in line or field == "ladder[4]"
    assert fix in problem.fix
    assert str(problem).startswith(f"{path}:{problem.line}: {field}: ")


def test_auto_without_a_rung_says_what_to_write(tmp_path: Path) -> None:
    path = edited(tmp_path, ("schema_drift: {mode: pause", "schema_drift: {mode: auto"))
    assert lint(path) == []
    text = path.read_text("utf-8")
    ladder, rest = text.index("  - rung: 3\n"), text.index("checklist:\n")
    path.write_text(text[:ladder] + text[rest:], "utf-8")
    assert "no rung for database_restore; write pause" in lint(path)[0].message


def test_rungs_do_not_fall_and_none_stands_there_twice(tmp_path: Path) -> None:
    text = playbook_file().read_text("utf-8")
    first, second = text.index("  - rung: 0\n"), text.index("  - rung: 0\n    action: throttle_tenant")
    valve = text[first:second]
    path = tmp_path / "playbook.yaml"
    path.write_text(text.replace("checklist:\n", f"{valve}\nchecklist:\n"), "utf-8")
    assert "rungs must not fall" in lint(path)[0].message
    path.write_text(text.replace(valve, valve + valve), "utf-8")
    assert "names close_valve twice" in lint(path)[0].message


def test_broken_yaml_and_a_missing_file_are_told(tmp_path: Path) -> None:
    path = tmp_path / "playbook.yaml"
    path.write_text("version: 1\ntriggers: [\n", "utf-8")
    assert lint(path)[0].field == "(syntax)"
    with pytest.raises(ConfigurationError, match="cannot be read"):
        lint(tmp_path / "absent.yaml")
    path.write_text("", "utf-8")
    assert lint(path)
    for text in ("[]", "version: {2: 3}\nladder: 7\n", "ladder: [{action: []}]\n"):
        path.write_text(text, "utf-8")
        assert lint(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("owner: &a [*a]\n", "anchors and aliases are not read. Write the value out."),
        (
            "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)),
            "anchors and aliases",
        ),
        ("owner: " + "[" * 5000 + "\n", "nested too deeply"),
        ("owner: 2026-13-45\n", "holds a value that is none"),
    ],
    ids=["itself", "bomb", "deep", "date"],
)
def test_a_file_made_to_hang_or_to_crash_is_a_problem_like_any(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "playbook.yaml"
    path.write_text(text, "utf-8")
    assert said in str(lint(path)[0])
    with pytest.raises(ConfigurationError, match=r"playbook\.yaml:1: "):
        load_playbook(path)


def test_the_file_in_force_is_known_by_its_digest(tmp_path: Path) -> None:
    path = edited(tmp_path)
    _, file = load_policy(path, window_s=5)
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.changed() is None
    shown = policy_document(file)
    assert shown == {"file": str(path), "digest": file.sha256[:12], "changed": None}
    path.write_text(path.read_text() + "# later\n")
    assert "differs from what is in force" in str(file.changed())
    path.unlink()
    assert "cannot be read any more" in str(file.changed())


def models(model: type[BaseModel]) -> set[type[BaseModel]]:
    found = {model}
    for field in model.model_fields.values():
        for inner in inner_models(field.annotation):
            found |= models(inner)
    return found


def inner_models(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in inner_models(inner)]


def test_every_field_says_what_it_is_and_every_part_refuses_what_it_does_not_know() -> None:
    parts = models(Playbook)
    assert len(parts) > 30
    for part in parts:
        assert part.model_config["extra"] == "forbid"
        assert part.model_config["allow_inf_nan"] is False
        for name, field in part.model_fields.items():
            assert field.description, f"{part.__name__}.{name}"
            assert field.is_required(), f"{part.__name__}.{name}"


def test_the_schema_is_current_and_the_shipped_file_validates_against_it() -> None:
    recorded = playbook_file().with_name("restoration.schema.json").read_text("utf-8")
    assert recorded == schema(), "run: understudy playbook schema > playbooks/restoration.schema.json"
    validator = jsonschema_rs.validator_for(json.loads(recorded))
    document = yaml.safe_load(playbook_file().read_text("utf-8"))
    validator.validate(document)
    document["triggers"]["cost"]["design_repeats"]["max_crates"] = 5
    assert not validator.is_valid(document)


def test_the_field_reference_is_current() -> None:
    assert (DOCS / "policy.md").read_text("utf-8") == markdown(), (
        "run: understudy playbook fields > docs/policy.md"
    )


def test_every_check_says_its_limits_in_words() -> None:
    playbook = load_playbook(playbook_file())
    keys = {(trigger, name) for trigger, name, _ in playbook.checks()}
    assert set(SENTENCES) == keys - {("success_rate", "rate")}
    for trigger, name, check in playbook.checks():
        said = limits_in_words(playbook, trigger, name, check)
        assert said
        assert "{" not in said
    spend = playbook.triggers.cost.spend_hour
    assert "more than $50.00 in 60 min" in limits_in_words(playbook, "cost", "spend_hour", spend)
