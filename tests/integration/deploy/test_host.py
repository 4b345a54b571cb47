"""The units and the environment example of a host: understood by systemd, the command and settings."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values

from understudy.settings import Settings, settings_from

pytestmark = pytest.mark.integration

DEPLOY = Path(__file__).parents[3] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMMAND = Path(sys.executable).with_name("understudy")


def started_by(unit: Path) -> list[str]:
    found = re.search(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    assert found
    return shlex.split(found.group(1))


def test_there_is_a_unit_for_each_process() -> None:
    commands = {unit.stem.removeprefix("understudy-"): started_by(unit)[1] for unit in UNITS}
    assert commands == {"api": "serve", "guard": "guard", "worker": "worker"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_understands_the_unit(unit: Path, tmp_path: Path) -> None:
    # Only the command's place differs: systemd looks whether it can be executed.
    here = unit.read_text().replace("/opt/understudy/bin/understudy", str(COMMAND))
    copy = tmp_path / unit.name
    copy.write_text(here)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, ours) == (0, []), done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_command_knows_every_option_of_the_unit(unit: Path) -> None:
    _, command, *arguments = started_by(unit)
    helped = subprocess.run(
        [COMMAND, command, "--help"], capture_output=True, text=True, check=True, env={"COLUMNS": "200"}
    ).stdout
    assert all(option in helped for option in arguments if option.startswith("--"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_waits_out_the_drain(unit: Path) -> None:
    found = re.search(r"^TimeoutStopSec=(\d+)$", unit.read_text(), re.MULTILINE)
    assert found
    assert int(found.group(1)) > Settings.model_fields["drain_deadline_s"].default


def test_the_guard_is_tied_to_nothing_it_restores() -> None:
    text = (DEPLOY / "systemd/understudy-guard.service").read_text()
    directives = [
        line.split("=")[0] for line in text.splitlines() if "=" in line and not line.startswith("#")
    ]
    assert not {"Requires", "BindsTo", "PartOf", "Requisite"} & set(directives)


def test_the_environment_example_is_settings_by_name_and_valid() -> None:
    values = {name: value or "" for name, value in dotenv_values(DEPLOY / "supabase.env.example").items()}
    assert {name.lower() for name in values} <= set(Settings.model_fields)
    settings = settings_from(values)
    settings.check_modal()
    assert settings.missing("modal_key", "jwt_secret", "dashscope_api_key") == [
        "MODAL_KEY",
        "JWT_SECRET",
        "DASHSCOPE_API_KEY",
    ]
