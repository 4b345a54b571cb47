"""Parts of the Supabase target that need neither network nor process."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from understudy.errors import ConfigurationError, TargetError
from understudy.restoration.targets.supabase import SupabaseProject
from understudy.restoration.targets.supabase.commands import MODAL_SECRETS, commands_for
from understudy.restoration.targets.supabase.database import restorable_points
from understudy.restoration.targets.supabase.management import BackupsRecord
from understudy.restoration.targets.supabase.state import ProjectState
from understudy.restoration.triggers.cures import ActionName

pytestmark = pytest.mark.unit

REF = "abcdefghijklmnopqrst"
TOKEN = SecretStr("sbp_" + "0" * 40)
LATEST = datetime(2026, 11, 24, 12, 3, 17, tzinfo=UTC)


def project(**more: Any) -> SupabaseProject:
    return SupabaseProject(**({"ref": REF, "token": TOKEN} | more))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"ref": "abc"}, "20 lower-case letters"),
        ({"ref": REF.upper()}, "20 lower-case letters"),
        ({"ref": REF + "\n"}, "20 lower-case letters"),
        ({"token": SecretStr("")}, "SUPABASE_ACCESS_TOKEN holds no access token"),
        ({"token": SecretStr("two words"), "token_variable": "MY_TOKEN"}, "MY_TOKEN holds no access token"),
        ({"function": "../api"}, "no name of an edge function"),
        ({"command": ()}, "command of the Supabase CLI is empty"),
        ({"api_url": "http://api.example"}, "reached by https"),
        ({"api_url": "ftp://127.0.0.1"}, "reached by https"),
    ],
)
def test_a_wrong_project_is_refused_without_its_secret(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as raised:
        project(**wrong)
    assert "two words" not in raised.value.message


def test_the_address_is_the_projects_own_unless_given() -> None:
    assert project().address == f"https://{REF}.supabase.co/functions/v1"
    assert project(base_url="https://api.example/").address == "https://api.example"


@given(days=st.floats(min_value=0, max_value=8))
def test_points_go_from_the_newest_to_the_oldest(days: float) -> None:
    earliest = LATEST - timedelta(days=days)
    points = restorable_points(BackupsRecord(True, earliest, LATEST, ()))
    assert points[0] == LATEST
    assert points[-1] == earliest
    assert points == sorted(set(points), reverse=True)
    gaps = [(newer - older, LATEST - older) for newer, older in pairwise(points)]
    assert all(gap <= timedelta(minutes=10) for gap, age in gaps if age < timedelta(hours=23))
    assert all(gap <= timedelta(hours=2) for gap, _ in gaps)


def test_without_recovery_there_are_no_points() -> None:
    assert restorable_points(BackupsRecord(False, None, None, ())) == []
    assert restorable_points(BackupsRecord(True, None, None, ())) == []


def test_every_printed_line_hides_secrets_and_names_the_project() -> None:
    for action in get_args(ActionName):
        lines = commands_for(project(), action, known_good="modal", revision="v1.2; rm -rf /")
        text = "\n".join(lines)
        assert TOKEN.get_secret_value() not in text
        if lines:
            assert lines[0] == f"export SUPABASE_PROJECT_ID={REF}"
            assert "git worktree add --detach ../known-good v1.2; rm" not in text
    reapply = "\n".join(commands_for(project(), "reapply_settings", known_good="modal", revision=None))
    assert all(name in reapply for name in MODAL_SECRETS)
    assert "<known-good-branch-or-tag>" in "\n".join(
        commands_for(project(), "code_rollback", known_good="modal", revision=None)
    )


def test_a_token_of_another_name_is_exported_for_the_cli() -> None:
    lines = commands_for(
        project(token_variable="PROD_TOKEN"), "env_switch", known_good="modal", revision=None
    )
    assert 'export SUPABASE_ACCESS_TOKEN="$PROD_TOKEN"' in lines


def test_state_is_private_and_survives_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "supabase" / REF
    ProjectState(folder).record("deployments", "d-1", {"state": "begun"})
    assert ProjectState(folder).section("deployments") == {"d-1": {"state": "begun"}}
    assert (folder / "state.json").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_only_so_many_deployments_are_remembered(tmp_path: Path) -> None:
    full = {"deployments": {f"d-{number}": {} for number in range(201)}}
    (tmp_path / "state.json").write_text(json.dumps(full))
    state = ProjectState(tmp_path)
    for number in (201, 202):
        state.record("deployments", f"d-{number}", {})
    kept = list(state.section("deployments"))
    assert (kept[0], kept[-1], len(kept)) == ("d-3", "d-202", 200)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"values": 3}'])
def test_a_broken_state_file_is_said_and_not_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(TargetError, match=r"state\.json cannot be read"):
        ProjectState(tmp_path).section("values")
    with pytest.raises(TargetError, match=r"state\.json cannot be read"):
        ProjectState(tmp_path).record("values", "X", {})
    assert (tmp_path / "state.json").read_text() == text


def test_a_stop_whose_file_cannot_be_read_is_still_a_stop(tmp_path: Path) -> None:
    state = ProjectState(tmp_path)
    assert state.stopped() is None
    state.stopped_file.write_text("{")
    assert state.stopped() == {}
