"""Prose and behaviour cannot part: runbooks against the playbook's text, its policy file and the code."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest

from understudy.resources import playbook_file
from understudy.restoration.playbook.policy import Playbook, load_playbook
from understudy.restoration.report.fields import FIELDS
from understudy.restoration.targets.preflight import MODAL_SECRETS, QWEN_PINS
from understudy.settings import Settings

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
PLAYBOOK = RUNBOOKS / "restoration-playbook.md"
#: Of the playbook as it was handed to us: the copy is word for word.
PLAYBOOK_SHA256 = "8b18164953ae8286e17ef41e4445baa3f5cfef153463540c2afce13526780539"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def policy() -> Playbook:
    return load_playbook(playbook_file())


def fences(text: str, kind: str) -> list[str]:
    return [body for found, body in FENCE.findall(text) if found == kind]


def block(page: str, name: str) -> list[str]:
    """The lines between ``<!-- name -->`` and ``<!-- end -->``."""
    text = (RUNBOOKS / page).read_text()
    found = re.findall(rf"<!-- {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert found, f"{page} has no block {name}"
    return [line for part in found for line in part.strip().splitlines()]


# --- the playbook itself ------------------------------------------------------------------------------------


def test_the_playbook_here_is_the_playbook() -> None:
    assert sha256(PLAYBOOK.read_bytes()).hexdigest() == PLAYBOOK_SHA256


def test_policy_and_code_say_what_the_playbook_says(policy: Playbook) -> None:
    text = PLAYBOOK.read_text()
    conditions = re.findall(r"^\d\. (.+)$", text.partition("## Fast Rollback")[0], re.MULTILINE)
    assert [family.sentence for family in policy.families] == conditions
    assert list(policy.checklist) == re.findall(r"^- \[ \] (.+)$", text, re.MULTILINE)
    assert dict(re.findall(r"^- `([A-Z_]+)=(\S+)`$", text, re.MULTILINE)) == dict(QWEN_PINS)
    assert re.findall(r"secrets set (MODAL_\w+)=<url>", text) == list(MODAL_SECRETS)
    template = next(body for body in fences(text, "text") if body.startswith("Incident title"))
    assert tuple(line.partition(":")[0] for line in template.splitlines()) == FIELDS
    rollbacks = re.search(r"Rollback type used: \[(.+)\]", template)
    assert rollbacks is not None
    assert {rung.rollback_type for rung in policy.ladder} - {None} == set(rollbacks[1].split(" / "))
    for page in re.findall(r"`(docs/[\w/.-]+\.md)`", text):
        assert (ROOT / page).is_file(), page


def test_a_fresh_installation_holds_the_pins() -> None:
    for name, pin in QWEN_PINS.items():
        assert str(Settings.model_fields[name.lower()].default) == pin


# --- the runbooks against the policy ------------------------------------------------------------------------


def duration(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 and seconds % 60 == 0 else f"{seconds:g} s"


def ladder_table(policy: Playbook) -> list[str]:
    rows = ["| rung | action | rollback type | persons | within |", "|---|---|---|---|---|"]
    rows += [
        f"| {rung.rung} | `{rung.action}`: {rung.title} | {rung.rollback_type or '-'} | "
        f"{rung.approvals or 'none'} | {duration(rung.time_box_s)} |"
        for rung in policy.ladder
    ]
    return rows


def stages_table(policy: Playbook) -> list[str]:
    rows = ["| tenants | at least | shows a failure rate of |", "|---|---|---|"]
    rows += [
        f"| {stage.percent} % | {duration(stage.hold_s)} | {stage.exclude_percent:g} % |"
        for stage in policy.cutover.stages
    ]
    return rows


@pytest.mark.parametrize("page", ["README.md", "restoration.md"])
def test_the_ladder_is_the_policys(policy: Playbook, page: str) -> None:
    expected = ladder_table(policy)
    assert block(page, "ladder") == expected, "\n".join(["write:", *expected])


def test_the_stages_are_the_policys(policy: Playbook) -> None:
    expected = stages_table(policy)
    assert block("rollout-and-cutover.md", "stages") == expected, "\n".join(["write:", *expected])


@pytest.mark.parametrize("page", ["rollout-and-cutover.md", "restoration.md"])
def test_the_pins_are_the_codes(page: str) -> None:
    expected = [f"- `{name}={pin}`" for name, pin in QWEN_PINS.items()]
    assert block(page, "pins") == expected, "\n".join(["write:", *expected])


def test_the_checklist_is_the_policys(policy: Playbook) -> None:
    expected = [f"- [ ] {point}" for point in policy.checklist]
    assert block("restoration.md", "checklist") == expected, "\n".join(["write:", *expected])


def test_the_template_is_the_playbooks_and_every_field_is_explained() -> None:
    page = (RUNBOOKS / "incident-template.md").read_text()
    assert fences(page, "text") == fences(PLAYBOOK.read_text(), "text")
    assert tuple(re.findall(r"^\| (?!field|---)([^|]+?) \|", page, re.MULTILINE)) == FIELDS


def test_the_restoration_runbook_repeats_every_command_of_the_playbook() -> None:
    ours = fences((RUNBOOKS / "restoration.md").read_text(), "bash")
    lines = {line for body in ours for line in body.splitlines()}
    for body in fences(PLAYBOOK.read_text(), "bash"):
        assert lines >= set(body.splitlines()), f"missing in restoration.md:\n{body}"
