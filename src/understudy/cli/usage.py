"""``understudy usage``: what was used, who pays for it, and what is reserved for calls under way."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.table import Table

from understudy.cli.installation import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    installed_database,
    installed_settings,
)
from understudy.cli.output import console, print_json, reports_errors
from understudy.clock import SystemClock
from understudy.errors import ValidationError
from understudy.logs import configure_logging
from understudy.money import dollars
from understudy.speech.spending import all_caps
from understudy.store import budgets
from understudy.store import usage as rows
from understudy.store.budgets import Standing
from understudy.store.ledger import EVERYBODY


@reports_errors
def usage(
    *,
    user: Annotated[
        UUID | None, typer.Option("--user", help="One account; all of them when left out.")
    ] = None,
    since: Annotated[
        str, typer.Option("--since", help="From when: a date, a time (UTC), or how long ago (24h, 7d).")
    ] = "30d",
    disagreements: Annotated[
        bool,
        typer.Option("--disagreements", help="List the calls that the provider counts otherwise than we do."),
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Show usage by operation and provider: what tenants pay, and what is at our cost.

    Ours are calls that failed after the provider had begun to bill, and what was repeated. [bold]In doubt[/]
    is what may be billed beyond that: calls that were sent and of which nobody knows what came.

    Example: [bold]understudy usage --since 24h[/]
    """
    configure_logging("usage", level="warning")
    now = SystemClock().now()
    found = asyncio.run(_read(home, user, instant(since, now), now))
    listed = found["disagreements"] if disagreements else found.pop("disagreements")
    if as_json:
        print_json(found)
        return
    _show(found)
    if disagreements:
        _show_disagreements(listed)


def instant(given: str, now: datetime) -> datetime:
    """Return the instant that a date, a time or an age names.

    Raises
    ------
    ValidationError
        It is none of these.
    """
    text = given.strip()
    try:
        if text[-1:] in {"h", "d"}:
            return now - timedelta(hours=int(text[:-1]) * (24 if text[-1] == "d" else 1))
        read = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ValidationError(
            f"--since {given}: write a date (2026-11-24), a time (2026-11-24T08:00) or an age (24h, 7d)."
        ) from None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


async def _read(home: Path, user: UUID | None, start: datetime, end: datetime) -> dict[str, Any]:
    settings = installed_settings(home)
    async with installed_database(settings, command="usage") as database, database.service() as conn:
        used = await rows.usage_between(conn, user, start=start, end=end)
        state = await rows.ledger_state(conn, user, start=start, end=end)
        standing = await budgets.standing(conn, user or EVERYBODY, all_caps(settings), end)
        differing = await rows.disagreements(conn, user, start=start, end=end)
    return {
        "since": start.isoformat(),
        "until": end.isoformat(),
        "user": str(user) if user else None,
        "usage": [asdict(row) for row in used],
        "ledger": asdict(state),
        "budgets": [plain(one) for one in standing],
        "disagreements": [asdict(row) for row in differing],
    }


def plain(one: Standing) -> dict[str, Any]:
    """Return a limit as every command prints it."""
    return {
        "budget": one.budget,
        "everybody": one.scope == EVERYBODY,
        "limit": one.most,
        "used": one.used,
        "left": one.left,
        "unit": "creates" if one.counts_creates else "microusd",
        "resets_at": one.ends_at.isoformat(),
        "set_by_operator": one.set_by_operator,
    }


def amount(value: int, unit: str) -> str:
    """Write a budget's number in its unit."""
    return dollars(value) if unit == "microusd" else f"{value} creates"


def standing_line(one: dict[str, Any]) -> str:
    """Say how much of a limit is used."""
    used = dollars(one["used"]) if one["unit"] == "microusd" else one["used"]
    return (
        f"{one['budget']}: {used} of {amount(one['limit'], one['unit'])} used until {one['resets_at'][:16]}Z"
    )


def _show(found: dict[str, Any]) -> None:
    console.print(f"From {found['since'][:16]}Z to {found['until'][:16]}Z, {found['user'] or 'all tenants'}.")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("operation", "provider"):
        table.add_column(heading)
    for heading in ("paid", "characters", "audio s", "tenants pay", "unpaid", "ours"):
        # Money is never shortened, however narrow the terminal.
        table.add_column(heading, justify="right", overflow="fold")
    for row in found["usage"]:
        table.add_row(
            row["operation"],
            row["provider"],
            str(row["calls"]),
            str(row["characters"]),
            f"{row['audio_ms'] / 1000:.1f}",
            dollars(row["cost_microusd"]),
            str(row["unpaid_calls"]),
            dollars(row["ours_microusd"]),
        )
    console.print(table)
    ledger = found["ledger"]
    console.print(
        f"Reserved for {ledger['open_tasks']} tasks under way: {dollars(ledger['open_microusd'])}. "
        f"In doubt for {ledger['doubtful_tasks']} tasks: {dollars(ledger['doubt_microusd'])}.",
        soft_wrap=True,
    )
    for one in found["budgets"]:
        console.print(standing_line(one), soft_wrap=True)


def _show_disagreements(listed: list[dict[str, Any]]) -> None:
    if not listed:
        console.print("The provider counted as we did.")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("when", "provider", "theirs", "ours", "request id", "task"):
        table.add_column(heading, overflow="fold")
    for row in listed:
        when = f"{row['at']:%Y-%m-%d %H:%M:%S}Z"
        counts = str(row["characters"]), str(row["counted_characters"])
        table.add_row(when, row["provider"], *counts, row["request_id"] or "", str(row["task_id"] or ""))
    console.print(table)
