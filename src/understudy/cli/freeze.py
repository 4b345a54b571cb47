"""``understudy freeze``: hold every write of the product, and let it go again."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
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
from understudy.rollout.freeze import set_freeze
from understudy.store.freeze import FreezeRow, freeze_history, read_freeze

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Hold every write (503 with Retry-After) while reads go on; or let writes go again.",
    rich_markup_mode="rich",
)


@app.command("on", epilog='Example: understudy freeze on --reason "database restore"')
@reports_errors
def freeze_on(
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the history.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Freeze: writes answer 503, workers start no task, running ones finish, reads and sign-in go on."""
    check_reason(reason)
    _answer(asyncio.run(_set(home, frozen=True, reason=reason)), as_json)


@app.command("off", epilog="Example: understudy freeze off")
@reports_errors
def freeze_off(
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the history.")] = "done",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Let writes go again; a task that waited gets the time back that it stood still."""
    _answer(asyncio.run(_set(home, frozen=False, reason=reason)), as_json)


@app.command("status", epilog="Example: understudy freeze status --json")
@reports_errors
def freeze_status(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show whether writes are frozen, since when, by whom and why, and what happened before."""
    found = asyncio.run(_show(home))
    if as_json:
        print_json(found)
        return
    _print(found)
    for change in found["history"]:
        verb = "frozen" if change["frozen"] else "thawed"
        when = change["changed_at"][:19].replace("T", " ")
        console.print(Text(f"  {when}  {verb} by {change['actor']}: {change['reason']}"))


async def read_state(home: Path) -> dict[str, Any]:
    """Return ``frozen``, ``actor``, ``reason`` and ``changed_at`` as the database has them now."""
    async with (
        installed_database(installed_settings(home), command="freeze") as database,
        database.service() as conn,
    ):
        return _plain(await read_freeze(conn))


async def _set(home: Path, *, frozen: bool, reason: str) -> dict[str, Any]:
    async with installed_database(installed_settings(home), command="freeze") as database:
        row, changed = await set_freeze(
            database, frozen=frozen, actor=f"person:{account()}", reason=reason.strip()
        )
    return {**_plain(row), "changed": changed}


async def _show(home: Path) -> dict[str, Any]:
    async with (
        installed_database(installed_settings(home), command="freeze") as database,
        database.service() as conn,
    ):
        history = [_plain(row) for row in await freeze_history(conn, 10)]
        return {**_plain(await read_freeze(conn)), "history": history}


def _answer(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    _print(found)
    if not found["changed"]:
        console.print("It was so already; nothing changed.")


def _print(found: dict[str, Any]) -> None:
    if found["frozen"]:
        since = found["changed_at"][:19].replace("T", " ")
        console.print(
            Text(
                f"Writes are frozen since {since} UTC, by {found['actor']}: {found['reason']}", style="yellow"
            )
        )
    else:
        console.print("Writes are not frozen.")


def _plain(row: FreezeRow | None) -> dict[str, Any]:
    if row is None:
        return {"frozen": False, "actor": None, "reason": None, "changed_at": None}
    return {**asdict(row), "changed_at": row.changed_at.isoformat()}
