"""``understudy reads``: close what tenants can read while something leaks, and open it again."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
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
from understudy.rollout.mode import LIVE_WITHIN_S
from understudy.rollout.reads import set_reads
from understudy.store import closed_reads
from understudy.store.closed_reads import ClosedRead

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Close kinds of reads (503 with Retry-After on every api within a second), or open them again.",
    rich_markup_mode="rich",
)


class Kind(StrEnum):
    """What can be closed; ``audio`` has the signed links, ``account`` who a caller is and what it used."""

    VOICES = closed_reads.VOICES
    GENERATIONS = closed_reads.GENERATIONS
    TASKS = closed_reads.TASKS
    AUDIO = closed_reads.AUDIO
    ACCOUNT = closed_reads.ACCOUNT


_REASON = Annotated[str, typer.Option("--reason", help="Why; kept in the history.")]


@app.command("close", epilog='Example: understudy reads close voices audio --reason "leak"')
@reports_errors
def close(
    *,
    kinds: Annotated[list[Kind], typer.Argument(help="Which reads.")],
    reason: _REASON,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Close reads: also links to audio that were handed out, answers that wait, downloads under way."""
    _answer(home, [kind.value for kind in kinds], closed=True, reason=reason, as_json=as_json)


@app.command("open", epilog='Example: understudy reads open --reason "mended in 1.4.2"')
@reports_errors
def open_reads(
    *,
    kinds: Annotated[list[Kind] | None, typer.Argument(help="Which reads; all when left out.")] = None,
    reason: _REASON,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Open reads again."""
    names = [kind.value for kind in kinds or Kind]
    _answer(home, names, closed=False, reason=reason, as_json=as_json)


@app.command("status", epilog="Example: understudy reads status --json")
@reports_errors
def status(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show what is closed, since when, by whom and why, and which api process holds it."""
    found = asyncio.run(_show(home))
    if as_json:
        print_json(found)
        return
    _print(found)
    for api in found["processes"]:
        state = "holds it" if api["current"] else "does not hold it yet"
        console.print(f"  api {api['pid']} on {api['host']} {state}", highlight=False)
    for change in found["history"]:
        verb = "closed" if change["closed"] else "opened"
        when = change["changed_at"][:19].replace("T", " ")
        said = f"  {when}  {change['name']} {verb} by {change['actor']}: {change['reason']}"
        console.print(Text(said), soft_wrap=True)


def _answer(home: Path, names: list[str], *, closed: bool, reason: str, as_json: bool) -> None:
    check_reason(reason)
    found = asyncio.run(_set(home, names, closed=closed, reason=reason.strip()))
    if as_json:
        print_json(found)
        return
    _print(found)
    if not found["changed"]:
        console.print("It was so already; nothing changed.")


def _print(found: dict[str, Any]) -> None:
    if not found["closed"]:
        console.print("No reads are closed.")
    for row in found["closed"]:
        since = row["changed_at"][:19].replace("T", " ")
        said = f"{row['name']}: closed since {since} UTC, by {row['actor']}: {row['reason']}"
        console.print(Text(said, style="yellow"), soft_wrap=True)


async def _set(home: Path, names: list[str], *, closed: bool, reason: str) -> dict[str, Any]:
    async with installed_database(installed_settings(home), command="reads") as database:
        rows, changed = await set_reads(
            database, names, closed=closed, actor=f"person:{account()}", reason=reason
        )
    return {"closed": _closed(rows), "changed": changed}


async def _show(home: Path) -> dict[str, Any]:
    async with (
        installed_database(installed_settings(home), command="reads") as database,
        database.service() as conn,
    ):
        rows = await closed_reads.read_closed(conn)
        history = await closed_reads.closed_history(conn, 20)
        apis = await closed_reads.holders(conn, LIVE_WITHIN_S)
    epoch = max((row.epoch for row in rows.values()), default=0)
    return {
        "closed": _closed(rows),
        "epoch": epoch,
        "processes": [
            {**asdict(api), "instance": str(api.instance), "current": (api.reads_epoch or 0) >= epoch}
            for api in apis
        ],
        "history": [_plain(row) for row in history],
    }


def _closed(rows: dict[str, ClosedRead]) -> list[dict[str, Any]]:
    return [_plain(row) for row in rows.values() if row.closed]


def _plain(row: ClosedRead) -> dict[str, Any]:
    return {**asdict(row), "changed_at": row.changed_at.isoformat()}
