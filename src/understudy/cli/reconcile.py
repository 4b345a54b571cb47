"""``understudy reconcile``: what providers were paid to make, against what we hold."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer
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
from understudy.logs import configure_logging
from understudy.providers.catalog import build_providers
from understudy.speech.creates import LooseCreate, loose_creates

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Compare what providers made with what we hold.",
    rich_markup_mode="rich",
)


@app.callback()
def reconcile() -> None:
    """Compare what providers made with what we hold."""


@app.command()
@reports_errors
def creates(*, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """List billed creates without a voice of ours, and creates that ended unknown.

    It changes nothing and bills nothing. unclaimed: made, and its task did not complete; finalizing the clone
    again takes it. unsaved: a preview that was not saved. orphan: nothing of ours knows it. unknown: sent,
    and the provider has nothing under its label.

    Example: [bold]understudy reconcile creates --json[/]
    """
    configure_logging("reconcile", level="warning")
    found = asyncio.run(_creates(home))
    if as_json:
        print_json({"creates": [create.facts() for create in found]})
        return
    _show(found)


async def _creates(home: Path) -> list[LooseCreate]:
    settings = installed_settings(home)
    providers = build_providers(settings, SystemClock())
    try:
        async with installed_database(settings, command="reconcile") as database:
            return [
                create
                for provider in providers.values()
                if provider.capabilities.bills_creates
                for create in await loose_creates(database, provider)
            ]
    finally:
        for provider in providers.values():
            await provider.close()


def _show(found: list[LooseCreate]) -> None:
    if not found:
        console.print("Every billed create has its voice.")
        return
    for create in found:
        since = f" since {str(create.created_at)[:19]}" if create.created_at else ""
        # On a line of its own, whole: whoever deletes one at the provider copies it.
        console.print(
            Text(f"{create.state} {create.kind}{since}\n  {create.voice_id or '-'}"), soft_wrap=True
        )
        facts = {"label": create.label, "task": create.task_id, "tenant": create.user_id}
        known = ", ".join(f"{name} {fact}" for name, fact in facts.items() if fact)
        if known:
            console.print(Text(f"  {known}"), soft_wrap=True)
