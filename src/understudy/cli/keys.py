"""``understudy keys``: API keys of programs."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.table import Table
from rich.text import Text

from understudy.cli.installation import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    installed_database,
    installed_settings,
)
from understudy.cli.output import console, print_json, reports_errors
from understudy.clock import SystemClock
from understudy.errors import NotFoundError, ValidationError
from understudy.logs import configure_logging
from understudy.store import api_keys, users
from understudy.store.api_keys import ApiKeyRow

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")

_USER = Annotated[str, typer.Option("--user", help="Account: its id or its e-mail address.")]


@app.callback()
def group() -> None:
    """API keys: how programs call [bold]/api[/] without signing in."""
    configure_logging("keys", level="warning")


@app.command("create", epilog="Example: understudy keys create --user ann@example.org --name nightly")
@reports_errors
def create(
    *,
    user: _USER,
    name: Annotated[str, typer.Option("--name", help="What it is for, 1 to 100 characters.")],
    expires_days: Annotated[
        int | None, typer.Option("--expires-days", min=1, max=3650, help="Days it is good; for ever without.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Make a key and [bold]show it once[/]; only its hash is kept.

    Send it as `Authorization: Bearer usk_...`. It may do what the account may do under `/api` and `/v1`.
    """
    row, key = asyncio.run(_create(home, user, name, expires_days))
    if as_json:
        print_json({**_plain(row), "key": key})
        return
    console.print(f"Key [bold]{row.prefix}[/] of account {row.user_id}", highlight=False)
    console.print(f"The whole key, shown only now: {key}", highlight=False, markup=False, soft_wrap=True)


@app.command("list", epilog="Example: understudy keys list --user ann@example.org --json")
@reports_errors
def list_command(
    *,
    user: Annotated[str | None, typer.Option("--user", help="Of this account only: id or address.")] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """List keys by their visible beginning, with their last use (exact to a minute)."""
    rows = asyncio.run(_list(home, user))
    if as_json:
        print_json({"keys": [_plain(row) for row in rows]})
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("key", "name", "account", "created", "expires", "last used", "state"):
        table.add_column(heading)
    for row in rows:
        times = (row.created_at, row.expires_at, row.last_used_at)
        table.add_row(
            row.prefix, Text(row.name), str(row.user_id), *(_short(at) for at in times), _state(row)
        )
    console.print(table)


@app.command("revoke", epilog="Example: understudy keys revoke usk_1a2b3c4d")
@reports_errors
def revoke(
    *,
    key: Annotated[str, typer.Argument(help="Its visible beginning (usk_ and 8 characters) or its id.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Revoke a key: refused by every process within 5 seconds."""
    row = asyncio.run(_revoke(home, key))
    if as_json:
        print_json(_plain(row))
        return
    console.print(f"[bold]{row.prefix}[/] is revoked; every process refuses it within 5 s.", highlight=False)


async def _create(home: Path, user: str, name: str, expires_days: int | None) -> tuple[ApiKeyRow, str]:
    label = name.strip()
    if not 1 <= len(label) <= 100 or "\x00" in label:
        raise ValidationError("--name must have 1 to 100 characters.")
    now = SystemClock().now()
    expires_at = now + timedelta(days=expires_days) if expires_days else None
    settings = installed_settings(home)
    async with installed_database(settings, command="keys") as database, database.service() as conn:
        user_id = await _account(conn, user)
        return await api_keys.create_key(conn, user_id=user_id, name=label, at=now, expires_at=expires_at)


async def _list(home: Path, user: str | None) -> list[ApiKeyRow]:
    settings = installed_settings(home)
    async with installed_database(settings, command="keys") as database, database.service() as conn:
        return await api_keys.list_keys(conn, await _account(conn, user) if user else None)


async def _revoke(home: Path, key: str) -> ApiKeyRow:
    # A whole key works too, and is never echoed.
    named = "_".join(key.split("_")[:2]) if key.startswith(api_keys.KEY_PREFIX) else key
    settings = installed_settings(home)
    async with installed_database(settings, command="keys") as database, database.service() as conn:
        row = await api_keys.revoke_key(conn, named, SystemClock().now())
    if row is None:
        raise NotFoundError(f"There is no key {named}. `understudy keys list` shows them.")
    return row


async def _account(conn: users.Connection, user: str) -> UUID:
    try:
        return UUID(user)
    except ValueError:
        found = await users.find_user_by_email(conn, user.strip())
    if found is None:
        raise NotFoundError(f"There is no account of {user}. Make one: understudy users add --email ADDRESS")
    return found.id


def _plain(row: ApiKeyRow) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in row.__slots__}
    return {name: _written(value) for name, value in values.items()}


def _written(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _short(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "-"


def _state(row: ApiKeyRow) -> str:
    if row.revoked_at:
        return "[red]revoked[/]"
    if row.expires_at and row.expires_at <= SystemClock().now():
        return "[yellow]expired[/]"
    return "[green]good[/]"
