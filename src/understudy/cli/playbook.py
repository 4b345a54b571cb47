"""``understudy playbook``: the playbook as data."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from understudy.cli.installation import DEFAULT_HOME, HomeOption
from understudy.cli.output import console, print_json, reports_errors
from understudy.cli.policy_page import print_policy
from understudy.cli.simulation_page import page, print_cells
from understudy.errors import ConfigurationError
from understudy.resources import playbook_file, simulation_bounds_file
from understudy.restoration.playbook import fields as policy_fields
from understudy.restoration.playbook.policy import TRIGGER_NAMES, lint, load_playbook

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Check, print, simulate or replay the restoration playbook.",
    rich_markup_mode="rich",
)

_FILE = Annotated[
    Path | None,
    typer.Argument(metavar="[FILE]", show_default=False, help="A playbook; the one that ships if left out."),
]
_JSON = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.command("lint", epilog="Example: understudy playbook lint playbooks/restoration.yaml")
@reports_errors
def lint_command(file: _FILE = None, as_json: _JSON = False) -> None:
    """Check a playbook: every problem with its file, line, field and fix; exit code 1 when there is one."""
    path = file or playbook_file()
    problems = lint(path)
    if as_json:
        rows = [
            {"line": item.line, "field": item.field, "message": item.message, "fix": item.fix}
            for item in problems
        ]
        print_json({"file": path, "ok": not problems, "problems": rows})
    else:
        for problem in problems:
            console.print(Text(str(problem)), soft_wrap=True)
        if not problems:
            console.print(f"[bold green]ok[/]: {path}", highlight=False, soft_wrap=True)
    if problems:
        raise typer.Exit(code=1)


@app.command("show", epilog="Example: understudy playbook show --family cost")
@reports_errors
def show(
    file: _FILE = None,
    family: Annotated[
        str | None,
        typer.Option("--family", help="One condition alone: success_rate, cost, ..."),
    ] = None,
    as_json: _JSON = False,
) -> None:
    """Print the page an operator reads: conditions with checks, limits and cures; ladder; closing."""
    playbook = load_playbook(file or playbook_file())
    chosen = next((name for name in TRIGGER_NAMES if name == family), None)
    if family is not None and chosen is None:
        raise ConfigurationError(f"--family {family}: write one of {', '.join(TRIGGER_NAMES)}.")
    if as_json:
        print_json(playbook.model_dump())
        return
    print_policy(playbook, console, family=chosen)


@app.command("schema", epilog="Example: understudy playbook schema > playbooks/restoration.schema.json")
@reports_errors
def schema() -> None:
    """Print the JSON Schema of the policy file, for editors and other checkers."""
    typer.echo(policy_fields.schema(), nl=False)


@app.command("fields", epilog="Example: understudy playbook fields > docs/policy.md")
@reports_errors
def fields() -> None:
    """Print every field of the policy with its type, limits and meaning, as Markdown."""
    typer.echo(policy_fields.markdown(), nl=False)


@app.command("simulate", epilog="Example: understudy playbook simulate --days 40 --runs 200 --processes 2")
@reports_errors
def simulate_command(
    *,
    file: _FILE = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days of each quiet condition.")] = 40,
    runs: Annotated[int, typer.Option(min=1, max=10_000, help="Runs of each kind of trouble.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="The same seed, the same answer.")] = 20_261_125,
    processes: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the work.")] = 2,
    check: Annotated[
        bool,
        typer.Option("--check", help="Exit code 1 when it is worse than its recorded bounds."),
    ] = False,
    record: Annotated[
        Path | None, typer.Option("--record", metavar="FILE", help="Write the bounds of the rule in force.")
    ] = None,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/simulation.md.")] = False,
    as_json: _JSON = False,
) -> None:
    """Run the live rules over synthetic traffic: false trips a day, and time to detect trouble.

    Traffic of 1 to 600 calls a minute: healthy, exactly at the SLO, failing 5 to 100 %, failing in bursts.
    """
    from understudy.restoration.playbook import bounds, simulation  # noqa: PLC0415  # they load numpy

    playbook = load_playbook(file or playbook_file())
    part, rule = playbook.triggers.success_rate, playbook.triggers.success_rate.rate.rule
    if check:
        cells = simulation.simulate(part, bounds.CHECK, rules=(rule,), processes=processes)
        problems = bounds.worse(cells, bounds.read_bounds(simulation_bounds_file()))
        if as_json:
            print_json({"ok": not problems, "worse": problems, "rows": [cell.row() for cell in cells]})
        for problem in () if as_json else problems:
            console.print(Text(f"worse than recorded: {problem}"), soft_wrap=True)
        if problems:
            raise typer.Exit(code=1)
        if not as_json:
            console.print("[bold green]ok[/]: no cell is worse than its recorded bounds", highlight=False)
        return
    plan = simulation.Plan(days=days, runs=runs, seed=seed)
    cells = simulation.simulate(part, plan, processes=processes)
    if record is not None:
        record.write_text(json.dumps(bounds.record(cells, rule, plan), indent=1) + "\n", "utf-8")
    rows = [cell.row() for cell in cells]
    if as_json:
        print_json(rows)
    elif as_markdown:
        typer.echo(page(rows, days=days, runs=runs, seed=seed), nl=False)
    else:
        print_cells(rows, console)


@app.command("replay", epilog="Example: understudy playbook replay --since 24h --policy edited.yaml")
@reports_errors
def replay_command(
    *,
    since: Annotated[
        str, typer.Option("--since", help="From when: a date, a time (UTC), or how long ago (24h, 7d).")
    ] = "24h",
    until: Annotated[str | None, typer.Option("--until", help="Until when; now if left out.")] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="A playbook; the one that ships if left out.")
    ] = None,
    database: Annotated[
        str | None, typer.Option("--database", help="Postgres to read; the installation's if left out.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: _JSON = False,
) -> None:
    """Run a policy over recorded calls: when each check would have fired, beside the incidents on record.

    Only calls are replayed (success_rate, realtime_failures): the other conditions look at the present.
    """
    from understudy.cli.replaying import replayed  # noqa: PLC0415  # it loads the stores

    now = datetime.now(UTC)
    found = asyncio.run(
        replayed(
            home,
            load_playbook(policy or playbook_file()),
            since=since,
            until=until,
            database=database,
            now=now,
        )
    )
    if as_json:
        print_json(found)
        return
    console.print(
        f"{found['calls']} calls from {found['since'][:19]}Z to {found['until'][:19]}Z", highlight=False
    )
    for fired in found["fired"]:
        console.print(
            Text(f"{fired['since'][:19]}Z to {fired['until'][11:19]}Z  {fired['key']} ({fired['mode']})"),
            soft_wrap=True,
        )
        console.print(Text(f"    {fired['detail']}", style="dim"), soft_wrap=True)
    if not found["fired"]:
        console.print("No check would have fired.")
    for incident in found["incidents"]:
        console.print(
            Text(f"on record: {incident['id']} opened {incident['opened_at'][:19]}Z: {incident['title']}"),
            soft_wrap=True,
        )
