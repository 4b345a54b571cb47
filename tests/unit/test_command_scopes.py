from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from understudy.cli.commands import COMMANDS, app
from understudy.cli.scopes import SCOPES, Scope, Where

pytestmark = pytest.mark.unit


def leaves() -> Iterator[tuple[str, Any]]:
    """Every command that can be typed, with its path."""

    def below(command: Any, path: str) -> Iterator[tuple[str, Any]]:
        children = getattr(command, "commands", None)
        if not children:
            yield path, command
        for name, child in (children or {}).items():
            yield from below(child, f"{path} {name}")

    tree: Any = get_command(app)
    for name in COMMANDS:
        yield from below(tree.get_command(None, name), name)


def test_every_command_says_what_it_is_to_an_environment() -> None:
    paths = {path for path, _ in leaves()}
    assert paths - SCOPES.keys() == set(), "add a row to cli/scopes.py for each of these"


def test_every_command_takes_env_and_a_changing_one_takes_yes() -> None:
    for path, command in leaves():
        options = [option for param in command.params for option in param.opts]
        assert options.count("--env") == 1, path
        if SCOPES[path].changes:
            assert options.count("--yes") == 1, path


def test_a_table_row_is_about_a_command() -> None:
    paths = {path for path, _ in leaves()}
    assert SCOPES.keys() - paths == set(), "these rows of cli/scopes.py belong to no command"


@pytest.mark.parametrize(
    ("scope", "given", "changes"),
    [
        (Scope(), {}, False),
        (Scope(changes=True), {}, True),
        (Scope(changes=True, never_with=("dry_run",)), {"dry_run": True}, False),
        (Scope(changes=True, never_with=("dry_run",)), {"dry_run": False}, True),
        (Scope(changes=True, only_with=("live",)), {"live": False}, False),
        (Scope(changes=True, only_with=("live",)), {"live": True}, True),
    ],
)
def test_options_decide_whether_a_command_changes_anything(
    scope: Scope, given: dict[str, object], changes: bool
) -> None:
    assert scope.will_change(given) is changes


def test_a_drill_is_for_any_environment_and_about_none() -> None:
    assert SCOPES["drill"].where is Where.ANYWHERE


def test_what_starts_processes_here_is_about_this_machine() -> None:
    for path in ("up", "demo", "standins", "db reset", "recover local"):
        assert SCOPES[path].where is Where.MACHINE
