"""``understudy up``: the whole service on one machine."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from understudy.cli.output import console, errors, print_json, reports_errors
from understudy.cli.stabilization import passing_the_gate
from understudy.clock import SystemClock
from understudy.logs import configure_logging, get_logger
from understudy.processes.environment import MODE_VARIABLE
from understudy.processes.service import Event
from understudy.processes.serving import OWN_CODE
from understudy.processes.up import UpOptions, run_up

STYLES = {"crashed": "bold red", "restart_failed": "bold red", "restarted": "yellow"}
PORT_HELP = "Loopback port; a free one when left out."
NOT_BUILT = "studio and operations console are not all built: run `make frontend`, then load the page"
log = get_logger(__name__)


@reports_errors
def up(
    *,
    home: Annotated[
        Path, typer.Option("--home", envvar="UNDERSTUDY_HOME", help="Folder of this installation's data.")
    ] = Path(".understudy"),
    mode: Annotated[
        str | None,
        typer.Option(
            "--mode", envvar=MODE_VARIABLE, help="Provider mode: modal or qwen. Default: as it was."
        ),
    ] = None,
    api_port: Annotated[int, typer.Option("--api-port", help=PORT_HELP, show_default=False)] = 0,
    guard_port: Annotated[int, typer.Option("--guard-port", help=PORT_HELP, show_default=False)] = 0,
    postgres_port: Annotated[int, typer.Option("--postgres-port", help=PORT_HELP, show_default=False)] = 0,
    with_standins: Annotated[
        bool,
        typer.Option(
            "--with-standins/--without-standins",
            help="Stand-ins play both providers; without them the real ones of understudy.env are called.",
        ),
    ] = True,
    window_s: Annotated[
        int | None,
        typer.Option("--window-s", help="Seconds of the guard's window, for a drill: a multiple of 5."),
    ] = None,
    env_file: Annotated[
        Path | None,
        typer.Option(
            "--env-file",
            metavar="FILE",
            help="Let FILE, such as supabase/.env.local, be the home's environment file from now on.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="When ready, print every address as one line of JSON.")
    ] = False,
) -> None:
    """Start everything on this machine and keep it running until Ctrl-C or SIGTERM.

    Postgres, the stand-ins for both providers, the API, a worker and the guard. What dies is started again.
    All settings are in HOME/understudy.env, and a change there counts from the next start of a process on.

    Example: [bold]understudy up --mode qwen --api-port 8000[/]
    """
    configure_logging("up", level="info" if as_json else "warning")
    options = UpOptions(
        home=home,
        mode=mode or None,
        api_port=api_port,
        guard_port=guard_port,
        postgres_port=postgres_port,
        with_standins=with_standins,
        window_s=window_s,
        env_file=env_file,
        gate=passing_the_gate(home),
    )
    if not as_json:
        errors.print(f"Starting on {home.expanduser().resolve()} ...", style="dim", highlight=False)
    asyncio.run(
        run_up(
            options,
            announce=print_json if as_json else _show,
            notify=_log_event if as_json else _show_event,
            clock=SystemClock(),
        )
    )


def _log_event(event: Event) -> None:
    write = log.warning if event.name in STYLES else log.info
    write(event.name, subject=event.process, message=event.message, **event.facts)


def _show_event(event: Event) -> None:
    line = Text(f"{event.at.astimezone():%H:%M:%S}  ", style="dim")
    errors.print(line + Text(event.message, style=STYLES.get(event.name, "default")), soft_wrap=True)


def _show(addresses: dict[str, Any]) -> None:
    home = Path(addresses["home"])
    shown = home if os.environ.get("UNDERSTUDY_HOME") else _relative(home)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold cyan")
    table.add_column(overflow="fold")
    for name in ("studio", "operations", "api", "guard", "dashscope", "modal", "postgres"):
        if addresses[name]:
            table.add_row(name, Text(str(addresses[name])))
    if not addresses["studio"] or not addresses["operations"]:
        table.add_row("pages", Text(NOT_BUILT, style="yellow"))
    if addresses["release"] != OWN_CODE:
        told = f"release {addresses['release']}, not this program's own (understudy releases deploy checkout)"
        table.add_row("code", Text(told, style="yellow"))
    table.add_row("settings", Text(str(shown / "understudy.env")))
    table.add_row("logs", Text(str(shown / "logs")))
    console.print("[bold green]Ready.[/]", table)
    console.print(
        Text.assemble(
            ("Next, in another terminal:\n", "dim"),
            f"  UNDERSTUDY_HOME={shown} understudy status\n",
            f"  UNDERSTUDY_HOME={shown} understudy smoke --base-url {addresses['api']}\n",
            f"  UNDERSTUDY_HOME={shown} understudy guard-keys create YOUR-NAME",
            ("   the key that the operations console asks for\n", "dim"),
            ("Ctrl-C stops everything.", "dim"),
        ),
        soft_wrap=True,
    )


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
