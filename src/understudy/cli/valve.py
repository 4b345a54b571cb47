"""``understudy valve``: pause an operation that costs money, and let it go on."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from understudy.cli.account import account
from understudy.cli.installation import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    check_reason,
    installed_database,
    installed_settings,
)
from understudy.cli.output import console, print_json, reports_errors
from understudy.store import valves
from understudy.store.valves import ValveRow

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Pause what costs money (429 with Retry-After), or let it go on.",
    rich_markup_mode="rich",
)


class Valve(StrEnum):
    """What can be paused; ``design-creates`` are the designs that a provider bills."""

    DESIGN_CREATES = valves.DESIGN_CREATES
    CARRY_OVER = valves.CARRY_OVER
    GENERATION = valves.GENERATION


_NAME = Annotated[Valve, typer.Argument(help="Which valve.")]
_REASON = Annotated[str, typer.Option("--reason", help="Why; kept in the history.")]


@app.command("show", epilog="Example: understudy valve show --json")
@reports_errors
def show(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show each valve, and who closed and opened them, newest first."""
    found = asyncio.run(_show(home))
    if as_json:
        print_json(found)
        return
    for valve in found["valves"]:
        state = "[yellow]closed[/]" if valve["closed"] else "open"
        by = f" since {valve['changed_at'][:16]}Z by {valve['actor']}: " if valve["actor"] else ""
        console.print(f"{valve['name']}: {state}{by}", end="")
        console.print(valve["reason"] or "", markup=False)
    if found["history"]:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading in ("when (UTC)", "valve", "", "by", "why"):
            table.add_column(heading, overflow="fold")
        for change in found["history"]:
            verb = "closed" if change["closed"] else "opened"
            when = change["changed_at"][:19].replace("T", " ")
            table.add_row(when, change["name"], verb, Text(change["actor"]), Text(change["reason"]))
        console.print(table)


@app.command("close", epilog='Example: understudy valve close design-creates --reason "cost anomaly"')
@reports_errors
def close(name: _NAME, reason: _REASON, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Close a valve: from this commit on nothing new of it begins; what is under way finishes."""
    _answer(home, name.value, closed=True, reason=reason, as_json=as_json)


@app.command("open", epilog='Example: understudy valve open design-creates --reason "limits are set"')
@reports_errors
def open_valve(
    name: _NAME, reason: _REASON, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False
) -> None:
    """Open a valve again."""
    _answer(home, name.value, closed=False, reason=reason, as_json=as_json)


def _answer(home: Path, name: str, *, closed: bool, reason: str, as_json: bool) -> None:
    check_reason(reason)
    found = asyncio.run(_set(home, name, closed=closed, reason=reason.strip()))
    if as_json:
        print_json(found)
        return
    console.print(f"{name} is {'closed' if found['closed'] else 'open'}.")
    if not found["changed"]:
        console.print("It was so already; nothing changed.")


async def _set(home: Path, name: str, *, closed: bool, reason: str) -> dict[str, Any]:
    settings = installed_settings(home)
    async with installed_database(settings, command="valve") as database, database.service() as conn:
        row, changed = await valves.set_valve(
            conn, name, closed=closed, actor=f"person:{account()}", reason=reason
        )
    return {**_plain(name, row), "changed": changed}


async def _show(home: Path) -> dict[str, Any]:
    settings = installed_settings(home)
    async with installed_database(settings, command="valve") as database, database.service() as conn:
        rows = await valves.read_valves(conn)
        history = await valves.valve_history(conn, 20)
    return {
        "valves": [_plain(name, rows.get(name)) for name in valves.VALVES],
        "history": [_plain(row.name, row) for row in history],
    }


def _plain(name: str, row: ValveRow | None) -> dict[str, Any]:
    if row is None:
        return {"name": name, "closed": False, "epoch": 0, "actor": None, "reason": None, "changed_at": None}
    return {**asdict(row), "changed_at": row.changed_at.isoformat()}
