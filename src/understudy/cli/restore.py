"""``understudy restore``: a rung of the ladder, planned, probed or carried out because a person asks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from understudy.cli.environment import chosen
from understudy.cli.guard_home import guard_store, person_at, redactor_of
from understudy.cli.installation import DEFAULT_HOME, HomeOption, JsonOption, use_env_file
from understudy.cli.output import console, print_json, reports_errors
from understudy.cli.timeline import line_of
from understudy.errors import ConfigurationError
from understudy.settings import load_settings

if TYPE_CHECKING:
    from understudy.restoration.guard.by_hand import ByHand, Probed, Standing
    from understudy.restoration.triggers.cures import ActionName

#: Exit codes of ``--live``: 3 is no failure, it waits for persons.
EXIT_CODES: Mapping[Standing, int] = {"done": 0, "failed": 1, "waits": 3}


@reports_errors
def restore(
    *,
    plan: Annotated[bool, typer.Option("--plan", help="Print what would be done; ask nobody.")] = False,
    probe: Annotated[
        bool, typer.Option("--probe", help="Look at every step and run its prechecks; change nothing.")
    ] = False,
    live: Annotated[bool, typer.Option("--live", help="Do it, as an incident with its journal.")] = False,
    action: Annotated[
        str, typer.Option("--action", help="Rung of the ladder: env_switch, code_rollback, ...")
    ] = "",
    incident: Annotated[
        str,
        typer.Option(
            "--incident", help="Incident that it belongs to, or `latest`; its action if --action is left out."
        ),
    ] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why; with --live and --action.")] = "",
    backup: Annotated[
        str,
        typer.Option(
            "--backup",
            help="Backup of a database restore; the newest that proves good if left out. A restore in place "
            "must be given one.",
        ),
    ] = "",
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="A playbook to use instead of the one that ships."),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Plan, probe or carry out one rung of the restoration ladder by hand.

    A running guard carries it out; where none runs, this command does, step by step, in the same journal.
    A rung that needs approvals waits for them: exit code 3, and `understudy incident approve` says yes.
    With --incident and without --action an incident is taken up again.

    Example: [bold]understudy restore --live --action env_switch --reason "Qwen is slow"[/]
    """
    if plan + probe + live > 1:
        raise ConfigurationError("--plan, --probe and --live: give one of them.")
    home = home.expanduser().resolve()
    code = asyncio.run(
        _restore(
            home,
            level="live" if live else "probe" if probe else "plan",
            action=action,
            incident=incident,
            reason=reason,
            parameters={"backup": backup} if backup else {},
            policy=policy,
            as_json=as_json,
        )
    )
    if code:
        raise typer.Exit(code=code)


async def _restore(
    home: Path,
    *,
    level: str,
    action: str,
    incident: str,
    reason: str,
    parameters: dict[str, Any],
    policy: Path | None,
    as_json: bool,
) -> int:
    from understudy.clock import SystemClock  # noqa: PLC0415  (`--help` need not load the engine)
    from understudy.logs import configure_logging  # noqa: PLC0415
    from understudy.restoration.guard.by_hand import by_hand  # noqa: PLC0415

    environment = chosen()
    use_env_file(home)
    settings = load_settings()
    if environment.live_switch:
        settings.require("database_url")
    configure_logging("restore", level="error", secrets=settings.secrets())
    clock = SystemClock()
    with guard_store(home, must_exist=False) as store:
        found = _incident(store, incident, environment.name.value)
        asked = _action(store, action, found)
        async with by_hand(
            home,
            settings,
            environment,
            store,
            clock,
            person=person_at(store),
            redactor=redactor_of(home),
            policy=policy,
        ) as hand:
            if level == "live":
                wanted = asked if action else None
                return await _live(
                    hand, wanted, found, redactor_of(home)(reason), parameters, as_json=as_json
                )
            if asked is None:
                raise ConfigurationError("--action is missing: name a rung, such as env_switch.")
            if level == "plan":
                _print_plan(hand.plan(asked, incident=found, parameters=parameters), as_json=as_json)
                return 0
            probed = await hand.probe(asked, incident=found, parameters=parameters)
            _print_probe(asked, probed, as_json=as_json)
            return 1 if any(step.state == "failed" for step in probed) else 0


