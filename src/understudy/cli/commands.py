"""The command tree. A command's module is imported when it is called: a worker need not load the demo."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

import understudy
from understudy.cli.environment import take_environment

#: Name -> module under ``understudy.cli``. A module holds a function of that name, or a group named ``app``.
COMMANDS = (
    "demo",
    "up",
    "status",
    "doctor",
    "serve",
    "worker",
    "guard",
    "standins",
    "smoke",
    "environments",
    "preflight",
    "recover",
    "db",
    "migrations",
    "stabilization",
    "mode",
    "cutover",
    "freeze",
    "users",
    "operators",
    "keys",
    "voices",
    "usage",
    "budget",
    "valve",
    "reads",
    "quarantine",
    "collect",
    "reconcile",
    "erase",
    "backup",
    "incident",
    "restore",
    "guard-keys",
    "known-good",
    "releases",
    "probes",
    "drill",
    "playbook",
    "openapi",
)


class CommandTree(TyperGroup):
    """Finds commands by module. Typer carries click inside as a private package, hence ``Any``."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Names in the order a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Import the module of ``cmd_name`` and build its command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"understudy.cli.{cmd_name.replace('-', '_')}")
        group = getattr(module, "app", None)
        if group is None:
            group = typer.Typer(add_completion=False, rich_markup_mode="rich")
            group.command(name=cmd_name)(getattr(module, cmd_name))
        command = get_command(group)
        command.name = cmd_name
        take_environment(command, cmd_name)
        _reflow(command)
        return command


def _reflow(command: Any) -> None:
    """Let paragraphs of help fill the line; by itself Typer breaks them where the source does."""
    if command.help:
        command.help = "\n\n".join(" ".join(part.split()) for part in command.help.split("\n\n"))
    for child in getattr(command, "commands", {}).values():
        _reflow(child)


app = typer.Typer(
    cls=CommandTree,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"understudy {understudy.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and leave."
    ),
) -> None:
    """A voice service that can always step back.

    Text to speech over two providers, and an engine that notices a bad rollout,
    returns to the known-good provider, proves that it is back and writes it down.

    Start with [bold]understudy demo[/].
    """
