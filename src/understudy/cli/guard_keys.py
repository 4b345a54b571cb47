"""``understudy guard-keys``: operators' keys of the guard's own API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from understudy.cli.account import account
from understudy.cli.guard_home import guard_store
from understudy.cli.installation import DEFAULT_HOME, HomeOption, JsonOption
from understudy.cli.output import console, print_json, reports_errors
from understudy.errors import ValidationError
from understudy.store.guard import GuardStore, OperatorRow

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")


@app.callback()
def group() -> None:
    """Operators' keys: who may read and write at the guard's port. Only hashes are kept, in its own store."""


@app.command("create", epilog="Example: understudy guard-keys create ann")
@reports_errors
def create(
    *,
    name: Annotated[str, typer.Argument(help="Whose it is; what they do is signed with it.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Make a key and [bold]show it once[/]. Send it as `Authorization: Bearer ugk_...`."""
    label = name.strip()
    if not 1 <= len(label) <= 100 or not label.isprintable():
        raise ValidationError("A name has 1 to 100 printable characters.")
    with guard_store(home, must_exist=False) as store:
        row, key = store.operators.create(label)
        _record(store, "key_created", row)
    if as_json:
        print_json({**_plain(row), "key": key})
        return
    console.print(Text(f"Key {row.prefix} of {row.label}"))
    console.print(Text(f"The whole key, shown only now: {key}"), soft_wrap=True)


@app.command("list", epilog="Example: understudy guard-keys list --json")
@reports_errors
def list_command(*, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """List keys by their beginning, with their last use (exact to a minute)."""
    with guard_store(home) as store:
        rows = store.operators.all()
    if as_json:
        print_json({"keys": [_plain(row) for row in rows]})
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("name", "key", "created (UTC)", "last used", "state"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        state = "[red]revoked[/]" if row.revoked_at else "[green]good[/]"
        table.add_row(
            Text(row.label), Text(row.prefix), _short(row.created_at), _short(row.last_used_at), state
        )
    console.print(table)


@app.command("revoke", epilog="Example: understudy guard-keys revoke ann")
@reports_errors
def revoke(
    *,
    name: Annotated[str, typer.Argument(help="Its name, or the key's visible beginning (ugk_...).")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Revoke a key: refused from the next request on."""
    # A whole key works too, and is never echoed.
    named = "_".join(name.split("_")[:2]) if name.startswith("ugk_") else name
    with guard_store(home) as store:
        rows = store.operators.revoke(named)
        for row in rows:
            _record(store, "key_revoked", row)
    if as_json:
        print_json({"revoked": [_plain(row) for row in rows]})
        return
    for row in rows:
        console.print(Text(f"{row.prefix} of {row.label} is revoked."))


def _record(store: GuardStore, kind: str, row: OperatorRow) -> None:
    actor = f"person:{account()}"
    store.announce(None, kind=kind, actor=actor, body={"label": row.label, "prefix": row.prefix})


def _plain(row: OperatorRow) -> dict[str, Any]:
    times = {name: getattr(row, name) for name in ("created_at", "last_used_at", "revoked_at")}
    written = {name: at.isoformat() if at else None for name, at in times.items()}
    return {"name": row.label, "prefix": row.prefix, **written}


def _short(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "-"
