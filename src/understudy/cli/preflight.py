"""``understudy preflight``: is the way there, back to Modal and forward to Qwen."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from understudy.cli.environment import chosen
from understudy.cli.installation import DEFAULT_HOME, HomeOption, JsonOption, use_env_file
from understudy.cli.output import console, print_json, reports_errors


@reports_errors
def preflight(
    *,
    backward: Annotated[
        bool, typer.Option("--back-only", help="Leave out the way forward: Qwen's pins, region and key.")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Check Modal's five secrets, Qwen's pinned settings, and that key and region agree.

    Nothing is submitted. Each URL must be https (or on this machine), reachable, and answer as its endpoint
    does. A key is looked up by its recorded fingerprint and tried at its own lane only. Exit code 0 when
    nothing stands in the way.

    Example: [bold]understudy preflight --env staging[/]
    """
    from understudy.clock import SystemClock  # noqa: PLC0415  (`--help` need not load the providers)
    from understudy.restoration.targets.choosing import target_of  # noqa: PLC0415
    from understudy.restoration.targets.preflight import preflight as look  # noqa: PLC0415
    from understudy.settings import load_settings  # noqa: PLC0415

    use_env_file(home)
    settings, environment = load_settings(), chosen()
    target = None if environment.is_local else target_of(environment, home, settings, SystemClock())
    found = asyncio.run(
        look(settings, environment=environment.name.value, target=target, candidate=not backward)
    )
    if as_json:
        print_json(found.to_json())
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column()
        table.add_column()
        table.add_column(overflow="fold")
        for check in found.checks:
            mark = Text("✓", style="bold green") if check.ok else Text("✗", style="bold red")
            table.add_row(mark, Text(check.name), Text(f"{check.detail}. {check.fix}".removesuffix(". ")))
        console.print(table)
        good = len(found.checks) - len(found.problems())
        console.print(f"{good} of {len(found.checks)} in order on {environment.name}.", highlight=False)
    if not found.ok:
        raise typer.Exit(code=1)