def _incident(store: Any, name: str, environment: str) -> str | None:
    if not name:
        return None
    if name != "latest":
        return str(store.incident(name).id)
    rows = store.incidents(environment, limit=1)
    if not rows:
        raise ConfigurationError(f"There has been no incident of {environment} here.")
    return str(rows[0].id)


def _action(store: Any, name: str, incident: str | None) -> ActionName | None:
    """Return the action that is named, or the one that the incident waits for."""
    from understudy.restoration.triggers.cures import ACTIONS, action_named  # noqa: PLC0415

    if name:
        found = action_named(name)
        if found is None:
            raise ConfigurationError(f"--action {name}: write one of {', '.join(ACTIONS)}.")
        return found
    if incident is None:
        return None
    named = [
        entry.body["action"]
        for entry in store.entries(incident)
        if entry.kind in {"opened", "joined", "escalated"} and entry.body.get("action")
    ]
    return named[-1] if named else None


async def _live(
    hand: ByHand,
    action: ActionName | None,
    incident: str | None,
    reason: str,
    parameters: dict[str, Any],
    *,
    as_json: bool,
) -> int:
    from understudy.restoration.guard.documents import entry_document  # noqa: PLC0415

    if action is not None:
        row = await hand.request(action, reason=reason, incident=incident, parameters=parameters)
        incident = row.id
    if incident is None:
        raise ConfigurationError("Give --action with --reason, or --incident to take one up again.")
    if not as_json:
        console.print(Text(f"{incident}", style="bold"))

    def told(entry: Any) -> None:
        document = entry_document(entry)
        if as_json:
            print_json(document)
            return
        line = line_of(document)
        console.print(
            Text.assemble((f"{line.at:%H:%M:%S}  {line.what:<10} ", line.style), line.said), soft_wrap=True
        )

    standing = await hand.carry_out(incident, told=told)
    said = {
        "done": f"{incident}: done and verified. A guard (`understudy guard`) proves recovery and closes it.",
        "failed": f"{incident}: not restored; `understudy incident show {incident}` has what failed.",
        "waits": f"{incident}: waits for approval; `understudy incident show {incident}` has the plan.",
    }[standing]
    if as_json:
        print_json({"incident": incident, "standing": standing})
    else:
        console.print(Text(said), soft_wrap=True)
    return EXIT_CODES[standing]


def _print_plan(plan: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(plan)
        return
    needs = {0: "nobody's approval", 1: "one person's approval"}
    approval = needs.get(plan["approvals"], f"the approval of {plan['approvals']} distinct persons")
    console.print(Text(f"rung {plan['rung']} {plan['action']}: {plan['title']}", style="bold"))
    where = f"{plan['environment']} (target {plan['target']})"
    console.print(Text(f"  {where}, within {plan['time_box_s']:g} s; needs {approval}"), soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("step", "changes", "within", "would"):
        table.add_column(heading, overflow="fold")
    for step in plan["steps"]:
        would = "; ".join(f"{name}: {_short(value)}" for name, value in step["plan"].items())
        table.add_row(
            step["step"], "yes" if step["changes"] else "", f"{step['time_box_s']:g} s", Text(would)
        )
    console.print(table)
    if plan["by_hand"]:
        console.print("\nBy hand:")
        for line in plan["by_hand"]:
            console.print(Text(f"  {line}"), soft_wrap=True)


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_short(item)}" for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_short, value))
    return str(value)


def _print_probe(action: str, probed: list[Probed], *, as_json: bool) -> None:
    ok = not any(step.state == "failed" for step in probed)
    if as_json:
        print_json({"action": action, "ok": ok, "steps": [step.document() for step in probed]})
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("step", "state", "found"):
        table.add_column(heading, overflow="fold")
    styles = {"failed": "bold red", "done": "green"}
    for step in probed:
        table.add_row(step.step, Text(step.state, style=styles.get(step.state, "")), Text(step.detail))
    console.print(table)
    console.print("[bold green]ok[/]: it could begin now" if ok else "[bold red]it would not begin now[/]")
