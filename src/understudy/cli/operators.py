"""``understudy operators``: which accounts may operate the service over HTTP."""

from __future__ import annotations

import asyncio
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
    installed_database,
    installed_settings,
)
from understudy.cli.output import console, print_json, reports_errors
from understudy.errors import NotFoundError
from understudy.logs import configure_logging
from understudy.store import operators, users
from understudy.store.operators import OperatorRow

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")

_USER = Annotated[str, typer.Argument(help="Account: its id or its e-mail address.")]


@app.callback()
def group() -> None:
    """Operators: accounts that may switch the provider under [bold]/api/operator[/]. API keys never may."""
    configure_logging("operators", level="warning")


@app.command("grant", epilog="Example: understudy operators grant ann@example.org")
@reports_errors
def grant(*, user: _USER, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Make an account an operator, from its next request on."""
    _answer(asyncio.run(_change(home, user, grants=True)), as_json)


@app.command("revoke", epilog="Example: understudy operators revoke ann@example.org")
@reports_errors
def revoke(*, user: _USER, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Take the role away, from the next request on."""
    _answer(asyncio.run(_change(home, user, grants=False)), as_json)


@app.command("list", epilog="Example: understudy operators list --json")
@reports_errors
def list_command(*, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """List operators, and who made them so."""
    rows = asyncio.run(_list(home))
    if as_json:
        print_json({"operators": [_plain(row) for row in rows]})
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("account", "address", "by", "since (UTC)"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        since = f"{row.granted_at:%Y-%m-%d %H:%M}"
        table.add_row(str(row.user_id), Text(row.email or "-"), Text(row.granted_by), since)
    console.print(table)


async def _change(home: Path, user: str, *, grants: bool) -> dict[str, Any]:
    actor = f"person:{account()}"
    settings = installed_settings(home)
    async with installed_database(settings, command="operators") as database, database.service() as conn:
        user_id = await _account(conn, user)
        if grants:
            changed = await operators.grant_operator(conn, user_id, actor=actor)
        else:
            changed = await operators.revoke_operator(conn, user_id, actor=actor)
    return {"user_id": str(user_id), "operator": grants, "changed": changed, "actor": actor}


async def _list(home: Path) -> list[OperatorRow]:
    settings = installed_settings(home)
    async with installed_database(settings, command="operators") as database, database.service() as conn:
        return await operators.list_operators(conn)


async def _account(conn: users.Connection, user: str) -> UUID:
    try:
        return UUID(user)
    except ValueError:
        found = await users.find_user_by_email(conn, user.strip())
    if found is None:
        raise NotFoundError(f"There is no account of {user}. Make one: understudy users add --email ADDRESS")
    return found.id


def _answer(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    state = "is an operator" if found["operator"] else "is no operator"
    already = "" if found["changed"] else " already"
    console.print(f"Account [bold]{found['user_id']}[/] {state}{already}.", highlight=False)


def _plain(row: OperatorRow) -> dict[str, Any]:
    return {
        "user_id": str(row.user_id),
        "email": row.email,
        "granted_by": row.granted_by,
        "granted_at": row.granted_at.isoformat(),
    }
