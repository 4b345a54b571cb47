"""``understudy guard``: the process that watches and restores."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from understudy.cli.environment import chosen
from understudy.cli.output import errors, print_json, reports_errors


@reports_errors
def guard(
    *,
    home: Annotated[
        Path,
        typer.Option("--home", envvar="UNDERSTUDY_HOME", help="Folder of the installation that is guarded."),
    ] = Path(".understudy"),
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Loopback port of its API; 0 takes a free one.")
    ] = 0,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="A playbook to use instead of the one that ships."),
    ] = None,
    window_s: Annotated[
        int | None,
        typer.Option("--window-s", help="Seconds of every trigger's window, for a drill; a multiple of 5."),
    ] = None,
    ready_file: Annotated[
        Path | None,
        typer.Option("--ready-file", help="Written once it listens and has looked once."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Start nothing: exit 0 while the guard of HOME lives, 1 when not."),
    ] = False,
    max_age_s: Annotated[
        float, typer.Option("--max-age-s", min=1, help="With --check: seconds a heartbeat is fresh.")
    ] = 10.0,
) -> None:
    """Watch the calls, open an incident when the SLO breaks, restore, prove it, write it down.

    Runs beside what it guards and keeps its own store in HOME/guard; of two guards on one home one acts and
    the other stands by. Its API wants the token of HOME/run/operator.token. When ready it prints its address
    as one line of JSON.

    For cron or systemd: `understudy guard --check` says on the exit code whether it lives.

    Example: [bold]understudy guard --home .understudy --window-s 5[/]
    """
    from understudy.clock import SystemClock  # noqa: PLC0415  (`--help` need not load the engine)
    from understudy.logs import Leaks, configure_logging  # noqa: PLC0415
    from understudy.restoration.guard import GuardOptions, run_guard  # noqa: PLC0415
    from understudy.settings import ENV_FILE_VARIABLE, load_settings  # noqa: PLC0415

    home = home.expanduser().resolve()
    if check:
        _check(home, max_age_s)
        return
    env_file = home / "understudy.env"
    if ENV_FILE_VARIABLE not in os.environ and env_file.is_file():
        os.environ[ENV_FILE_VARIABLE] = str(env_file)
    settings = load_settings()
    leaks = Leaks()
    configure_logging(
        "guard",
        level=settings.log_level,
        secrets=settings.secrets(),
        named=settings.watched(),
        leaks=leaks,
    )
    options = GuardOptions(
        home=home,
        port=port,
        policy=policy,
        window_s=window_s,
        ready_file=ready_file,
        environment=chosen(),
    )
    asyncio.run(run_guard(options, settings, SystemClock(), announce=print_json, leaks=leaks))


def _check(home: Path, max_age_s: float) -> None:
    """Print what is wrong with the guard's heartbeat and leave with 1, or leave with 0."""
    from understudy.clock import SystemClock  # noqa: PLC0415
    from understudy.restoration.guard.heartbeat import stale_heartbeat  # noqa: PLC0415

    problem = stale_heartbeat(home, SystemClock().now(), max_age_s=max_age_s)
    if problem is not None:
        errors.print(Text(problem), soft_wrap=True)
        raise typer.Exit(code=1)
