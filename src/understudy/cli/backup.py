"""``understudy backup``: backups of database and stored audio, made, listed, proven and removed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.table import Table
from rich.text import Text

from understudy.cli.account import account
from understudy.cli.environment import chosen
from understudy.cli.installation import DEFAULT_HOME, HomeOption, JsonOption, installed_settings
from understudy.cli.output import console, print_json, reports_errors
from understudy.clock import SystemClock
from understudy.errors import TargetError
from understudy.logs import configure_logging
from understudy.restoration.targets.asked_backups import database_of, make_backup, prove_backup
from understudy.restoration.targets.base import Backup, RestorableDatabase
from understudy.restoration.targets.choosing import target_of
from understudy.restoration.targets.local_database import LocalDatabase

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Back the database and the stored audio up, and prove that a backup restores.",
    rich_markup_mode="rich",
)

T = TypeVar("T")


@app.callback()
def group() -> None:
    """Back the database and the stored audio up, and prove that a backup restores."""


@app.command("create", epilog='Example: understudy backup create --reason "before the cutover"')
@reports_errors
def create(
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in its manifest.")] = "by hand",
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Prove it at once by a trial restore.")
    ] = True,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Back up now: one snapshot of the database, and the audio that is not kept yet.

    Writers do not wait for it. Exit code 1: it could not be made whole, and nothing of it is left.
    """

    async def act(database: RestorableDatabase) -> Backup:
        return await make_backup(
            database, person=account(), reason=reason, now=SystemClock().now(), verify=verify
        )

    _tell([_with(home, act)], as_json)


@app.command("list", epilog="Example: understudy backup list --json")
@reports_errors
def list_command(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """List the backups, the newest first: when each was proven, or why it cannot be used."""
    _tell(list(_with(home, lambda database: database.backups())), as_json)


@app.command("verify", epilog="Example: understudy backup verify 20261129T080000Z-1a2b3c4d")
@reports_errors
def verify_command(
    backup: Annotated[
        str, typer.Argument(help="Its id; the newest that nothing speaks against if left out.")
    ] = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Prove a backup: checksums, full decode, a restore into a scratch database, counts and catalog.

    The proof is kept. Exit code 1: it cannot be restored from, with the reason; an earlier proof is void.
    """
    _tell([_with(home, lambda database: prove_backup(database, backup))], as_json)


@app.command("prune", epilog="Example: understudy backup prune")
@reports_errors
def prune(
    *,
    evidence: Annotated[
        bool, typer.Option("--evidence", help="Remove the dumps of broken states too; nothing else does.")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Remove backups beyond BACKUP_KEEP; never the newest one that was proven."""

    async def act(database: RestorableDatabase) -> list[str]:
        if not isinstance(database, LocalDatabase):
            raise TargetError("The backups of this environment are its platform's to remove.")
        removed = await database.prune()
        return removed + (await database.remove_evidence() if evidence else [])

    removed = _with(home, act)
    if as_json:
        print_json({"removed": removed})
        return
    for name in removed:
        console.print(f"removed {name}")
    if not removed:
        console.print("Nothing to remove.")


def _with(home: Path, act: Callable[[RestorableDatabase], Coroutine[Any, Any, T]]) -> T:
    place = home.expanduser().resolve()

    async def run() -> T:
        settings = installed_settings(home)
        configure_logging("backup", level="error", secrets=settings.secrets())
        return await act(database_of(target_of(chosen(), place, settings, SystemClock())))

    return asyncio.run(run())


def _tell(found: list[Backup], as_json: bool) -> None:
    if as_json:
        print_json({"backups": [one.document() for one in found]})
        return
    if not found:
        console.print("There is no backup. Make one: `understudy backup create`.")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("backup", "holds", "size", "proven"):
        table.add_column(heading, overflow="fold")
    for one in found:
        size = f"{one.size_bytes / 1_000_000:.1f} MB" if one.size_bytes is not None else "-"
        proven = f"{one.verified_at:%Y-%m-%d %H:%M} UTC" if one.verified_at else "no"
        table.add_row(one.id, f"{one.created_at:%Y-%m-%d %H:%M:%S} UTC", size, proven)
    console.print(table)
    for one in found:
        if one.problem:
            console.print(Text(f"{one.id}: {one.problem}", style="yellow"), soft_wrap=True)
