"""``understudy incident followups``: what incidents left to be done."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text

from understudy.cli.account import account
from understudy.cli.guard_home import guard_store
from understudy.cli.installation import DEFAULT_HOME, HomeOption, JsonOption
from understudy.cli.output import console, print_json, reports_errors
from understudy.errors import ConfigurationError
from understudy.restoration.report.followups import FollowUp, finish_followup, followups_of, open_followups


@reports_errors
def followups(
    incident: Annotated[str | None, typer.Argument(help="One incident's, done ones too.")] = None,
    *,
    done: Annotated[str | None, typer.Option("--done", help="Tick this one off.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="What was done about it.")] = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """List what incidents left to be done, or tick one off; some must be done before the next cutover."""
    if done is not None and not reason.strip():
        raise ConfigurationError("--reason is empty; say what was done, it is kept.")
    with guard_store(home) as store:
        if done is not None:
            found = [finish_followup(store, done, person=f"person:{account()}", reason=reason)]
        elif incident is not None:
            found = followups_of(store, incident)
        else:
            found = open_followups(store)
    if as_json:
        print_json({"followups": [_plain(one) for one in found]})
        return
    if not found:
        console.print("nothing is left to do")
    for one in found:
        _print(one)


def _print(one: FollowUp) -> None:
    mark, style = ("✓", "green") if not one.open else ("!", "bold red") if one.blocking else ("·", "")
    console.print(Text(f"{mark} {one.id}", style=style), soft_wrap=True)
    console.print(Text(f"    {one.text}"), soft_wrap=True)
    if one.blocking and one.open:
        console.print(Text("    blocks the next cutover", style="red"))
    if not one.open:
        console.print(Text(f"    done by {one.done_by}: {one.reason}", style="dim"), soft_wrap=True)


def _plain(one: FollowUp) -> dict[str, Any]:
    return {**asdict(one), "created_at": one.created_at.isoformat(), "open": one.open}
