"""``understudy cutover``: forward again, in stages that are held until their sample could show a failure."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from understudy.cli import cutover_desk as opening_of
from understudy.cli.cutover_desk import open_desk
from understudy.cli.guard_home import highest_mode_epoch
from understudy.cli.installation import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    check_reason,
    installed_database,
    installed_settings,
)
from understudy.cli.mode import ProviderMode
from understudy.cli.output import console, print_json, reports_errors
from understudy.cli.voices import micro_dollars
from understudy.errors import ConflictError
from understudy.logs import configure_logging
from understudy.restoration.cutover import desk as desk_of
from understudy.restoration.cutover import preflight
from understudy.restoration.cutover.desk import Desk
from understudy.restoration.cutover.preflight import Check

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich")

_REASON = Annotated[str, typer.Option("--reason", help="Why; kept in the history.")]
_OWNER = Annotated[
    str | None, typer.Option("--owner", help="Who answers for it; must be named for production.")
]
_TO = Annotated[
    ProviderMode | None, typer.Option("--to", help="The candidate; by default whoever is not known-good.")
]
_MAX_COST = Annotated[
    str | None,
    typer.Option("--max-cost", help="US dollars that carrying voices over may cost; nothing is sent here."),
]
_SHOWN = 10


@app.callback()
def group() -> None:
    """Move tenants to the other provider, a share at a time; anything wrong brings everybody back at once."""
    configure_logging("cutover", level="error")


@app.command("plan", epilog="Example: understudy cutover plan --max-cost 5 --owner ann")
@reports_errors
def plan_command(
    *,
    to: _TO = None,
    owner: _OWNER = None,
    max_cost: _MAX_COST = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Speak the phrases that stand for the last incident, too.")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Show the stages with the calls each needs, and everything that must be so; changes nothing.

    Exit code 1 when something stands in the way.
    """
    found = asyncio.run(_plan(home, to, owner, max_cost, probe=probe))
    if as_json:
        print_json(found)
    else:
        _show_plan(found)
    if found["problems"]:
        raise typer.Exit(code=1)


