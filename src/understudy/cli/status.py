"""``understudy status``: one screen about what ``understudy up`` runs on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer
from rich.text import Text

from understudy.cli import freeze, mode
from understudy.cli.closed_valves import closed_sentence, read_closed
from understudy.cli.guard_home import ask_guard
from understudy.cli.kept_back import kept_back_sentences, read_kept_back
from understudy.cli.output import console, print_json, reports_errors
from understudy.cli.status_screen import screen
from understudy.cli.unknown import read_unknown, unknown_sentence
from understudy.clock import SystemClock
from understudy.envfile import read_env_file
from understudy.errors import ConfigurationError, UnderstudyError
from understudy.processes.environment import MODE_VARIABLE
from understudy.processes.home import Home, read_json
from understudy.restoration.guard.heartbeat import stale_heartbeat

_TIMEOUT = aiohttp.ClientTimeout(total=5, sock_connect=2)


@reports_errors
def status(
    home: Annotated[
        Path, typer.Option("--home", envvar="UNDERSTUDY_HOME", help="Folder of the installation.")
    ] = Path(".understudy"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show on one screen what runs, the provider mode and what the guard sees; exit code 1 when nothing runs.

    What is wrong is said in a sentence; `--json` has everything.

    Example: [bold]understudy status --json[/]
    """
    place = Home.at(home)
    found = asyncio.run(_collect(place))
    if as_json:
        print_json(found)
    elif found["running"]:
        _show(found)
    if not found["running"]:
        if not as_json:
            raise ConfigurationError(found["problem"])
        raise typer.Exit(code=1)


async def _collect(home: Home) -> dict[str, Any]:
    """What the files, the supervisor and the guard say; each answer is missing when its source is."""
    state = read_json(home.state_file)
    control = read_json(home.control_file)
    found: dict[str, Any] = {
        "running": False,
        "home": str(home.root),
        "state": state,
        "env_mode": _env_mode(home),
        "supervisor": None,
        "guard": None,
        "guard_problem": None,
        "freeze": None,
        "mode": None,
        "unknown_submissions": None,
        "closed_valves": None,
        "kept_back": None,
    }
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        if isinstance(control, dict):
            found["supervisor"] = await _get(session, f"{control['url']}/v1/status", control["token"])
        address = ((found["supervisor"] or {}).get("addresses") or {}).get("guard")
        found["guard"] = await ask_guard(session, home.root, "/status", address)
    # A guard may run alone: what it watches is then on other machines.
    if found["supervisor"] is None and found["guard"] is None:
        found["problem"] = _nothing_runs(home, state, died=isinstance(control, dict))
        return found
    found["running"] = True
    if found["guard"] is None:
        found["guard_problem"] = _guard_problem(home)
    with contextlib.suppress(UnderstudyError):
        found["mode"] = await mode.read_state(home.root)
        found["freeze"] = await freeze.read_state(home.root)
        found["unknown_submissions"] = await read_unknown(home.root)
        found["closed_valves"] = await read_closed(home.root)
        found["kept_back"] = await read_kept_back(home.root)
    return found


def _nothing_runs(home: Home, state: Any, *, died: bool) -> str:
    if not died:
        return f"Nothing runs on {home.root}. Start it with `understudy up --home {home.root}`."
    pid = (state or {}).get("pid", "unknown")
    return (
        f"The last `understudy up` on {home.root} ended without cleaning up (process {pid}); nothing "
        f"answers. Start it again: that cleans up."
    )


def _guard_problem(home: Home) -> str:
    """Say since when nobody watches, as the guard's own heartbeat tells."""
    try:
        stale = stale_heartbeat(home.root, SystemClock().now())
    except UnderstudyError as error:
        stale = error.message
    return stale or "The guard lives by its heartbeat, but does not answer; see logs/guard.log."


async def _get(session: aiohttp.ClientSession, url: str, token: str) -> dict[str, Any] | None:
    try:
        async with session.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
            document = await answer.json() if answer.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError):
        return None
    return document if isinstance(document, dict) else None


def _env_mode(home: Home) -> str | None:
    try:
        return read_env_file(home.env_file).get(MODE_VARIABLE)
    except UnderstudyError:
        return None


def _show(found: dict[str, Any]) -> None:
    unicode = (console.encoding or "").lower().replace("-", "").startswith("utf")
    console.print(screen(found, width=console.width, unicode=unicode))
    _show_mode(found["mode"], drift_told=found["guard"] is not None)
    held = found["freeze"]
    if held and held["frozen"]:
        since = held["changed_at"][:19].replace("T", " ")
        console.print(
            Text(f"Writes are frozen since {since} by {held['actor']}: {held['reason']}", style="yellow")
        )
    unknown = found["unknown_submissions"]
    if unknown and unknown["tasks"]:
        console.print(Text(unknown_sentence(unknown), style="yellow"))
    if found["closed_valves"]:
        console.print(Text(closed_sentence(found["closed_valves"]), style="yellow"))
    for line in kept_back_sentences(found["kept_back"]) if found["kept_back"] else ():
        console.print(Text(line, style="yellow"), soft_wrap=True)
    for event in (found["supervisor"] or {}).get("events", []):
        if event["name"] in {"crashed", "restarted", "restart_failed"}:
            console.print(Text(f"{event['at'][:19].replace('T', ' ')}  {event['message']}", style="yellow"))


def _show_mode(live: dict[str, Any] | None, *, drift_told: bool = False) -> None:
    """Tell where the live mode and the environment differ, and which process does not follow."""
    if live is None:
        return
    if live["drifting"] and not drift_told:
        row = live["mode"]
        said = f"The live mode is {row['value']} (epoch {row['epoch']}, {row['actor']}): it overrides that."
        console.print(Text(said, style="yellow"))
    for process in live["processes"]:
        sound = process["mode_state"] == "FRESH" and process["known_good_ok"] is not False
        if process["drifting"] or process["lagging"] or not sound:
            said = f"{process['kind']} {process['pid']}: {mode.held_sentence(process)}"
            console.print(Text(said, style="yellow"))
