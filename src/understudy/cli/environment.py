"""``--env`` on every command: which environment it acts on, and what stands before a change of production."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import typer
from typer.main import get_command

from understudy.cli.output import reports_errors
from understudy.cli.scopes import SCOPES, Scope, Where
from understudy.errors import ConfigurationError

if TYPE_CHECKING:
    from understudy.environments import Environment

DEFAULT = "local"
#: What `understudy up` starts again and again: a slip in understudy.toml must not stop the service.
SERVING = frozenset({"serve", "worker", "standins"})
_NAMED, _YES = "understudy.environment.named", "understudy.environment.yes"
_chosen: ContextVar[Environment | None] = ContextVar("understudy_environment", default=None)


def chosen() -> Environment:
    """Return the environment of this command: the local one where nobody named another."""
    from understudy.environments import builtin_local  # noqa: PLC0415  (`--help` need not load it)

    return _chosen.get() or builtin_local()


def take_environment(command: Any, path: str) -> None:
    """Give ``command``, or each command below it, the option ``--env`` and what follows from it.

    Parameters
    ----------
    path
        As it is typed after ``understudy``.
    """
    below = getattr(command, "commands", None)
    if below:
        for name, child in below.items():
            take_environment(child, f"{path} {name}")
        return
    scope = SCOPES.get(path, Scope())
    env, yes = get_command(_OPTIONS).params[:2]
    command.params.append(env)
    if scope.changes and all(param.name != "yes" for param in command.params):
        command.params.append(yes)
    command.invoke = _entering(command.invoke, path, scope)


@reports_errors
def _choose(context: typer.Context, value: str | None) -> None:
    """Read the file and make this process see the environment, before any other option is read."""
    from understudy.environments import apply, find_environment  # noqa: PLC0415

    if context.resilient_parsing:
        return
    if value is None and context.info_name in SERVING:
        _chosen.set(None)
        return
    environment = find_environment(value or DEFAULT)
    apply(environment, os.environ, named=value is not None)
    context.meta[_NAMED] = value is not None
    _chosen.set(environment)


def _agree(context: typer.Context, value: bool) -> None:
    context.meta[_YES] = value


def _entering(invoke: Callable[[Any], Any], path: str, scope: Scope) -> Callable[[Any], Any]:
    @reports_errors
    def enter(context: Any) -> None:
        environment = chosen()
        source = context.get_parameter_source("home")
        if context.meta.get(_NAMED) and source is not None and source.name == "COMMANDLINE":
            raise ConfigurationError(
                f"--home and --env {environment.name} both name an installation. Give one of them."
            )
        _check_sense(environment, path, scope)
        agreed = bool(context.meta.get(_YES) or context.params.get("yes"))
        if environment.is_production and scope.will_change(context.params) and not agreed:
            _ask(environment, path)

    def run(context: Any) -> Any:
        enter(context)
        return invoke(context)

    return run


def _check_sense(environment: Environment, path: str, scope: Scope) -> None:
    if scope.where is Where.MACHINE and not environment.is_local:
        raise ConfigurationError(
            f"`understudy {path}` is about this machine's own processes, and {environment.name} is a "
            f"{environment.target} target. Run it there, without --env."
        )
    if scope.where is Where.PRODUCT and not environment.live_switch:
        raise ConfigurationError(
            f"`understudy {path}` works through the tables of Understudy's own API, which {environment.name} "
            f"(target {environment.target}) does not serve from. Its environment, redeploy and revision are "
            f"changed by `understudy restore --env {environment.name}`."
        )


def _ask(environment: Environment, path: str) -> None:
    where = environment.base_url or str(environment.home)
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"`understudy {path}` would change {environment.name} ({where}), and nobody is there to confirm "
            f"it. Run it in a terminal, or say --yes."
        )
    said = typer.prompt(
        f"This changes {environment.name} ({where}). Type {environment.name} to go on", err=True
    )
    if said.strip() != environment.name:
        raise ConfigurationError("Not confirmed; nothing was changed.")


def _option_holder(
    env: str | None = typer.Option(
        None,
        "--env",
        metavar="NAME",
        envvar="UNDERSTUDY_ENVIRONMENT",
        is_eager=True,
        expose_value=False,
        callback=_choose,
        show_default="local",
        help="Environment of understudy.toml: local, staging or prod.",
    ),
    yes: bool = typer.Option(
        False,
        "--yes",
        expose_value=False,
        callback=_agree,
        help="Do not ask before a change of prod.",
    ),
) -> None:
    """Hold the two options: Typer builds them for a function only."""


_OPTIONS = typer.Typer(add_completion=False)
_OPTIONS.command()(_option_holder)
