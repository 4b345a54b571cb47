"""``understudy doctor``: what is wrong with this installation, and what to do."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from understudy.cli.output import console, print_json, reports_errors
from understudy.doctor.examination import examine
from understudy.doctor.findings import Finding, State
from understudy.doctor.reference import settings_markdown
from understudy.logs import configure_logging
from understudy.settings import ENV_FILE_VARIABLE

_STYLES = {State.OK: "green", State.WARN: "yellow", State.FAIL: "bold red"}


@reports_errors
def doctor(
    home: Annotated[
        Path, typer.Option("--home", envvar="UNDERSTUDY_HOME", help="Folder of the installation.")
    ] = Path(".understudy"),
    everything: Annotated[
        bool, typer.Option("--all", help="Show every setting as well, not only what is noteworthy.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
    markdown: Annotated[
        bool, typer.Option("--settings-markdown", help="Print the settings reference instead.")
    ] = False,
) -> None:
    """Look at settings, machine, database, storage and providers; exit code 1 when something fails.

    Works while the product is down. Never shows a secret.

    Example: [bold]understudy doctor --json[/]
    """
    if markdown:
        sys.stdout.write(settings_markdown())
        return
    configure_logging("doctor", level="error")
    env_file = home / "understudy.env"
    if ENV_FILE_VARIABLE not in os.environ and env_file.is_file():
        os.environ[ENV_FILE_VARIABLE] = str(env_file)
    findings = asyncio.run(examine(home))
    failed = any(finding.state is State.FAIL for finding in findings)
    if as_json:
        print_json({"ok": not failed, "findings": [asdict(finding) for finding in findings]})
    else:
        _show(findings, everything=everything)
    if failed:
        raise typer.Exit(code=1)


def _show(findings: list[Finding], *, everything: bool) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("", "what", "seen", "to do"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        if finding.area == "settings" and finding.state is State.OK and not everything:
            continue
        # Text, not markup: a detail may quote the outside.
        table.add_row(
            Text(finding.state, style=_STYLES[finding.state]),
            Text(f"{finding.area}: {finding.name}"),
            Text(finding.detail),
            Text(finding.fix),
        )
    console.print(table)
    counts = {state: sum(finding.state is state for finding in findings) for state in State}
    console.print(", ".join(f"{count} {state}" for state, count in counts.items()), highlight=False)
