"""``understudy budget``: limits on what may be spent, of one tenant or of all together."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from enum import StrEnum
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
from understudy.cli.usage import amount, plain, standing_line
from understudy.clock import SystemClock
from understudy.errors import ConfigurationError, NotFoundError
from understudy.speech.spending import all_caps
from understudy.store import budgets, users
from understudy.store.ledger import EVERYBODY

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Show, set or clear what may be spent; what is over it answers 429 until the window ends.",
    rich_markup_mode="rich",
)


class BudgetName(StrEnum):
    """The four budgets; ``creates-hour`` counts creates, the others micro-dollars."""

    GENERATION_HOUR = "generation-hour"
    GENERATION_DAY = "generation-day"
    CREATES_HOUR = "creates-hour"
    CREATES_DAY = "creates-day"


_USER = Annotated[UUID | None, typer.Option("--user", help="One account; all together when left out.")]
_NAME = Annotated[BudgetName, typer.Argument(help="Which budget.")]
_REASON = Annotated[str, typer.Option("--reason", help="Why; kept with the limit.")]


@app.command("show", epilog="Example: understudy budget show --json")
@reports_errors
def show(user: _USER = None, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show each limit in force, what its window has used, and every limit that an operator set."""
    found = asyncio.run(_show(home, user))
    if as_json:
        print_json(found)
        return
    if not found["budgets"]:
        console.print("No limit is in force.")
    for one in found["budgets"]:
        by = "an operator" if one["set_by_operator"] else "the settings"
        console.print(f"{standing_line(one)}, set by {by}", soft_wrap=True)
    if not found["set"]:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("set for", "budget", "limit", "by", "why"):
        table.add_column(heading, overflow="fold")
    for row in found["set"]:
        whom = "everybody" if row["scope"] == str(EVERYBODY) else row["scope"]
        limit = _limit(row["budget"], row["most"])
        table.add_row(whom, row["budget"], limit, Text(row["actor"]), Text(row["reason"]))
    console.print(table)


@app.command("set", epilog="Example: understudy budget set generation-day 500000 --user ID --reason runaway")
@reports_errors
def set_limit(
    *,
    name: _NAME,
    limit: Annotated[int, typer.Argument(min=0, help="Micro-dollars, or creates; 0 lifts the limit.")],
    reason: _REASON,
    user: _USER = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Set a limit: it counts before the settings', from the next request on, with what is used already."""
    if not reason.strip():
        raise ConfigurationError("--reason is empty; say why, it is kept with the limit.")
    row = asyncio.run(_set(home, user, name.value, limit, reason.strip()))
    if as_json:
        print_json(row)
        return
    said = f"{name.value} is {_limit(name, limit)} for {user or 'everybody together'} now."
    console.print(said, soft_wrap=True)


@app.command("clear", epilog="Example: understudy budget clear generation-day --user ID")
@reports_errors
def clear(
    name: _NAME, user: _USER = None, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False
) -> None:
    """Take an operator's limit away; the settings' counts again."""
    cleared = asyncio.run(_clear(home, user, name.value))
    if as_json:
        print_json({"budget": name.value, "user": str(user) if user else None, "cleared": cleared})
        return
    console.print(
        "The settings' limit counts again." if cleared else "No operator had set this; nothing changed."
    )


async def _show(home: Path, user: UUID | None) -> dict[str, Any]:
    settings = installed_settings(home)
    async with installed_database(settings, command="budget") as database, database.service() as conn:
        standing = await budgets.standing(conn, user or EVERYBODY, all_caps(settings), SystemClock().now())
        every = await budgets.list_budgets(conn)
    return {
        "budgets": [plain(one) for one in standing],
        "set": [_row(row) for row in every if user is None or row.scope == user],
    }


async def _set(home: Path, user: UUID | None, name: str, limit: int, reason: str) -> dict[str, Any]:
    settings = installed_settings(home)
    async with installed_database(settings, command="budget") as database, database.service() as conn:
        if user is not None and await users.find_user(conn, user) is None:
            raise NotFoundError(f"There is no account {user}; nothing was set.")
        actor = f"person:{account()}"
        return _row(
            await budgets.set_budget(conn, user or EVERYBODY, name, limit, actor=actor, reason=reason)
        )


async def _clear(home: Path, user: UUID | None, name: str) -> bool:
    settings = installed_settings(home)
    async with installed_database(settings, command="budget") as database, database.service() as conn:
        return await budgets.clear_budget(conn, user or EVERYBODY, name)


def _limit(name: str, most: int) -> str:
    unit = "creates" if name == BudgetName.CREATES_HOUR else "microusd"
    return amount(most, unit) if most else "without limit"


def _row(row: budgets.BudgetRow) -> dict[str, Any]:
    return {**asdict(row), "scope": str(row.scope), "changed_at": row.changed_at.isoformat()}
