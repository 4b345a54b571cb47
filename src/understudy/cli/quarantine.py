"""``understudy quarantine``: rows and objects that are kept from use, and letting them out again."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

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
from understudy.errors import NotFoundError
from understudy.money import dollars
from understudy.store import quarantine, repairs
from understudy.store.quarantine import Entry

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="What broke an invariant is kept from use here until it is repaired or let out; nothing is deleted.",
    rich_markup_mode="rich",
)

_TABLES = {quarantine.VOICE: "voices", quarantine.GENERATION: "generations"}


@app.command("list", epilog="Example: understudy quarantine list --json")
@reports_errors
def list_entries(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Those that were let out, too.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 100,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """List what is in quarantine, the newest first: why, what repair made of it, and what is owed for it."""
    found = asyncio.run(_list(home, everything, limit))
    if as_json:
        print_json(found)
        return
    console.print(
        f"{found['total']} in quarantine, {dollars(found['owed_microusd'])} owed for what is lost.",
        highlight=False,
    )
    if not found["entries"]:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("id", "what", "for", "since (UTC)", "repair", "let out"):
        table.add_column(heading, overflow="fold")
    for entry in found["entries"]:
        said = f"{entry['outcome'] or 'not looked at'}: {entry['detail'] or ''}"
        out = entry["released_at"][:16].replace("T", " ") if entry["released_at"] else ""
        table.add_row(
            str(entry["id"]),
            f"{entry['kind']} {entry['subject']}",
            entry["invariant"],
            entry["quarantined_at"][:16].replace("T", " "),
            Text(said),
            out,
        )
    console.print(table)


@app.command("release", epilog='Example: understudy quarantine release 12 13 --reason "recording uploaded"')
@reports_errors
def release(
    *,
    ids: Annotated[list[int], typer.Argument(help="Numbers of `understudy quarantine list`.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the entry.")],
    undo: Annotated[
        bool, typer.Option("--undo", help="Put back what repair wrote over; also of what is out already.")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Let rows and objects out. What is still broken is found, and quarantined, again.

    A task or generation that repair ended stays ended: a terminal status never changes.
    """
    check_reason(reason)
    found = asyncio.run(_release(home, ids, reason.strip(), undo=undo))
    if as_json:
        print_json({"released": found})
        return
    for one in found:
        out = "let out" if one["released"] else "was out already"
        back = f"; put back: {', '.join(one['put_back'])}" if one["put_back"] else ""
        console.print(f"{one['id']}: {one['what']} {out}{back}", highlight=False, soft_wrap=True)


async def _list(home: Path, everything: bool, limit: int) -> dict[str, Any]:
    async with (
        installed_database(installed_settings(home), command="quarantine") as database,
        database.service() as conn,
    ):
        entries, total, owed = await quarantine.list_entries(conn, released=everything, limit=limit)
    return {"total": total, "owed_microusd": owed, "entries": [_plain(entry) for entry in entries]}


async def _release(home: Path, ids: list[int], reason: str, *, undo: bool) -> list[dict[str, Any]]:
    actor = f"person:{account()}"
    done = []
    async with (
        installed_database(installed_settings(home), command="quarantine") as database,
        database.service() as conn,
    ):
        entries = await quarantine.find_entries(conn, ids)
        missing = sorted(set(ids) - {entry.id for entry in entries})
        if missing:
            raise NotFoundError(
                f"No entry {', '.join(map(str, missing))}; see understudy quarantine list --all."
            )
        for entry in entries:
            put_back: list[str] = []
            table = _TABLES.get(entry.kind)
            if undo and entry.replaced and table is not None:
                written = await repairs.write_over(conn, table, UUID(entry.subject), entry.replaced)
                put_back = sorted(written or ())
            released = await quarantine.release(conn, entry, actor=actor, reason=reason)
            done.append({"id": entry.id, "what": str(entry.what), "released": released, "put_back": put_back})
    return done


def _plain(entry: Entry) -> dict[str, Any]:
    return {
        name: value.isoformat()
        if isinstance(value, datetime)
        else str(value)
        if isinstance(value, UUID)
        else value
        for name, value in asdict(entry).items()
    }
