"""``--env`` as a person types it; a real process on a real terminal for the question."""

from __future__ import annotations

import contextvars
import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from understudy.cli.commands import app
from understudy.restoration.drills.history import DrillRow, append_row

pytestmark = pytest.mark.integration

UNDERSTUDY = [sys.executable, "-m", "understudy.cli.app"]
FILE = """
[environments.staging]
target = "supabase"
project_ref = "abcdefghijklmnopqrst"

[environments.prod]
target = "command"
base_url = "https://voices.example.com"
home = "prod"
owner = "Grace"
[environments.prod.secrets]
DATABASE_URL = "env:PROD_DATABASE_URL"
[environments.prod.commands]
read_env = ["true"]
write_env = ["true"]
redeploy = ["true"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "understudy.toml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def environment(**added: str) -> dict[str, str]:
    dropped = ("UNDERSTUDY_", "DATABASE_URL", "MIGRATION_DATABASE_URL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return kept | {"NO_COLOR": "1", "COLUMNS": "200"} | added


def understudy(*arguments: str, **added: str) -> Result:
    """Run a command as a process of its own would: what it changes of the environment ends with it."""
    given = environment(**added)
    with pytest.MonkeyPatch.context() as patched:
        for name in os.environ.keys() - given.keys():
            patched.delenv(name)
        for name, value in given.items():
            patched.setenv(name, value)
        before = dict(os.environ)
        try:
            return contextvars.copy_context().run(CliRunner().invoke, app, list(arguments))
        finally:
            os.environ.clear()
            os.environ.update(before)


def test_environments_are_listed_with_what_is_empty_here(folder: Path) -> None:
    found = understudy("environments", "--json", "--check")
    assert found.exit_code == 1
    listed = {each["name"]: each for each in json.loads(found.stdout)["environments"]}
    assert set(listed) == {"local", "staging", "prod"}
    assert listed["prod"]["lacking"] == ["DATABASE_URL"]
    assert understudy("environments", "--check", PROD_DATABASE_URL="postgresql://x").exit_code == 0


def test_a_command_acts_on_the_home_of_its_environment(folder: Path) -> None:
    named = understudy("guard-keys", "create", "ops", "--env", "prod", "--yes", "--json")
    assert named.exit_code == 0, named.stderr
    assert (folder / "prod" / "guard" / "guard.sqlite3").is_file()
    assert not (folder / ".understudy").exists()
    by_variable = understudy("guard-keys", "list", "--json", UNDERSTUDY_ENVIRONMENT="prod")
    assert "ops" in by_variable.stdout
    assert "ops" not in understudy("guard-keys", "list", "--json", "--env", "staging").stdout


def test_a_drill_is_remembered_in_the_home_of_any_environment_but_production(folder: Path) -> None:
    listed = json.loads(understudy("environments", "--json").stdout)["environments"]
    (home,) = (each["home"] for each in listed if each["name"] == "staging")
    row = DrillRow("2026-11-29T12:00:00+00:00", "cost", "staging", True, "close_valve", True, True, 0, 0)
    append_row(folder / home, row)
    shown = understudy("drill", "--history", "--json", "--env", "staging")
    assert [one["environment"] for one in json.loads(shown.stdout)] == ["staging"]
    refused = understudy("drill", "cost", "--env", "prod")
    assert refused.exit_code == 1
    assert "Nothing is drilled as prod: its cutover asks for a drill in staging" in refused.stderr


def test_what_makes_no_sense_there_is_refused_with_a_sentence(folder: Path) -> None:
    for arguments, said in (
        (("up", "--env", "prod"), "about this machine's own processes, and prod is a command target"),
        (("mode", "show", "--env", "staging"), "works through the tables of Understudy's own API"),
        (("guard-keys", "list", "--env", "prod", "--home", "x"), "both name an installation"),
        (("guard-keys", "list", "--env", "test"), "No environment is called 'test'"),
    ):
        found = understudy(*arguments)
        assert found.exit_code == 1
        assert said in found.stderr
        assert found.stderr.startswith("configuration: ")


def test_production_is_not_changed_where_nobody_can_be_asked(folder: Path) -> None:
    found = understudy("guard-keys", "create", "ops", "--env", "prod")
    assert found.exit_code == 1
    assert "would change prod (https://voices.example.com), and nobody is there to confirm it" in found.stderr
    assert not (folder / "prod").exists()
    assert understudy("guard-keys", "create", "ops", "--env", "staging").exit_code == 0


def test_a_slip_in_the_file_stops_commands_and_not_the_service(folder: Path) -> None:
    with (folder / "understudy.toml").open("a") as stream:
        stream.write("[environments.dev]\n")
    refused = understudy("guard-keys", "list")
    assert (refused.exit_code, "line 17" in refused.stderr) == (1, True), refused.stderr
    served = understudy("serve")
    assert "DATABASE_URL, OBJECT_URL_SECRET not set" in served.stderr
    assert "line 17" in understudy("serve", "--env", "prod").stderr


@pytest.mark.parametrize(("typed", "code"), [("prod", 0), ("yes", 1)])
def test_production_wants_its_name_typed(folder: Path, typed: str, code: int) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*UNDERSTUDY, "guard-keys", "create", "ops", "--env", "prod"],
        cwd=folder,
        env=environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = _read_until(ours, "Type prod to go on")
    os.write(ours, f"{typed}\n".encode())
    said += _rest(ours)
    assert process.wait(60) == code
    os.close(ours)
    assert (folder / "prod").exists() is (code == 0)
    assert ("Not confirmed" in said) is (code == 1)


def _read_until(handle: int, text: str) -> str:
    said, until = "", time.monotonic() + 60
    while text not in said:
        ready, _, _ = select.select([handle], [], [], max(0.0, until - time.monotonic()))
        assert ready, f"waited 60 s for {text!r}, and read {said!r}"
        said += os.read(handle, 4096).decode()
    return said


def _rest(handle: int) -> str:
    said = ""
    while True:
        try:
            chunk = os.read(handle, 4096)
        except OSError:  # a terminal whose last process left
            return said
        if not chunk:
            return said
        said += chunk.decode()
