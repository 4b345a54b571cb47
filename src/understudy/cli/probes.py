"""``understudy probes``: what the guard's canaries heard, one turn of them by hand, and their cleaning up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from random import SystemRandom
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from understudy.cli.installation import DEFAULT_HOME, HomeOption, JsonOption, installed_settings
from understudy.cli.output import console, print_json, reports_errors
from understudy.clock import SystemClock
from understudy.errors import ConfigurationError, StoreUnavailableError
from understudy.logs import configure_logging
from understudy.resources import playbook_file
from understudy.restoration.playbook.policy import load_playbook
from understudy.restoration.probes import (
    PROBE_CANARIES_FILE,
    ProbePlan,
    ProbeRunner,
    Role,
    enrolments,
    lane_of,
)
from understudy.restoration.signals.readings import ProbeResult
from understudy.restoration.targets.local import LocalTarget
from understudy.restoration.verification.canaries import remembered_identities
from understudy.settings import Settings
from understudy.store.database import Database
from understudy.store.guard import GuardStore, open_guard_store
from understudy.store.mode import ModeRow, read_mode

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Ask what the guard's canaries heard, or take away what they keep.",
    rich_markup_mode="rich",
)
_ROLE = Annotated[Role | None, typer.Option("--role", help="Only this one.")]
_ONCE = Annotated[bool, typer.Option("--once", help="One turn of each role, now.")]


@app.command("status", epilog="Example: understudy probes status --json")
@reports_errors
def status(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show the newest probes, what they cost today and what they keep; asks nobody but the guard's store."""
    configure_logging("probes", level="warning")
    found = asyncio.run(_with_runner(home.expanduser().resolve(), _status))
    if as_json:
        print_json(found)
        return
    _show(found)


@app.command("run", epilog="Example: understudy probes run --once --role standby")
@reports_errors
def run(
    once: _ONCE = False, role: _ROLE = None, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False
) -> None:
    """Take one turn now, in the same budget as the guard's own; exit code 1 when a probe failed."""
    if not once:
        raise ConfigurationError("The guard runs probes all the time. Give --once for one turn by hand.")
    configure_logging("probes", level="error")

    async def take(runner: ProbeRunner, store: GuardStore) -> dict[str, Any]:
        for each in [role] if role else list(Role):
            await runner.once(each)
        return await _status(runner, store)

    found = asyncio.run(_with_runner(home.expanduser().resolve(), take))
    if as_json:
        print_json(found)
    else:
        _show(found)
    newest = [found[name][0] for name in ("active", "standby") if role in {None, Role(name)} and found[name]]
    read = found["canary_read"] or {}
    if found["held_up"] or read.get("leaks") or not all(result["ok"] for result in newest):
        raise typer.Exit(code=1)


@app.command("clean", epilog="Example: understudy probes clean")
@reports_errors
def clean(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Delete the canaries' voice and what they said; the next probe makes a voice again."""
    configure_logging("probes", level="error")

    async def remove(runner: ProbeRunner, store: GuardStore) -> dict[str, Any]:
        left = await runner.tenants.clean()
        return {"left_behind": left, "enrolled": enrolments(store)}

    found = asyncio.run(_with_runner(home.expanduser().resolve(), remove))
    if as_json:
        print_json(found)
    else:
        console.print("Nothing of the canaries is left." if not found["left_behind"] else "Left behind:")
        for item in found["left_behind"]:
            console.print(Text(f"  {item}"), soft_wrap=True)
        for lane, voice in found["enrolled"].items():
            console.print(Text(f"Kept at {lane}, for the next probe: {voice}"), soft_wrap=True)
    if found["left_behind"]:
        raise typer.Exit(code=1)


async def _with_runner(
    home: Path, body: Callable[[ProbeRunner, GuardStore], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """Build the probes of one installation, as the guard does, and close what they opened."""
    settings, clock = installed_settings(home), SystemClock()
    playbook = load_playbook(settings.playbook_file or playbook_file())
    async with AsyncExitStack() as stack:
        store = stack.enter_context(open_guard_store(home, settings, clock))
        product = _Product(settings)
        stack.push_async_callback(product.close)
        mode = await product.mode()
        runner = ProbeRunner(
            plan=ProbePlan.of(playbook.probes),
            switched_on=settings.probes == "on",
            base_url=LocalTarget(home).base_url,
            identities=lambda url: remembered_identities(home / PROBE_CANARIES_FILE, url),
            connect=product,
            mode=lambda: mode,
            lane=lambda name: lane_of(name, settings, clock),
            memory=store,
            clock=clock,
            random=SystemRandom(),
        )
        return await body(runner, store)


class _Product:
    """The product's database, opened when it is first asked."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.database_url
        self._database: Database | None = None

    async def __call__(self) -> Database:
        if self._database is None:
            self._database = await Database.connect(
                self._url, application_name="understudy-probes", max_size=2
            )
        return self._database

    async def mode(self) -> ModeRow | None:
        """The mode in force; None while nobody can say."""
        try:
            async with (await self()).service() as conn:
                return await read_mode(conn)
        except StoreUnavailableError:
            return None

    async def close(self) -> None:
        if self._database is not None:
            await self._database.close()


async def _status(runner: ProbeRunner, store: GuardStore) -> dict[str, Any]:
    reading, read = runner.reading(SystemClock().now()), runner.canary_read()
    return {
        "paused": reading.paused,
        "held_up": runner.alarm(),
        "plan": asdict(runner.plan),
        "spent_today_microusd": reading.spent_microusd,
        "active": [_plain(result) for result in reading.active],
        "standby": [_plain(result) for result in reading.standby],
        "canary_read": {**asdict(read), "at": read.at.isoformat()} if read else None,
        "enrolled": enrolments(store),
    }


def _plain(result: ProbeResult) -> dict[str, Any]:
    return {**asdict(result), "at": result.at.isoformat()}


def _show(found: dict[str, Any]) -> None:
    plan = found["plan"]
    spent, budget = found["spent_today_microusd"] / 1_000_000, plan["budget_microusd_per_day"] / 1_000_000
    console.print(f"spent today: ${spent:.4f} of ${budget:.2f}", highlight=False)
    if found["paused"]:
        console.print(Text(f"paused: {found['paused']}", style="yellow"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading, justify in (("", "left"), ("when (UTC)", "left"), ("provider", "left"), ("ms", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]  # two of rich's words
    table.add_column("what was heard", overflow="fold")
    for role in ("active", "standby"):
        for result in found[role][:3]:
            heard = result["detail"] if result["ok"] else f"{result['code']}: {result['detail']}"
            table.add_row(
                Text(role, style="green" if result["ok"] else "bold red"),
                result["at"][:19].replace("T", " "),
                result["provider"],
                str(result["latency_ms"]),
                Text(heard),
            )
    console.print(table)
    read = found["canary_read"]
    if read is not None:
        words = read["blind"] or (
            f"told canary B of canary A: {', '.join(read['leaks'])}"
            if read["leaks"]
            else f"canary B saw nothing of canary A in {read['asked']} requests"
        )
        console.print(Text(words, style="bold red" if read["leaks"] else ""))
