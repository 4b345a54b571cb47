"""``understudy mode``: which provider serves, and who decided that when."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from understudy.cli.account import account
from understudy.cli.durable import MODE_VARIABLE, durable_mode, write_durable_mode
from understudy.cli.guard_home import highest_mode_epoch
from understudy.cli.installation import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    check_reason,
    installed_database,
    installed_settings,
)
from understudy.cli.moving import move_limits
from understudy.cli.output import console, print_json, reports_errors
from understudy.rollout.mode import LIVE_WITHIN_S, set_mode
from understudy.store.mode import list_processes, mode_history, read_mode

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Show, set or trace the provider mode.",
    rich_markup_mode="rich",
)


class ProviderMode(StrEnum):
    """The two values of the mode."""

    MODAL = "modal"
    QWEN = "qwen"


@app.command("show", epilog="Example: understudy mode show --json")
@reports_errors
def show(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show the live row, the durable environment value, and what each live process holds."""
    found = asyncio.run(read_state(home))
    if as_json:
        print_json(found)
        return
    row = found["mode"]
    if row is None:
        console.print("No process has set a mode yet.")
    else:
        console.print(f"[bold]{row['value']}[/], epoch {row['epoch']}, by {row['actor']}", highlight=False)
        console.print(Text(f"  {row['reason']} ({row['changed_at']})"), soft_wrap=True)
    console.print(Text(f"{MODE_VARIABLE} in the environment file: {found['env_value'] or 'not set'}"))
    if found["drifting"]:
        console.print("[yellow]They differ: the next changed environment value wins at a start.[/]")
    for process in found["processes"]:
        console.print(Text(f"  {process['kind']:<8} {process['pid']:<8} {held_sentence(process)}"))


def held_sentence(process: dict[str, Any]) -> str:
    """Say what one process holds, and what about it is not as it should be."""
    said = f"{process['mode_value']} at epoch {process['mode_epoch']}, {process['mode_state']}"
    if process["lagging"]:
        said += ", behind the row"
    if process["drifting"]:
        said += f"; its environment says {process['env_value']}"
    if process["known_good_ok"] is False:
        said += "; the known-good provider failed its last check"
    return said


async def read_state(home: Path) -> dict[str, Any]:
    """The row, the durable value, and what each live process holds.

    Raises
    ------
    UnderstudyError
        There is no installation there, or its database does not answer.
    """
    async with (
        installed_database(installed_settings(home), command="mode") as database,
        database.service() as conn,
    ):
        row = await read_mode(conn)
        processes = await list_processes(conn, LIVE_WITHIN_S)
    env_value = await durable_mode(home)
    return {
        "mode": _plain(row) if row else None,
        "env_value": env_value,
        "drifting": bool(row and env_value and row.value != env_value),
        "processes": [
            {
                **_plain(process),
                "drifting": process.drifts,
                "lagging": row is not None and (process.mode_epoch or 0) < row.epoch,
            }
            for process in processes
        ],
    }


@app.command("set", epilog='Example: understudy mode set modal --reason "drill" --durable')
@reports_errors
def set_command(
    value: Annotated[ProviderMode, typer.Argument(help="Who shall serve.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the history.")],
    durable: Annotated[
        bool,
        typer.Option(
            "--durable/--live-only",
            help="Write the environment file as well, for the next start of a process.",
        ),
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Switch the provider live: in force on every process within a second, without a redeploy.

    Away from the known-good provider once in 15 minutes and twice in 6 hours, then moves are FROZEN until
    `understudy mode thaw`; back to it always. A cutover that is on ends.
    """
    row = asyncio.run(_set(home, value.value, reason))
    if durable:
        asyncio.run(write_durable_mode(home, value.value))
    env_value = asyncio.run(durable_mode(home))
    if as_json:
        print_json({"mode": row, "env_value": env_value, "drifting": env_value not in {None, value.value}})
        return
    console.print(f"[bold]{row['value']}[/] is in force, epoch {row['epoch']}.", highlight=False)
    if env_value not in {None, value.value}:
        console.print(f"The environment file still says {env_value}; --durable would write it too.")


async def _set(home: Path, value: str, reason: str) -> dict[str, Any]:
    check_reason(reason)
    highest = highest_mode_epoch(home)
    settings, actor = installed_settings(home), f"person:{account()}"
    async with installed_database(settings, command="mode") as database:
        async with database.service() as conn:
            current = await read_mode(conn)
        if value not in {settings.known_good_provider, current.value if current else None}:
            with move_limits(home, settings) as moves:
                moves.take(f"`mode set {value}`", actor)
        row = await set_mode(database, value, actor=actor, reason=reason, minimum_epoch=highest)
    return _plain(row)


@app.command("thaw", epilog='Example: understudy mode thaw --reason "the second try was planned"')
@reports_errors
def thaw(
    reason: Annotated[str, typer.Option("--reason", help="Why; kept.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Let people and cutovers move away from the known-good provider again; earlier moves count no more."""
    check_reason(reason)
    with move_limits(home, installed_settings(home)) as moves:
        was = moves.thaw(f"person:{account()}", reason)
    if as_json:
        print_json({"thawed": was})
        return
    said = "Thawed; moves are counted anew." if was else "They were not FROZEN; moves are counted anew."
    console.print(said)


@app.command("history", epilog="Example: understudy mode history --limit 10")
@reports_errors
def history(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Newest changes shown.")] = 20,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Show who changed the mode when and why, newest first."""
    changes = asyncio.run(_history(home, limit))
    if as_json:
        print_json({"history": changes})
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("epoch", "from", "to", "by", "when (UTC)"):
        table.add_column(heading)
    table.add_column("reason", overflow="fold")
    for change in changes:
        table.add_row(
            str(change["epoch"]),
            change["previous_value"] or "-",
            change["value"],
            Text(change["actor"]),
            str(change["changed_at"])[:19].replace("T", " "),
            Text(change["reason"]),
        )
    console.print(table)


async def _history(home: Path, limit: int) -> list[dict[str, Any]]:
    async with (
        installed_database(installed_settings(home), command="mode") as database,
        database.service() as conn,
    ):
        return [_plain(change) for change in await mode_history(conn, limit)]


def _plain(row: Any) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in row.__slots__}
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in values.items()
    }
