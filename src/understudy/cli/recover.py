"""``understudy recover``: the playbook's Local Recovery Runbook in one command."""

from __future__ import annotations

import contextlib
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from understudy.cli.environment import chosen
from understudy.cli.guard_home import guard_store
from understudy.cli.installation import DEFAULT_HOME, HomeOption, JsonOption
from understudy.cli.output import console, errors, print_json, reports_errors
from understudy.errors import ConfigurationError, UnderstudyError
from understudy.processes.home import Home
from understudy.processes.recovery import Outcome, Recovery, State, Step

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")
MARKS = {
    State.PASSED: ("✓", "bold green"),
    State.FAILED: ("✗", "bold red"),
    State.SKIPPED: ("–", "yellow"),
    State.NOT_RUN: ("–", "dim"),
}


@app.callback()
def group() -> None:
    """Bring a machine back to known-good code, and prove it."""


@app.command("local", epilog="Example: understudy recover local main --yes")
@reports_errors
def local(
    *,
    revision: Annotated[
        str | None,
        typer.Argument(metavar="BRANCH", help="Known-good branch, tag or commit; default: the recorded one."),
    ] = None,
    directory: Annotated[
        Path, typer.Option("--directory", help="The checkout to recover: where package.json lies.")
    ] = Path(),
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", help="Where the served API answers, when that cannot be found."),
    ] = None,
    reset: Annotated[
        bool | None,
        typer.Option(
            "--reset-database/--keep-database",
            help="Empty the local database, or leave it; default: ask, and empty it where it does not fit.",
            show_default=False,
        ),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would be done, and do nothing.")] = False,
    stop: Annotated[
        bool, typer.Option("--stop-serving", help="Stop the served API at the end; else it goes on.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask before data or running processes are lost.")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Switch code, align the local database, serve, and run database tests, API tests and frontend checks.

    A tree with changes that are not committed is refused. What loses data (the reset, a running
    [bold]understudy up[/]) is asked for first. The commands are the scripts of package.json: sb:reset,
    sb:serve, test:db, test:edge, and check and typecheck of frontend/. Exit code 0 when all of it passed.
    """
    place = Home.at(home)
    recovery = Recovery(
        directory=directory.resolve(),
        home=place,
        revision=revision or _recorded(place.root),
        reset=reset,
        base_url=(base_url or chosen().base_url).rstrip("/") or None,
    )
    recovery.check()
    steps = recovery.steps()
    if plan:
        _show_plan(recovery, steps, as_json)
        return
    _agree(recovery, steps, yes=yes)
    outcomes = []
    try:
        for outcome in recovery.run(told=_told):
            outcomes.append(outcome)
            _show_outcome(outcome)
    except KeyboardInterrupt:
        recovery.stop_serving()
        raise
    ok = all(outcome.ok for outcome in outcomes)
    serving = recovery.serving
    if stop:
        recovery.stop_serving()
    if as_json:
        print_json(
            {
                "ok": ok,
                "revision": recovery.revision,
                "base_url": recovery.base_url,
                "serving": None if stop else serving,
                "steps": [asdict(outcome) for outcome in outcomes],
            }
        )
    else:
        _summarise(recovery, outcomes, ok=ok)
    if not ok:
        raise typer.Exit(code=1)


def _recorded(home: Path) -> str:
    """Return the tag or revision that is recorded as known-good on this home."""
    with contextlib.suppress(UnderstudyError), guard_store(home) as store:
        record = store.known_good()
        git = record.document.get("git") if record is not None else None
        found = (git.get("tag") or git.get("revision")) if isinstance(git, dict) else None
        if found:
            return str(found)
    raise ConfigurationError(
        "Nothing is recorded as known-good here. Name the branch or tag: understudy recover local BRANCH"
    )


def _agree(recovery: Recovery, steps: tuple[Step, ...], *, yes: bool) -> None:
    """Ask before anything is lost; a refused reset leaves the database as it is."""
    lost = [step for step in steps if step.destructive and not step.skipped]
    if yes or not lost:
        return
    if not sys.stdin.isatty():
        named = ", ".join(f"`{shlex.join(step.argv)}`" for step in lost)
        raise ConfigurationError(
            f"{named} would lose data or running processes, and nobody is there to ask. Say --yes, or "
            f"--keep-database."
        )
    for step in lost:
        if step.name == "stop":
            typer.confirm(f"Stop the running service (process {step.argv[-1]})?", abort=True, err=True)
        elif not typer.confirm(
            f"Empty the local database where it does not fit the code (`{shlex.join(step.argv)}`)?", err=True
        ):
            recovery.reset = False


def _told(step: Step) -> None:
    if not step.skipped:
        errors.print(Text(f"{step.name}: {shlex.join(step.argv)}"), style="dim", soft_wrap=True)


def _show_outcome(outcome: Outcome) -> None:
    mark, style = MARKS[outcome.state]
    line = Text.assemble(
        (f"{mark} ", style), f"{outcome.step.name}  {outcome.seconds:.1f} s  {outcome.detail}"
    )
    errors.print(line, soft_wrap=True)


def _show_plan(recovery: Recovery, steps: tuple[Step, ...], as_json: bool) -> None:
    if as_json:
        print_json({"revision": recovery.revision, "steps": [asdict(step) for step in steps]})
        return
    for step in steps:
        note = f"  # {step.skipped}" if step.skipped else "  # asks first" if step.destructive else ""
        console.print(Text(f"{shlex.join(step.argv)}{note}"), soft_wrap=True)


def _summarise(recovery: Recovery, outcomes: list[Outcome], *, ok: bool) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("", "step", "state"):
        table.add_column(heading)
    table.add_column("s", justify="right")
    for outcome in outcomes:
        mark, style = MARKS[outcome.state]
        state = outcome.state.value + (f": {outcome.detail}" if outcome.state is State.SKIPPED else "")
        table.add_row(Text(mark, style=style), Text(outcome.step.name), Text(state), f"{outcome.seconds:.1f}")
    console.print(table)
    if recovery.serving is not None:
        console.print(
            Text(
                f"Served at {recovery.base_url} by process {recovery.serving}; `kill {recovery.serving}` "
                f"stops it. Prove it: understudy smoke --base-url {recovery.base_url}"
            ),
            soft_wrap=True,
        )
    told = f"Recovered to {recovery.revision}." if ok else f"Not recovered to {recovery.revision}."
    console.print(Text(told, style="bold green" if ok else "bold red"))
