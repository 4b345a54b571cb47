"""``understudy drill``: prove the restoration before it is needed."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from understudy.cli.environment import chosen
from understudy.cli.installation import DEFAULT_HOME, HomeOption, JsonOption
from understudy.cli.output import console, errors, print_json, reports_errors
from understudy.drilling.running import run_drill
from understudy.drilling.scenarios import scenarios_of
from understudy.errors import ConfigurationError
from understudy.restoration.drills.catalogue import DRILLS
from understudy.restoration.drills.history import DrillRow, read_rows

#: Columns of the table of runs; a narrower terminal folds its lines.
WIDTH = 118
_TIMES = ("detect_s", "decide_s", "mitigate_s", "verify_s", "close_s")


@reports_errors
def drill(
    scenario: Annotated[str, typer.Argument(help="A scenario's name, or all.")] = "all",
    *,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Times that each scenario is run.")] = 1,
    listed: Annotated[bool, typer.Option("--list", help="Name the scenarios and run none.")] = False,
    history: Annotated[bool, typer.Option("--history", help="Show earlier runs and run none.")] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Break a service of its own for real, watch it being restored, and time it.

    Each drill starts everything anew with stand-ins for both providers, lets tenants speak, causes one fault,
    agrees to what the guard proposes as two persons would, and ends the service whatever happens. Exit code 1
    where a restoration did not do what it should, or did anything else.

    The service runs on this machine whatever [bold]--env[/] names; the run is remembered in the home of that
    environment, for its cutover and stabilization. Nothing is drilled as prod.

    Example: [bold]understudy drill realtime_protocol[/]
    """
    if listed:
        _list(as_json)
        return
    if history:
        _tell(read_rows(home), as_json)
        return
    environment = chosen()
    if environment.is_production:
        raise ConfigurationError(
            f"Nothing is drilled as {environment.name}: its cutover asks for a drill in staging "
            f"(understudy drill all --env staging)."
        )
    try:
        rows = asyncio.run(_run(scenario, runs, home, environment.name.value, errors if as_json else console))
    except asyncio.CancelledError:  # its service is ended, and nothing is written down
        raise typer.Exit(code=128 + signal.SIGTERM) from None
    _tell(rows, as_json)
    if not all(row.passed for row in rows):
        raise typer.Exit(code=1)


async def _run(name: str, runs: int, home: Path, environment: str, told: Console) -> list[DrillRow]:
    rows = []
    for scenario in scenarios_of(name):
        for _ in range(runs):

            def say(words: str, about: str = scenario.name) -> None:
                told.print(Text(f"{about}: {words}"), soft_wrap=True)

            rows.append(await run_drill(scenario, home=home, environment=environment, say=say))
    return rows


def _list(as_json: bool) -> None:
    if as_json:
        print_json([one.document() for one in DRILLS])
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("scenario", "what breaks", "cured by"):
        table.add_column(heading)
    for one in DRILLS:
        table.add_row(one.name, one.title, ", ".join(one.cures))
    console.print(table)


def _tell(rows: list[DrillRow], as_json: bool) -> None:
    if as_json:
        print_json([row.document() for row in rows])
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("scenario", no_wrap=True)
    table.add_column("cure", no_wrap=True)
    for heading in ("detect", "decide", "mitigate", "verify", "close"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("wrong", "repeated", "result"):
        table.add_column(heading, no_wrap=True)
    for row in rows:
        times = [getattr(row, name) for name in _TIMES]
        result = Text("passed", style="green") if row.passed else Text("failed", style="red")
        table.add_row(
            row.scenario,
            row.cure or "none",
            *(f"{seconds:.1f} s" if seconds is not None else "-" for seconds in times),
            str(row.wrong_actions),
            str(row.repeated_side_effects),
            result,
        )
    Console(width=max(console.width, WIDTH)).print(table)
    for row in rows:
        if row.problem:
            console.print(Text(f"{row.scenario}: {row.problem}", style="red"), soft_wrap=True)
