"""``understudy collect``: what has outlived its time goes, what does not match is shown."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from understudy.cli.installation import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    installed_database,
    installed_settings,
)
from understudy.cli.output import console, print_json, reports_errors
from understudy.clock import SystemClock
from understudy.logs import configure_logging
from understudy.speech.collecting import Collector, Report
from understudy.store.object_choice import open_objects, prove_objects


@reports_errors
def collect(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Delete nothing and note nothing: only say what would go.")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Remove audio and records past their retention, and list objects and rows that do not match.

    The worker does this once an hour. An object without a row goes after two sightings an hour apart; a row
    without its object is only listed. RETENTION_GENERATIONS_DAYS, RETENTION_SIGNALS_DAYS,
    RETENTION_DELETED_VOICES_DAYS (0 keeps for ever) and UPLOAD_ABANDONED_HOURS decide what is too old.

    Example: [bold]understudy collect --dry-run[/]
    """
    configure_logging("collect", level="warning")
    report = asyncio.run(_collect(home, dry_run=dry_run))
    if as_json:
        print_json({**report.facts(), "sightings": [asdict(sighting) for sighting in report.sightings]})
        return
    _show(report)


async def _collect(home: Path, *, dry_run: bool) -> Report:
    settings, clock = installed_settings(home), SystemClock()
    objects = open_objects(settings, clock)
    await prove_objects(objects)
    async with installed_database(settings, command="collect") as database:
        return await Collector(database, objects, settings, clock).run(dry_run=dry_run)


def _show(report: Report) -> None:
    verb = "would go" if report.dry_run else "removed"
    table = Table("what", verb)
    for name, number in sorted(report.removed.items()):
        table.add_row(name.replace("_", " "), str(number))
    console.print(table)
    console.print(f"{report.orphans} objects without a row, {report.missing} rows without their object.")
    for sighting in report.sightings:
        seen = f"{sighting.first_seen_at:%Y-%m-%d %H:%M}Z"
        line = f"{sighting.kind} {sighting.bucket}/{sighting.key} {sighting.size} bytes, first seen {seen}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if not report.complete:
        console.print("The walk ran out of time; the next run goes on where it stopped.")