@app.command("start", epilog='Example: understudy cutover start --plan 3f9c0b1d2e4a --reason "release 14"')
@reports_errors
def start_command(
    *,
    reason: _REASON,
    to: _TO = None,
    owner: _OWNER = None,
    max_cost: _MAX_COST = None,
    plan_sha256: Annotated[
        str | None, typer.Option("--plan", help="Digest that `plan` printed; another plan is refused.")
    ] = None,
    accept: Annotated[
        str | None, typer.Option("--accept", help="Why what could not be looked at is taken for granted.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Look at everything again, speak the probe, and give the first share of tenants the candidate."""
    check_reason(reason)
    found = asyncio.run(_start(home, to, owner, max_cost, plan_sha256, reason=reason, accept=accept))
    _answer(found, as_json)


@app.command("next", epilog='Example: understudy cutover next --reason "looked at it"')
@reports_errors
def next_command(
    reason: _REASON = "its sample is clean",
    leave_behind: Annotated[
        str | None,
        typer.Option(
            "--leave-behind", help="At 100 %: why tenants whose voices do not speak there may be refused."
        ),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Go to the next stage, once the guard says that this one held and its sample is clean."""
    check_reason(reason)

    async def act(desk: Desk) -> dict[str, Any]:
        row = await desk_of.go_on(desk, reason=reason, leave_behind=leave_behind)
        return await desk_of.told(desk, row)

    _answer(asyncio.run(_with_desk(home, act)), as_json)


@app.command("pause", epilog='Example: understudy cutover pause --reason "a look first"')
@reports_errors
def pause_command(reason: _REASON, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Keep the share as it is; guardrails stay in force. Never refused."""
    check_reason(reason)

    async def act(desk: Desk) -> dict[str, Any]:
        return await desk_of.told(desk, await desk_of.pause(desk, reason=reason))

    _answer(asyncio.run(_with_desk(home, act)), as_json)


@app.command("resume", epilog='Example: understudy cutover resume --reason "all is well"')
@reports_errors
def resume_command(reason: _REASON, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Let stages follow again."""
    check_reason(reason)

    async def act(desk: Desk) -> dict[str, Any]:
        return await desk_of.told(desk, await desk_of.resume(desk, reason=reason))

    _answer(asyncio.run(_with_desk(home, act)), as_json)


@app.command("return", epilog='Example: understudy cutover return --reason "complaints"')
@reports_errors
def return_command(reason: _REASON, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Bring everybody back to the known-good provider at once, whichever stage it is. Never refused."""
    check_reason(reason)
    found = asyncio.run(_return(home, reason))
    if as_json:
        print_json(found)
    elif found["returned"]:
        console.print(Text(f"Everybody is on {found['mode']} again, epoch {found['epoch']}."))
    else:
        console.print("No cutover is on; nothing was changed.")


@app.command("status", epilog="Example: understudy cutover status --json")
@reports_errors
def status_command(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show the stage, its sample beside the tenants who stayed, who stays out, and what comes next."""
    found = asyncio.run(_with_desk(home, desk_of.describe))
    if as_json:
        print_json(found)
    else:
        _show_status(found)


async def _with_desk(home: Path, act: Any) -> dict[str, Any]:
    async with open_desk(home) as opening:
        found: dict[str, Any] = await act(opening.desk)
        return found


async def _plan(
    home: Path, to: ProviderMode | None, owner: str | None, max_cost: str | None, *, probe: bool
) -> dict[str, Any]:
    async with open_desk(home) as opening:
        lane = opening.lane(to.value if to else None)
        try:
            plan, named = opening.plan(lane, owner)
            budget = micro_dollars(max_cost) if max_cost is not None else None
            checks = await opening_of.examine(
                opening, plan, lane, owner_named=named, budget_microusd=budget, probe=probe
            )
        finally:
            await lane.provider.close()
        return {
            "plan_sha256": plan.sha256,
            "plan": dict(plan.document),
            "stages": desk_of.stages_of(opening.playbook),
            "checks": [check.document() for check in checks],
            "problems": [check.name for check in preflight.problems(checks, accepted=False)],
        }


async def _start(
    home: Path,
    to: ProviderMode | None,
    owner: str | None,
    max_cost: str | None,
    plan_sha256: str | None,
    *,
    reason: str,
    accept: str | None,
) -> dict[str, Any]:
    async with open_desk(home) as opening:
        lane = opening.lane(to.value if to else None)
        try:
            plan, named = opening.plan(lane, owner)
            if plan_sha256 is not None and not plan.sha256.startswith(plan_sha256):
                raise ConflictError(
                    f"The plan is {opening_of.short(plan)} now, not {plan_sha256}: policy, settings or code "
                    f"changed. Look at `understudy cutover plan` again."
                )
            budget = micro_dollars(max_cost) if max_cost is not None else None
            checks = await opening_of.examine(
                opening, plan, lane, owner_named=named, budget_microusd=budget, probe=True
            )
        finally:
            await lane.provider.close()
        row = await opening_of.start(opening, plan, checks, reason=reason, accepted=accept)
        return await desk_of.told(opening.desk, row)


async def _return(home: Path, reason: str) -> dict[str, Any]:
    """By itself, without the guard's store where that is away: going back needs nobody."""
    settings = installed_settings(home)
    async with installed_database(settings, command="cutover") as database:
        return await desk_of.bring_back(
            database,
            known_good=settings.known_good_provider,
            actor=opening_of.person(),
            reason=reason,
            minimum_epoch=highest_mode_epoch(home),
        )


def _answer(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    _show_status(found)
    if found["not_in_force_on"]:
        console.print(Text(f"Not in force yet on: {', '.join(found['not_in_force_on'])}", style="yellow"))


def _show_plan(found: dict[str, Any]) -> None:
    plan = found["plan"]
    head = f"Cutover of {plan['environment']} from {plan['known_good']} to {plan['candidate']}, "
    console.print(Text(f"{head}plan {found['plan_sha256'][:12]}, owner: {plan['owner']}"))
    for number, stage in enumerate(found["stages"], 1):
        console.print(
            Text(
                f"  stage {number}: {stage['percent']:>3} %  at least {stage['hold_s'] / 60:g} min and "
                f"{stage['clean_calls']} clean calls, which rule out {stage['exclude_percent']:g} % failures"
            ),
            soft_wrap=True,
        )
    for check in found["checks"]:
        _show_check(Check(**check))
    standing = len(found["problems"])
    said = "Nothing stands in the way." if not standing else f"{standing} things stand in the way."
    console.print(Text(f"{said} Nothing was changed."))


def _show_check(check: Check) -> None:
    mark, style = {True: ("ok", "green"), False: ("NO", "red"), None: ("not known", "yellow")}[check.ok]
    console.print(Text(f"  {mark:<9}  ", style=style) + Text(f"{check.name}: {check.detail}"), soft_wrap=True)
    if not check.ok and check.fix:
        console.print(Text(f"             {check.fix}", style="dim"), soft_wrap=True)


def _show_status(found: dict[str, Any]) -> None:
    row, judged = found["cutover"], found["judgement"]
    if row is None:
        console.print("No cutover has ever been begun here.")
    else:
        said = f"Cutover {row['seq']} to {row['candidate']}: {row['state']}, {row['percent']} % of tenants"
        console.print(Text(f"{said}, stage {row['stage'] + 1}; owner: {row['owner']}", style="bold"))
        console.print(Text(f"  {row['reason']} ({row['actor']}, {_when(row['changed_at'])})"), soft_wrap=True)
    if row is not None and judged is not None and judged["epoch"] == row["epoch"]:
        _show_judgement(judged)
    if found["in_force"] and found["stays"]:
        console.print(Text(f"  {len(found['stays'])} tenants of this share stay, for their voices:"))
        for one in found["stays"][:_SHOWN]:
            console.print(Text(f"    {one['user_id']}  {one['voices']} voices"))
    moves = found["moves"]
    if moves["frozen"]:
        console.print(Text(f"Moves away are FROZEN: {moves['frozen']['why']}", style="red"))
    elif moves["next_at"]:
        console.print(Text(f"The next move away is allowed after {_when(moves['next_at'])}."))
    if found["stabilization"]:
        clock = found["stabilization"]
        console.print(Text(f"The stabilization clock runs since {_when(clock['at'])}."))


def _show_judgement(judged: dict[str, Any]) -> None:
    ours, theirs = judged["candidate"], judged["control"]
    console.print(
        Text(
            f"  sample: {ours['total']} calls, {ours['failed']} failed; {judged['needed']} are needed. It "
            f"rules out more than {judged['hidden_percent']:.2f} % failures."
        )
    )
    if theirs is not None:
        console.print(Text(f"  who stayed: {theirs['total']} calls, {theirs['failed']} failed"))
    for rail in judged["guardrails"]:
        console.print(Text(f"  {rail['verdict']:<8} {rail['name']}: {rail['detail']}"), soft_wrap=True)
    for said in judged["waiting"]:
        console.print(Text(f"  waits: {said}"), soft_wrap=True)
    if judged["left_behind"]:
        console.print(Text(f"  waits: {judged['left_behind']} tenants would be refused at 100 %"))


def _when(at: str) -> str:
    return f"{at[:19].replace('T', ' ')} UTC"
